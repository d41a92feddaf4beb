"""DATA, BDAT and the end of a message (RFC 5321 section 4.1.1.4, RFC 3030).

The message goes to cleanup and from there to the queue. Only when the queue has it on stable storage is it
answered ``250 2.0.0 Ok: queued as …``.
"""

from __future__ import annotations

from dataclasses import replace

from angarium.daemons.smtpd import replies
from angarium.daemons.smtpd.content import IncomingMessage
from angarium.daemons.smtpd.conversation import Conversation, Transaction
from angarium.model.envelope import Envelope, Recipient
from angarium.model.error import MailError
from angarium.model.reply import Reply
from angarium.protocols.smtp.parser import parse_bdat
from angarium.protocols.smtp.types import BareNewline, ChunkEnd, CommandError, CommandReceived, MessageEnd


async def data(talk: Conversation, command: CommandReceived) -> Reply | None:
    """Ask for the message."""
    if talk.chunking:
        return replies.DATA_AFTER_BDAT
    transaction = talk.transaction
    if transaction is None or not transaction.recipients:
        return replies.NEED_RCPT if transaction is None else replies.NO_RECIPIENTS
    if command.text.strip().upper() != "DATA":
        return replies.DATA_SYNTAX
    refusal = talk.judge(await talk.ask.policy.data(talk.facts()), "DATA")
    if refusal is not None:
        return refusal
    talk.message = IncomingMessage(talk.ask.spool, talk.parameters.message_size_limit)
    talk.bytes_received = 0
    return replies.START_DATA


async def message_end(talk: Conversation, event: MessageEnd) -> None:
    """The final dot of DATA: store the message and answer."""
    talk.where = "END-OF-MESSAGE"
    if event.bare_newline and talk.protocol.bare_newline is BareNewline.REJECT:
        talk.log_reject("END-OF-MESSAGE", "bare <LF> received")
        code = talk.parameters.forbid_bare_newline_reject_code
        reply = Reply.of(code, "5.5.2", f"{talk.parameters.myhostname} Error: bare <LF> received")
        _finish(talk, "DATA", reply)
        return
    if event.bare_newline and talk.protocol.bare_newline is BareNewline.NOTE:
        talk.ask.log.info(f"{_queue_id(talk)}: note: bare <LF> received from {talk.client.shown}")
    _finish(talk, "DATA", await _store(talk))


async def bdat(talk: Conversation, command: CommandReceived) -> Reply | None:
    """The head of a chunk. What is wrong with it is said when the chunk has been read."""
    try:
        parse_bdat(command.text)
    except CommandError as error:
        talk.closing = True  # nobody knows where the chunk ends
        return error.reply
    transaction = talk.transaction
    failure: Reply | None = None
    if not talk.chunking and (transaction is None or not transaction.recipients):
        failure = replies.NEED_RCPT if transaction is None else replies.NO_RECIPIENTS
    elif talk.message is None and talk.message_failure is None:
        failure = talk.judge(await talk.ask.policy.data(talk.facts()), "DATA")
        talk.message = IncomingMessage(talk.ask.spool, talk.parameters.message_size_limit)
        talk.bytes_received = 0
    if failure is not None:
        talk.message_failure = failure
    talk.chunking = True
    return None


async def chunk_end(talk: Conversation, event: ChunkEnd) -> None:
    """A chunk is complete: answer for it, or for the whole message after the last."""
    failure = talk.message_failure
    message = talk.message
    if failure is None and message is not None and message.too_big:
        failure = replies.TOO_BIG
    if failure is not None or message is None:
        _finish(talk, "BDAT", failure or replies.NEED_RCPT)
        return
    if not event.last:
        talk.counts["BDAT"][0] += 1
        talk.send(Reply.of(250, "2.0.0", f"Ok: {event.size} bytes"))
        return
    talk.where = "END-OF-MESSAGE"
    _finish(talk, "BDAT", await _store(talk))


def _finish(talk: Conversation, verb: str, reply: Reply) -> None:
    """Answer for the message, and end the transaction."""
    if reply.positive:
        talk.counts[verb][0] += 1
        talk.error_count = 0
        talk.junk_count = 0
        talk.send(reply)
    else:
        talk.refuse(reply)
    talk.reset()


async def _store(talk: Conversation) -> Reply:
    """Hand the message to cleanup and the queue; the reply for the client."""
    message = talk.message
    transaction = talk.transaction
    assert message is not None
    assert transaction is not None
    if talk.message_failure is not None:
        return talk.message_failure
    if message.too_big:
        talk.ask.log.warning(f"{transaction.queue_id}: queue file size limit exceeded")
        return replies.TOO_BIG
    refusal = talk.judge(await talk.ask.policy.end_of_data(talk.facts(size=message.size)), "END-OF-MESSAGE")
    if refusal is not None:
        return refusal
    queued = Reply.of(250, "2.0.0", f"Ok: queued as {transaction.queue_id}")
    if transaction.discard:
        return queued
    try:
        content = message.finish()
        new = await talk.ask.cleanup.process(
            transaction.queue_id, _envelope(talk, transaction), content, hold=transaction.hold
        )
        if transaction.prepend:
            lines = "".join(f"{line}\r\n" for line in transaction.prepend)
            new = replace(new, prefix=lines.encode("utf-8", "surrogateescape") + new.prefix)
        await talk.ask.queue.enqueue(new)
    except MailError as error:
        if error.cause:
            talk.ask.log.warning(f"{transaction.queue_id}: {error.cause}")
        return error.reply
    except OSError as error:
        talk.ask.log.warning(f"{transaction.queue_id}: cannot store the message: {error}")
        return replies.WRITE_ERROR
    return queued


def _envelope(talk: Conversation, transaction: Transaction) -> Envelope:
    recipients = tuple(transaction.recipients)
    if transaction.redirect:
        recipients = (Recipient(transaction.redirect, transaction.redirect),)
    mail = transaction.mail
    return Envelope(
        mail.sender,
        recipients,
        transaction.arrival,
        talk.make_origin(mail),
        mail.body,
        mail.smtputf8,
        mail.ret,
        mail.envid,
    )


def _queue_id(talk: Conversation) -> str:
    return talk.transaction.queue_id if talk.transaction is not None else "NOQUEUE"
