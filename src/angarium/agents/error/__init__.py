"""The error and retry transports: error(8)."""
