"""What is announced after a commit: ids and wake-ups, never content.

Losing one is harmless: readers look into the store.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed in an account's mailbox.

    Attributes:
        account: whose.
        mailbox: the mailbox's id in the account.
        modseq: the highest modification sequence of the mailbox after the change.
    """

    account: str
    mailbox: int
    modseq: int
