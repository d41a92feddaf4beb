"""The queue manager: qmgr(8)."""
