"""POSIX regular expressions: those of glibc, or a translation for ``re``.

glibc is called directly, in the C locale as Postfix does it. Without back-references its matching takes time that grows
with the square of the subject's length at worst, so no more than ``SUBJECT_LIMIT`` bytes are looked at: tenths of a
second. Expressions with back-references, and systems with another C library, have ``re`` with a bound on its time
(``patience``). Expressions that would exhaust glibc's stack or memory are refused.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from functools import cache

from angarium.tables.patience import OutOfPatienceError, limited
from angarium.tables.rules import BadExpressionError, Expression, TooLongError

EXTENDED, ICASE, NEWLINE = 1, 2, 4
"""Flags, with the numbers that glibc has for them."""

SUBJECT_LIMIT = 8192
"""Bytes: no more of a key is given to glibc."""

_LENGTH_LIMIT = 8192
_DEPTH_LIMIT = 200
_REPEAT_LIMIT = 1000
_NESTED_REPEAT_LIMIT = 300
_LC_ALL_MASK = 0x1FBF
_REGEX_BYTES = 64
_GROUPS_AT = 48
_BACK_REFERENCE = re.compile(r"(?:^|[^\\])(?:\\\\)*\\[1-9]")
_REPEATED = re.compile(r"\\?[()]|\\?\{(\d*)(?:,(\d*))?\\?\}|\\.|.", re.ASCII | re.DOTALL)


class _Library:
    """The functions of glibc. Raises OSError and AttributeError where they are not."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        _ = library.gnu_get_libc_version  # only glibc has it, and its regex_t is laid out as it is used here
        pointer = ctypes.c_void_p
        self.regcomp = library.regcomp
        self.regcomp.argtypes = (pointer, ctypes.c_char_p, ctypes.c_int)
        self.regexec = library.regexec
        self.regexec.argtypes = (pointer, ctypes.c_char_p, ctypes.c_size_t, pointer, ctypes.c_int)
        self.regerror = library.regerror
        self.regerror.argtypes = (ctypes.c_int, pointer, ctypes.c_char_p, ctypes.c_size_t)
        self.regfree = library.regfree
        self.regfree.argtypes = (pointer,)
        library.newlocale.restype = pointer
        library.newlocale.argtypes = (ctypes.c_int, ctypes.c_char_p, pointer)
        self.uselocale = library.uselocale
        self.uselocale.restype = pointer
        self.uselocale.argtypes = (pointer,)
        self.c_locale = library.newlocale(_LC_ALL_MASK, b"C", None)
        if not self.c_locale or ctypes.sizeof(pointer) != 8:
            raise OSError("no C locale, or not a 64-bit system")


@cache
def _library() -> _Library | None:
    try:
        return _Library()
    except (OSError, AttributeError):
        return None


class _GlibcExpression:
    """An expression of glibc."""

    def __init__(self, library: _Library, pattern: bytes, flags: int) -> None:
        self._library = library
        self._buffer = ctypes.create_string_buffer(_REGEX_BYTES * 4)
        self._compiled = False
        old = library.uselocale(library.c_locale)
        try:
            error = library.regcomp(self._buffer, pattern, flags)
            if error:
                text = ctypes.create_string_buffer(256)
                library.regerror(error, self._buffer, text, len(text))
                raise BadExpressionError(text.value.decode("ascii", "replace"))
        finally:
            library.uselocale(old)
        self._compiled = True
        self.groups = int.from_bytes(self._buffer.raw[_GROUPS_AT : _GROUPS_AT + 8], "little")
        self._offsets = (ctypes.c_int * (2 * (self.groups + 1)))()

    def search(self, subject: bytes) -> Sequence[bytes | None] | None:
        """See Expression."""
        subject = subject[:SUBJECT_LIMIT]
        if self._library.regexec(self._buffer, subject, self.groups + 1, self._offsets, 0):
            return None
        offsets = self._offsets
        return [
            subject[offsets[at] : offsets[at + 1]] if offsets[at] >= 0 else None for at in range(0, len(offsets), 2)
        ]

    def __del__(self) -> None:
        if self._compiled:
            self._library.regfree(self._buffer)


class ReExpression:
    """An expression of ``re`` on bytes, with a bound on its time."""

    def __init__(self, pattern: str, flags: int) -> None:
        try:
            self._compiled = re.compile(pattern.encode("utf-8", "surrogateescape"), flags)
        except (re.error, OverflowError, RecursionError) as error:
            raise BadExpressionError(f"{error}") from error
        self.groups = self._compiled.groups

    def search(self, subject: bytes) -> Sequence[bytes | None] | None:
        """See Expression."""
        try:
            with limited():
                found = self._compiled.search(subject)
        except OutOfPatienceError as error:
            raise TooLongError from error
        return None if found is None else (found[0], *found.groups())


def compile_posix(pattern: str, flags: int) -> Expression:
    """Compile an expression. Raises BadExpressionError."""
    _check(pattern)
    library = _library()
    if library is None or _BACK_REFERENCE.search(pattern) is not None:
        return ReExpression(translate(pattern, flags), _re_flags(flags))
    return _GlibcExpression(library, pattern.encode("utf-8", "surrogateescape"), flags)


def _check(pattern: str) -> None:
    """Refuse what would exhaust the C library."""
    if len(pattern) > _LENGTH_LIMIT or pattern.count("(") > _DEPTH_LIMIT or not _repeats_are_few(pattern):
        raise BadExpressionError("Regular expression too big")


def _repeats_are_few(pattern: str) -> bool:
    """Whether intervals, and intervals of what has intervals inside, stay below what glibc copes with."""
    inside = [1]
    last = 1
    for found in _REPEATED.finditer(pattern):
        if found[0] in ("(", "\\("):
            inside.append(1)
        elif found[0] in (")", "\\)"):
            last = inside.pop() if len(inside) > 1 else 1
            inside[-1] = max(inside[-1], last)
        elif found[1] is not None:
            times = max(int(found[1][:6] or 0), int((found[2] or "0")[:6]), 1)
            if times > _REPEAT_LIMIT or (last > 1 and times * last > _NESTED_REPEAT_LIMIT):
                return False
            last *= times
            inside[-1] = max(inside[-1], last)
        else:
            last = 1
    return True


def _re_flags(flags: int) -> int:
    return (re.IGNORECASE if flags & ICASE else 0) | (re.MULTILINE if flags & NEWLINE else re.DOTALL)


CLASSES = {
    "[:alpha:]": "a-zA-Z",
    "[:digit:]": "0-9",
    "[:alnum:]": "a-zA-Z0-9",
    "[:upper:]": "A-Z",
    "[:lower:]": "a-z",
    "[:space:]": r" \t\n\r\f\v",
    "[:blank:]": r" \t",
    "[:xdigit:]": "0-9A-Fa-f",
    "[:punct:]": r"!-/:-@\[-`{-~",
    "[:cntrl:]": r"\x00-\x1f\x7f",
    "[:print:]": r"\x20-\x7e",
    "[:graph:]": r"\x21-\x7e",
}
"""The character classes of POSIX, for ``re``."""

_ESCAPES = {"<": r"\b(?=\w)", ">": r"\b(?<=\w)", "`": r"\A", "'": r"\Z"}


def translate(pattern: str, flags: int) -> str:
    """An extended expression for ``re``. Raises BadExpressionError for a basic one."""
    if not flags & EXTENDED:
        raise BadExpressionError("basic expressions are not supported here")
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern):
            following = pattern[at + 1]
            out.append(
                _ESCAPES.get(following, char + following if following in "wWsSbB123456789" else re.escape(following))
            )
            at += 2
        elif char == "[":
            text, at = bracket(pattern, at)
            out.append(text)
        elif char == "$":
            out.append("$" if flags & NEWLINE else r"\Z")
            at += 1
        else:
            out.append(char)
            at += 1
    return "".join(out)


def bracket(pattern: str, at: int) -> tuple[str, int]:
    """A bracket expression for ``re``, and what follows it. Raises BadExpressionError."""
    start = at
    at += 1
    out = ["["]
    if pattern[at : at + 1] == "^":
        out.append("^")
        at += 1
    first = True
    while at < len(pattern):
        char = pattern[at]
        if char == "]" and not first:
            return "".join([*out, "]"]), at + 1
        first = False
        if char == "[" and pattern[at + 1 : at + 2] in (":", ".", "="):
            end = pattern.find(pattern[at + 1] + "]", at + 2)
            name = pattern[at : end + 2]
            if end < 0 or (name[1] == ":" and name not in CLASSES):
                raise BadExpressionError("Invalid character class name")
            out.append(CLASSES.get(name, re.escape(name[2:-2])))
            at = end + 2
        else:
            out.append(f"\\{char}" if char in "\\[]&~|^" else char)
            at += 1
    raise BadExpressionError(f"Unmatched [ in {pattern[start:]!r}")
