"""Parameters of main.cf: pipe."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "pipe_delivery_status_filter",
        Type.TABLES,
        "$default_delivery_status_filter",
        "",
        "pipe",
        Status.UNSUPPORTED,
        "delivery status codes are not rewritten yet",
    ),
)
