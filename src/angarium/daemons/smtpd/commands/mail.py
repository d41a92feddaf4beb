"""MAIL FROM (RFC 5321 section 4.1.1.2): begins a transaction."""

from __future__ import annotations

from angarium.daemons.smtpd import replies
from angarium.daemons.smtpd.commands.rcpt import open_transaction, open_with_filter
from angarium.daemons.smtpd.conversation import Conversation
from angarium.daemons.smtpd.judgement import judge, log_reject
from angarium.daemons.smtpd.knowledge import facts_of
from angarium.daemons.smtpd.limits import Counted
from angarium.daemons.smtpd.rates import over_rate
from angarium.daemons.smtpd.transaction import Chunking, Transaction
from angarium.model.reply import Reply
from angarium.protocols.smtp.parser import parse_mail
from angarium.protocols.smtp.types import CommandError, CommandReceived


async def mail(talk: Conversation, command: CommandReceived) -> Reply | None:
    """Begin a transaction, when nothing speaks against it."""
    parameters = talk.parameters
    if parameters.helo_required and not talk.helo:
        return replies.NEED_HELO
    if talk.transaction is not None:
        return replies.NESTED_MAIL
    if talk.chunking is not Chunking.NONE:
        return replies.MAIL_AFTER_BDAT
    try:
        parsed = parse_mail(
            command.text,
            strict=parameters.strict_rfc821_envelopes,
            dsn="dsn" not in talk.ehlo_discard,
            smtputf8=parameters.smtputf8_enable and "smtputf8" not in talk.ehlo_discard,
            min_user=parameters.allow_min_user,
            numeric=parameters.resolve_numeric_domain,
            null=parameters.resolve_null_domain,
            verp=parameters.verp if talk.exempt.verp else None,
        )
    except CommandError as error:
        talk.log_illegal_address("MAIL", error.address)
        for cause in (text for keyword, text in talk.exempt.unsure if keyword == "XVERP" and error.reply.code == 555):
            talk.journal.warning(cause)  # it may have been an option
        return error.reply
    if parameters.strict_smtputf8 and not parsed.smtputf8 and not parsed.sender.isascii():
        return replies.MUST_DECLARE_SMTPUTF8
    limit = parameters.client_message_rate_limit
    if over_rate(talk, Counted.MESSAGE, limit, "Message delivery request rate"):
        return Reply.of(450, "4.7.1", f"Error: too much mail from {talk.client.address}")
    if _disk_is_full(talk):
        return replies.NO_SPACE
    transaction = talk.transaction = Transaction(parsed, talk.ask.clock(), command=command.text)
    accepted = False
    try:
        if 0 < parameters.message_size_limit < parsed.size:  # RFC 1870 section 6
            refusal: Reply | None = replies.TOO_BIG_DECLARED
            log_reject(talk, "MAIL", str(refusal))
        else:
            refusal = judge(talk, await talk.ask.policy.mail(facts_of(talk)), "MAIL")
        accepted = refusal is None
    finally:
        if not accepted:
            talk.transaction = None
    if refusal is not None:
        return refusal
    return replies.SENDER_OK if parameters.delay_open_until_valid_rcpt else await _open_now(talk, transaction)


async def _open_now(talk: Conversation, transaction: Transaction) -> Reply:
    """Begin what otherwise begins with the first recipient."""
    if talk.parameters.proxy_filter:
        refusal = await open_with_filter(talk, transaction)
        if refusal is not None:
            talk.reset()
            return refusal
    else:
        open_transaction(talk, transaction)
    return replies.SENDER_OK


def _disk_is_full(talk: Conversation) -> bool:
    """The queue's file system has less room than queue_minfree or one and a half messages of the largest size."""
    parameters = talk.parameters
    free = talk.ask.free_space()
    if free > parameters.queue_minfree and free >= 1.5 * parameters.message_size_limit:
        return False
    log_reject(talk, "MAIL", str(replies.NO_SPACE))
    talk.journal.warning(f"not enough free space in mail queue: {free} bytes < 1.5*message size limit")
    return True
