"""Delivery to external commands: pipe(8)."""
