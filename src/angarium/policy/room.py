"""Whether the mailbox of a recipient has room: asked at RCPT TO, and by other servers of the quota-status service.

An alias that stands for one address is asked for that one's mailbox. Of one that stands for several only the deliveries
tell: no copy is refused because another's mailbox is full.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from angarium.model.lookup import TemporaryError
from angarium.model.quota import Excess
from angarium.policy.recipients import RecipientTables
from angarium.rewrite.interface import AddressClass, Resolution

QuotaCheck = Callable[[str, int], Awaitable[Excess | TemporaryError | None]]
"""``(account address, size of the message or 0) -> why it has no room``."""
Resolve = Callable[[str], Awaitable[Resolution | TemporaryError]]


class Room(NamedTuple):
    """The answer.

    Attributes:
        account: whose mailbox was asked about; empty when there is none, or several.
        excess: why it has no room; None when it has, or nobody knows.
        known: the recipient is known here.
    """

    account: str
    excess: Excess | TemporaryError | None
    known: bool = True


_SEVERAL = Room("", None)
_NOBODY = Room("", None, known=False)


class MailboxRoom:
    """Finds the account of a recipient and asks.

    Args:
        recipients: the tables of recipients.
        transports: those that deliver into the mailstore.
        quota: tells of one account.
    """

    def __init__(self, recipients: RecipientTables, transports: AbstractSet[str], quota: QuotaCheck) -> None:
        self._recipients = recipients
        self._transports = transports
        self._quota = quota

    async def of(self, recipient: str, size: int, resolve: Resolve) -> Room:
        """What there is to be said of a recipient."""
        ours = await self._account(recipient, resolve)
        if ours is None:
            return _NOBODY
        account, known = ours
        if known:
            excess = await self._quota(account, size)
            if excess is not None:
                targets = await self._recipients.destinations(recipient)
                if targets and set(targets) != {account}:
                    return _SEVERAL
            return Room(account, excess)
        targets = await self._recipients.destinations(recipient)
        target = await self._account(targets[0], resolve) if len(targets) == 1 else None
        if target is None or not target[1]:
            return _SEVERAL if targets else _NOBODY
        return Room(target[0], await self._quota(target[0], size))

    async def _account(self, address: str, resolve: Resolve) -> tuple[str, bool] | None:
        """The account of an address, and whether there is one (else: an alias?). None: not the mailstore's affair."""
        way = await resolve(address)
        if isinstance(way, TemporaryError):
            return None
        if way.address_class is AddressClass.VIRTUAL_ALIAS:
            return address, False
        if way.transport not in self._transports:
            return None
        return await self._recipients.account(way.recipient)
