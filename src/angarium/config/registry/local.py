"""Parameters of main.cf: local."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "alias_database",
        Type.TABLES,
        "hash:/etc/aliases",
        "",
        "local",
        Status.UNSUPPORTED,
        "newaliases is not there yet",
    ),
    Parameter(
        "alias_maps",
        Type.TABLES,
        "hash:/etc/aliases, nis:mail.aliases",
        "Tables of local aliases. For now they only tell which local recipients exist.",
        "local",
    ),
    Parameter("allow_mail_to_commands", Type.NAMES, "alias, forward", "", "local", Status.UNSUPPORTED),
    Parameter("allow_mail_to_files", Type.NAMES, "alias, forward", "", "local", Status.UNSUPPORTED),
    Parameter("allow_min_user", Type.BOOLEAN, "no", "Accept recipients that begin with a minus sign.", "local"),
    Parameter("biff", Type.BOOLEAN, "yes", "", "local", Status.NO_EFFECT, "nobody is told of new mail but by IMAP"),
    Parameter("command_execution_directory", Type.RAW, "", "", "local", Status.UNSUPPORTED),
    Parameter(
        "command_expansion_filter",
        Type.RAW,
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "",
        "local",
        Status.UNSUPPORTED,
    ),
    Parameter("command_time_limit", Type.TIME, "1000s", "", "local", Status.UNSUPPORTED),
    Parameter("default_privs", Type.STRING, "nobody", "", "local", Status.UNSUPPORTED),
    Parameter("deliver_lock_attempts", Type.INTEGER, "20", "", "local", Status.UNSUPPORTED, minimum=0),
    Parameter("deliver_lock_delay", Type.TIME, "1s", "", "local", Status.UNSUPPORTED),
    Parameter(
        "execution_directory_expansion_filter",
        Type.RAW,
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "",
        "local",
        Status.UNSUPPORTED,
    ),
    Parameter("expand_owner_alias", Type.BOOLEAN, "no", "", "local", Status.UNSUPPORTED),
    Parameter("fallback_transport", Type.STRING, "", "", "local", Status.UNSUPPORTED),
    Parameter("fallback_transport_maps", Type.TABLES, "", "", "local", Status.UNSUPPORTED),
    Parameter(
        "forward_expansion_filter",
        Type.RAW,
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "",
        "local",
        Status.UNSUPPORTED,
    ),
    Parameter(
        "forward_path",
        Type.RAW,
        "$home/.forward${recipient_delimiter}${extension}, $home/.forward",
        "",
        "local",
        Status.UNSUPPORTED,
    ),
    Parameter("frozen_delivered_to", Type.BOOLEAN, "yes", "", "local", Status.UNSUPPORTED),
    Parameter(
        "home_mailbox", Type.STRING, "", "", "local", Status.UNSUPPORTED, "delivery to system users is not there yet"
    ),
    Parameter("local_command_shell", Type.STRING, "", "", "local", Status.UNSUPPORTED),
    Parameter(
        "local_delivery_status_filter", Type.TABLES, "$default_delivery_status_filter", "", "local", Status.UNSUPPORTED
    ),
    Parameter("local_destination_concurrency_limit", Type.INTEGER, "2", "", "local", Status.UNSUPPORTED, minimum=0),
    Parameter("local_destination_recipient_limit", Type.INTEGER, "1", "", "local", Status.UNSUPPORTED, minimum=0),
    Parameter(
        "luser_relay", Type.RAW, "", "", "local", Status.UNSUPPORTED, "delivery to system users is not there yet"
    ),
    Parameter(
        "mail_spool_directory",
        Type.STRING,
        "/var/mail",
        "",
        "local",
        Status.UNSUPPORTED,
        "delivery to system users is not there yet",
    ),
    Parameter(
        "mailbox_command", Type.RAW, "", "", "local", Status.UNSUPPORTED, "delivery to system users is not there yet"
    ),
    Parameter("mailbox_command_maps", Type.TABLES, "", "", "local", Status.UNSUPPORTED),
    Parameter("mailbox_delivery_lock", Type.NAMES, "fcntl, dotlock", "", "local", Status.UNSUPPORTED),
    Parameter(
        "mailbox_size_limit",
        Type.SIZE,
        "51200000",
        "",
        "local",
        Status.UNSUPPORTED,
        "delivery to system users is not there yet",
        minimum=0,
    ),
    Parameter(
        "mailbox_transport",
        Type.STRING,
        "",
        "",
        "local",
        Status.UNSUPPORTED,
        "delivery to system users is not there yet",
    ),
    Parameter("mailbox_transport_maps", Type.TABLES, "", "", "local", Status.UNSUPPORTED),
    Parameter(
        "newaliases_path", Type.STRING, "/usr/bin/newaliases", "", "local", Status.NO_EFFECT, "read by scripts only"
    ),
    Parameter("require_home_directory", Type.BOOLEAN, "no", "", "local", Status.UNSUPPORTED),
    Parameter("reset_owner_alias", Type.BOOLEAN, "no", "", "local", Status.UNSUPPORTED),
    Parameter(
        "stale_lock_time",
        Type.TIME,
        "500s",
        "",
        "local",
        Status.NO_EFFECT,
        "the queue is a database, not a tree of files",
    ),
    Parameter("strict_mailbox_ownership", Type.BOOLEAN, "yes", "", "local", Status.UNSUPPORTED),
)
