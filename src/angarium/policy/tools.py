"""What the restrictions of one service share, and what a restriction is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from angarium.model.verdict import Verdict
from angarium.policy.access import AccessTables
from angarium.policy.delegation import PolicyClient, ServiceSettings
from angarium.policy.evaluation import Evaluation
from angarium.policy.recipients import RecipientTables
from angarium.runtime.dns import Resolver
from angarium.tables.maps import Maps
from angarium.tables.matchlist import MatchList

if TYPE_CHECKING:
    from angarium.policy.verification import AddressVerifier


@dataclass(frozen=True, slots=True)
class Tools:
    """What restrictions of one service share.

    Attributes:
        recipients: the tables that know our addresses.
        access: access(5).
        logins: smtpd_sender_login_maps.
        client_certificates: relay_clientcerts.
        is_own: whether bare users may stand for addresses of a domain.
        own_addresses: the IP addresses of inet_interfaces and proxy_interfaces.
        rbl_replies: rbl_reply_maps.
        backup_networks: permit_mx_backup_networks.
        services: asks policy servers.
        service: their settings.
        verifier: probes addresses; None: reject_unverified_* have no opinion.
        dns: for the restrictions that ask it; None: they have no opinion.
    """

    recipients: RecipientTables
    access: AccessTables
    logins: Maps
    client_certificates: Maps
    is_own: Callable[[str], Awaitable[bool]]
    own_addresses: frozenset[str]
    rbl_replies: Maps
    backup_networks: MatchList
    services: PolicyClient
    service: ServiceSettings
    verifier: AddressVerifier | None = None
    dns: Resolver | None = None


Restriction = Callable[[Evaluation, Tools, str], Awaitable[Verdict | None]]
"""``(evaluation, tools, argument)`` -> a verdict, or None: no opinion."""
