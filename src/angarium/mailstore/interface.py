"""What the rest of the server may ask of the mailstore. Every back end passes ``tests/contract/mailstore``.

An account has mailboxes; a mailbox has messages, each with a UID and a MODSEQ that only grow (RFC 9051 section
2.3.1.1, RFC 7162 section 3.1). Bodies stand apart from the rows of mailboxes, so COPY and MOVE move no bytes.

Guarantees: a delivery is one transaction, on stable storage when the call returns, and idempotent by its key. Quota
is checked inside the transaction. Changes are announced after the commit, never before.

Failures: ``MailstoreError`` and its kinds below. Everything else that escapes is temporary.

What to know beyond the signatures: ``MessageState`` is a NamedTuple (ten thousand are made for a SELECT);
``AccountStore.rendered`` makes a whole FETCH answer in the store; ``MailStore.subscribe`` tells of changes, those of
other processes among them; reading many messages loads what was asked for into memory, so ask for bodies in batches.

Mailbox names are text (decoded from modified UTF-7), with ``/`` as separator; INBOX is upper case.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from msgspec import Struct

from angarium.model.change import Change
from angarium.model.content import Content
from angarium.model.quota import Excess
from angarium.protocols.mime.types import PartSpan

__all__ = [
    "AccountStore",
    "Appended",
    "Changes",
    "Column",
    "Copied",
    "FlagOperation",
    "HeaderFields",
    "MailStore",
    "MailTooLargeError",
    "Mailbox",
    "MailboxExistsError",
    "MailboxNameError",
    "MailboxStatus",
    "MailstoreError",
    "MailstoreUnavailableError",
    "MessageState",
    "NewMail",
    "NoSuchMailboxError",
    "OverQuotaError",
    "PartSpan",
    "Piece",
    "Place",
    "Quota",
    "TextWhere",
]


class MailstoreError(Exception):
    """Something about an account or a mailbox; the kinds below say what."""


class NoSuchMailboxError(MailstoreError):
    """RFC 5530 NONEXISTENT, or TRYCREATE for APPEND, COPY and MOVE."""


class MailboxExistsError(MailstoreError):
    """RFC 5530 ALREADYEXISTS."""


class MailboxNameError(MailstoreError):
    """RFC 5530 CANNOT: a name that we do not allow, or INBOX where it may not be used."""


class OverQuotaError(MailstoreError):
    """RFC 5530 OVERQUOTA; ``552 5.2.2`` in SMTP."""


class MailTooLargeError(OverQuotaError):
    """Larger than one message may be there: RFC 5530 LIMIT; ``552 5.2.3`` in SMTP."""


class MailstoreUnavailableError(MailstoreError):
    """A temporary failure: the account's database is damaged, busy or of a newer version, or the disk is full.

    RFC 5530 UNAVAILABLE or SERVERBUG; ``4.3.0`` in SMTP. The text is for the log.
    """


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox (or a bare level of the hierarchy, when ``selectable`` is False)."""

    id: int
    name: str
    uidvalidity: int
    special_use: str = ""
    subscribed: bool = False
    selectable: bool = True


@dataclass(frozen=True, slots=True)
class MailboxStatus:
    """The numbers of STATUS and SELECT; messages are recent from the UID ``first_recent`` on."""

    messages: int
    uidnext: int
    uidvalidity: int
    unseen: int
    deleted: int
    size: int
    highestmodseq: int
    recent: int = 0
    first_recent: int = 1


class FlagOperation(enum.Enum):
    """STORE FLAGS, +FLAGS, -FLAGS."""

    REPLACE = "replace"
    ADD = "add"
    REMOVE = "remove"


class MessageState(NamedTuple):
    """What a view holds of a message. ``flags`` is shared between equal messages: compare by identity is allowed."""

    uid: int
    modseq: int
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened in a mailbox after a modseq.

    Attributes:
        states: messages that are new or whose flags changed, by UID.
        vanished: UIDs that were expunged.
        highestmodseq: ask again from here.
    """

    states: Sequence[MessageState]
    vanished: Sequence[int]
    highestmodseq: int


class Column(enum.Enum):
    """What is kept ready for reading. Each is bytes in IMAP's wire form, or an int for the sizes and times."""

    ENVELOPE = "envelope"  # the parenthesised list of RFC 9051 section 7.5.2
    BODY = "body"  # BODY without extension data
    BODYSTRUCTURE = "bodystructure"
    INTERNALDATE = "internaldate"  # the quoted date-time
    SIZE = "size"  # RFC822.SIZE
    HEADER = "header"  # the whole header block with its blank line
    SAVEDATE = "savedate"
    EMAILID = "emailid"


class Place(enum.Enum):
    """What ``AccountStore.rendered`` puts in beside columns."""

    NUMBER = "number"  # the message sequence number
    UID = "uid"
    FLAGS = "flags"  # the parenthesised list, as the mailbox has them now


@dataclass(frozen=True, slots=True)
class HeaderFields:
    """For ``AccountStore.rendered``: a literal with the header fields of these names and the blank line."""

    names: tuple[str, ...]


Piece = bytes | Place | Column | HeaderFields


class NewMail(Struct, frozen=True):
    """A message to append.

    Attributes:
        mailbox: the mailbox's name.
        prefix: header lines before the content, in wire form.
        content: the rest; the stored message is prefix + content.
        flags: initial flags.
        internaldate: seconds since the epoch.
        zone: the offset from UTC in minutes, for INTERNALDATE to come back as it was given.
        key: makes the append idempotent, ``(queue id, recipient)`` of a delivery; empty for IMAP APPEND. Deliveries
            may exceed a limit by the grace, once.
        exempt: it is stored whatever the quota says, and passes no threshold: a message about the quota.
    """

    mailbox: str
    prefix: bytes
    content: Content
    flags: frozenset[str]
    internaldate: float
    zone: int = 0
    key: str = ""
    exempt: bool = False


class Appended(Struct, frozen=True):
    """Where an append ended: for APPENDUID and COPYUID. ``duplicate``: the key was there already."""

    mailbox: int
    uidvalidity: int
    uid: int
    modseq: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Copied:
    """COPYUID of RFC 4315: pairs of source and new UIDs in the target mailbox."""

    uidvalidity: int
    pairs: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Quota:
    """Usage and limits; a limit of 0 is none. ``domain``: those of the account's whole domain, when it has limits."""

    bytes_used: int
    bytes_limit: int
    messages_used: int
    messages_limit: int
    domain: Quota | None = None


class TextWhere(enum.Enum):
    """Where SEARCH looks for a substring."""

    BODY = "body"
    TEXT = "text"


class AccountStore(Protocol):
    """One account. A cheap handle: it holds no database connection while idle."""

    @property
    def account(self) -> str:
        """The account's name, ``user@domain``."""
        ...

    async def mailboxes(self) -> Sequence[Mailbox]:
        """All mailboxes, INBOX first, then by name."""
        ...

    async def mailbox(self, name: str) -> Mailbox:
        """The mailbox of that name. Raises NoSuchMailboxError."""
        ...

    async def create(self, name: str, special_use: str = "") -> Mailbox:
        """Create it, and the levels above it."""
        ...

    async def delete(self, name: str) -> None:
        """Delete it; its name stays as a bare level when there are mailboxes below it."""
        ...

    async def rename(self, old: str, new: str) -> None:
        """Rename it and what is below it; INBOX keeps existing and its messages move (RFC 9051 section 6.3.6)."""
        ...

    async def subscribe(self, name: str, subscribed: bool) -> None:
        """Subscribe or unsubscribe a name; it need not exist (RFC 9051 section 6.3.7)."""
        ...

    async def subscriptions(self) -> Sequence[str]:
        """Subscribed names, of mailboxes that exist or not."""
        ...

    async def status(self, mailbox: int) -> MailboxStatus:
        """The numbers of STATUS."""
        ...

    async def states(self, mailbox: int) -> Sequence[MessageState]:
        """All messages of the mailbox by UID: what SELECT loads."""
        ...

    async def changes(self, mailbox: int, since: int) -> Changes:
        """What happened after modseq ``since``."""
        ...

    async def columns(self, mailbox: int, uids: Sequence[int], wanted: Sequence[Column]) -> list[tuple[object, ...]]:
        """One row a UID that is still there: ``(uid, value of each wanted column)``, by UID."""
        ...

    async def rendered(self, mailbox: int, uids: Sequence[int], first: int, pieces: Sequence[Piece]) -> bytes | None:
        """The pieces of each message put together, message after message: an answer to FETCH in one go.

        Several times faster than ``columns`` for a long list: the store joins the strings itself. An optimisation:
        whoever calls it must be able to do without.

        Args:
            mailbox: which.
            uids: neighbours in the caller's view, ascending: the numbers ``first``, ``first + 1`` … are theirs.
            first: the sequence number of the first.
            pieces: what to write for each message, in order; bytes as they stand.

        Returns:
            None when it cannot be done: a message is gone meanwhile (numbers would be off), or a piece is not kept
            ready (HEADER, SAVEDATE, EMAILID, uncommon or irregular header fields).
        """
        ...

    async def header_fields(self, mailbox: int, uids: Sequence[int], names: Sequence[str]) -> list[tuple[int, bytes]]:
        """For each UID the header fields of those names, as they stand, in order, without the closing blank line."""
        ...

    async def bodies(self, mailbox: int, uids: Sequence[int]) -> list[tuple[int, Content]]:
        """The whole message of each UID."""
        ...

    async def parts(self, mailbox: int, uid: int) -> Sequence[PartSpan]:
        """The part table of a message, the message itself first. Raises KeyError when it is gone."""
        ...

    async def search_text(self, mailbox: int, needle: str, where: TextWhere) -> set[int]:
        """UIDs whose decoded, case-folded text contains ``needle`` (RFC 9051 section 6.4.4)."""
        ...

    async def search_header(self, mailbox: int, name: str, needle: str) -> set[int]:
        """UIDs with a header field of that name whose decoded text contains ``needle``; an empty needle: has it."""
        ...

    async def search_dates(self, mailbox: int) -> list[tuple[int, float, int, float, int]]:
        """``(uid, internaldate, its zone in minutes, Date header in seconds or nan, size)`` of each message."""
        ...

    async def store_flags(
        self,
        mailbox: int,
        uids: Sequence[int],
        operation: FlagOperation,
        flags: frozenset[str],
        unchanged_since: int = -1,
    ) -> tuple[Sequence[MessageState], Sequence[int]]:
        """Change flags; the new states of those changed, and the UIDs that ``unchanged_since`` kept from it."""
        ...

    async def claim_recent(self, mailbox: int, below: int) -> int:
        """A session is told first of the messages below that UID: they are recent for nobody else (RFC 3501, 2.3.2).

        Durable, but no change of the mailbox: it has no modseq and is not announced.

        Returns:
            the UID from which on messages were recent until now; not below ``below``: another was first.
        """
        ...

    async def append(self, mails: Sequence[NewMail]) -> Sequence[Appended]:
        """Append all or none, in one transaction (MULTIAPPEND's rule); durable on return."""
        ...

    async def copy(self, mailbox: int, uids: Sequence[int], target: str) -> Copied:
        """Copy; all or none."""
        ...

    async def move(self, mailbox: int, uids: Sequence[int], target: str) -> Copied:
        """Move; all or none, in one transaction (RFC 6851)."""
        ...

    async def expunge(self, mailbox: int, uids: Iterable[int] | None = None) -> Sequence[int]:
        r"""Remove messages flagged \Deleted (those of ``uids`` alone when given); the UIDs removed."""
        ...

    async def remove(self, mailbox: int, uids: Sequence[int]) -> Sequence[int]:
        """Remove these messages whatever their flags, as POP3's QUIT wants it; the UIDs removed."""
        ...

    async def quota(self) -> Quota:
        """Usage and limits."""
        ...

    async def require_room(self, mailbox: Mailbox, size: int) -> None:
        """Raise OverQuotaError when a message of that size would be refused now: a foretelling, the append decides."""
        ...

    async def is_counted(self, mailbox: Mailbox) -> bool:
        """Whether what is in that mailbox counts for the quota."""
        ...

    async def deleted_size(self, mailbox: int) -> int:
        r"""Bytes of the messages flagged \Deleted: DELETED-STORAGE (RFC 9208 section 4.1.4)."""
        ...


class MailStore(Protocol):
    """All accounts."""

    async def open(self, account: str) -> AccountStore:
        """The account's handle; the account's mailboxes are created when it is new.

        Whether an account exists is the directory's question, asked before.
        """
        ...

    def subscribe(self, account: str, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call ``callback`` on the loop after each committed change of the account, made here or in another process.

        It must not block. Changes may be merged and, between processes, lost: ``changes`` tells what happened. The
        function returned ends the subscription.
        """
        ...

    async def room(self, account: str, size: int) -> Excess | None:
        """Why a delivery of ``size`` bytes (0: unknown, at least one) would be refused now; None when it would not.

        A foretelling, made without opening the account when it is asked again: the append decides. Raises
        MailstoreUnavailableError.
        """
        ...

    async def close(self) -> None:
        """Finish what is being written, then close."""
        ...
