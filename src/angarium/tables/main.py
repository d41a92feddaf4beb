"""Makes the opener of lookup tables of one configuration."""

from __future__ import annotations

from angarium.config.config import Config
from angarium.directory.interface import Directory
from angarium.runtime.log import ServiceLog
from angarium.tables.directory import directory_factory
from angarium.tables.opener import TableOpener


def make_opener(conf: Config, directory: Directory | None, log: ServiceLog, *, substitutes: bool = True) -> TableOpener:
    """The opener that a process shares.

    Args:
        conf: relative file names start from its directory.
        directory: what stands behind ``directory:``; None: that type is unsupported.
        log: takes the warnings about tables.
        substitutes: see ``TableOpener``.
    """
    extra = {} if directory is None else {"directory": directory_factory(directory)}
    return TableOpener(
        log.warning,
        extra,
        conf.directory,
        lambda name: conf.text(name) if conf.setting(name) else None,
        utf8=conf.boolean("smtputf8_enable"),
        default_type=conf.text("default_database_type"),
        substitutes=substitutes,
    )
