"""How what a client sent, and what went wrong with us, is worded in the log."""

from __future__ import annotations

import traceback


def escape(text: str) -> str:
    """Text of a client for the log: what is not printable ASCII as C escapes."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    octets = text.encode("utf-8", "surrogateescape")
    return "".join(_ESCAPES.get(code) or (chr(code) if 32 <= code < 127 else f"\\{code:03o}") for code in octets)


_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 92: "\\\\"}


def without_credentials(text: str) -> str:
    """Text of a client with what follows an AUTH command left out: it may hold a password, in base64."""
    start = text.upper().find("AUTH ")
    if start < 0:
        return text
    mechanism_end = text.find(" ", start + 5)
    line_end = text.find("\r\n", start)
    ends = [end for end in (mechanism_end, line_end) if end >= 0]
    return f"{text[: min(ends)]}..." if ends else text


def describe_fault(error: BaseException) -> str:
    """An exception on one line, with where it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    text = " ".join(str(error).split())
    cause = f"; caused by {describe_fault(error.__cause__)}" if error.__cause__ is not None else ""
    return f"{type(error).__name__}: {text}{place}{cause}"
