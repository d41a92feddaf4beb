"""What is to be done for one recipient: the values that the expansion makes and the deliveries read."""

from __future__ import annotations

from dataclasses import dataclass, field

from angarium.delivery.user import User
from angarium.model.delivery import Status
from angarium.model.dsn import Dsn


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whose delivery it is, at one step of an expansion.

    Attributes:
        address: the address at this step, in full.
        user: its local part without the extension, in lower case.
        extension: what follows the delimiter; empty without.
        delimiter: the one that precedes it; empty without.
    """

    address: str
    user: str
    extension: str = ""
    delimiter: str = ""

    @property
    def domain(self) -> str:
        """After the last ``@``."""
        return self.address.rpartition("@")[2] if "@" in self.address else ""

    @property
    def local(self) -> str:
        """The whole local part, in lower case."""
        return self.user + self.delimiter + self.extension


@dataclass(frozen=True, slots=True)
class Origin:
    """What the expansion above a step has made of the message.

    Attributes:
        sender: an owner- alias has taken the sender's place, and the first address of the recipient is forgotten;
            None: all stays.
        owner: who is told of failures in place of the sender; empty: the sender.
        delivered: the address of the Delivered-To header; empty: the recipient's.
        lines: the files and lines in which it stands, each a number: when something of a line must be tried again,
            nothing of the lines below it is delivered.
    """

    sender: str | None = None
    owner: str = ""
    delivered: str = ""
    lines: tuple[tuple[int, int], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class ToMailbox:
    """The user's own mailbox, wherever the configuration has it."""

    to: Addressee
    user: User
    origin: Origin = Origin()


@dataclass(frozen=True, slots=True)
class ToFile:
    """A file, or with a slash at the end a Maildir; ``rights`` None is default_privs."""

    to: Addressee
    path: str
    rights: User | None
    origin: Origin = Origin()


@dataclass(frozen=True, slots=True)
class ToCommand:
    """A command; ``rights`` None is default_privs."""

    to: Addressee
    command: str
    rights: User | None
    origin: Origin = Origin()


@dataclass(frozen=True, slots=True)
class ToOthers:
    """Addresses that get the message as a new one.

    Attributes:
        to: the recipient, whose aliases and forwarding led there.
        addresses: in full.
    """

    to: Addressee
    addresses: tuple[str, ...]
    origin: Origin = Origin()


@dataclass(frozen=True, slots=True)
class ToTransport:
    """Another transport of master.cf delivers it."""

    to: Addressee
    transport: str
    nexthop: str
    origin: Origin = Origin()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Nothing is to be delivered: how it ends."""

    to: Addressee
    status: Status
    dsn: Dsn
    text: str
    origin: Origin = Origin()


Step = ToMailbox | ToFile | ToCommand | ToOthers | ToTransport | Outcome
