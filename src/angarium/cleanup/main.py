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
    conf: Config, resolver: TrivialRewrite, opener: TableOpener, log: ServiceLog, spool: Spool | None = None
) -> CleanupService:
    """The cleanup behind one smtpd or pickup service.

    Args:
        conf: with the ``-o`` overrides of that service in master.cf: it is there that Postfix has
            ``local_header_rewrite_clients``, ``smtpd_tls_received_header`` and ``smtpd_sasl_authenticated_header``.
        resolver: of ``make_resolver``, shared.
        opener: of ``make_opener``, shared.
        log: tagged ``postfix/cleanup``.
        spool: of the process; None keeps what cleanup changes in memory.

    Raises:
        ConfigError: a parameter that cleanup needs has no sense.
    """
    return CleanupService(CleanupParameters.from_config(conf), resolver, opener, log, spool)
