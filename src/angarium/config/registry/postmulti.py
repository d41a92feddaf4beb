"""Parameters of main.cf: postmulti."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "multi_instance_directories", Type.NAMES, "", "", "postmulti", Status.UNSUPPORTED, "there is no postmulti yet"
    ),
    Parameter(
        "multi_instance_enable", Type.BOOLEAN, "no", "", "postmulti", Status.UNSUPPORTED, "there is no postmulti yet"
    ),
    Parameter(
        "multi_instance_group", Type.STRING, "", "", "postmulti", Status.UNSUPPORTED, "there is no postmulti yet"
    ),
    Parameter("multi_instance_name", Type.STRING, "", "", "postmulti", Status.UNSUPPORTED, "there is no postmulti yet"),
    Parameter(
        "multi_instance_wrapper", Type.STRING, "", "", "postmulti", Status.UNSUPPORTED, "there is no postmulti yet"
    ),
    Parameter(
        "postmulti_control_commands",
        Type.NAMES,
        "reload flush",
        "",
        "postmulti",
        Status.UNSUPPORTED,
        "there is no postmulti yet",
    ),
    Parameter(
        "postmulti_start_commands",
        Type.NAMES,
        "start",
        "",
        "postmulti",
        Status.UNSUPPORTED,
        "there is no postmulti yet",
    ),
    Parameter(
        "postmulti_stop_commands",
        Type.NAMES,
        "stop abort drain quick-stop",
        "",
        "postmulti",
        Status.UNSUPPORTED,
        "there is no postmulti yet",
    ),
)
