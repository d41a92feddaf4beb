"""Makes the policy of one smtpd service."""

from __future__ import annotations

from angarium.config.config import Config
from angarium.policy.engine import RestrictionPolicy
from angarium.policy.parameters import PolicyParameters
from angarium.policy.recipients import RecipientTables
from angarium.policy.room import MailboxRoom, QuotaCheck
from angarium.policy.verification import AddressVerifier
from angarium.rewrite.resolve import TrivialRewrite
from angarium.runtime.dns import Resolver
from angarium.runtime.log import ServiceLog
from angarium.tables.opener import TableOpener


def make_policy(
    conf: Config,
    resolver: TrivialRewrite,
    opener: TableOpener,
    log: ServiceLog,
    quota: QuotaCheck | None = None,
    dns: Resolver | None = None,
    verifier: AddressVerifier | None = None,
) -> RestrictionPolicy:
    """The policy of a service.

    Args:
        conf: with the ``-o`` overrides of the service in master.cf.
        resolver: of ``make_resolver``, shared by all services.
        opener: of ``make_opener``, shared by all services.
        log: of the service: ``postfix/smtpd``, ``postfix/submission/smtpd``.
        quota: whether a mailbox has room, asked for recipients whose transport is the mailstore; None: not at RCPT.
        dns: for restrictions that ask it; None: those have no opinion.
        verifier: probes addresses for reject_unverified_*; None: those have no opinion.

    Raises:
        ConfigError: a parameter that the restrictions need has no sense.
    """
    return RestrictionPolicy(PolicyParameters.from_config(conf), resolver, opener, log, quota, dns, verifier)


def make_room(conf: Config, resolver: TrivialRewrite, opener: TableOpener, quota: QuotaCheck) -> MailboxRoom:
    """What tells whether the mailbox of a recipient has room, as the policy of a service does at RCPT."""
    parameters = PolicyParameters.from_config(conf)
    recipients = RecipientTables(parameters, opener, resolver.is_own)
    return MailboxRoom(recipients, parameters.mailstore_transports, quota)
