"""AUTH (RFC 4954): drives a SASL exchange and asks the authenticator.

Wrong passwords cost the client's address time, as those of IMAP and POP3 do. Passwords are never logged. A failure
is logged as ``warning: NAME[IP]: SASL PLAIN authentication failed: …``, which is what banning tools look for.
"""

from __future__ import annotations

import asyncio
import time

from angarium.auth.interface import Accepted, Authenticator, Outcome, Refused
from angarium.daemons.smtpd import replies
from angarium.daemons.smtpd.conversation import Conversation
from angarium.daemons.smtpd.limits import Counted
from angarium.daemons.smtpd.rates import over_rate
from angarium.model.reply import Reply
from angarium.protocols.sasl.session import SaslExchange
from angarium.protocols.sasl.types import Challenge, Credentials, Fault, SaslError, Step
from angarium.protocols.smtp.types import CommandReceived, LineReceived

_FAILURE_DELAY = 2.0
"""Seconds for which the answer to a wrong password is held back, as Dovecot does for Postfix."""


async def auth(talk: Conversation, command: CommandReceived) -> Reply | None:
    """Begin an exchange."""
    parameters = talk.parameters
    if parameters.helo_required and not talk.helo:
        return replies.NEED_HELO
    mechanisms = offered_mechanisms(talk)
    if not mechanisms or "auth" in talk.ehlo_discard:
        return replies.AUTH_NOT_ENABLED
    if talk.transaction is not None:
        return replies.IN_TRANSACTION
    if talk.sasl_username:
        return replies.ALREADY_AUTHENTICATED
    words = command.text.split()
    if not 2 <= len(words) <= 3:
        return replies.AUTH_SYNTAX
    if over_rate(talk, Counted.AUTH, parameters.client_auth_rate_limit, "AUTH command rate"):
        return Reply.of(450, "4.7.1", f"Error: too many AUTH commands from {talk.client.address}")
    name = words[1].upper()
    exchange = SaslExchange.named(name, parameters.sasl_response_limit) if name in mechanisms else None
    if exchange is None:
        return _failed(talk, words[1], "Invalid authentication mechanism", "")
    talk.auth_method = words[1]
    talk.exchange = exchange
    initial = words[2].encode("utf-8", "surrogateescape") if len(words) == 3 else None
    return await _step(talk, exchange, exchange.start(initial), "initial")


def offered_mechanisms(talk: Conversation) -> tuple[str, ...]:
    """The mechanisms that this client may use now."""
    parameters = talk.parameters
    if not parameters.sasl_auth_enable:
        return ()
    if talk.tls:
        return parameters.sasl_tls_mechanisms
    return () if parameters.tls_auth_only or parameters.tls_mandatory else parameters.sasl_mechanisms


async def response(talk: Conversation, event: LineReceived) -> Reply:
    """The client's answer to a challenge."""
    exchange = talk.exchange
    assert exchange is not None
    if event.truncated:
        limit = talk.parameters.sasl_response_limit
        talk.journal.warning(f"{talk.client.shown}: request longer than {limit}: ...")
        talk.exchange = None
        return replies.AUTH_TOO_LONG
    return await _step(talk, exchange, exchange.receive(event.line), "continued")


async def _step(talk: Conversation, exchange: SaslExchange, step: Step, kind: str) -> Reply:
    if isinstance(step, Challenge):
        return Reply(334, None, (step.data.decode("ascii"),))
    talk.exchange = None
    if isinstance(step, SaslError):
        return _fault(talk, step, kind)
    return await _check(talk, exchange.method, step)


def _fault(talk: Conversation, error: SaslError, kind: str) -> Reply:
    method = talk.auth_method
    if error.fault is Fault.CANCELLED:
        talk.journal.warning(f"{talk.client.shown}: SASL {method} authentication aborted")
        return replies.AUTH_ABORTED
    if error.fault is Fault.TOO_LONG:
        return replies.AUTH_TOO_LONG
    if error.fault is Fault.ENCODING:
        return _failed(talk, method, f"Invalid base64 data in {kind} response", "")
    return _failed(talk, method, error.reason, "")


async def _check(talk: Conversation, method: str, credentials: Credentials) -> Reply:
    authenticator = talk.ask.authenticator
    if authenticator is None:
        return replies.AUTH_NOT_ENABLED
    outcome = await _outcome(talk, authenticator, credentials)
    if isinstance(outcome, Accepted):
        talk.sasl_method = method
        talk.sasl_username = outcome.account
        return replies.AUTHENTICATED
    if isinstance(outcome, Refused):
        # The authenticator's own log line says why; neither the peer nor this line does.
        return _failed(talk, talk.auth_method, "(reason unavailable)", credentials.user)
    reason = f"{talk.client.shown}: SASL {talk.auth_method} authentication failed: Temporary authentication failure"
    talk.journal.warning(f"{reason}: {outcome.cause}")
    return Reply.of(454, "4.7.0", "Temporary authentication failure: (reason unavailable)")


async def _outcome(talk: Conversation, authenticator: Authenticator, credentials: Credentials) -> Outcome:
    """Ask the authenticator, at the pace that the client's address has earned."""
    penalty, address = talk.ask.penalty, talk.client.address
    if penalty is not None and (delay := penalty.delay(address, time.monotonic())) > 0:
        await asyncio.sleep(delay)
    outcome = await authenticator.check_password(credentials.user, credentials.password.reveal())
    if penalty is None:
        return outcome
    if isinstance(outcome, Accepted):
        penalty.succeeded(address)
    elif isinstance(outcome, Refused):
        penalty.failed(address, time.monotonic())
        await asyncio.sleep(min(penalty.delay(address, time.monotonic()), _FAILURE_DELAY))
    return outcome


def _failed(talk: Conversation, method: str, reason: str, user: str) -> Reply:
    suffix = f", sasl_username={user or '(unavailable)'}"
    talk.journal.warning(f"{talk.client.shown}: SASL {method[:100]} authentication failed: {reason}{suffix}")
    return Reply.of(535, "5.7.8", f"Error: authentication failed: {reason}")
