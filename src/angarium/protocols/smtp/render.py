"""SMTP replies as octets (RFC 5321 section 4.2, RFC 2034 section 4).

A reply of several lines repeats the code and the enhanced status code on each line. Text that came in as octets
(``surrogateescape``) goes out as the same octets.
"""

from __future__ import annotations

from angarium.model.reply import Reply


def render_reply(reply: Reply) -> bytes:
    """The reply in wire form."""
    lines = reply.lines
    status = f" {reply.dsn} " if reply.dsn is not None else " "
    if len(lines) == 1:
        return f"{reply.code}{status}{lines[0]}\r\n".encode("utf-8", "surrogateescape")
    middle = f"{reply.code}-{status[1:]}"
    text = "".join([f"{middle}{line}\r\n" for line in lines[:-1]])
    return f"{text}{reply.code}{status}{lines[-1]}\r\n".encode("utf-8", "surrogateescape")


def soften(reply: Reply) -> Reply:
    """The reply with 4xx in place of 5xx, as postconf(5) ``soft_bounce`` wants it."""
    if reply.code < 500:
        return reply
    dsn = reply.dsn.with_class(4) if reply.dsn is not None else None
    return Reply(reply.code - 100, dsn, reply.lines)
