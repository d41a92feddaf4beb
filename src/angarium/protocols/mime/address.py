r"""Address lists of RFC 5322 section 3.4 for IMAP's ENVELOPE, with groups, comments, obsolete routes.

What cannot be read shows as widely used servers show it (``MISSING_MAILBOX``, ``MISSING_DOMAIN``, ``SYNTAX_ERROR``),
so that clients see that an address is there. A list that stops making sense ends there. Bounded by ``MAX_ADDRESSES``;
nothing raises. The time is linear in the field's size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from angarium.protocols.mime.lexer import quoted_string, skip_comment
from angarium.protocols.mime.types import MAX_ADDRESSES

MISSING_MAILBOX = b"MISSING_MAILBOX"
MISSING_DOMAIN = b"MISSING_DOMAIN"
SYNTAX_ERROR = b"SYNTAX_ERROR"
INVALID_ROUTE = b"INVALID_ROUTE"


@dataclass(frozen=True, slots=True)
class MailAddress:
    """One address of a list.

    The beginning of a group has its name in ``mailbox`` and no ``host``; its end has neither.
    """

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


GROUP_END = MailAddress(None, None, None, None)

# The common forms, whole: user@host, Name <user@host>, "Name" <user@host>. Everything else takes the parser below.
_ATEXT = rb"[\w!#$%&'*+/=?^`{|}~-]"
_COMMON = re.compile(
    rb"[ \t]*(?:(?:\"([^\"\\\r\n]*)\"|("
    + _ATEXT
    + rb"+(?: "
    + _ATEXT
    + rb"+)*)) ?<("
    + _ATEXT
    + rb"[\w.!#$%&'*+/=?^`{|}~-]*)@"
    rb"([\w-]+(?:\.[\w-]+)*)>|(" + _ATEXT + rb"[\w.!#$%&'*+/=?^`{|}~-]*)@([\w-]+(?:\.[\w-]+)*))[ \t]*(?:,|$)",
    re.ASCII,
)
_BLANKS = re.compile(rb"[ \t\r\n]*")
# Runs that the parser takes at once, so that a field of nothing but these costs little: words with blanks between,
# quoted strings without escapes, dots. Possessive, so that the matcher keeps nothing of what it passed.
_PHRASE_WORD = rb"[^\x00-\x20()<>@,;:\\\".\[\]\x7f][^\x00-\x20()<>@,;:\\\"\[\]\x7f]*"
_WORDS = re.compile(_PHRASE_WORD + rb"(?:[ \t\r\n]+" + _PHRASE_WORD + rb")*+")
_QUOTED = re.compile(rb'(?:"[^"\\]*"[ \t\r\n]*)++')
_IN_QUOTES = re.compile(rb'"([^"\\]*)"')
_DOTS = re.compile(rb"[.][. \t\r\n]*")
_DOTTED = re.compile(rb"[^\x00-\x20()<>@,;:\\\"\[\]\x7f]+")


def parse_addresses(value: bytes) -> list[MailAddress]:
    """The addresses of an unfolded field value."""
    found: list[MailAddress] = []
    at = 0
    end = len(value)
    while at < end and len(found) < MAX_ADDRESSES:
        match = _COMMON.match(value, at)
        if match is None:
            _Parser(value, at, found).run()
            break
        quoted, name, user, host, user_alone, host_alone = match.groups()
        if user_alone is not None:
            found.append(MailAddress(None, None, user_alone, host_alone))
        else:
            found.append(MailAddress((quoted if quoted is not None else name) or None, None, user, host))
        at = match.end()
    return found


class _Parser:
    """The grammar of RFC 5322 with its obsolete forms, by recursive descent over one buffer."""

    __slots__ = ("_at", "_comment", "_data", "_end", "_found")

    def __init__(self, data: bytes, at: int, found: list[MailAddress]) -> None:
        self._data = data
        self._at = at
        self._end = len(data)
        self._found = found
        self._comment = b""

    def run(self) -> None:
        self._blanks()
        while self._at < self._end and len(self._found) < MAX_ADDRESSES:
            if not self._group():
                self._mailbox()
            if self._peek() != b",":
                return
            self._at += 1
            self._blanks()

    def _peek(self) -> bytes:
        return self._data[self._at : self._at + 1]

    def _blanks(self) -> None:
        while True:
            match = _BLANKS.match(self._data, self._at)
            assert match is not None
            self._at = match.end()
            if self._peek() != b"(":
                return
            self._at, comment, closed = skip_comment(self._data, self._at)
            self._comment = comment if closed else b""

    def _phrase(self) -> tuple[bytes, int]:
        """Words, dots and quoted strings, joined by single blanks, and how many; -1 if a quoted string does not end."""
        pieces: list[bytes] = []
        words = 0
        while self._at < self._end:
            char = self._peek()
            if char == b'"':
                match = _QUOTED.match(self._data, self._at)
                if match is not None:
                    texts = _IN_QUOTES.findall(match[0])
                    self._at = match.end()
                else:
                    text, self._at, closed = quoted_string(self._data, self._at)
                    if not closed:
                        return b"", -1
                    texts = [text]
                words += len(texts)
                pieces += (b" ", b" ".join(texts))
            elif char == b"." and words:  # the obsolete form: a dot between blanks goes with the word before it
                match = _DOTS.match(self._data, self._at)
                assert match is not None
                self._at = match.end()
                pieces.append(b"." * match[0].count(b"."))
            else:
                match = _WORDS.match(self._data, self._at)
                if match is None:
                    break
                self._at = match.end()
                texts = match[0].split()
                words += len(texts)
                pieces += (b" ", b" ".join(texts))
            self._blanks()
        return b"".join(pieces[1:]), words

    def _group(self) -> bool:
        start, comment = self._at, self._comment
        name, words = self._phrase()
        if words < 0 or self._peek() != b":":
            self._at, self._comment = start, comment
            return False
        self._at += 1
        self._blanks()
        self._found.append(MailAddress(None, None, name, None))
        while self._at < self._end and len(self._found) < MAX_ADDRESSES:
            if self._peek() == b";":
                break
            self._mailbox()
            if self._peek() != b",":
                break
            self._at += 1
            self._blanks()
        if self._peek() == b";":
            self._at += 1
            self._blanks()
        self._found.append(GROUP_END)
        return True

    def _mailbox(self) -> None:
        start = self._at
        self._comment = b""
        quoted = self._peek() == b'"'
        name, words = self._phrase()
        if words >= 0 and self._peek() == b"<":
            self._angle(name)
            return
        alone = words == 1 and quoted and not self._comment and self._peek() in (b",", b"")
        if words > 1 or alone:
            self._found.append(MailAddress(name, None, MISSING_MAILBOX, MISSING_DOMAIN))
            return
        self._at = start
        self._bare()

    def _angle(self, name: bytes) -> None:
        self._at += 1
        self._blanks()
        opened = self._at
        route = None
        if self._peek() == b"@":
            route = self._route()
        local = self._local()
        domain: bytes | None = None
        if self._peek() == b"@":
            domain = self._domain()
        if self._peek() == b">":
            if not local and domain is None and route is None and self._data[opened] != 0x3E:
                domain = SYNTAX_ERROR
            self._at += 1
            self._blanks()
        else:
            domain = SYNTAX_ERROR
        self._found.append(MailAddress(name or None, route, local or MISSING_MAILBOX, domain or MISSING_DOMAIN))

    def _route(self) -> bytes:
        """An obsolete route, ``@one,@two:``; what follows a broken one is read as if there were none."""
        domains: list[bytes] = []
        while self._peek() == b"@":
            domain = self._domain()
            if not domain:
                return INVALID_ROUTE
            domains.append(b"@" + domain)
            while self._peek() == b",":
                self._at += 1
                self._blanks()
        if self._peek() != b":":
            return INVALID_ROUTE
        self._at += 1
        self._blanks()
        return b",".join(domains)

    def _local(self) -> bytes:
        """The local part; empty when it is none."""
        if self._peek() == b'"':
            text, self._at, closed = quoted_string(self._data, self._at)
            self._blanks()
            return text if closed else b""
        local = self._dotted()
        ends = self._at >= self._end or self._peek() == b"@"
        return local if ends or not local.endswith(b".") else b""

    def _dotted(self) -> bytes:
        pieces: list[bytes] = []
        while self._at < self._end:
            match = _DOTTED.match(self._data, self._at)
            if match is None:
                break
            if pieces and not pieces[-1].endswith(b".") and not match[0].startswith(b"."):
                break  # two words with a blank between
            pieces.append(match[0])
            self._at = match.end()
            self._blanks()
        return b"".join(pieces)

    def _domain(self) -> bytes:
        self._at += 1
        self._blanks()
        if self._peek() == b"[":
            close = self._data.find(b"]", self._at)
            stop = close + 1 if close >= 0 else self._end
            text = self._data[self._at : stop]
            self._at = stop
            self._blanks()
            return text
        domain = self._dotted()
        return b"" if b".." in domain or domain.endswith(b".") or domain.startswith(b".") else domain

    def _bare(self) -> None:
        local = self._local()
        domain = self._domain() if self._peek() == b"@" else b""
        self._found.append(MailAddress(self._comment or None, None, local or MISSING_MAILBOX, domain or MISSING_DOMAIN))
