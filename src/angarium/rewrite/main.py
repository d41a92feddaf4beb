"""Makes the resolver of one configuration."""

from __future__ import annotations

import time

from angarium.config.config import Config
from angarium.rewrite.parameters import RewriteParameters
from angarium.rewrite.recent import RecentRewrite
from angarium.rewrite.resolve import TrivialRewrite
from angarium.tables.opener import TableOpener


def make_resolver(conf: Config, opener: TableOpener) -> TrivialRewrite:
    """The resolver of this configuration.

    Raises:
        ConfigError: a parameter that rewriting needs has no sense.
    """
    return TrivialRewrite(RewriteParameters.from_config(conf), opener)


def make_probe_resolver(conf: Config, opener: TableOpener, usual: TrivialRewrite) -> TrivialRewrite:
    """The resolver of address verification: the usual one, unless probes take ways of their own."""
    parameters = usual.parameters.for_probes(conf)
    return usual if parameters == usual.parameters else TrivialRewrite(parameters, opener)


def make_shared_resolver(conf: Config, opener: TableOpener) -> TrivialRewrite:
    """The resolver that policy, cleanup and the queue manager of a process share: it remembers for a moment.

    Raises:
        ConfigError: a parameter that rewriting needs has no sense.
    """
    return RecentRewrite(RewriteParameters.from_config(conf), opener, time.monotonic)
