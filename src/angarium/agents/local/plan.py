"""What is to be done for one recipient: the values that the expansion makes and the deliveries read."""

from __future__ import annotations

from dataclasses import dataclass

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
class ToMailbox:
    """The user's own mailbox, wherever the configuration has it."""

    to: Addressee
    user: User


@dataclass(frozen=True, slots=True)
class ToFile:
    """A file, or with a slash at the end a Maildir; ``rights`` None is default_privs."""

    to: Addressee
    path: str
    rights: User | None


@dataclass(frozen=True, slots=True)
class ToCommand:
    """A command; ``rights`` None is default_privs."""

    to: Addressee
    command: str
    rights: User | None


@dataclass(frozen=True, slots=True)
class ToOthers:
    """Addresses that get the message as a new one.

    Attributes:
        to: the recipient, whose aliases and forwarding led there.
        addresses: in full.
        sender: of the new message, when an owner- alias has taken the sender's place; None leaves it.
    """

    to: Addressee
    addresses: tuple[str, ...]
    sender: str | None


@dataclass(frozen=True, slots=True)
class ToTransport:
    """Another transport of master.cf delivers it."""

    to: Addressee
    transport: str
    nexthop: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Nothing is to be delivered: how it ends."""

    to: Addressee
    status: Status
    dsn: Dsn
    text: str


Step = ToMailbox | ToFile | ToCommand | ToOthers | ToTransport | Outcome
