"""A transaction whose message goes to the before-queue content filter (``proxyfilter``), seen from the commands.

RCPT, DATA and the end of a message ask here in place of the queue when smtpd_proxy_filter is set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from angarium.daemons.smtpd.knowledge import origin_of
from angarium.daemons.smtpd.proxyfilter import FilterConnection, FilterError
from angarium.protocols.smtp.path import quote_address

if TYPE_CHECKING:
    from angarium.daemons.smtpd.conversation import Conversation
    from angarium.daemons.smtpd.transaction import Transaction
    from angarium.model.content import Content
    from angarium.model.envelope import Envelope, Origin
    from angarium.model.reply import Reply

NO_QUEUE = "NOQUEUE"
"""What stands in the log in place of the queue id."""


async def begin(talk: Conversation, transaction: Transaction) -> Reply | None:
    """Open the transaction with the filter; its refusal, or None. With ``speed_adjust`` that comes later."""
    if talk.parameters.proxy_speed_adjust or transaction.filter is not None:
        return None
    parameters = talk.parameters
    connection = FilterConnection(
        parameters.proxy_filter, Path(parameters.queue_directory), parameters.proxy_timeout, talk.journal.warning
    )
    try:
        await connection.open(parameters.proxy_ehlo, await _origin(talk, transaction), transaction.command)
    except FilterError as error:
        connection.close()
        return error.reply
    except BaseException:
        connection.close()
        raise
    transaction.filter = connection
    return None


async def _origin(talk: Conversation, transaction: Transaction) -> Origin:
    """The client, with whether he is local: the filter may be told (SOURCE)."""
    origin = origin_of(talk, transaction.mail)
    logged = origin.logged
    if logged.local is None:
        logged = replace(logged, local=await talk.ask.cleanup.is_local_client(origin))
    return replace(origin, forwarded=logged)


async def recipient(transaction: Transaction, command: str) -> Reply | None:
    """Hand a recipient on; the filter's refusal, or None."""
    if transaction.filter is None:
        transaction.held.append(command)
        return None
    return await _demand(transaction.filter, command)


async def data(transaction: Transaction) -> Reply | None:
    """Ask the filter for the message; its refusal, or None."""
    if transaction.filter is None:
        return None
    transaction.filter_asked = True
    return await _demand(transaction.filter, "DATA", 3)


async def _demand(connection: FilterConnection, command: str, code: int = 2) -> Reply | None:
    try:
        await connection.demand(command, code)
    except FilterError as error:
        return error.reply
    return None


async def finish(talk: Conversation, transaction: Transaction, envelope: Envelope, content: Content) -> Reply:
    """Hand the whole message on; what the client is told. Logged as Postfix does it."""
    try:
        if transaction.filter is None:
            await _replay(talk, transaction)
        connection = transaction.filter
        assert connection is not None
        if not transaction.filter_asked:
            await connection.demand("DATA", 3)
        prefix = b"".join(line.encode("utf-8", "surrogateescape") + b"\r\n" for line in transaction.prepend)
        if envelope.origin.forwarded is None:
            prefix += talk.ask.cleanup.received_header(envelope)
        answer = await connection.send(_chunks(prefix, content))
    except FilterError as error:
        answer = error.reply
    log_outcome(talk, transaction, answer)
    return answer


async def _replay(talk: Conversation, transaction: Transaction) -> None:
    """With ``speed_adjust``: say now what the client has said. Raises FilterError."""
    parameters = talk.parameters
    connection = transaction.filter = FilterConnection(
        parameters.proxy_filter, Path(parameters.queue_directory), parameters.proxy_timeout, talk.journal.warning
    )
    await connection.open(parameters.proxy_ehlo, await _origin(talk, transaction), transaction.command)
    for command in transaction.held:
        await connection.demand(command)


def log_outcome(talk: Conversation, transaction: Transaction, answer: Reply) -> None:
    """``proxy-accept`` or ``proxy-reject``, with the first recipient."""
    what = "proxy-accept" if answer.positive else "proxy-reject"
    dashes = ["-"] * (len(answer.lines) - 1) + [" "]
    head = f"{answer.code}" if answer.dsn is None else f"{answer.code} {answer.dsn}"
    said = "??".join(f"{head}{dash}{line}" for dash, line in zip(dashes, answer.lines, strict=True))
    first = quote_address(transaction.recipients[0].address)
    people = f"from=<{quote_address(transaction.mail.sender)}> to=<{first}>"
    helo = f" helo=<{talk.helo}>" if talk.helo else ""
    talk.journal.info(f"{what}: END-OF-MESSAGE: {said}; {people} proto={talk.proto_name}{helo}")


def _chunks(prefix: bytes, content: Content) -> Iterator[bytes]:
    yield prefix
    yield from content.chunks()
