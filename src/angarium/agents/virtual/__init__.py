"""Delivery into the mailstore, in the place of virtual(8)."""
