"""Replies as a client reads them (RFC 5321 section 4.2): framed, bounded, kept as the peer wrote them.

``ReplyParser`` is resumable at any octet. It holds no more than one reply of ``TEXT_LIMIT`` octets, and gives up with
``ReplyError`` on a line that is no reply line or on a reply that does not end. Text beyond the limit of one reply is
dropped: it is for people, and its beginning says what matters.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from angarium.model.dsn import Dsn

LINE_LIMIT = 2048
"""Octets of one reply line, as Postfix's line_length_limit; RFC 5321 section 4.5.3.1.5 allows 512."""
TEXT_LIMIT = 4096
"""Octets of a reply's text that are kept."""
LINES_LIMIT = 1000
"""Lines of one reply. An EHLO reply of a busy server has twenty."""


class ReplyError(Exception):
    """The peer does not speak SMTP; the text shows what it said instead, ``replies`` what it had said well before."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.replies: list[ClientReply] = []


@dataclass(frozen=True, slots=True)
class ClientReply:
    """One reply.

    Attributes:
        code: 200 to 599.
        lines: the lines as they came, with their codes, without line ends.
    """

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """For the log and for reports: all lines on one, codes and all, as Postfix shows them."""
        return self.lines[0] if len(self.lines) == 1 else " ".join(self.lines)

    @property
    def positive(self) -> bool:
        """2xx and 3xx."""
        return self.code < 400

    @property
    def temporary(self) -> bool:
        """4xx."""
        return 400 <= self.code < 500

    @property
    def dsn(self) -> Dsn:
        """The enhanced status code the peer gave, else ``x.0.0`` of the code's class (RFC 2034, RFC 3463).

        An enhanced code that contradicts the reply's class is not believed.
        """
        klass = self.code // 100
        with contextlib.suppress(ValueError):
            given, _ = Dsn.split(self.lines[-1][4:])
            if given is not None and given.klass == klass:
                return given
        return Dsn(klass if klass in (2, 4, 5) else 2, 0, 0)


class ReplyParser:
    """Cuts replies out of what has been received."""

    __slots__ = ("_buffer", "_code", "_lines", "_size")

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[str] = []
        self._code = 0
        self._size = 0

    def receive(self, data: bytes) -> list[ClientReply]:
        """Take octets in; the replies that are complete by now.

        Raises:
            ReplyError: what came is no reply; nothing can be made of the connection any more.
        """
        buffer = self._buffer + data if self._buffer else data
        replies: list[ClientReply] = []
        position = 0
        while (end := buffer.find(b"\n", position)) >= 0:
            line = buffer[position:end]
            position = end + 1
            try:
                reply = self._line(line[:-1] if line.endswith(b"\r") else line)
            except ReplyError as error:
                error.replies = replies
                raise
            if reply is not None:
                replies.append(reply)
        self._buffer = buffer[position:]
        if len(self._buffer) > LINE_LIMIT:
            endless = ReplyError(self._buffer[:100].decode("utf-8", "replace"))
            endless.replies = replies
            raise endless
        return replies

    @property
    def pending(self) -> bool:
        """A reply has begun and not ended."""
        return bool(self._buffer or self._lines)

    def _line(self, line: bytes) -> ClientReply | None:
        head, separator = line[:3], line[3:4]
        if not (head.isdigit() and b"200" <= head <= b"599" and separator in (b" ", b"-", b"") and len(head) == 3):
            raise ReplyError(line[:100].decode("utf-8", "replace"))
        if len(line) > LINE_LIMIT:
            line = line[:LINE_LIMIT]
        code = int(head)
        # Whatever is not text in a reply would only spoil our log and reports.
        text = line.decode("utf-8", "replace").replace("\r", " ").replace("\0", " ")
        if separator == b"-":
            if len(self._lines) >= LINES_LIMIT:
                raise ReplyError(text[:100])
            if self._size < TEXT_LIMIT:
                self._lines.append(text)
                self._size += len(line)
            elif len(self._lines) < LINES_LIMIT:
                self._lines.append(text[:4])
            self._code = code
            return None
        if not self._lines:
            return ClientReply(code, (text,))
        # The last line's code counts, should they differ (RFC 5321 section 4.2.1 wants them equal).
        reply = ClientReply(code, (*self._lines, text))
        self._lines = []
        self._size = 0
        return reply
