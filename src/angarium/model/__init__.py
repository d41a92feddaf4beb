"""The values that every layer shares. Frozen; illegal ones cannot be built."""
