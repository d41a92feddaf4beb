"""Parameters of main.cf: scache."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "connection_cache_protocol_timeout",
        Type.TIME,
        "5s",
        "",
        "scache",
        Status.NO_EFFECT,
        "connections are kept inside the process",
    ),
    Parameter(
        "connection_cache_service_name",
        Type.STRING,
        "scache",
        "",
        "scache",
        Status.NO_EFFECT,
        "services find each other inside the process",
    ),
    Parameter(
        "connection_cache_status_update_time",
        Type.TIME,
        "600s",
        "",
        "scache",
        Status.NO_EFFECT,
        "connections are kept inside the process",
    ),
    Parameter(
        "connection_cache_ttl_limit",
        Type.TIME,
        "2s",
        "",
        "scache",
        Status.NO_EFFECT,
        "connections are kept inside the process",
    ),
)
