r"""From one recipient to the deliveries that local(8) makes of it: aliases, ``.forward``, ``:include:``, recursion.

Does no I/O: tables, users and files are asked for through ``World``. The whole plan is made before anything is
delivered, so a table that cannot be asked defers the recipient before any part of it was delivered.

For an address, in this order; the first that applies decides:

==========================================================  ======================================================
seen at the same depth already                              nothing
stands in a Delivered-To header of the message              bounced, ``mail forwarding loop``
``\user``                                                    the user's mailbox
an alias, with the extension, then without                  each of its destinations
below an expansion that somebody else owns                  forwarded, as a new message
the user's ``.forward``                                     each of its destinations
mailbox_transport_maps, mailbox_transport                   that
a user                                                      his mailbox
fallback_transport_maps, fallback_transport                 that
luser_relay                                                 that
mailer-daemon, postmaster, double-bounce                    discarded, with a warning: the alias is missing
else                                                        bounced, ``unknown user``
==========================================================  ======================================================

An alias that stands in its own expansion is the user, as is a user in his own ``.forward``. What owns an expansion:
the owner- alias, the user whose ``.forward`` it is, or the address that has the ``:include:``.

Guarantees: ends for any tables and files: ``DEPTH`` levels, each of them read once at each level; a destination is
delivered to once. Memory is that of the plan.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Protocol

from angarium.agents.local.destinations import Command, Destination, File, Include, MailTo, read, read_file
from angarium.agents.local.plan import (
    Addressee,
    Origin,
    Outcome,
    Step,
    ToCommand,
    ToFile,
    ToMailbox,
    ToOthers,
    ToTransport,
)
from angarium.delivery.user import User
from angarium.model.address import Address
from angarium.model.delivery import Status
from angarium.model.dsn import Dsn
from angarium.model.lookup import NotFound, TemporaryError
from angarium.rewrite.interface import Resolver

DEPTH = 25
"""Levels of aliases in aliases; below it is a loop. Postfix counts its own functions, four an alias, to 100."""

VISITS = 500_000
"""Steps of one recipient's expansion; files that include each other could make more than will ever end."""

_TURN = 256
"""Steps after which others have theirs: a list of 100,000 takes seconds."""

_TEMPORARY = Dsn(4, 3, 0)
_CONFIGURATION = "mail system configuration error"
_SYNTAX = "bad recipient address syntax"
_DAEMON = "MAILER-DAEMON"
_UNDECODED = re.compile("[\ud800-\udfff]")
_REQUIRED = frozenset({"mailer-daemon", "postmaster", "double-bounce"})


@dataclass(frozen=True, slots=True)
class Alias:
    """What an alias table holds; ``rights`` is who owns the table, None when that is root."""

    value: str
    rights: User | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A recipient cannot be expanded, and for how long that is so ``dsn`` says; ``warning`` is for the log."""

    dsn: Dsn
    text: str
    warning: str


@dataclass(frozen=True, slots=True)
class ListFile:
    """A ``.forward`` or an ``:include:`` file that was read; ``owner`` None when that is root."""

    text: str
    owner: User | None = None
    path: str = ""


class World(Protocol):
    """What an expansion must be told. Nothing raises: what cannot be known is a TemporaryError."""

    async def alias(self, name: str) -> Alias | Failure | NotFound | TemporaryError:
        """Ask alias_maps for a name in lower case."""
        ...

    async def user(self, name: str) -> User | NotFound | TemporaryError:
        """Ask the password file."""
        ...

    async def transport(self, kind: str, to: Addressee) -> str | NotFound | TemporaryError:
        """The ``transport:nexthop`` in place of the ``mailbox``, or the ``fallback`` of who is not known."""
        ...

    async def forward(self, user: User, to: Addressee) -> ListFile | NotFound | TemporaryError:
        """The first file of forward_path that is there and may be trusted, read with the user's rights."""
        ...

    async def include(self, path: str, rights: User | None) -> ListFile | Failure | NotFound | TemporaryError:
        """A file of an ``:include:``; NotFound when it cannot be used, which is said in the log."""
        ...


@dataclass(frozen=True, slots=True)
class ExpansionRules:
    """The parameters of main.cf that decide; attributes are the parameters of the same names."""

    transport: str = "local"
    myhostname: str = "localhost"
    recipient_delimiter: str = ""
    owner_request_special: bool = True
    expand_owner_alias: bool = False
    reset_owner_alias: bool = False
    allow_mail_to_commands: frozenset[str] = frozenset({"alias", "forward"})
    allow_mail_to_files: frozenset[str] = frozenset({"alias", "forward"})
    propagate_unmatched_extensions: frozenset[str] = frozenset({"canonical", "virtual"})
    luser_relay: str = ""
    frozen_delivered_to: bool = True
    line_length_limit: int = 2048
    duplicate_filter_limit: int = 1000


@dataclass(frozen=True, slots=True)
class _Context:
    """What a step of the expansion inherits from those above it."""

    kind: str = ""
    level: int = 0
    above: str = ""
    owner: str = ""
    sender: str | None = None
    rights: User | None = None
    home: User | None = None
    unmatched: str = ""
    delivered: str = ""
    lines: tuple[tuple[int, int], ...] = ()

    @property
    def origin(self) -> Origin:
        """What a step below keeps of it."""
        return Origin(self.sender, (self.sender or "") if self.owner else "", self.delivered, self.lines)


@dataclass
class Expansion:
    """The expansion of the recipients of one delivery, each for itself.

    Attributes:
        rules: parameters.
        world: answers questions.
        resolver: completes addresses, and knows which are ours.
        sender: of the message.
        delivered: the addresses of its Delivered-To headers, in lower case.
        warn: takes the text of a warning.
        relay: expands luser_relay for an addressee.
    """

    rules: ExpansionRules
    world: World
    resolver: Resolver
    sender: str
    delivered: frozenset[str]
    warn: Callable[[str], None]
    relay: Callable[[Addressee], str] = lambda _to: ""
    _seen: set[tuple[object, ...]] = field(default_factory=set)
    _steps: list[Step] = field(default_factory=list)
    _visits: int = 0
    _files: int = 0
    _top: Addressee | None = None

    async def expand(self, address: str) -> Sequence[Step]:
        """The plan for a recipient, in the order in which it is to be carried out."""
        self._steps = []
        self._seen = set()
        self._visits = 0
        self._files = 0
        self._top = self._addressee(address)
        await self._recipient(address, _Context())
        return _gathered(self._steps)

    def _is_new(self, *key: object) -> bool:
        """Whether this was not met yet; so many are remembered as duplicate_filter_limit allows (0: all)."""
        if key in self._seen:
            return False
        limit = self.rules.duplicate_filter_limit
        if not limit or len(self._seen) < limit:
            self._seen.add(key)
        return True

    def _end(self, to: Addressee, context: _Context, status: Status, dsn: Dsn, text: str) -> None:
        self._steps.append(Outcome(to, status, dsn, text, context.origin))

    def _refuse(self, to: Addressee, context: _Context, dsn: Dsn, text: str) -> None:
        """Bounce what a list must not hold, or what loops: that is told the sender, as in Postfix, not the owner."""
        self._steps.append(Outcome(to, Status.BOUNCED, dsn, text, replace(context.origin, owner="")))

    def _failed(self, to: Addressee, context: _Context, error: TemporaryError | Failure) -> None:
        if isinstance(error, Failure):
            for line in error.warning.splitlines():
                self.warn(line)
            self._end(to, context, Status.DEFERRED if error.dsn.temporary else Status.BOUNCED, error.dsn, error.text)
            return
        self.warn(f"{error.source}: {error.cause}")
        self._end(to, context, Status.DEFERRED, _TEMPORARY, "temporary lookup failure")

    def _table_failed(self, to: Addressee, context: _Context, error: TemporaryError) -> None:
        self.warn(f'{error.source} lookup error for "{to.user}"')
        self._end(to, context, Status.DEFERRED, _TEMPORARY, "table lookup failure")

    def _addressee(self, address: str) -> Addressee:
        parts = Address.split(address)
        delimiters = self.rules.recipient_delimiter
        user, extension = parts.extension(delimiters) if delimiters else (parts.local, "")
        if "/" in extension:
            self.warn(f"address with illegal extension: {parts.local}")
            extension = ""
        return Addressee(address, user.lower(), extension[1:].lower(), extension[:1])

    async def _recipient(self, address: str, context: _Context) -> None:
        to = self._addressee(address)
        if not self._is_new("recipient", context.level, address.lower()):
            return
        if address.lower() in self.delivered:
            self._refuse(to, context, Dsn(5, 4, 6), f"mail forwarding loop for {address}")
            return
        if to.user.startswith("\\"):
            to = replace(to, address=to.address[1:], user=to.user[1:])
            if not await self._mailbox(to, context):
                await self._unknown(to, context)
            return
        if await self._alias(to, to.local, context):
            return
        if to.delimiter and await self._alias(to, to.user, replace(context, unmatched=to.delimiter + to.extension)):
            return
        if context.owner and context.owner.lower() != to.user:
            self._forward(address, context)
            return
        if await self._dot_forward(to, context) or await self._mailbox(to, context):
            return
        await self._unknown(to, context)

    async def _alias(self, to: Addressee, name: str, context: _Context) -> bool:
        if context.above == name:
            return False
        if context.level >= DEPTH:
            self.warn(f"alias database loop for {name}")
            self._end(to, context, Status.BOUNCED, Dsn(5, 4, 6), f"alias database loop for {name}")
            return True
        found = await self.world.alias(name)
        if isinstance(found, NotFound):
            return False
        if isinstance(found, TemporaryError):
            found = _unavailable(found, name)
        owner = found if isinstance(found, Failure) else await self._owner(name)
        if isinstance(owner, Failure):
            self._failed(to, context, owner)
            return True
        assert isinstance(found, Alias)
        inner = replace(
            self._thawed(context, to), kind="alias", level=context.level + 1, above=name, rights=found.rights, home=None
        )
        if owner:
            inner = replace(inner, owner=owner, sender=owner)
        elif self.rules.reset_owner_alias:
            inner = replace(inner, owner="")
        destinations = list(read(found.value))
        if destinations:
            await self._all(to, destinations, inner)
        else:
            fault = f"no recipient in alias lookup result for {name}"
            self._failed(to, context, Failure(_TEMPORARY, "alias database unavailable", fault))
        return True

    def _thawed(self, context: _Context, to: Addressee) -> _Context:
        """frozen_delivered_to: whether the first address of all stays that of the Delivered-To header."""
        return context if self.rules.frozen_delivered_to else replace(context, delivered=to.address)

    async def _owner(self, name: str) -> str | Failure:
        """The address of the alias that owns another; empty when there is none."""
        if not self.rules.owner_request_special or name.startswith("owner-"):
            return ""
        found = await self.world.alias(f"owner-{name}")
        if isinstance(found, TemporaryError):
            return _unavailable(found, f"owner-{name}")
        if isinstance(found, Failure):
            return found
        if isinstance(found, NotFound):
            return ""
        if self.rules.expand_owner_alias:
            return self.resolver.rewrite(found.value.strip())  # whole, as one address, whatever it holds
        return self.resolver.rewrite(f"owner-{name}")

    async def _dot_forward(self, to: Addressee, context: _Context) -> bool:
        if context.home is not None and context.above == to.user:  # himself in his own
            return False
        user = await self.world.user(to.user)
        if isinstance(user, NotFound):
            return False
        found = await self.world.forward(user, to) if isinstance(user, User) else user
        if isinstance(found, TemporaryError):
            self._failed(to, context, found)
            return True
        if isinstance(found, NotFound) or not isinstance(user, User):
            return False
        destinations = list(read_file(found.text, self.rules.line_length_limit))
        if not destinations:
            return False
        if not self._is_new("dot-forward", to.user, found.path):
            return True
        unmatched = to.delimiter + to.extension
        inner = replace(
            self._thawed(context, to),
            kind="forward",
            level=context.level + 1,
            above=to.user,
            owner=to.user,
            rights=user,
            home=user,
            unmatched=unmatched,
        )
        await self._of_file(to, destinations, inner)
        return True

    async def _of_file(self, to: Addressee, numbered: Sequence[tuple[int, Destination]], context: _Context) -> None:
        """Take the destinations of a file, each with its line."""
        self._files += 1
        lines = context.lines
        for number, destinations in groupby(numbered, itemgetter(0)):
            inner = replace(context, lines=(*lines, (self._files, number)))
            await self._all(to, [destination for _, destination in destinations], inner)

    async def _passed_on(self, to: Addressee, kind: str, context: _Context) -> bool:
        """Whether another transport takes it: mailbox_transport and its tables, or fallback_transport and its own."""
        found = await self.world.transport(kind, to)
        if isinstance(found, TemporaryError):
            self._table_failed(to, context, found)
        elif isinstance(found, str):
            transport, _, nexthop = found.partition(":")
            self._steps.append(ToTransport(to, transport, nexthop, context.origin))
        return not isinstance(found, NotFound)

    async def _mailbox(self, to: Addressee, context: _Context) -> bool:
        if not self._is_new("mailbox", to.local):  # whoever that is: nobody is not unknown twice either
            return True
        if await self._passed_on(to, "mailbox", context):
            return True
        user = await self.world.user(to.user)
        if isinstance(user, TemporaryError):
            self._failed(to, context, user)
        elif isinstance(user, User):
            self._steps.append(ToMailbox(to, user, context.origin))
        return not isinstance(user, NotFound)

    async def _unknown(self, to: Addressee, context: _Context) -> None:
        if await self._passed_on(to, "fallback", context):
            return
        relay = self.relay(to) if self.rules.luser_relay and context.kind != "luser" else ""
        if relay and self.resolver.rewrite(relay) != to.address:
            inner = replace(
                context, kind="luser", level=context.level + 1, above="", rights=None, home=None, unmatched=""
            )
            await self._mail_to(to, relay, inner)
        elif to.user in _REQUIRED:
            self.warn(f"required alias not found: {to.user}")
            self._end(to, context, Status.SENT, Dsn(2, 0, 0), "discarded")
        else:
            self._end(to, context, Status.BOUNCED, Dsn(5, 1, 1), f'unknown user: "{to.user}"')

    async def _all(self, to: Addressee, destinations: Sequence[Destination], context: _Context) -> None:
        for each in destinations:
            self._visits += 1
            if self._visits % _TURN == 0:
                await asyncio.sleep(0)
            if self._visits > VISITS:
                if self._visits == VISITS + 1:
                    self._end(to, context, Status.BOUNCED, Dsn(5, 4, 6), f"alias database loop for {to.user}")
                return
            match each:
                case MailTo(address):
                    await self._mail_to(to, address, context)
                case Command(command):
                    self._command(to, command, context)
                case File(path):
                    self._file(to, path, context)
                case Include(path):
                    await self._include(to, path, context)

    def _command(self, to: Addressee, command: str, context: _Context) -> None:
        if context.kind not in self.rules.allow_mail_to_commands:
            self._refuse(to, context, Dsn(5, 7, 1), "mail to command is restricted")
        elif self._is_new("command", to.user, context.rights, command.lower()):
            self._steps.append(ToCommand(to, command, context.rights, context.origin))

    def _file(self, to: Addressee, path: str, context: _Context) -> None:
        if path.startswith("~"):
            if not path.startswith("~/"):
                self.warn(f"bad home directory syntax for: {path}")
                self._refuse(to, context, Dsn(5, 3, 5), _CONFIGURATION)
                return
            if context.home is None or not context.home.home:
                self.warn(f"unknown home directory for: {path}")
                self._refuse(to, context, Dsn(5, 3, 5), _CONFIGURATION)
                return
            path = context.home.home + path[1:]
        if context.kind not in self.rules.allow_mail_to_files:
            self._end(to, context, Status.BOUNCED, Dsn(5, 7, 1), "mail to file is restricted")
        elif self._is_new("file", context.rights, path.lower()):
            self._steps.append(ToFile(to, path, context.rights, context.origin))

    async def _include(self, to: Addressee, path: str, context: _Context) -> None:
        if not path.startswith("/"):
            self.warn(f":include:{path} uses a relative path")
            self._refuse(to, context, Dsn(5, 3, 5), _CONFIGURATION)
            return
        if context.level >= DEPTH:
            self._end(to, context, Status.BOUNCED, Dsn(5, 4, 6), f"alias database loop for {to.user}")
            return
        if not self._is_new("include", context.rights, path.lower()):
            return
        found = await self.world.include(path, context.rights)
        if isinstance(found, (TemporaryError, Failure)):
            self._failed(to, context, found)
        elif isinstance(found, NotFound):
            self._refuse(to, context, Dsn(5, 3, 5), _CONFIGURATION)
        else:
            rights = context.rights or found.owner
            inner = replace(context, kind="include", level=context.level + 1, owner=to.address, rights=rights)
            await self._of_file(to, list(read_file(found.text, self.rules.line_length_limit)), inner)

    async def _mail_to(self, to: Addressee, address: str, context: _Context) -> None:
        if address in ("", "@"):
            address = f"{_DAEMON}@{self.rules.myhostname}"
        if context.unmatched and context.kind in self.rules.propagate_unmatched_extensions:
            parts = Address.split(address)
            address = str(Address(parts.local + context.unmatched, parts.domain))
        address = self.resolver.rewrite(address)
        if _UNDECODED.search(address):  # nothing of the queue could hold it
            self._refuse(to, context, Dsn(5, 1, 3), f"{_SYNTAX}: {_UNDECODED.sub('?', address)}")
            return
        answer = await self.resolver.resolve(self.sender, address)
        if isinstance(answer, TemporaryError):
            self._failed(to, context, answer)
        elif answer.malformed:
            self._refuse(to, context, Dsn(5, 1, 3), f"{_SYNTAX}: {answer.recipient}")
        elif answer.transport == self.rules.transport:
            recipient = answer.recipient if not answer.recipient.startswith("@") else _DAEMON + answer.recipient
            await self._recipient(recipient, replace(context, unmatched=""))
        else:
            self._forward(answer.recipient, context)

    def _forward(self, address: str, context: _Context) -> None:
        if self._is_new("forward", context.sender, context.delivered, address.lower()):
            assert self._top is not None
            self._steps.append(ToOthers(self._top, (address,), context.origin))


def _unavailable(error: TemporaryError, name: str) -> Failure:
    """An alias table that cannot be asked, in the words of the log."""
    warning = f"{error.source} is unavailable. {error.cause}\n{error.source}: lookup of '{name}' failed"
    return Failure(_TEMPORARY, "alias database unavailable", warning)


def _gathered(steps: Sequence[Step]) -> list[Step]:
    """The addresses to forward to under one sender go in one new message, where the first of them stood."""
    addresses: dict[tuple[str | None, str], list[str]] = {}
    gathered: list[Step] = []
    for step in steps:
        if not isinstance(step, ToOthers):
            gathered.append(step)
        elif _letter(step) in addresses:
            addresses[_letter(step)] += step.addresses
        else:
            addresses[_letter(step)] = list(step.addresses)
            gathered.append(step)
    return [
        replace(step, addresses=tuple(addresses[_letter(step)])) if isinstance(step, ToOthers) else step
        for step in gathered
    ]


def _letter(step: ToOthers) -> tuple[str | None, str]:
    return step.origin.sender, step.origin.delivered
