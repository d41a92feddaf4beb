"""message_reject_characters and message_strip_characters: bytes that no message may have, or that are taken out.

And cleanup_replace_stray_cr_lf: half a line break becomes a blank, or nothing when it is a CR before a whole one. The
values are lists of characters with the escapes of C. Line breaks cannot be named: Postfix looks at lines without
them. Content is read in pieces; a message without such bytes is passed on by reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from angarium.model.content import Content

_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {b"a": 7, b"b": 8, b"f": 12, b"n": 10, b"r": 13, b"t": 9, b"v": 11}
_SHOWN = 200


def characters(text: str) -> bytes:
    r"""The bytes that a value names: ``\0`` is NUL, ``\t`` a tab, ``\\`` a backslash."""

    def plain(match: re.Match[bytes]) -> bytes:
        word = match[1]
        return bytes([int(word, 8) & 255 if word[:1].isdigit() else _LETTERS.get(word, word[0])])

    named = _ESCAPE.sub(plain, text.encode("utf-8", "surrogateescape"))
    return bytes(sorted(set(named) - {10, 13}))


class UnwantedCharacters:
    """The bytes of one parameter.

    Args:
        text: its value; one that names no byte is found nowhere.
    """

    def __init__(self, text: str) -> None:
        self._bytes = characters(text)
        self._any = re.compile(b"[" + re.escape(self._bytes) + b"]" if self._bytes else b"(?!)")

    def first_line(self, content: Content) -> bytes | None:
        """The beginning of the first line that has one of them; None: there is none."""
        tail = b""
        for chunk in content.chunks():
            match = self._any.search(chunk)
            if match is not None:
                seen = tail + chunk[: match.end() + _SHOWN]
                at = len(tail) + match.start()
                return seen[seen.rfind(b"\n", 0, at) + 1 :].partition(b"\n")[0].rstrip(b"\r")[:_SHOWN]
            tail = chunk[-_SHOWN:] if len(chunk) >= _SHOWN else (tail + chunk)[-_SHOWN:]
        return None

    def stripped(self, content: Content) -> Iterator[bytes]:
        """The content without them."""
        for chunk in content.chunks():
            yield chunk.translate(None, self._bytes)


_STRAY = re.compile(rb"(\r+)(?=\r\n)|\r(?!\n)|(?<!\r)\n")


def has_stray(content: Content) -> bool:
    """Whether a CR or LF stands alone. Three counts of a byte or two: each message is asked that."""
    returns = feeds = pairs = 0
    after_return = False
    for chunk in content.chunks():
        returns += chunk.count(b"\r")
        feeds += chunk.count(b"\n")
        pairs += chunk.count(b"\r\n") + (after_return and chunk.startswith(b"\n"))
        after_return = chunk.endswith(b"\r")
    return not returns == feeds == pairs


def without_stray(content: Content) -> Iterator[bytes]:
    """The content with a blank for each of them; CRs before a line break are dropped."""
    rest = b""
    for chunk in content.chunks():
        data = rest + chunk
        end = len(data.rstrip(b"\r"))
        rest = data[end:]
        yield _STRAY.sub(_instead, data[:end])
    yield b" " * len(rest)


def _instead(match: re.Match[bytes]) -> bytes:
    return b"" if match[1] else b" "
