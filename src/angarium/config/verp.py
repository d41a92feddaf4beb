"""The VERP delimiters of main.cf, which have to fit one another (VERP_README of Postfix)."""

from __future__ import annotations

from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.model.verp import VerpRules

_POSITIONS = ("first", "second")


def verp_rules(conf: Config) -> VerpRules:
    """default_verp_delimiters and verp_delimiter_filter.

    Raises:
        ConfigError: one of them has not the length that it must have, or a default is not among what may be used.
    """
    rules = VerpRules(conf.text("default_verp_delimiters"), conf.text("verp_delimiter_filter"))
    for position, character in zip(_POSITIONS, rules.default, strict=True):
        if character not in rules.allowed:
            text = (
                f"parameters default_verp_delimiters and verp_delimiter_filter: bad {position} VERP delimiter character"
            )
            setting = conf.setting("default_verp_delimiters") or conf.setting("verp_delimiter_filter")
            place = (setting.file, setting.line) if setting is not None else ("", 0)
            raise ConfigError(text, *place)
    return rules
