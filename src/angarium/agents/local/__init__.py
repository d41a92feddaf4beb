"""Delivery to system users, in the place of local(8)."""
