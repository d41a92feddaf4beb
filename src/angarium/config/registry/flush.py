"""Parameters of main.cf: flush."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "fast_flush_domains", Type.TABLES, "$relay_domains", "Domains whose waiting mail ETRN may flush.", "flush"
    ),
    Parameter(
        "fast_flush_purge_time",
        Type.TIME,
        "7d",
        "",
        "flush",
        Status.NO_EFFECT,
        "the queue itself is asked, there is no record beside it",
        unit="d",
    ),
    Parameter(
        "fast_flush_refresh_time",
        Type.TIME,
        "12h",
        "",
        "flush",
        Status.NO_EFFECT,
        "the queue itself is asked, there is no record beside it",
        unit="h",
    ),
    Parameter(
        "flush_service_name",
        Type.STRING,
        "flush",
        "",
        "flush",
        Status.NO_EFFECT,
        "services find each other inside the process",
    ),
)
