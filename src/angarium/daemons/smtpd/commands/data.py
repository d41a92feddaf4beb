"""DATA, BDAT and the end of a message (RFC 5321 section 4.1.1.4, RFC 3030).

The message goes to cleanup and from there to the queue. Only when the queue has it on stable storage is it
answered ``250 2.0.0 Ok: queued as …``.
"""

from __future__ import annotations

from angarium.daemons.smtpd import proxied, replies
from angarium.daemons.smtpd.conversation import Conversation
from angarium.daemons.smtpd.judgement import ask, log_reject
from angarium.daemons.smtpd.knowledge import origin_of
from angarium.daemons.smtpd.transaction import Chunking, Transaction
from angarium.model.envelope import Envelope
from angarium.model.error import MailError
from angarium.model.reply import Reply
from angarium.protocols.smtp.parser import parse_bdat
from angarium.protocols.smtp.types import BareNewline, ChunkEnd, CommandError, CommandReceived, MessageEnd


async def data(talk: Conversation, command: CommandReceived) -> Reply | None:
    """Ask for the message."""
    if talk.chunking is not Chunking.NONE:
        return replies.DATA_AFTER_BDAT
    transaction = talk.transaction
    if transaction is None or not transaction.recipients:
        return replies.NEED_RCPT if transaction is None else replies.NO_RECIPIENTS
    if command.text.strip().upper() != "DATA":
        return replies.DATA_SYNTAX
    recipient = only_recipient(transaction)
    refusal = await ask(talk, talk.ask.policy.data, "DATA", recipient)
    if refusal is None and transaction.filter is not None:
        refusal = await proxied.data(transaction)
    if refusal is not None:
        return refusal
    talk.start_message()
    return replies.START_DATA


async def message_end(talk: Conversation, event: MessageEnd) -> None:
    """The final dot of DATA: store the message and answer."""
    talk.where = "END-OF-MESSAGE"
    failure = _bare_newline(talk) if event.bare_newline else None
    _finish(talk, "DATA", failure or await _store(talk))


def _bare_newline(talk: Conversation) -> Reply | None:
    """What smtpd_forbid_bare_newline says of a message that has LF without CR."""
    mode = talk.protocol.bare_newline
    if mode is BareNewline.REJECT:
        recipient = only_recipient(talk.transaction)
        log_reject(talk, "END-OF-MESSAGE", "bare <LF> received", recipient)
        code = talk.parameters.forbid_bare_newline_reject_code
        return Reply.of(code, "5.5.2", f"{talk.parameters.myhostname} Error: bare <LF> received")
    if mode is BareNewline.NOTE and talk.transaction is not None:
        talk.journal.info(f"{talk.transaction.queue_id}: note: bare <LF> received from {talk.client.shown}")
    return None


def only_recipient(transaction: Transaction | None) -> str | None:
    """The recipient, when there is exactly one: what the log and the restrictions after RCPT are told."""
    if transaction is None or len(transaction.recipients) != 1:
        return None
    return transaction.recipients[0].address


async def bdat(talk: Conversation, command: CommandReceived) -> Reply | None:
    """The head of a chunk. What is wrong with it is said when the chunk has been read."""
    if "chunking" in talk.ehlo_discard:
        talk.closing = True
        return replies.BDAT_NOT_OFFERED
    transaction = talk.transaction
    try:
        parse_bdat(command.text)
    except CommandError as error:
        talk.closing = True  # nobody knows where the chunk ends
        queue_id = transaction.queue_id if transaction is not None else ""
        shown = f"{queue_id or 'NOQUEUE'}: malformed BDAT command syntax from {talk.client.shown}"
        talk.journal.warning(f"{shown}: {command.text[:100]}")
        return error.reply
    failure: Reply | None = None
    if talk.chunking is Chunking.FAILED or talk.message is not None:
        pass  # the answer is known, or the message goes on
    elif transaction is None or not transaction.recipients:
        failure = replies.NEED_RCPT if transaction is None else replies.NO_RECIPIENTS
    else:
        recipient = only_recipient(transaction)
        failure = await ask(talk, talk.ask.policy.data, "BDAT", recipient)
        talk.start_message()
    if talk.chunking is Chunking.NONE:
        talk.chunking = Chunking.STARTED
    talk.message_failure = failure
    return None


async def chunk_end(talk: Conversation, event: ChunkEnd) -> None:
    """A chunk is complete: answer for it, or for the whole message after the last."""
    message = talk.message
    if talk.chunking is Chunking.FAILED or (message is None and talk.message_failure is None):
        talk.refuse(Reply.of(551, "5.0.0", f"Discarded {event.size} bytes after earlier error"))
        if event.last:
            talk.chunking = Chunking.NONE
        return
    failure = talk.message_failure
    if failure is None and message is not None and message.too_big:
        assert talk.transaction is not None
        queue_id = talk.transaction.queue_id
        talk.journal.warning(f"{queue_id}: BDAT request from {talk.client.shown} exceeds message size limit")
        failure = replies.CHUNK_TOO_BIG
    if failure is not None or message is None:
        _finish(talk, "BDAT", failure or replies.NEED_RCPT)
        if not event.last:
            talk.chunking = Chunking.FAILED
        return
    if not event.last:
        talk.counts.succeeded("BDAT")
        talk.send(Reply.of(250, "2.0.0", f"Ok: {event.size} bytes"))
        return
    talk.where = "END-OF-MESSAGE"
    if event.bare_newline:
        failure = _bare_newline(talk)
    _finish(talk, "BDAT", failure or await _store(talk, f"{message.size} bytes "))


def _finish(talk: Conversation, verb: str, reply: Reply) -> None:
    """Answer for the message, and end the transaction."""
    if reply.positive:
        talk.counts.succeeded(verb)
        talk.error_count = 0
        talk.junk_count = 0
        talk.send(reply)
    else:
        talk.refuse(reply)
    talk.reset()


async def _store(talk: Conversation, size: str = "") -> Reply:
    """Hand the message to cleanup and the queue; the reply for the client. ``size`` is BDAT's addition to it."""
    message = talk.message
    transaction = talk.transaction
    assert message is not None
    assert transaction is not None
    if talk.message_failure is not None:
        return talk.message_failure
    if message.too_big:
        return _too_big(talk)
    recipient = only_recipient(transaction)
    refusal = await ask(talk, talk.ask.policy.end_of_data, "END-OF-MESSAGE", recipient, message.size)
    if refusal is not None:
        return refusal
    if talk.parameters.proxy_filter:
        return await proxied.finish(talk, transaction, _envelope(talk, transaction), message.finish())
    queued = Reply.of(250, "2.0.0", f"Ok: {size}queued as {transaction.queue_id}")
    if transaction.discard:
        return queued
    try:
        content = message.finish()
        new = await talk.ask.cleanup.process(
            transaction.queue_id,
            _envelope(talk, transaction),
            content,
            hold=transaction.hold,
            prepend=b"".join(line.encode("utf-8", "surrogateescape") + b"\r\n" for line in transaction.prepend),
            copies=(transaction.bcc,) if transaction.bcc else (),
        )
        if not new.discard:
            await talk.ask.queue.enqueue(new)
    except MailError as error:
        if error.cause:
            talk.journal.warning(f"{transaction.queue_id}: {error.cause}")
        return error.reply
    except OSError as error:
        talk.journal.warning(f"{transaction.queue_id}: cannot store the message: {error}")
        return replies.storage_failure(error)
    return queued


def _too_big(talk: Conversation) -> Reply:
    assert talk.transaction is not None
    talk.journal.warning(f"{talk.transaction.queue_id}: queue file size limit exceeded")
    if talk.parameters.proxy_filter:
        proxied.log_outcome(talk, talk.transaction, replies.TOO_BIG)
    return replies.TOO_BIG


def _envelope(talk: Conversation, transaction: Transaction) -> Envelope:
    mail = transaction.mail
    return Envelope(
        mail.sender,
        tuple(transaction.recipients),
        transaction.arrival,
        origin_of(talk, mail),
        mail.body,
        mail.smtputf8,
        mail.ret,
        mail.envid,
        content_filter=transaction.content_filter,
        redirect=transaction.redirect,
        verp=mail.verp,
    )
