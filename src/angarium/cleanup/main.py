"""Makes the cleanup service of one configuration."""

from __future__ import annotations

from angarium.cleanup.parameters import CleanupParameters
from angarium.cleanup.process import CleanupService
from angarium.config.config import Config
from angarium.rewrite.resolve import TrivialRewrite
from angarium.runtime.log import ServiceLog
from angarium.runtime.spool import Spool
from angarium.tables.opener import TableOpener


def make_cleanup(
    conf: Config,
    resolver: TrivialRewrite,
    opener: TableOpener,
    log: ServiceLog,
    spool: Spool | None = None,
    service: Config | None = None,
) -> CleanupService:
    """The cleanup behind one smtpd or pickup service.

    Args:
        conf: with the ``-o`` overrides of the cleanup service in master.cf.
        resolver: of ``make_resolver``, shared.
        opener: of ``make_opener``, shared.
        log: tagged ``postfix/cleanup``.
        spool: of the process; None keeps what cleanup changes in memory.
        service: with the overrides of the service that takes mail in: it is there that Postfix has
            ``local_header_rewrite_clients``, ``receive_override_options``, ``content_filter``,
            ``smtpd_tls_received_header`` and ``smtpd_sasl_authenticated_header``. None: without.

    Raises:
        ConfigError: a parameter that cleanup needs has no sense.
    """
    return CleanupService(CleanupParameters.from_config(conf, service), resolver, opener, log, spool)
