"""Makes the cleanup service of one configuration."""

from __future__ import annotations

from angarium.cleanup.parameters import CleanupParameters
from angarium.cleanup.process import CleanupService
from angarium.config.config import Config
from angarium.rewrite.resolve import TrivialRewrite
from angarium.runtime.log import ServiceLog
from angarium.tables.opener import TableOpener


def make_cleanup(conf: Config, resolver: TrivialRewrite, opener: TableOpener, log: ServiceLog) -> CleanupService:
    """The cleanup service.

    Args:
        conf: with the ``-o`` overrides of the cleanup service in master.cf.
        resolver: of ``make_resolver``, shared.
        opener: of ``make_opener``, shared.
        log: tagged ``postfix/cleanup``.

    Raises:
        ConfigError: a parameter that cleanup needs has no sense.
    """
    return CleanupService(CleanupParameters.from_config(conf), resolver, opener, log)
