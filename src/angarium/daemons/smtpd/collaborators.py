"""Whom a session asks: the services below smtpd, injected once for all sessions, and what one client is free of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from angarium.auth.interface import Authenticator
from angarium.auth.penalty import LoginPenalty
from angarium.cleanup.interface import Cleanup
from angarium.daemons.smtpd.client import Client
from angarium.daemons.smtpd.limits import ClientLimits
from angarium.daemons.smtpd.tables import NO_TABLES, SessionTables
from angarium.mailqueue.interface import Intake
from angarium.policy.interface import Policy
from angarium.runtime.log import ServiceLog
from angarium.runtime.spool import Spool


@dataclass(frozen=True, slots=True)
class Exemptions:
    """What one client is free of, and what it may that others may not.

    Attributes:
        limits: the connection and rate limits (smtpd_client_event_limit_exceptions).
        bare_newline: smtpd_forbid_bare_newline.
        sasl: being offered AUTH (smtpd_sasl_exceptions_networks).
        xclient: it may use XCLIENT (smtpd_authorized_xclient_hosts); it is then free of the limits, too.
        xforward: it may use XFORWARD (smtpd_authorized_xforward_hosts).
        verp: it may use XVERP (smtpd_authorized_verp_clients).
        unsure: EHLO keywords of which nobody knows whether it may have them, and why: a list cannot be asked.
    """

    limits: bool = False
    bare_newline: bool = False
    sasl: bool = False
    xclient: bool = False
    xforward: bool = False
    verp: bool = False
    unsure: tuple[tuple[str, str], ...] = ()


NOT_EXEMPT = Exemptions()


async def nobody_exempt(_client: Client) -> Exemptions:
    """No client is free of anything."""
    return NOT_EXEMPT


@dataclass(frozen=True, slots=True)
class Collaborators:
    """Whom a session asks. Shared by all sessions of a service.

    Attributes:
        forbidden_command: does this command word end the session (smtpd_forbidden_commands)?
        free_space: octets free where the queue lives; asked when queue_minfree is set.
        clock: seconds since the epoch.
        penalty: what wrong passwords cost a client; None: nothing but an error.
        flush: asks for the delivery of a domain's mail (ETRN); False when it may not be asked for.
        exemptions: what a client is free of; asked when the session begins, and after XCLIENT.
        tables: what the session itself looks up.
    """

    queue: Intake
    cleanup: Cleanup
    policy: Policy
    authenticator: Authenticator | None
    spool: Spool | None
    journal: ServiceLog
    limits: ClientLimits
    clock: Callable[[], float]
    forbidden_command: Callable[[str], Awaitable[bool]]
    free_space: Callable[[], int]
    tls_available: bool = False
    penalty: LoginPenalty | None = None
    flush: Callable[[str], Awaitable[bool]] | None = None
    exemptions: Callable[[Client], Awaitable[Exemptions]] = nobody_exempt
    tables: SessionTables = NO_TABLES
