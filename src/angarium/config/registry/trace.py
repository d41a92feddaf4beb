"""Parameters of main.cf: the event store of ``angarium trace``. Postfix has none of them."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Type

PARAMETERS = (
    Parameter(
        "trace_directory",
        Type.STRING,
        "${data_directory}/trace",
        "Where what happened to each message is kept for a while, for angarium trace.",
        "trace",
        minimum=1,
        compatible=False,
    ),
    Parameter(
        "trace_enable",
        Type.BOOLEAN,
        "yes",
        "Keep what happened to each message, beside the log.",
        "trace",
        compatible=False,
    ),
    Parameter(
        "trace_lifetime",
        Type.TIME,
        "4w",
        "How long what happened is kept, if trace_size_limit does not end it before. 0: as long as there is room.",
        "trace",
        unit="d",
        compatible=False,
    ),
    Parameter(
        "trace_size_limit",
        Type.INTEGER,
        "134217728",
        "Octets that trace_directory may hold; the oldest events make room for new ones.",
        "trace",
        minimum=131072,
        compatible=False,
    ),
)
