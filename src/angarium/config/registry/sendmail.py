"""Parameters of main.cf: sendmail."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "authorized_flush_users",
        Type.TABLES,
        "static:anyone",
        "",
        "sendmail",
        Status.UNSUPPORTED,
        "the commands do not ask yet",
    ),
    Parameter(
        "authorized_mailq_users",
        Type.TABLES,
        "static:anyone",
        "",
        "sendmail",
        Status.UNSUPPORTED,
        "the commands do not ask yet",
    ),
    Parameter(
        "authorized_submit_users",
        Type.TABLES,
        "static:anyone",
        "Local users who may submit mail with the sendmail command.",
        "sendmail",
    ),
    Parameter(
        "local_login_sender_maps",
        Type.TABLES,
        "static:*",
        "",
        "sendmail",
        Status.UNSUPPORTED,
        "the commands do not ask yet",
    ),
    Parameter(
        "sendmail_fix_line_endings",
        Type.ENUM,
        "always",
        "Whether the sendmail command takes a carriage return before a line feed for a part of the line end: always, "
        "never, or as the first line has it.",
        "sendmail",
        choices=(
            "always",
            "never",
            "strict",
        ),
    ),
    Parameter(
        "sendmail_path",
        Type.STRING,
        "/usr/sbin/sendmail",
        "Where the sendmail command is: postfix set-permissions writes the script that starts fast there, when what is "
        "there is a script of ours.",
        "sendmail",
    ),
)
