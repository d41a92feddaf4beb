"""Standard input of sendmail(1) becomes the wire form of a message. Imports nothing, for the command has to start fast.

Lines end in CRLF; mbox separators (``From ``, ``>From ``) at the start are gone; a line with a dot alone ends it, if
asked. ``line_endings`` is sendmail_fix_line_endings: whether a carriage return before a line feed belongs to the line
end: always, never, or ``strict``: when that of the first line does. One that does not is a stray one, and becomes a
blank.
"""

from __future__ import annotations

LONGEST = 512 * 1024
"""Bytes of a line that are held back for its end."""


class InputReader:
    """Bytes in any pieces, to wire form.

    Args:
        dots: a lone dot ends the message.
        line_endings: ``always``, ``strict`` or ``never``.

    Attributes:
        ended: a lone dot has come; what follows is not taken.
    """

    __slots__ = ("_at_start", "_dots", "_line_endings", "_line_start", "_rest", "ended")

    def __init__(self, *, dots: bool, line_endings: str = "always") -> None:
        self._dots = dots
        self._line_endings = line_endings
        self._rest = b""
        self._at_start = True
        self._line_start = True
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes; what is certain by now, mostly whole lines."""
        if self.ended:
            return b""
        block = self._rest + data if self._rest else data
        cut = block.rfind(b"\n") + 1
        if not cut:
            if len(block) < LONGEST:
                self._rest = block
                return b""
            cut = len(block) - block.endswith(b"\r")
        self._rest = block[cut:]
        return self._take(block[:cut], last=False)

    def finish(self) -> bytes:
        """Standard input has ended: the rest, with the line end that it lacks."""
        block, self._rest = self._rest, b""
        out = b"" if self.ended else self._take(block, last=True)
        if self._line_start:
            return out
        self._line_start = True
        return out + b"\r\n"

    def _take(self, block: bytes, *, last: bool) -> bytes:
        if self._line_endings == "strict" and (first := block.find(b"\n")) >= 0:
            self._line_endings = "always" if block[first - 1 : first] == b"\r" else "never"
        if b"\r\n" in block:
            block = block.replace(b"\r\n", b"\n" if self._line_endings == "always" else b" \n")
        if self._at_start:
            block = self._without_separators(block)
        if self._dots:
            stop = self._lone_dot(block, last=last)
            if stop >= 0:
                block = block[:stop]
                self.ended = True
        if not block:
            return b""
        self._line_start = block.endswith(b"\n")
        return block.replace(b"\n", b"\r\n")

    def _without_separators(self, block: bytes) -> bytes:
        while block.lstrip(b">").startswith(b"From "):
            feed = block.find(b"\n")
            if feed < 0:
                self._at_start = False
                return b""
            block = block[feed + 1 :]
        self._at_start = not block
        return block

    def _lone_dot(self, block: bytes, *, last: bool) -> int:
        """Where a line starts that is a dot alone; -1: nowhere."""
        if self._line_start and (block.startswith(b".\n") or (last and block == b".")):
            return 0
        at = block.find(b"\n.\n")
        if at >= 0:
            return at + 1
        return len(block) - 1 if last and block.endswith(b"\n.") else -1
