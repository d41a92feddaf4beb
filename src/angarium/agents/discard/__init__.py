"""The discard transport: discard(8)."""
