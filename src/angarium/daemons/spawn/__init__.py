"""Commands that serve connections: spawn(8)."""
