"""What a verdict of the policy does to a session: refuses a command, changes the transaction, goes into the log.

The log lines are those that log readers count: ``NOQUEUE: reject: RCPT from name[address]: 554 …; from=<s> to=<r>
proto=ESMTP helo=<h>``, and the same with ``hold``, ``discard``, ``redirect``, ``filter``, ``bcc``, ``warn``, ``info``.
PREPEND has none, as in Postfix.

What was asked for holds for the whole message, also when the recipient that brought it up was then refused (access(5)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angarium.daemons.smtpd.knowledge import facts_of
from angarium.model.reply import Reply
from angarium.model.verdict import Effect, Request, Verdict
from angarium.policy.interface import SYNTAX
from angarium.protocols.smtp.path import quote_address
from angarium.protocols.smtp.render import soften

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from angarium.daemons.smtpd.conversation import Conversation
    from angarium.daemons.smtpd.transaction import Transaction
    from angarium.policy.interface import Facts

    Stage = Callable[[Facts], Awaitable[Verdict]]


_HELLO = frozenset({"HELO", "EHLO"})


async def ask(
    talk: Conversation,
    stage: Stage,
    where: str,
    recipient: str | None = None,
    size: int = 0,
) -> Reply | None:
    """Ask the policy about a command of a transaction, and apply what it says.

    Nothing is asked for a message that is to be discarded: all that follows is accepted, and comes to nothing.

    Args:
        talk: the session.
        stage: the policy's method.
        where: as in ``judge``.
        recipient: in question; after RCPT the only one, or None.
        size: of the message, when it is there.
    """
    if where in talk.ask.policy.silent or (talk.transaction is not None and talk.transaction.discard):
        return None
    return judge(talk, await stage(facts_of(talk, recipient, size)), where, recipient)


def judge(talk: Conversation, verdict: Verdict, stage: str, recipient: str | None = None) -> Reply | None:
    """Apply a verdict: the reply that refuses the command, or None when it may go on.

    Args:
        talk: the session.
        verdict: of the policy.
        stage: of the session, for the log: ``CONNECT``, ``RCPT``, ``END-OF-MESSAGE``.
        recipient: for the log; None when there is none, or more than one.
    """
    if verdict.later is not None:
        talk.later[stage if stage == "MAIL" else "HELO" if stage in _HELLO else "CONNECT"] = verdict.later
    for request in verdict.requests:
        _grant(talk, request, stage, recipient)
    if not verdict.refused:
        if talk.journal.detailed and stage == "RCPT":
            _tell_permit(talk, verdict, recipient)
        return None
    assert verdict.reply is not None
    if verdict.source == SYNTAX:  # as for what the parser cannot read
        transaction = talk.transaction
        address = recipient or (transaction.mail.sender if transaction is not None else "")
        talk.log_illegal_address(stage, f"<{quote_address(address)}>")
        return verdict.reply
    reply = soften(verdict.reply) if talk.parameters.soft_bounce else verdict.reply
    log_reject(talk, stage, str(reply), recipient, reason=verdict.reason, source=verdict.source)
    if verdict.disconnect:
        talk.closing = True
    return verdict.reply


def _grant(talk: Conversation, request: Request, stage: str, recipient: str | None) -> None:
    effect = request.effect
    transaction = talk.transaction
    if effect is Effect.HOLD and transaction is not None and transaction.hold:
        return  # once is enough: Postfix does not log it again
    if effect is not Effect.PREPEND:
        log_reject(talk, stage, request.text, recipient, what=effect.value, source=request.source)
    if transaction is not None:
        _change(transaction, effect, request.argument)


def _tell_permit(talk: Conversation, verdict: Verdict, recipient: str | None) -> None:
    """What let a recipient in: a detail, since the log of what is accepted is short."""
    queue_id = _queue_id(talk)
    why = f": {verdict.reason}" if verdict.reason else ""
    talk.journal.detail(
        f"{queue_id}: permit: RCPT from {talk.client.shown}: <{quote_address(recipient or '')}>{why}",
        queue_id=queue_id,
        recipient=recipient,
        source=verdict.source,
    )


def _queue_id(talk: Conversation) -> str:
    transaction = talk.transaction
    return transaction.queue_id if transaction is not None and transaction.queue_id else "NOQUEUE"


def _change(transaction: Transaction, effect: Effect, argument: str) -> None:
    if effect is Effect.HOLD:
        transaction.hold = True
    elif effect is Effect.DISCARD:
        transaction.discard = True
    elif effect is Effect.REDIRECT:
        transaction.redirect = argument
    elif effect is Effect.FILTER:
        transaction.content_filter = argument
    elif effect is Effect.BCC:
        transaction.bcc = argument
    elif effect is Effect.PREPEND:
        transaction.prepend.append(argument)


def log_reject(
    talk: Conversation, stage: str, text: str, recipient: str | None = None, *, what: str = "reject", **event: str
) -> None:
    """Write the line; ``what`` stands in the place of ``reject``, ``event`` beside the line."""
    transaction = talk.transaction
    queue_id = _queue_id(talk)
    parts = [f"{queue_id}: {what}: {stage} from {talk.client.shown}: {text};"]
    if transaction is not None:
        parts.append(f"from=<{quote_address(transaction.mail.sender)}>")
    if recipient is not None:
        parts.append(f"to=<{quote_address(recipient)}>")
    parts.append(f"proto={talk.proto_name}")
    if talk.helo:
        parts.append(f"helo=<{talk.helo}>")
    talk.journal.info(" ".join(parts), queue_id=queue_id, **event)
