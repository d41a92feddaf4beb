"""The lookup tables that a session itself asks: footers of refusals, command lines, EHLO keywords by client.

All are empty in nearly every configuration, and then nothing is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from angarium.config.config import Config
from angarium.tables.maps import Maps
from angarium.tables.opener import TableOpener


def _none() -> Maps:
    return Maps("", ())


@dataclass(frozen=True, slots=True)
class SessionTables:
    """The tables of a service.

    Attributes:
        footers: smtpd_reject_footer_maps, by the first line of a refusal.
        commands: smtpd_command_filter, by a client's command line.
        ehlo_keywords: smtpd_discard_ehlo_keyword_address_maps, by the client's address.
    """

    footers: Maps = field(default_factory=_none)
    commands: Maps = field(default_factory=_none)
    ehlo_keywords: Maps = field(default_factory=_none)


NO_TABLES = SessionTables()


def make_session_tables(conf: Config, opener: TableOpener) -> SessionTables:
    """Open what main.cf names."""

    def maps(name: str) -> Maps:
        return Maps.open(name, conf.names(name), opener)

    return SessionTables(
        maps("smtpd_reject_footer_maps"),
        maps("smtpd_command_filter"),
        maps("smtpd_discard_ehlo_keyword_address_maps"),
    )
