"""What an SMTP client writes: MAIL and RCPT with their parameters, and the content, dot-stuffed.

Addresses are in internal form and are quoted here. Parameters are sent
only when the server offered their extension: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), RET, ENVID, NOTIFY
and ORCPT (RFC 3461), XFORWARD (Postfix's XFORWARD_README).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from angarium.model.envelope import BodyType, Envelope, Notify, Recipient, Ret
from angarium.protocols.smtp.path import encode_xtext, quote_address

_NOT_UNITEXT = re.compile(r"[^!-*,-<>-\[\]-~]")

_NOTIFY = ((Notify.SUCCESS, "SUCCESS"), (Notify.FAILURE, "FAILURE"), (Notify.DELAY, "DELAY"))


@dataclass(frozen=True, slots=True)
class Style:
    """What a client's owner may want to be written otherwise.

    Attributes:
        quote: addresses are quoted as RFC 5321 wants it (smtp_quote_rfc821_envelope).
        dummy_auth: ``AUTH=<>`` in MAIL FROM after a log-in (smtp_send_dummy_mail_auth).
    """

    quote: bool = True
    dummy_auth: bool = False


PLAIN = Style()
"""As the RFC has it."""


def orcpt(text: str) -> str:
    """The ORCPT value of ``type;address``; an address that is not ASCII as utf-8-addr-xtext (RFC 6533 section 3)."""
    kind, _, address = text.partition(";")
    if address.isascii():
        return f"{kind};{encode_xtext(address)}"
    return "utf-8;" + _NOT_UNITEXT.sub(lambda match: f"\\x{{{ord(match[0]):X}}}", address)


def mail_command(
    envelope: Envelope,
    offered: Container[str],
    size: int | None,
    *,
    smtputf8: bool,
    style: Style = PLAIN,
    authenticated: bool = False,
) -> str:
    """MAIL FROM without its line end."""
    sender = quote_address(envelope.sender) if style.quote else envelope.sender
    parts = [f"MAIL FROM:<{sender}>"]
    if size is not None and "SIZE" in offered:
        parts.append(f"SIZE={size}")
    if "8BITMIME" in offered and envelope.body is not BodyType.UNSAID:
        # BINARYMIME needs BDAT, which we don't speak: the server took it as lines, so as lines it goes on.
        parts.append("BODY=7BIT" if envelope.body is BodyType.SEVENBIT else "BODY=8BITMIME")
    if smtputf8:
        parts.append("SMTPUTF8")
    if "DSN" in offered:
        if envelope.ret is not Ret.UNSAID:
            parts.append(f"RET={envelope.ret.value}")
        if envelope.envid:
            parts.append(f"ENVID={encode_xtext(envelope.envid)}")
    if authenticated and style.dummy_auth:
        parts.append("AUTH=<>")
    return " ".join(parts)


def rcpt_command(recipient: Recipient, offered: Container[str], style: Style = PLAIN) -> str:
    """RCPT TO without its line end."""
    command = f"RCPT TO:<{quote_address(recipient.address) if style.quote else recipient.address}>"
    if "DSN" not in offered:
        return command
    if recipient.notify is not Notify.UNSAID:
        words = [word for bit, word in _NOTIFY if recipient.notify & bit] or ["NEVER"]
        command += " NOTIFY=" + ",".join(words)
    original = recipient.orcpt or (f"rfc822;{quote_address(recipient.original)}" if recipient.original else "")
    if original:
        command += f" ORCPT={orcpt(original)}"
    return command


_FORWARDED = (("NAME", "ADDR", "PORT"), ("PROTO", "HELO", "IDENT", "SOURCE"))


def xforward_commands(facts: Mapping[str, str], offered: str) -> tuple[str, str]:
    """XFORWARD twice, each as short as a command must be: with the client's address, and with what it said.

    Args:
        facts: attribute -> value; one that is not known is left out, and the server takes it for unavailable.
        offered: the attributes that the server takes, as its EHLO reply lists them.

    Returns:
        the commands without line ends; empty ones are not to be sent.
    """
    taken = offered.upper().split()
    first, second = (
        [f"{name}={encode_xtext(facts[name])}" for name in names if name in taken and facts.get(name)]
        for names in _FORWARDED
    )
    return (" ".join(["XFORWARD", *first]) if first else "", " ".join(["XFORWARD", *second]) if second else "")


def encode_content(chunks: Iterable[bytes], line_limit: int = 998) -> Iterator[bytes]:
    """The content as DATA wants it: dots stuffed (RFC 5321 section 4.5.2), long lines folded, the final dot.

    ``line_limit`` counts octets without CRLF, as smtp_line_length_limit; a longer line goes on after CRLF and a blank.
    0: as long as they are. ``chunks`` may cut the content anywhere.
    """
    column = 0
    tail = b"\r\n"
    held = b""  # a CR at the end of a chunk waits for its LF, lest a fold come between them
    for piece in chunks:
        chunk = held + piece
        held = b""
        if chunk.endswith(b"\r"):
            chunk, held = chunk[:-1], b"\r"
        if not chunk:
            continue
        text = chunk.replace(b"\n.", b"\n..")
        if column == 0 and text.startswith(b"."):
            text = b"." + text
        if line_limit and column + len(text) > line_limit:
            text, column = _folded(text, column, line_limit)
        else:
            column = _column(text, column)
        tail = text[-2:] if len(text) > 1 else tail[-1:] + text
        yield text
    if held:
        yield b"\r\n.\r\n"
    elif tail == b"\r\n":
        yield b".\r\n"
    else:
        yield b"\r\n.\r\n"


def _column(text: bytes, column: int) -> int:
    end = text.rfind(b"\n")
    return column + len(text) if end < 0 else len(text) - end - 1


def _folded(text: bytes, column: int, limit: int) -> tuple[bytes, int]:
    """``text``, which starts at ``column`` of its line, with long lines folded; and the column where it ends."""
    lines = text.split(b"\n")
    # CR counts here and not in the limit, so that a line of exactly the limit takes the slow way, once.
    if column + len(lines[0]) <= limit and max(map(len, lines)) <= limit:
        return text, len(lines[-1])
    out: list[bytes] = []
    last = 0
    for line in lines:
        end = b"\r" if line.endswith(b"\r") else b""
        rest = line[:-1] if end else line
        pieces = []
        while column + len(rest) > limit:
            room = max(limit - column, 0)
            pieces.append(rest[:room] + b"\r\n ")
            rest = rest[room:]
            column = 1
        out.append(b"".join(pieces) + rest + end)
        column, last = 0, column + len(rest) + len(end)
    return b"\n".join(out), last
