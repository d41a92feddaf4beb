"""Fuzzes main.cf: any bytes are settings that expand, or a ConfigError."""

from __future__ import annotations

import sys
from pathlib import Path

from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.lines import decode
from angarium.config.main_cf import parse_main_cf
from angarium.config.usage import examine


def one_input(data: bytes) -> None:
    """One input."""
    try:
        config = Config(Path("/nowhere"), parse_main_cf(decode(data), "main.cf"))
    except ConfigError:
        return
    for name in config.main.settings:
        try:
            config.check(name)
        except ConfigError:
            continue
    try:
        examine(config)
    except ConfigError:
        return


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
