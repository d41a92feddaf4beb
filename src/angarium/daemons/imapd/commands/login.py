"""LOGIN and LOGOUT, and what every way of logging in has in common."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from angarium.auth.interface import Accepted, Unavailable
from angarium.daemons.imapd.commands.capability import capabilities
from angarium.daemons.imapd.errors import No
from angarium.mailstore.interface import MailstoreError
from angarium.protocols.imap.states import State
from angarium.protocols.imap.types import Login, Simple
from angarium.protocols.sasl.mechanisms import credentials
from angarium.protocols.sasl.types import Credentials, SaslError

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection

_FAILED = "[AUTHENTICATIONFAILED] Authentication failed."


def require_secure(connection: ImapConnection) -> None:
    """Passwords in clear need TLS, when the administrator says so. Raises No."""
    if not connection.secure and connection.service.parameters.tls_auth_only:
        connection.plaintext_refused = True
        msg = "[PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections."
        raise No(msg)


async def login(connection: ImapConnection, command: Login) -> str:
    """LOGIN (RFC 9051 section 6.2.3)."""
    require_secure(connection)
    return await finish(connection, credentials(b"", command.user, command.password), "PLAIN")


async def finish(connection: ImapConnection, step: Credentials | SaslError, method: str) -> str:
    """Check the credentials and open the account; the text of the tagged OK.

    Raises:
        No: they are wrong (after the penalty's delay), or nobody can tell now.
    """
    service, statistics = connection.service, connection.statistics
    statistics.auth_attempts += 1
    statistics.method = method
    await _wait(connection, service.penalty.delay(connection.peer, service.now()))
    if isinstance(step, SaslError):
        statistics.user = ""
        raise await _failed(connection)
    statistics.user = step.user
    outcome = await service.authenticator.check_password(step.user, step.password.reveal())
    if isinstance(outcome, Unavailable):
        service.log.unavailable(connection, outcome.cause)
        msg = "[UNAVAILABLE] Temporary authentication failure."
        raise No(msg)
    if not isinstance(outcome, Accepted):
        if service.parameters.auth_verbose:
            service.log.refused(connection, step.user, outcome)
        raise await _failed(connection)
    service.penalty.succeeded(connection.peer)
    if not service.user_connections.enter(outcome.account, connection.peer):
        service.log.too_many(connection, outcome.account, service.parameters.max_userip_connections)
        msg = "[LIMIT] Maximum number of connections from user+IP exceeded (imapd_max_userip_connections)"
        raise No(msg)
    connection.account = outcome.account
    try:
        connection.store = await service.mailstore.open(outcome.account)
    except MailstoreError:
        connection.account = ""  # not logged in, and so not counted
        service.user_connections.leave(outcome.account, connection.peer)
        raise
    connection.session.state = State.AUTHENTICATED
    connection.session.literal_limit = service.parameters.literal_limit
    connection.session.skip_limit = max(service.parameters.message_size_limit, service.parameters.literal_limit)
    service.log.logged_in(connection)
    return f"[CAPABILITY {capabilities(connection).decode()}] Logged in"


async def _failed(connection: ImapConnection) -> No:
    service = connection.service
    service.penalty.failed(connection.peer, service.now())
    if connection.peer not in service.penalty_exempt:
        await _wait(connection, service.parameters.auth_failure_delay)
    if connection.statistics.auth_attempts >= service.parameters.hard_error_limit:
        connection.answer_then_close = "Too many failed log-ins."
    return No(_FAILED)


async def _wait(connection: ImapConnection, delay: float) -> None:
    if delay > 0:
        connection.flush()
        await asyncio.sleep(delay)


async def logout(connection: ImapConnection, command: Simple) -> None:
    """Say BYE, answer, close (section 6.1.3)."""
    connection.untagged(b"BYE Logging out")
    connection.answer(command.tag, b"OK", "Logout completed.")
    connection.session.state = State.LOGOUT
    connection.close("Logged out")
