"""Parameters of main.cf: pipe."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Type

PARAMETERS = (
    Parameter(
        "pipe_delivery_status_filter",
        Type.TABLES,
        "$default_delivery_status_filter",
        "Tables that put the status code and text of a delivery's outcome otherwise.",
        "pipe",
    ),
)
