"""Protocols without I/O: bytes in, events out; replies in, bytes out."""
