"""RCPT TO (RFC 5321 section 4.1.1.3): adds a recipient; the first one gives the message its queue id."""

from __future__ import annotations

from angarium.daemons.smtpd import proxied, replies
from angarium.daemons.smtpd.commands.forwarding import described
from angarium.daemons.smtpd.conversation import Conversation
from angarium.daemons.smtpd.judgement import ask
from angarium.daemons.smtpd.limits import Counted
from angarium.daemons.smtpd.rates import over_rate
from angarium.daemons.smtpd.transaction import Chunking, Transaction
from angarium.model.envelope import Recipient
from angarium.model.reply import Reply
from angarium.protocols.smtp.parser import parse_rcpt
from angarium.protocols.smtp.types import CommandError, CommandReceived


async def rcpt(talk: Conversation, command: CommandReceived) -> Reply | None:
    """Add a recipient, when nothing speaks against it."""
    transaction = talk.transaction
    if transaction is None:
        return replies.NEED_MAIL
    if talk.chunking is not Chunking.NONE:
        return replies.RCPT_AFTER_BDAT
    parameters = talk.parameters
    try:
        parsed = parse_rcpt(
            command.text,
            strict=parameters.strict_rfc821_envelopes,
            dsn="dsn" not in talk.ehlo_discard,
            smtputf8=transaction.mail.smtputf8,
            min_user=parameters.allow_min_user,
            numeric=parameters.resolve_numeric_domain,
            null=parameters.resolve_null_domain,
        )
    except CommandError as error:
        talk.log_illegal_address("RCPT", error.address)
        return error.reply
    address = parsed.recipient
    if parameters.strict_smtputf8 and not transaction.mail.smtputf8 and not address.isascii():
        return replies.MUST_DECLARE_SMTPUTF8
    limit = parameters.client_recipient_rate_limit
    if over_rate(talk, Counted.RECIPIENT, limit, "Recipient address rate"):
        return Reply.of(450, "4.7.1", f"Error: too many recipients from {talk.client.address}")
    if len(transaction.recipients) >= parameters.recipient_limit > 0:
        transaction.overshoot += 1
        if transaction.overshoot <= parameters.recipient_overshoot_limit:
            talk.forgive("RCPT")  # a client that sends on is no attacker yet
        return replies.TOO_MANY_RECIPIENTS
    refusal = await ask(talk, talk.ask.policy.rcpt, "RCPT", address)
    if refusal is not None:
        transaction.refused += 1
        return refusal
    if parameters.proxy_filter:
        refusal = await _hand_on(talk, transaction, command.text)
        if refusal is not None:
            return refusal
    elif not transaction.queue_id:
        open_transaction(talk, transaction)
    transaction.recipients.append(Recipient(address, address, parsed.notify, parsed.orcpt))
    return replies.RECIPIENT_OK


async def _hand_on(talk: Conversation, transaction: Transaction, command: str) -> Reply | None:
    """Hand a recipient to the before-queue filter; its refusal, or None."""
    refusal = None if transaction.queue_id else await open_with_filter(talk, transaction)
    return refusal if refusal is not None else await proxied.recipient(transaction, command)


async def open_with_filter(talk: Conversation, transaction: Transaction) -> Reply | None:
    """Begin a transaction whose message the before-queue filter gets; its refusal, or None."""
    refusal = await proxied.begin(talk, transaction)
    if refusal is None:
        open_transaction(talk, transaction)
    return refusal


def open_transaction(talk: Conversation, transaction: Transaction) -> None:
    """Give the message its queue id, and say in the log whose it is."""
    queue_id = proxied.NO_QUEUE if talk.parameters.proxy_filter else talk.ask.queue.allocate_id()
    transaction.queue_id = queue_id
    words = [f"{queue_id}: client={talk.client.shown}"]
    if talk.sasl_method:
        words.append(f"sasl_method={talk.sasl_method}")
    if talk.sasl_username:
        words.append(f"sasl_username={talk.sasl_username}")
    if transaction.mail.auth:
        words.append(f"sasl_sender={transaction.mail.auth}")
    if talk.forwarded is not None:
        words += described(talk)
    talk.journal.info(", ".join(words), queue_id=queue_id)
