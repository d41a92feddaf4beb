"""Parameters of main.cf that Postfix does not have and that belong to no single program."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "log_format",
        Type.ENUM,
        "text",
        "How log lines are written: text as Postfix and Dovecot write it, or json, one object a line.",
        "log",
        choices=(
            "text",
            "json",
        ),
        compatible=False,
    ),
    Parameter(
        "log_dialect",
        Type.ENUM,
        "3.9",
        "The release of Postfix whose log lines are written.",
        "log",
        Status.NO_EFFECT,
        "there is one dialect yet",
        choices=("3.9",),
        compatible=False,
    ),
    Parameter(
        "file_check_interval",
        Type.TIME,
        "60s",
        (
            "How often the master looks whether TLS keys, and tables that root alone may read, have changed, for new "
            "processes to take them up; 0: only at a reload."
        ),
        "master",
        compatible=False,
    ),
    Parameter(
        "smtpd_direct_delivery",
        Type.BOOLEAN,
        "yes",
        (
            "Deliver a message with one recipient in the mailstore before it is acknowledged, instead "
            "of queueing it first. What cannot be delivered at once is queued as ever."
        ),
        "smtpd",
        compatible=False,
    ),
    Parameter(
        "worker_processes",
        Type.STRING,
        "auto",
        ("Processes that serve network clients: auto is one a core; 0 runs the whole server in one process."),
        "master",
        compatible=False,
    ),
)
