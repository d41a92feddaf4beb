"""USER, PASS, AUTH and APOP: who the client is. STLS is here too, for it comes before.

RFC 1939 sections 4 and 7, RFC 5034 (AUTH with an initial response), RFC 2595 section 4 (STLS), RFC 3206 (AUTH and SYS
response codes). A refused log-in says nothing of the reason, and costs time (``auth.penalty``).
"""

from __future__ import annotations

import asyncio

from angarium.auth.interface import Accepted, Outcome, Refused
from angarium.auth.log import AUTH_TAG, refusal_line, shown_user
from angarium.daemons.pop3d import lines
from angarium.daemons.pop3d.commands.types import Answer
from angarium.daemons.pop3d.conversation import Conversation
from angarium.daemons.pop3d.maildrop import Maildrop
from angarium.protocols.pop3.render import challenge, err, multi_line, ok
from angarium.protocols.pop3.types import Command
from angarium.protocols.sasl.mechanisms import MECHANISMS, credentials
from angarium.protocols.sasl.session import SaslExchange
from angarium.protocols.sasl.types import Challenge, Credentials, Fault, SaslError, Step

_DISALLOWED = "Plaintext authentication disallowed on non-secure (SSL/TLS) connections."
_FAILED = "Authentication failed."
_TEMPORARY = "Temporary authentication failure."
_FAULTS = {
    Fault.CANCELLED: "Authentication aborted by client.",
    Fault.ENCODING: "Invalid base64 data in continued response",
    Fault.TOO_LONG: "Authentication response is too long.",
}


def mechanisms(conversation: Conversation) -> list[str]:
    """The mechanisms that are offered now. All of ours send the password in clear."""
    if not conversation.passwords_allowed:
        return []
    return [name for name in conversation.parameters.sasl_mechanisms if name in MECHANISMS]


def user(conversation: Conversation, command: Command) -> Answer:
    """USER name."""
    if not conversation.passwords_allowed:
        return _disallow(conversation)
    conversation.user = command.text.strip().decode("utf-8", "replace")
    conversation.awaits_password = True
    return ok()


def password(conversation: Conversation, command: Command) -> Answer:
    """PASS string: blanks are part of it."""
    if not conversation.passwords_allowed:
        return _disallow(conversation)
    if not conversation.awaits_password:
        return err("No username given.")
    conversation.awaits_password = False
    conversation.method = "PLAIN"
    return _conclude(conversation, credentials(b"", conversation.user.encode(), command.text))


def apop(_conversation: Conversation, _command: Command) -> Answer:
    """APOP: not offered, for it needs passwords in clear on the server."""
    return err("Unsupported authentication mechanism.", "AUTH")


def auth(conversation: Conversation, command: Command) -> Answer:
    """AUTH mechanism [initial-response]; AUTH alone lists the mechanisms."""
    if not command.text:
        return multi_line(ok(), mechanisms(conversation))
    name = command.text.decode("ascii", "replace").upper()
    if name in MECHANISMS and not conversation.passwords_allowed:
        return _disallow(conversation)
    exchange = SaslExchange.named(name) if name in mechanisms(conversation) else None
    if exchange is None:
        return err("Unsupported authentication mechanism.", "AUTH")
    conversation.exchange = exchange
    conversation.method = exchange.method
    return _proceed(conversation, exchange.start(command.initial))


def response(conversation: Conversation, line: bytes) -> Answer:
    """The client's answer to a SASL challenge."""
    assert conversation.exchange is not None
    return _proceed(conversation, conversation.exchange.receive(line))


def stls(conversation: Conversation, _command: Command) -> Answer:
    """STLS."""
    if not conversation.tls_offered:
        return err("TLS is already active." if conversation.tls else "TLS support isn't enabled.")
    conversation.tls_wanted = True
    return ok("Begin TLS negotiation now.")


def _disallow(conversation: Conversation) -> bytes:
    conversation.disallowed = True
    return err(_DISALLOWED, "AUTH")


def _proceed(conversation: Conversation, step: Step) -> Answer:
    if isinstance(step, Challenge):
        conversation.session.sasl_begins()
        return challenge(step.data)
    conversation.session.sasl_ended()
    conversation.exchange = None
    return _conclude(conversation, step)


def _conclude(conversation: Conversation, step: Credentials | SaslError | Challenge) -> Answer:
    """The exchange is over, with credentials or without."""
    if isinstance(step, Credentials):
        conversation.user = step.user
        return _check(conversation, step)
    assert isinstance(step, SaslError)
    if step.fault in _FAULTS:
        return err(_FAULTS[step.fault], "AUTH")
    return _refuse(conversation, Refused(step.reason))


async def _check(conversation: Conversation, given: Credentials) -> bytes:
    shared = conversation.shared
    delay = shared.penalty.delay(conversation.peer.remote, shared.clock())
    if delay > 0:
        await asyncio.sleep(delay)
    outcome: Outcome = await shared.authenticator.check_password(given.user, given.password.reveal())
    if isinstance(outcome, Refused):
        return await _refuse(conversation, outcome)
    if isinstance(outcome, Accepted):
        shared.penalty.succeeded(conversation.peer.remote)
        return await _open(conversation, outcome.account)
    conversation.log_error(f"cannot authenticate {shown_user(given.user)}: {outcome.cause}")
    return err(_TEMPORARY, "SYS/TEMP")


async def _refuse(conversation: Conversation, refusal: Refused) -> bytes:
    conversation.refused += 1
    shared, parameters, peer = conversation.shared, conversation.parameters, conversation.peer
    shared.penalty.failed(peer.remote, shared.clock())
    if parameters.auth_verbose:
        text = refusal_line(conversation.user, peer.remote, peer.session, refusal)
        shared.log.child(AUTH_TAG).info(text, user=conversation.user, client_address=peer.remote)
    if parameters.failure_delay > 0 and peer.remote not in shared.exempt:
        await asyncio.sleep(parameters.failure_delay)
    if conversation.refused >= parameters.hard_error_limit:
        conversation.closing = "Too many failed log-ins"
    return err(_FAILED, "AUTH")


async def _open(conversation: Conversation, account: str) -> bytes:
    """The log-in is right: open the maildrop."""
    shared, peer = conversation.shared, conversation.peer
    if not shared.sessions.enter(account, peer.remote):
        limit = conversation.parameters.connection_count_limit
        log = shared.log.child(f"dovecot: pop3({account})")
        log.info(lines.too_many(account, limit, peer), user=account, client_address=peer.remote)
        conversation.closing = "Too many connections"
        return err("Maximum number of connections from user+IP exceeded.", "IN-USE")
    conversation.account = account
    try:
        conversation.maildrop = await Maildrop.open(shared.store, account, conversation.parameters.read_ahead_limit)
    finally:
        if conversation.maildrop is None:
            release(conversation)
    conversation.session.logged_in()
    conversation.log_login()
    return ok("Logged in.")


def release(conversation: Conversation) -> None:
    """The session is over: it counts no more for its account."""
    if conversation.account:
        conversation.shared.sessions.leave(conversation.account, conversation.peer.remote)
        conversation.account = ""
