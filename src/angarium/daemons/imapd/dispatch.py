"""From the protocol's events to the commands, and from their outcome to the tagged answer.

Every command is answered exactly once, after the untagged news of the mailbox that it may show. One that fails is
answered NO or BAD; the connection goes on, for one bad command costs one command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angarium.daemons.imapd.append import AppendInProgress
from angarium.daemons.imapd.commands import HANDLERS
from angarium.daemons.imapd.errors import Bad, CommandError, No, refusal
from angarium.mailstore.interface import MailstoreError
from angarium.protocols.imap.session import (
    AppendComplete,
    AppendLiteral,
    BadCommand,
    CommandReceived,
    Event,
    HangUp,
    IdleDone,
    LiteralWanted,
    MessageData,
    SaslResponse,
)
from angarium.protocols.imap.states import EXPUNGE_WITHHELD, State
from angarium.protocols.imap.types import Command

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection

_MAX_UNKNOWN = 20
"""Commands in a row that are not IMAP at all: somebody else's protocol. A quarter of it before log-in."""
_TRY_CREATE = frozenset({"COPY", "MOVE", "UID COPY", "UID MOVE"})


async def act(connection: ImapConnection, event: Event) -> None:
    """Do what an event asks for.

    Raises:
        ConnectionError: the client is gone.
    """
    match event:
        case CommandReceived(command):
            connection.unknown_commands = 0
            await _run(connection, command)
        case MessageData(data, last):
            if connection.append is not None:
                connection.append.add(data, last=last)
        case LiteralWanted():
            connection.write(b"+ OK\r\n")
        case AppendLiteral():
            await _append_literal(connection, event)
        case AppendComplete():
            await _append_complete(connection)
        case SaslResponse(data):
            await _sasl_response(connection, data)
        case IdleDone(clean):
            _idle_done(connection, clean=clean)
        case BadCommand():
            _bad(connection, event)
        case HangUp(text):
            connection.bye(text)


async def _run(connection: ImapConnection, command: Command) -> None:
    """Run one command and answer it."""
    word = b"OK"
    try:
        text = await HANDLERS[command.verb](connection, command)
    except CommandError as error:
        word, text = error.word, error.text
    except MailstoreError as error:
        answer = refusal(error, try_create=command.verb in _TRY_CREATE)
        word, text = answer.word, answer.text
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001 - one bad command costs one command; the fault is logged
        connection.service.fault(error, connection)
        word, text = b"NO", "[SERVERBUG] Internal error occurred. Refer to server log for more information."
    if text is None:
        return
    connection.show_updates(expunge=command.verb not in EXPUNGE_WITHHELD, uid=command.verb.startswith("UID"))
    _answer(connection, command.tag, word, text)


def _answer(connection: ImapConnection, tag: bytes, word: bytes, text: str) -> None:
    connection.answer(tag, word, text)
    if connection.answer_then_close:
        connection.bye(connection.answer_then_close)


def _bad(connection: ImapConnection, event: BadCommand) -> None:
    """Whatever went on is over: an APPEND, an exchange, IDLE."""
    connection.abandon_append()
    connection.exchange = None
    idle_tag, connection.idle_tag = connection.idle_tag, None
    connection.answer(event.tag if idle_tag is None else idle_tag, b"BAD", event.text)
    connection.unknown_commands = connection.unknown_commands + 1 if event.unknown else 0
    known = connection.session.state is not State.NOT_AUTHENTICATED
    if connection.unknown_commands >= (_MAX_UNKNOWN if known else _MAX_UNKNOWN // 4):
        connection.bye("Too many invalid IMAP commands.", "Too many invalid commands")


def _idle_done(connection: ImapConnection, *, clean: bool) -> None:
    tag, connection.idle_tag = connection.idle_tag, None
    if tag is None:
        return
    connection.show_updates(expunge=True)
    if clean:
        connection.answer(tag, b"OK", "Idle completed.")
    else:
        connection.answer(tag, b"BAD", "Expected DONE.")


async def _sasl_response(connection: ImapConnection, data: bytes) -> None:
    exchange, connection.exchange = connection.exchange, None
    if exchange is None:
        return
    word = b"OK"
    try:
        text = await exchange.respond(connection, data)
    except CommandError as error:
        word, text = error.word, error.text
    except MailstoreError as error:
        answer = refusal(error)
        word, text = answer.word, answer.text
    if text is not None:
        _answer(connection, exchange.tag, word, text)


async def _append_literal(connection: ImapConnection, event: AppendLiteral) -> None:
    """Take the message that is announced, or refuse it before it is sent."""
    try:
        if event.command is not None:
            connection.append = await AppendInProgress.begin(connection, event.command, event.message.size)
        assert connection.append is not None, "a message without an APPEND"
        connection.append.start_message(event.message)
    except (CommandError, MailstoreError, OSError) as error:
        tag = event.command.tag if event.command is not None else connection.append.tag if connection.append else b"*"
        connection.abandon_append()
        hang_up = connection.session.refuse_message()
        answer = _append_refusal(error)
        connection.answer(tag, answer.word, answer.text)
        if hang_up is not None:
            connection.bye(hang_up.text)
        return
    connection.session.accept_message()
    if event.synchronising:
        connection.write(b"+ OK\r\n")


async def _append_complete(connection: ImapConnection) -> None:
    append, connection.append = connection.append, None
    assert append is not None, "the end of no APPEND"
    try:
        text = await append.store(connection)
    except (CommandError, MailstoreError, OSError) as error:
        answer = _append_refusal(error)
        connection.answer(append.tag, answer.word, answer.text)
    else:
        connection.show_updates(expunge=True)
        connection.answer(append.tag, b"OK", text)


def _append_refusal(error: CommandError | MailstoreError | OSError) -> No | Bad:
    if isinstance(error, MailstoreError):
        return refusal(error, try_create=True)
    if isinstance(error, (No, Bad)):
        return error
    return No(f"[UNAVAILABLE] Message cannot be stored now: {getattr(error, 'strerror', None) or 'I/O error'}")
