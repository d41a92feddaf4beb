"""The local submission socket: pickup(8) and postdrop(1)."""
