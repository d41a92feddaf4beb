"""Parameters of main.cf: anvil."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Type

PARAMETERS = (
    Parameter(
        "anvil_rate_time_unit", Type.TIME, "60s", "The time over which the rates of a client are counted.", "anvil"
    ),
    Parameter(
        "anvil_status_update_time",
        Type.TIME,
        "600s",
        ("How often each worker writes the highest counts of connections, messages and the like into the log."),
        "anvil",
    ),
)
