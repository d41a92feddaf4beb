"""Parameters of main.cf: local."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "alias_database",
        Type.TABLES,
        "hash:/etc/aliases",
        "The alias tables that newaliases and sendmail -bi build. Tables in alias_maps alone are not built by them.",
        "local",
    ),
    Parameter(
        "alias_maps",
        Type.TABLES,
        "hash:/etc/aliases, nis:mail.aliases",
        "Tables of local aliases: people, lists, commands and files.",
        "local",
    ),
    Parameter(
        "allow_mail_to_commands",
        Type.NAMES,
        "alias, forward",
        "Where a command may stand that gets mail: alias, forward, include.",
        "local",
    ),
    Parameter(
        "allow_mail_to_files",
        Type.NAMES,
        "alias, forward",
        "Where a file may stand that gets mail: alias, forward, include.",
        "local",
    ),
    Parameter("allow_min_user", Type.BOOLEAN, "no", "Accept recipients that begin with a minus sign.", "local"),
    Parameter(
        "biff", Type.BOOLEAN, "yes", "", "local", Status.NO_EFFECT, "there is no comsat service to tell of new mail"
    ),
    Parameter(
        "command_execution_directory",
        Type.RAW,
        "",
        "The directory in which commands for deliveries run; the queue directory when it is empty.",
        "local",
    ),
    Parameter(
        "command_expansion_filter",
        Type.RAW,
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "The characters that may stand in the environment of commands; others become underscores.",
        "local",
    ),
    Parameter("command_time_limit", Type.TIME, "1000s", "How long a command for a delivery may run.", "local"),
    Parameter(
        "default_privs",
        Type.STRING,
        "nobody",
        "The user for commands and files of aliases that nobody owns but root.",
        "local",
    ),
    Parameter("deliver_lock_attempts", Type.INTEGER, "20", "How often a locked mailbox is tried.", "local", minimum=0),
    Parameter("deliver_lock_delay", Type.TIME, "1s", "The time between these attempts.", "local"),
    Parameter(
        "execution_directory_expansion_filter",
        Type.RAW,
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "The characters that may stand in what is filled into command_execution_directory.",
        "local",
    ),
    Parameter(
        "expand_owner_alias",
        Type.BOOLEAN,
        "no",
        "The sender of mail to a list becomes what owner-list stands for, instead of owner-list itself.",
        "local",
    ),
    Parameter(
        "fallback_transport",
        Type.STRING,
        "",
        "The transport for local recipients who are neither aliases nor users.",
        "local",
    ),
    Parameter("fallback_transport_maps", Type.TABLES, "", "Tables that give such a transport by recipient.", "local"),
    Parameter(
        "forward_expansion_filter",
        Type.RAW,
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "The characters that may stand in what is filled into forward_path.",
        "local",
    ),
    Parameter(
        "forward_path",
        Type.RAW,
        "$home/.forward${recipient_delimiter}${extension}, $home/.forward",
        "The files in which users say where their mail goes; the first that is there counts.",
        "local",
    ),
    Parameter(
        "frozen_delivered_to",
        Type.BOOLEAN,
        "yes",
        "The Delivered-To header names the address that mail came for; no: the alias or user that sent it on last.",
        "local",
    ),
    Parameter(
        "home_mailbox",
        Type.STRING,
        "",
        "A user's mailbox, relative to the home directory; with a slash at the end it is a Maildir.",
        "local",
    ),
    Parameter(
        "local_command_shell",
        Type.STRING,
        "",
        "The shell that runs commands for deliveries; empty: sh, and only where it must.",
        "local",
    ),
    Parameter(
        "local_delivery_status_filter",
        Type.TABLES,
        "$default_delivery_status_filter",
        "Tables that put the status code and text of a delivery's outcome otherwise.",
        "local",
    ),
    Parameter(
        "local_destination_concurrency_limit",
        Type.INTEGER,
        "2",
        "How many deliveries to one local recipient may run at once.",
        "local",
        minimum=0,
    ),
    Parameter(
        "local_destination_recipient_limit",
        Type.INTEGER,
        "1",
        "How many recipients one local delivery may have.",
        "local",
        minimum=0,
    ),
    Parameter("luser_relay", Type.RAW, "", "Where mail for unknown local users goes; empty: back.", "local"),
    Parameter(
        "mail_spool_directory",
        Type.STRING,
        "/var/mail",
        "Where mailboxes of users are; with a slash at the end they are Maildirs.",
        "local",
    ),
    Parameter(
        "mailbox_command", Type.RAW, "", "A command that gets the mail of users, in place of a mailbox.", "local"
    ),
    Parameter(
        "mailbox_command_maps", Type.TABLES, "", "Tables that give a user a mailbox_command of his own.", "local"
    ),
    Parameter(
        "mailbox_delivery_lock",
        Type.NAMES,
        "fcntl, dotlock",
        "How mailboxes are locked: fcntl, flock, dotlock.",
        "local",
    ),
    Parameter(
        "mailbox_size_limit",
        Type.SIZE,
        "51200000",
        "The size of a mailbox, or of a file in a Maildir, that no delivery may exceed; 0: none.",
        "local",
        minimum=0,
    ),
    Parameter(
        "mailbox_transport",
        Type.STRING,
        "",
        "The transport that delivers to users in place of local delivery, whether the system knows them or not.",
        "local",
    ),
    Parameter("mailbox_transport_maps", Type.TABLES, "", "Tables that give such a transport by user.", "local"),
    Parameter(
        "newaliases_path",
        Type.STRING,
        "/usr/bin/newaliases",
        "Where the newaliases command is; see sendmail_path.",
        "local",
    ),
    Parameter(
        "require_home_directory",
        Type.BOOLEAN,
        "no",
        "Mail for a user whose home directory is not there waits.",
        "local",
    ),
    Parameter(
        "reset_owner_alias",
        Type.BOOLEAN,
        "no",
        "An alias without an owner- alias does not inherit that of the alias that names it.",
        "local",
    ),
    Parameter(
        "stale_lock_time", Type.TIME, "500s", "The age from which a lock file beside a mailbox is nobody's.", "local"
    ),
    Parameter(
        "strict_mailbox_ownership", Type.BOOLEAN, "yes", "Mail for a mailbox that somebody else owns waits.", "local"
    ),
)
