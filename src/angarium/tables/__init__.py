"""Lookup tables (``type:name``): found, not found, or temporary error."""
