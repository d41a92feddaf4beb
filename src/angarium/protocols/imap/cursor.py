"""The words of a command: atoms, strings, numbers, sets, dates (RFC 9051 section 9), read one after the other.

A cursor walks over the segments that ``framing`` found. Every reader consumes what it returns or raises
``ImapSyntaxError``; nothing is read twice, and recursion is bounded by the callers.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence

from angarium.protocols.imap import utf7
from angarium.protocols.imap.errors import ImapSyntaxError
from angarium.protocols.imap.sequence import STAR, SequenceSet

_TAG = re.compile(rb"[!#$&\',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+")
_ATOM = re.compile(rb"[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")
_ASTRING = re.compile(rb"[!#$&'+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+")
_PATTERN = re.compile(rb"[!#$%&'*+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+")
_KEYWORD = re.compile(rb"[A-Za-z0-9.+\-]+")
_NUMBER = re.compile(rb"[0-9]+")
_SET = re.compile(
    rb"(?:[1-9][0-9]{0,9}|\*)(?::(?:[1-9][0-9]{0,9}|\*))?(?:,(?:[1-9][0-9]{0,9}|\*)(?::(?:[1-9][0-9]{0,9}|\*))?)*"
)
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00]|\\["\\])*)"')
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_DATE = re.compile(rb'("?)([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\1')
_DATE_TIME = re.compile(
    rb'"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)
_MONTHS = {name: at for at, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_SYSTEM_FLAGS = {
    flag.lower(): flag
    for flag in (
        "\\Seen",
        "\\Answered",
        "\\Flagged",
        "\\Deleted",
        "\\Draft",
        "$Forwarded",
        "$MDNSent",
        "$Junk",
        "$NotJunk",
        "$Phishing",
    )
}

MAX_UINT32 = 0xFFFFFFFF
MAX_INT63 = 0x7FFFFFFFFFFFFFFF


class Cursor:
    """A place in a command."""

    __slots__ = ("_at", "_index", "_segments", "_text")

    def __init__(self, segments: Sequence[bytes]) -> None:
        self._segments = segments
        self._index = 0
        self._text = segments[0]
        self._at = 0

    def peek(self) -> int:
        """The next byte; -1 at the end of the command and before a literal."""
        return self._text[self._at] if self._at < len(self._text) else -1

    def at_literal(self) -> bool:
        """Whether a literal comes next."""
        return self._at == len(self._text) and self._index + 2 < len(self._segments)

    def at_end(self) -> bool:
        """Whether the command is complete, but for blanks."""
        return self._index + 2 >= len(self._segments) and self._behind_blanks(self._at) == len(self._text)

    def end(self) -> None:
        """There must be no more."""
        if not self.at_end():
            msg = "Junk after the arguments"
            raise ImapSyntaxError(msg)

    def space(self) -> None:
        """One space; more are taken as one, as Dovecot does."""
        if self.peek() != 0x20:
            msg = "Missing argument" if self.at_end() else "Space expected"
            raise ImapSyntaxError(msg)
        self._at += 1
        self._at = self._behind_blanks(self._at)

    def only_space(self) -> None:
        """Exactly one space."""
        self.space()
        if self._text[self._at - 2 : self._at] == b"  ":
            msg = "Command name expected"
            raise ImapSyntaxError(msg)

    def accept(self, text: bytes) -> bool:
        """Consume ``text`` when it comes next; inside of parentheses, blanks beside them too, as Dovecot does."""
        at = self._behind_blanks(self._at) if text == b")" else self._at
        if not self._text.startswith(text, at):
            return False
        at += len(text)
        self._at = self._behind_blanks(at) if text == b"(" else at
        return True

    def _behind_blanks(self, at: int) -> int:
        text = self._text
        while text.startswith(b" ", at):
            at += 1
        return at

    def expect(self, text: bytes) -> None:
        """Consume ``text``."""
        if not self.accept(text):
            msg = f"{text.decode('ascii')} expected"
            raise ImapSyntaxError(msg)

    def tag(self) -> bytes:
        """A tag."""
        return self._match(_TAG, "Invalid tag")

    def atom(self) -> bytes:
        """An atom."""
        return self._match(_ATOM, "Atom expected")

    def keyword(self) -> str:
        """A word of the grammar, in upper case: letters, digits, dot, plus, hyphen."""
        return self._match(_KEYWORD, "Invalid argument").decode("ascii").upper()

    def number(self, largest: int = MAX_UINT32) -> int:
        """A decimal number up to ``largest``."""
        digits = self._match(_NUMBER, "Number expected")
        if len(digits) > 20 or (value := int(digits)) > largest:
            msg = "Number too large"
            raise ImapSyntaxError(msg)
        return value

    def sequence_set(self) -> SequenceSet:
        """A sequence set, or the ``$`` of RFC 5182."""
        if self.accept(b"$"):
            return SequenceSet((), saved=True)
        ranges = []
        for part in self._match(_SET, "Invalid message set").split(b","):
            first, colon, last = part.partition(b":")
            low = STAR if first == b"*" else int(first)
            high = (STAR if last == b"*" else int(last)) if colon else low
            if low > MAX_UINT32 or high > MAX_UINT32:
                msg = "Invalid message set"
                raise ImapSyntaxError(msg)
            ranges.append((low, high))
        return SequenceSet(tuple(ranges))

    def at_sequence_set(self) -> bool:
        """Whether a set comes next: a digit, ``*`` or ``$``."""
        byte = self.peek()
        return 0x30 <= byte <= 0x39 or byte in (0x2A, 0x24)

    def string(self) -> bytes:
        """A quoted string or a literal."""
        if self.at_literal():
            return self._literal()
        match = _QUOTED.match(self._text, self._at)
        if match is None:
            msg = "String expected"
            raise ImapSyntaxError(msg)
        self._at = match.end()
        return _ESCAPE.sub(rb"\1", match[1]) if b"\\" in match[1] else match[1]

    def astring(self) -> bytes:
        """An atom (with ``]``) or a string."""
        match = _ASTRING.match(self._text, self._at)
        if match is None:
            return self.string()
        self._at = match.end()
        return match[0]

    def nstring(self) -> bytes | None:
        """A string, or NIL for None."""
        if self._text[self._at : self._at + 3].upper() == b"NIL":
            self._at += 3
            return None
        return self.string()

    def mailbox(self, *, utf8: bool) -> str:
        """A mailbox name."""
        return mailbox_name(self.astring(), utf8=utf8)

    def pattern(self, *, utf8: bool) -> str:
        """A mailbox name with wildcards, as LIST takes it."""
        match = _PATTERN.match(self._text, self._at)
        if match is None:
            return mailbox_name(self.string(), utf8=utf8)
        self._at = match.end()
        return mailbox_name(match[0], utf8=utf8)

    def flag(self) -> str:
        r"""A flag that a client may set; ``\Recent`` and unknown ones with a backslash may not be."""
        system = self.accept(b"\\")
        name = ("\\" if system else "") + self.atom().decode("ascii")
        known = _SYSTEM_FLAGS.get(name.lower())
        if known is not None:
            return known
        if system:
            msg = "Invalid system flag"
            raise ImapSyntaxError(msg)
        return name

    def flag_list(self) -> frozenset[str]:
        """Flags in parentheses."""
        self.expect(b"(")
        flags: set[str] = set()
        while not self.accept(b")"):
            if flags:
                self.space()
            flags.add(self.flag())
        return frozenset(flags)

    def date(self) -> dt.date:
        """A date, with or without quotes."""
        match = _DATE.match(self._text, self._at)
        if match is None:
            msg = "Invalid date"
            raise ImapSyntaxError(msg)
        self._at = match.end()
        try:
            return dt.date(int(match[4]), _month(match[3]), int(match[2]))
        except ValueError as error:
            msg = "Invalid date"
            raise ImapSyntaxError(msg) from error

    def date_time(self) -> tuple[float, int]:
        """A date with time: seconds since the epoch, and the zone in minutes."""
        match = _DATE_TIME.match(self._text, self._at)
        if match is None:
            msg = "Invalid date-time"
            raise ImapSyntaxError(msg)
        self._at = match.end()
        zone = (int(match[8]) * 60 + int(match[9])) * (-1 if match[7] == b"-" else 1)
        try:
            second = min(int(match[6]), 59)  # a leap second is the one before it
            moment = dt.datetime(
                int(match[3]),
                _month(match[2]),
                int(match[1]),
                int(match[4]),
                int(match[5]),
                second,
                tzinfo=dt.UTC,
            )
        except ValueError as error:
            msg = "Invalid date-time"
            raise ImapSyntaxError(msg) from error
        return moment.timestamp() - zone * 60, zone

    def rest(self) -> bytes:
        """What is left of a command without literals."""
        if self._index + 2 < len(self._segments):
            msg = "Literal not expected"
            raise ImapSyntaxError(msg)
        data = self._text[self._at :]
        self._at = len(self._text)
        return data

    def _literal(self) -> bytes:
        data = self._segments[self._index + 1]
        self._index += 2
        self._text = self._segments[self._index]
        self._at = 0
        if b"\0" in data:
            msg = "NUL in a literal"
            raise ImapSyntaxError(msg)
        return data

    def _match(self, pattern: re.Pattern[bytes], complaint: str) -> bytes:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ImapSyntaxError("Missing argument" if self.at_end() else complaint)
        self._at = match.end()
        return match[0]


def mailbox_name(data: bytes, *, utf8: bool) -> str:
    """The text of a mailbox name on the wire; INBOX in upper case, also as the first level of a name."""
    try:
        name = data.decode("utf-8") if utf8 else utf7.decode(data)
    except ValueError as error:
        msg = "Mailbox name is not valid " + ("UTF-8" if utf8 else "modified UTF-7")
        raise ImapSyntaxError(msg) from error
    if name[:5].upper() == "INBOX" and (len(name) == 5 or name[5] == "/"):
        return "INBOX" + name[5:]
    return name


def _month(name: bytes) -> int:
    month = _MONTHS.get(name.lower())
    if month is None:
        msg = "Invalid month"
        raise ImapSyntaxError(msg)
    return month
