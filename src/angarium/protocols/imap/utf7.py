"""Modified UTF-7, the form of mailbox names on the wire (RFC 3501 section 5.1.3).

Decoding is strict: what ``encode`` would not have written is refused, so that one mailbox has one name.
"""

from __future__ import annotations

import binascii


def encode(name: str) -> bytes:
    """The name in modified UTF-7."""
    if name.isascii() and "&" not in name and name.isprintable():
        return name.encode("ascii")
    out: list[bytes] = []
    pending: list[str] = []

    def flush() -> None:
        if pending:
            raw = "".join(pending).encode("utf-16-be", "surrogatepass")
            base64 = binascii.b2a_base64(raw, newline=False).rstrip(b"=").replace(b"/", b",")
            out.append(b"&" + base64 + b"-")
            pending.clear()

    for char in name:
        if "\x20" <= char <= "\x7e":
            flush()
            out.append(b"&-" if char == "&" else char.encode("ascii"))
        else:
            pending.append(char)
    flush()
    return b"".join(out)


def decode(data: bytes) -> str:
    """The name that ``data`` stands for.

    Raises:
        ValueError: it is not modified UTF-7.
    """
    if not data.isascii() or not data.decode("ascii").isprintable():
        msg = "not modified UTF-7"
        raise ValueError(msg)
    if b"&" not in data:
        return data.decode("ascii")
    out: list[str] = []
    at = 0
    while (shift := data.find(b"&", at)) >= 0:
        out.append(data[at:shift].decode("ascii"))
        end = data.find(b"-", shift)
        if end < 0:
            msg = "unterminated shift sequence"
            raise ValueError(msg)
        out.append("&" if end == shift + 1 else _decode_shifted(data[shift + 1 : end]))
        at = end + 1
    out.append(data[at:].decode("ascii"))
    name = "".join(out)
    if encode(name) != data:
        msg = "not the canonical modified UTF-7"
        raise ValueError(msg)
    return name


def _decode_shifted(base64: bytes) -> str:
    if b"/" in base64:
        msg = "not modified UTF-7"
        raise ValueError(msg)
    padded = base64.replace(b",", b"/") + b"=" * (-len(base64) % 4)
    raw = binascii.a2b_base64(padded, strict_mode=True)
    return raw.decode("utf-16-be")
