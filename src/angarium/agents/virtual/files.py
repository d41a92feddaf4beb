"""Delivery to Maildirs and mailbox files below virtual_mailbox_base (virtual(8)), for virtual_mailbox_format = files.

=====================  ===================================================================
virtual_mailbox_maps    the path below virtual_mailbox_base; with a slash at the end a Maildir
virtual_uid_maps        the user that writes, virtual_minimum_uid or more
virtual_gid_maps        the group
=====================  ===================================================================

Each is asked for ``user+extension@domain``, ``user@domain``, ``@domain``, in lower case; tables of patterns see the
whole address alone, and may not put parts of it into what they answer.

Guarantees: files are touched with the rights of that user and group alone. What is missing on the way to a Maildir is
made by the user, with mode 0700.

Fails with nothing: a failure is an outcome. An unknown user and a full mailbox bounce; everything else waits.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from weakref import WeakValueDictionary

from angarium.config.config import Config
from angarium.delivery import mailboxfile, maildir
from angarium.delivery.framing import Framing, delivery_header, framed, postmark
from angarium.delivery.mailboxfile import LockRules, MailboxRules
from angarium.delivery.maildir import Moment
from angarium.delivery.outcomes import read, words_of
from angarium.delivery.rights import Rights
from angarium.delivery.sysexits import Outcome
from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User
from angarium.model.delivery import DeliveryRequest, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.lookup import NotFound, TemporaryError
from angarium.runtime.log import ServiceLog
from angarium.tables.maps import Maps, find_address

_FAILED = Dsn(4, 2, 0)
_SENT = Dsn(2, 0, 0)
_NUMBER = re.compile(r"\s*\+?([0-9]+)")
_MOST = 2**32 - 2


@dataclass(frozen=True, slots=True)
class FilesParameters:
    """Attributes are the parameters of the same names; ``lock`` holds virtual_mailbox_lock and what belongs to it."""

    virtual_mailbox_base: str
    virtual_minimum_uid: int = 100
    virtual_mailbox_limit: int = 51_200_000
    lock: LockRules = field(default_factory=LockRules)
    strict_mailbox_ownership: bool = True
    recipient_delimiter: str = ""
    enable_original_recipient: bool = True
    host: str = field(default_factory=socket.gethostname)

    @classmethod
    def from_config(cls, conf: Config) -> FilesParameters:
        """Read them."""
        return cls(
            virtual_mailbox_base=conf.text("virtual_mailbox_base"),
            virtual_minimum_uid=conf.integer("virtual_minimum_uid"),
            virtual_mailbox_limit=conf.size("virtual_mailbox_limit"),
            lock=LockRules(
                methods=tuple(conf.names("virtual_mailbox_lock")),
                attempts=conf.integer("deliver_lock_attempts"),
                delay=conf.seconds("deliver_lock_delay"),
                stale=conf.seconds("stale_lock_time"),
            ),
            strict_mailbox_ownership=conf.boolean("strict_mailbox_ownership"),
            recipient_delimiter=conf.delimiters(),
            enable_original_recipient=conf.boolean("enable_original_recipient"),
        )


@dataclass(frozen=True, slots=True)
class FileMaps:
    """The tables of the three parameters, opened so that results are taken as they stand."""

    mailboxes: Maps
    users: Maps
    groups: Maps


@dataclass(frozen=True, slots=True)
class Place:
    """Where a recipient's mail goes, and who writes it."""

    path: str
    uid: int
    gid: int

    @property
    def kind(self) -> str:
        """``maildir`` or ``mailbox``."""
        return "maildir" if self.path.endswith("/") else "mailbox"


class FilesDeliverer:
    """Delivers to files.

    Args:
        parameters: of main.cf.
        maps: where recipients' mailboxes are.
        rights: runs deliveries as their users.
        log: ``postfix/virtual``.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        parameters: FilesParameters,
        maps: FileMaps,
        rights: Rights,
        log: ServiceLog,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._parameters = parameters
        self._maps = maps
        self._rights = rights
        self._log = log
        self._clock = clock
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def deliver(self, request: DeliveryRequest) -> Sequence[Outcome]:
        """Deliver to each recipient, one after the other, or say how that would end, as far as tables tell."""
        return [await self._recipient(request, queued) for queued in request.recipients]

    async def _recipient(self, request: DeliveryRequest, queued: QueuedRecipient) -> Outcome:
        try:
            place = await self.place(queued.recipient.address)
            if request.verify:
                return Outcome(Status.SENT, _SENT, f"delivers to {place.kind}")
            user = User(queued.recipient.address, place.uid, place.gid)
            work = self._work(request, queued, place, user)
            if place.kind == "maildir":
                return read(await self._rights.run(user, work))
            # Our own deliveries to a mailbox queue here: whoever finds it locked looks again after a second only.
            turn = self._turns.get(place.path)
            if turn is None:
                turn = self._turns[place.path] = asyncio.Lock()
            async with turn:
                return read(await self._rights.run(user, work))
        except DeliveryError as error:
            for line in error.cause.splitlines():
                self._log.warning(line)
            return _failed(error)

    # --- tables

    async def place(self, recipient: str) -> Place:
        """Where mail for an address goes. Raises DeliveryError."""
        address = recipient.lower()
        base = self._parameters.virtual_mailbox_base
        if not base.startswith("/"):
            fault = f"do not specify relative pathname: virtual_mailbox_base = {base}"
            self._log.fatal(fault if base else "bad string length 0 < 1: virtual_mailbox_base = ")
            raise DeliveryError(Dsn(4, 3, 0), "unknown mail transport error")
        path = await self._find(self._maps.mailboxes, address)
        if path is None:
            raise DeliveryError(Dsn(5, 1, 1), f'unknown user: "{address}"')
        uid = await self._number(self._maps.users, address, "uid", self._parameters.virtual_minimum_uid)
        gid = await self._number(self._maps.groups, address, "gid", 1)
        return Place(f"{base}/{path}", uid, gid)

    async def _find(self, maps: Maps, address: str) -> str | None:
        """The value for an address; None when it is not there. Raises DeliveryError."""
        found = await find_address(maps, address, self._parameters.recipient_delimiter)
        if isinstance(found, TemporaryError):
            self._log.warning(f"table {maps.parameter}: lookup {address}: {found.cause}")
            raise _misconfigured()
        return None if isinstance(found, NotFound) else found.found.value

    async def _number(self, maps: Maps, address: str, kind: str, least: int) -> int:
        """The user or group id for an address. Raises DeliveryError."""
        value = await self._find(maps, address)
        if value is None:
            self._log.warning(f"recipient {address}: not found in {maps.parameter}")
            raise _misconfigured()
        match = _NUMBER.match(value)
        number = int(match[1]) if match and len(match[1]) < 11 else 0
        if not max(least, 1) <= number <= _MOST:
            self._log.warning(f"recipient {address}: bad {kind} {value} in {maps.parameter}")
            raise _misconfigured()
        return number

    # --- files

    def _pieces(self, request: DeliveryRequest, queued: QueuedRecipient, kind: Framing) -> Iterator[bytes]:
        recipient = queued.recipient
        sender = request.envelope.sender
        original = recipient.original or recipient.address if self._parameters.enable_original_recipient else ""
        header = delivery_header(sender, original, recipient.address)
        mark = postmark(sender, time.asctime(time.localtime(self._clock())))
        return framed(kind, mark, header, chain((request.prefix,), request.content.chunks()))

    def _work(
        self, request: DeliveryRequest, queued: QueuedRecipient, place: Place, user: User
    ) -> Callable[[], Sequence[str]]:
        """What is done with the user's rights."""
        parameters = self._parameters
        limit = parameters.virtual_mailbox_limit
        owner = place.uid if parameters.strict_mailbox_ownership else None

        def into_maildir() -> Sequence[str]:
            pieces = self._pieces(request, queued, Framing.MAILDIR)
            try:
                maildir.deliver(place.path, pieces, Moment.now(parameters.host), limit, _FAILED, user)
            except DeliveryError as error:
                text = f"maildir delivery failed: {error.text}"
                raise DeliveryError(error.dsn, text, error.cause) from error
            return words_of(Outcome(Status.SENT, _SENT, "delivered to maildir"))

        def into_file() -> Sequence[str]:
            pieces = self._pieces(request, queued, Framing.MAILBOX)
            rules = MailboxRules(parameters.lock, limit, owner, failure=_FAILED)
            try:
                mailboxfile.append(place.path, pieces, rules)
            except DeliveryError as error:
                text = f"delivery failed to mailbox {place.path}: {error.text}"
                raise DeliveryError(error.dsn, text, error.cause) from error
            return words_of(Outcome(Status.SENT, _SENT, "delivered to mailbox"))

        return into_maildir if place.kind == "maildir" else into_file


def _misconfigured() -> DeliveryError:
    return DeliveryError(Dsn(4, 3, 5), "mail system configuration error")


def _failed(error: DeliveryError) -> Outcome:
    status = Status.DEFERRED if error.dsn.temporary else Status.BOUNCED
    return Outcome(status, error.dsn, error.text)
