"""Fuzzes the checks: any main.cf and master.cf have findings, each with a text and a hint, or are refused whole."""

from __future__ import annotations

import sys
from pathlib import Path

from angarium.commands.check import domains, names, networks, relay, restrictions, services, settings
from angarium.commands.check.installation import Installation
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.lines import decode
from angarium.config.main_cf import parse_main_cf
from angarium.config.master_cf import parse_master_cf

FAMILIES = (names, settings, services, domains, networks, restrictions, relay)


def one_input(data: bytes) -> None:
    """One input: main.cf, an empty line of two NULs, master.cf."""
    main, _mark, master = data.partition(b"\0\0")
    try:
        config = Config(Path("/nowhere"), parse_main_cf(decode(main), "main.cf"))
        config.__dict__["master"] = parse_master_cf(decode(master), "master.cf")
        site = Installation(config, config.master.services)
        for family in FAMILIES:
            for finding in family.check(site):
                str(finding), finding.hint
    except ConfigError:
        return


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
