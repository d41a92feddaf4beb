"""Fuzzes master.cf: any bytes are services that print and read again, or a ConfigError."""

from __future__ import annotations

import sys

from angarium.config.error import ConfigError
from angarium.config.lines import decode
from angarium.config.master_cf import parse_master_cf
from angarium.config.render import service_line


def one_input(data: bytes) -> None:
    """One input."""
    try:
        services = parse_master_cf(decode(data), "master.cf").services
    except ConfigError:
        return
    for entry in services:
        assert service_line(entry)
        assert service_line(entry, fold=True)


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
