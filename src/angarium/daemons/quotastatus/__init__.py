"""Tells other mail servers whether a mailbox here has room, by Postfix's policy protocol."""
