"""Accounts' mailboxes: UID, MODSEQ, quota, changes."""
