"""Makes the resolver of one configuration."""

from __future__ import annotations

from angarium.config.config import Config
from angarium.rewrite.parameters import RewriteParameters
from angarium.rewrite.resolve import TrivialRewrite
from angarium.tables.opener import TableOpener


def make_resolver(conf: Config, opener: TableOpener) -> TrivialRewrite:
    """The resolver that policy, cleanup and the queue manager of this configuration share.

    Raises:
        ConfigError: a parameter that rewriting needs has no sense.
    """
    return TrivialRewrite(RewriteParameters.from_config(conf), opener)
