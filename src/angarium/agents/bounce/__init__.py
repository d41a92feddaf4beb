"""Delivery status notifications: bounce(8)."""
