"""Parameters of main.cf: bounce."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "2bounce_notice_recipient",
        Type.STRING,
        "postmaster",
        "Who is told of mail that can be neither delivered nor returned.",
        "bounce",
    ),
    Parameter(
        "backwards_bounce_logfile_compatibility",
        Type.BOOLEAN,
        "yes",
        "",
        "bounce",
        Status.NO_EFFECT,
        "there are no such files",
    ),
    Parameter(
        "bounce_notice_recipient",
        Type.STRING,
        "postmaster",
        "Who gets copies of bounces that notify_classes asks for.",
        "bounce",
    ),
    Parameter(
        "bounce_queue_lifetime",
        Type.TIME,
        "5d",
        "How long a bounce may wait in the queue before it is given up.",
        "bounce",
        unit="d",
    ),
    Parameter(
        "bounce_service_name",
        Type.STRING,
        "bounce",
        "",
        "bounce",
        Status.NO_EFFECT,
        "services find each other inside the process",
    ),
    Parameter(
        "bounce_size_limit",
        Type.SIZE,
        "50000",
        "How many bytes of a message a bounce carries at most.",
        "bounce",
        minimum=0,
    ),
    Parameter("bounce_template_file", Type.STRING, "", "A file with the texts of bounces.", "bounce"),
    Parameter(
        "defer_service_name",
        Type.STRING,
        "defer",
        "",
        "bounce",
        Status.NO_EFFECT,
        "services find each other inside the process",
    ),
    Parameter(
        "delay_notice_recipient",
        Type.STRING,
        "postmaster",
        "Who gets copies of delay warnings that notify_classes asks for.",
        "bounce",
    ),
    Parameter(
        "disable_verp_bounces",
        Type.BOOLEAN,
        "no",
        "Report the failed recipients of a VERP message together, to its own sender, in place of one report to each "
        "recipient's sender.",
        "bounce",
    ),
    Parameter(
        "double_bounce_sender",
        Type.STRING,
        "double-bounce",
        "The sender of mail whose bounces are to be dropped.",
        "bounce",
    ),
    Parameter(
        "enable_threaded_bounces",
        Type.BOOLEAN,
        "no",
        "Let bounces refer to the message that they report, so that mail clients show them together.",
        "bounce",
    ),
    Parameter(
        "error_notice_recipient",
        Type.STRING,
        "postmaster",
        "Who is told of other errors that notify_classes asks for.",
        "bounce",
        Status.UNSUPPORTED,
        "this notice is not sent yet",
    ),
    Parameter(
        "notify_classes", Type.NAMES, "resource, software", "Which troubles are reported to the postmaster.", "bounce"
    ),
    Parameter("soft_bounce", Type.BOOLEAN, "no", "Answer every refusal as temporary, for a time of trial.", "bounce"),
    Parameter(
        "trace_service_name",
        Type.STRING,
        "trace",
        "",
        "bounce",
        Status.NO_EFFECT,
        "services find each other inside the process",
    ),
    Parameter(
        "verp_delimiter_filter",
        Type.STRING,
        "-=+",
        "The characters that XVERP, sendmail -XV and default_verp_delimiters may have as VERP delimiters.",
        "bounce",
        minimum=1,
    ),
)
