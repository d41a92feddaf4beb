"""Parameters of main.cf: sendmail."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Type

PARAMETERS = (
    Parameter(
        "authorized_flush_users",
        Type.TABLES,
        "static:anyone",
        "Local users who may have waiting mail delivered at once with the postqueue and sendmail commands. "
        "Root and mail_owner always may.",
        "sendmail",
    ),
    Parameter(
        "authorized_mailq_users",
        Type.TABLES,
        "static:anyone",
        "Local users who may see the mail queue. Root and mail_owner always may.",
        "sendmail",
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
        "Tables from a login name (uid:NUMBER without one) to the envelope senders that the user may have: "
        "addresses, @domain, * for all, <> for the empty one.",
        "sendmail",
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
