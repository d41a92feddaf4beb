"""RETR and TOP: messages (RFC 1939 sections 5 and 7). Large ones are sent in pieces, at the client's pace."""

from __future__ import annotations

from angarium.daemons.pop3d.commands.types import Answer
from angarium.daemons.pop3d.conversation import Conversation
from angarium.daemons.pop3d.maildrop import MessageGoneError
from angarium.model.content import Content
from angarium.protocols.pop3.framing import Stuffer, header_end, stuff, top
from angarium.protocols.pop3.render import END, err
from angarium.protocols.pop3.types import Command

_GONE = "Message was removed by another session."
_TOP_LIMIT = 1 << 24


def retr(conversation: Conversation, command: Command) -> Answer:
    """RETR msg."""
    drop = conversation.drop
    number = command.numbers[0]
    complaint = drop.complaint(number)
    if complaint:
        return err(complaint)
    reply = drop.ready(number)
    if reply is None:
        return _retrieve(conversation, number)
    return _retrieved(conversation, reply)


def _retrieved(conversation: Conversation, reply: bytes) -> bytes:
    traffic = conversation.traffic
    traffic.retr_count += 1
    traffic.retr_bytes += len(reply) - len(END)  # as Dovecot counts it
    return reply


async def _retrieve(conversation: Conversation, number: int) -> bytes:
    drop, traffic = conversation.drop, conversation.traffic
    try:
        large = await drop.fetch(number)
    except MessageGoneError:
        return err(_GONE, "SYS/TEMP")
    if large is None:
        reply = drop.ready(number)
        assert reply is not None
        return _retrieved(conversation, reply)
    first = b"+OK %d octets\r\n" % large.size
    await conversation.send(first)
    traffic.retr_count += 1
    traffic.retr_bytes += len(first) + await _stream(conversation, large)
    return END


async def _stream(conversation: Conversation, content: Content) -> int:
    """Send a message piece by piece; the bytes sent."""
    stuffer, sent = Stuffer(), 0
    for piece in content.chunks():
        ready = stuffer.feed(piece)
        sent += len(ready)
        await conversation.send(ready)
    rest = stuffer.finish()
    await conversation.send(rest)
    return sent + len(rest)


def top_(conversation: Conversation, command: Command) -> Answer:
    """TOP msg n."""
    drop = conversation.drop
    number, count = command.numbers
    complaint = drop.complaint(number)
    if complaint:
        return err(complaint)
    if count == 0:
        header = drop.ready_header(number)
        return _header(conversation, number) if header is None else _reply(conversation, header)
    return _top(conversation, number, count)


def _reply(conversation: Conversation, text: bytes) -> bytes:
    reply = b"+OK\r\n" + stuff(text)
    conversation.traffic.top_count += 1
    conversation.traffic.top_bytes += len(reply)
    return reply + END


async def _header(conversation: Conversation, number: int) -> bytes:
    drop = conversation.drop
    try:
        await drop.fetch_headers(number)
    except MessageGoneError:
        return err(_GONE, "SYS/TEMP")
    header = drop.ready_header(number)
    assert header is not None
    return _reply(conversation, header)


async def _top(conversation: Conversation, number: int, count: int) -> bytes:
    try:
        content = await conversation.drop.content(number)
    except MessageGoneError:
        return err(_GONE, "SYS/TEMP")
    # Enough for any sane number of lines; a client that wants 16 MiB by TOP gets as much.
    message = content.read(0, min(content.size, _TOP_LIMIT))
    return _reply(conversation, top(message, header_end(message), count))
