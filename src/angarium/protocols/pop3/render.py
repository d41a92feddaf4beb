"""Replies as bytes. The first line of a reply has at most 512 bytes (RFC 2449 section 4)."""

from __future__ import annotations

from collections.abc import Iterable

END = b".\r\n"


def ok(text: str = "") -> bytes:
    """``+OK text``."""
    return b"+OK " + text.encode("ascii", "replace")[:500] + b"\r\n" if text else b"+OK\r\n"


def err(text: str, code: str = "") -> bytes:
    """``-ERR [code] text``: ``AUTH``, ``SYS/TEMP``, ``SYS/PERM``, ``IN-USE``, ``LOGIN-DELAY`` (RFC 2449, RFC 3206)."""
    prefix = f"-ERR [{code}] " if code else "-ERR "
    return (prefix + text).encode("ascii", "replace")[:510] + b"\r\n"


def challenge(data: bytes) -> bytes:
    """``+ `` and the challenge, which is base64 already (RFC 5034 section 4)."""
    return b"+ " + data + b"\r\n"


def multi_line(first: bytes, lines: Iterable[str]) -> bytes:
    """A first line that is rendered already, more lines that begin with no dot, and the end."""
    return first + "".join([f"{line}\r\n" for line in lines]).encode("ascii") + END


def uidl(uidvalidity: int, uid: int) -> str:
    """The unique id: Dovecot's default, so that a mailbox moved from there keeps its ids (``%08Xu%08Xv``)."""
    return f"{uid:08x}{uidvalidity:08x}"
