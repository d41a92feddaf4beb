"""Commands as frozen values. What the grammar does not allow cannot come out of ``parser``; a secret does not print.

Mailbox names are text, decoded from modified UTF-7 (or UTF-8 after ENABLE UTF8=ACCEPT); ``INBOX`` is upper case.
"""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass, field

from angarium.protocols.imap.sequence import SequenceSet


@dataclass(frozen=True, slots=True)
class Command:
    """Any command. ``tag`` is what the client put before it, ``verb`` the name in upper case."""

    tag: bytes
    verb: str


@dataclass(frozen=True, slots=True)
class Simple(Command):
    """A command without arguments: CAPABILITY NOOP LOGOUT STARTTLS CHECK CLOSE UNSELECT EXPUNGE IDLE NAMESPACE."""


@dataclass(frozen=True, slots=True)
class Login(Command):
    """LOGIN (RFC 9051 section 6.2.3)."""

    user: bytes
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authenticate(Command):
    """AUTHENTICATE (section 6.2.2), with the initial response of RFC 4959, still in base64; None when absent."""

    mechanism: str
    initial: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enable(Command):
    """ENABLE (RFC 5161); names in upper case."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Id(Command):
    """ID (RFC 2971): what the client says about itself, bounded by the parser."""

    fields: tuple[tuple[bytes, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Resync:
    """What a client knows of a mailbox (RFC 7162 section 3.2.5); ``known`` is None for all UIDs.

    The sample of message numbers that it may add only saves bytes, and is not kept.
    """

    uidvalidity: int
    modseq: int
    known: SequenceSet | None = None


@dataclass(frozen=True, slots=True)
class Select(Command):
    """SELECT and EXAMINE; ``condstore`` and ``resync`` are the parameters of RFC 7162 sections 3.1.8 and 3.2.5."""

    mailbox: str
    read_only: bool
    condstore: bool = False
    resync: Resync | None = None


@dataclass(frozen=True, slots=True)
class Create(Command):
    """CREATE, with the USE parameter of RFC 6154 section 3."""

    mailbox: str
    special_use: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MailboxCommand(Command):
    """A command whose only argument is a mailbox: DELETE SUBSCRIBE UNSUBSCRIBE GETQUOTAROOT."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename(Command):
    """RENAME."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Status(Command):
    """STATUS; items in upper case."""

    mailbox: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class List(Command):
    """LIST with the options of RFC 5258, RFC 6154 and RFC 5819, and LSUB (which has none of them).

    Attributes:
        reference: the reference name.
        patterns: one, or several in the extended form.
        selection: upper-case selection options.
        returns: upper-case return options, without STATUS.
        status: the items of the return option STATUS.
        extended: the client used a part of the extended syntax.
    """

    reference: str
    patterns: tuple[str, ...]
    selection: frozenset[str] = frozenset()
    returns: frozenset[str] = frozenset()
    status: tuple[str, ...] = ()
    extended: bool = False


@dataclass(frozen=True, slots=True)
class AppendMessage:
    """What stands before one message of an APPEND: flags, date, and the size of the literal that follows.

    ``moment`` is seconds since the epoch, or None when the client leaves it to us; ``zone`` in minutes.
    """

    flags: frozenset[str]
    moment: float | None
    zone: int
    size: int
    utf8: bool = False


@dataclass(frozen=True, slots=True)
class Append(Command):
    """APPEND: the beginning of it. The messages follow as events of the session."""

    mailbox: str


class SearchOperator(enum.Enum):
    """How a date or a size is compared."""

    BEFORE = "before"
    ON = "on"
    SINCE = "since"
    LARGER = "larger"
    SMALLER = "smaller"


class SearchDate(enum.Enum):
    """Which date is compared."""

    INTERNAL = "internal"
    SENT = "sent"


@dataclass(frozen=True, slots=True)
class SearchAll:
    """ALL."""


@dataclass(frozen=True, slots=True)
class SearchFlag:
    """A flag is set, or is not."""

    flag: str
    present: bool


@dataclass(frozen=True, slots=True)
class SearchSet:
    """A sequence set, of message numbers or of UIDs."""

    numbers: SequenceSet
    uid: bool


@dataclass(frozen=True, slots=True)
class SearchHeader:
    """A header field contains a text; an empty text: the field is there."""

    name: str
    needle: str


@dataclass(frozen=True, slots=True)
class SearchText:
    """BODY, or TEXT when ``headers`` are to be searched too."""

    needle: str
    headers: bool


@dataclass(frozen=True, slots=True)
class SearchWhen:
    """BEFORE ON SINCE SENTBEFORE SENTON SENTSINCE: the date alone, whatever the time and zone."""

    which: SearchDate
    operator: SearchOperator
    date: dt.date


@dataclass(frozen=True, slots=True)
class SearchSize:
    """LARGER and SMALLER."""

    operator: SearchOperator
    size: int


@dataclass(frozen=True, slots=True)
class SearchModseq:
    """MODSEQ (RFC 7162 section 3.1.5): at least this."""

    modseq: int


@dataclass(frozen=True, slots=True)
class SearchAnd:
    """All of them."""

    keys: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class SearchOr:
    """Either."""

    left: SearchKey
    right: SearchKey


@dataclass(frozen=True, slots=True)
class SearchNot:
    """None of it."""

    key: SearchKey


SearchKey = (
    SearchAll
    | SearchFlag
    | SearchSet
    | SearchHeader
    | SearchText
    | SearchWhen
    | SearchSize
    | SearchModseq
    | SearchAnd
    | SearchOr
    | SearchNot
)


@dataclass(frozen=True, slots=True)
class Search(Command):
    """SEARCH and UID SEARCH. ``returns`` is None for the classic form, else the upper-case options of RFC 4731."""

    uid: bool
    key: SearchKey
    returns: frozenset[str] | None = None
    unknown_charset: bool = False

    @property
    def wants_modseq(self) -> bool:
        """The program names MODSEQ, so the answer has one."""
        return _names_modseq(self.key)


def _names_modseq(key: SearchKey) -> bool:
    match key:
        case SearchModseq():
            return True
        case SearchAnd(keys):
            return any(_names_modseq(each) for each in keys)
        case SearchOr(left, right):
            return _names_modseq(left) or _names_modseq(right)
        case SearchNot(inner):
            return _names_modseq(inner)
        case _:
            return False


class FetchItem(enum.Enum):
    """FETCH items that are one value each."""

    UID = "UID"
    FLAGS = "FLAGS"
    INTERNALDATE = "INTERNALDATE"
    SIZE = "RFC822.SIZE"
    ENVELOPE = "ENVELOPE"
    BODY = "BODY"
    BODYSTRUCTURE = "BODYSTRUCTURE"
    MODSEQ = "MODSEQ"


class SectionKind(enum.Enum):
    """What of a part (RFC 9051 section 6.4.5.1)."""

    ALL = ""
    HEADER = "HEADER"
    FIELDS = "HEADER.FIELDS"
    FIELDS_NOT = "HEADER.FIELDS.NOT"
    TEXT = "TEXT"
    MIME = "MIME"


@dataclass(frozen=True, slots=True)
class Section:
    """``BODY[section]<start.length>``, or one of RFC822, RFC822.HEADER, RFC822.TEXT.

    ``label`` is what the answer calls it, ready for the wire.
    """

    label: bytes
    kind: SectionKind
    path: tuple[int, ...] = ()
    fields: tuple[str, ...] = ()
    start: int = 0
    length: int | None = None
    peek: bool = False


@dataclass(frozen=True, slots=True)
class Fetch(Command):
    """FETCH and UID FETCH; ``changed_since`` is the modifier of RFC 7162 section 3.1.4.1, -1 when absent.

    ``vanished``: the client also wants to know what was expunged since (section 3.2.6).
    """

    uid: bool
    numbers: SequenceSet
    items: tuple[FetchItem | Section, ...]
    changed_since: int = -1
    vanished: bool = False


class StoreOperation(enum.Enum):
    """What a STORE does with its flags."""

    REPLACE = "FLAGS"
    ADD = "+FLAGS"
    REMOVE = "-FLAGS"


@dataclass(frozen=True, slots=True)
class Store(Command):
    """STORE and UID STORE; ``unchanged_since`` is the modifier of RFC 7162 section 3.1.3, -1 when absent."""

    uid: bool
    numbers: SequenceSet
    operation: StoreOperation
    silent: bool
    flags: frozenset[str]
    unchanged_since: int = -1


@dataclass(frozen=True, slots=True)
class Copy(Command):
    """COPY, MOVE (RFC 6851) and their UID forms."""

    uid: bool
    numbers: SequenceSet
    mailbox: str
    move: bool


@dataclass(frozen=True, slots=True)
class UidExpunge(Command):
    """UID EXPUNGE (RFC 4315 section 2.1)."""

    numbers: SequenceSet


@dataclass(frozen=True, slots=True)
class QuotaCommand(Command):
    """GETQUOTA and SETQUOTA (RFC 9208): the root alone, for SETQUOTA is always refused."""

    root: bytes
