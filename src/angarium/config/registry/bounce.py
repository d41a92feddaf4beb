"""Parameters of main.cf: bounce."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter("2bounce_notice_recipient", Type.STRING, "postmaster", "", "bounce"),
    Parameter(
        "backwards_bounce_logfile_compatibility",
        Type.BOOLEAN,
        "yes",
        "",
        "bounce",
        Status.NO_EFFECT,
        "there are no such files",
    ),
    Parameter("bounce_notice_recipient", Type.STRING, "postmaster", "", "bounce"),
    Parameter("bounce_queue_lifetime", Type.TIME, "5d", "", "bounce", unit="d"),
    Parameter(
        "bounce_service_name",
        Type.STRING,
        "bounce",
        "",
        "bounce",
        Status.NO_EFFECT,
        "services find each other inside the process",
    ),
    Parameter("bounce_size_limit", Type.SIZE, "50000", "", "bounce", minimum=0),
    Parameter("bounce_template_file", Type.STRING, "", "", "bounce", Status.UNSUPPORTED),
    Parameter(
        "defer_service_name",
        Type.STRING,
        "defer",
        "",
        "bounce",
        Status.NO_EFFECT,
        "services find each other inside the process",
    ),
    Parameter("delay_notice_recipient", Type.STRING, "postmaster", "", "bounce"),
    Parameter("disable_verp_bounces", Type.BOOLEAN, "no", "", "bounce", Status.UNSUPPORTED),
    Parameter("double_bounce_sender", Type.STRING, "double-bounce", "", "bounce"),
    Parameter("enable_threaded_bounces", Type.BOOLEAN, "no", "", "bounce"),
    Parameter("error_notice_recipient", Type.STRING, "postmaster", "", "bounce", Status.UNSUPPORTED),
    Parameter("notify_classes", Type.NAMES, "resource, software", "", "bounce"),
    Parameter("soft_bounce", Type.BOOLEAN, "no", "", "bounce"),
    Parameter(
        "trace_service_name",
        Type.STRING,
        "trace",
        "",
        "bounce",
        Status.NO_EFFECT,
        "services find each other inside the process",
    ),
    Parameter("verp_delimiter_filter", Type.STRING, "-=+", "", "bounce", Status.UNSUPPORTED),
)
