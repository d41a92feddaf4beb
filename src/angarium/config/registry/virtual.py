"""Parameters of main.cf: virtual."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Type

PARAMETERS = (
    Parameter(
        "virtual_delivery_status_filter",
        Type.TABLES,
        "$default_delivery_status_filter",
        "Tables that put the status code and text of a delivery's outcome otherwise.",
        "virtual",
    ),
    Parameter(
        "virtual_gid_maps",
        Type.TABLES,
        "",
        "Tables of the group ids with which mailboxes are written, by recipient: for virtual_mailbox_format = files.",
        "virtual",
    ),
    Parameter(
        "virtual_mailbox_base",
        Type.STRING,
        "",
        "The directory of the accounts' mailboxes; with virtual_mailbox_format = files the one that the paths in "
        "virtual_mailbox_maps are below.",
        "virtual",
    ),
    Parameter(
        "virtual_mailbox_domains",
        Type.TABLES,
        "$virtual_mailbox_maps",
        "Domains whose recipients have mailboxes here.",
        "virtual",
    ),
    Parameter(
        "virtual_mailbox_format",
        Type.ENUM,
        "mailstore",
        "What virtual delivers to: the mailstore that imapd and pop3d serve, or Maildirs (where the value in "
        "virtual_mailbox_maps ends in a slash) and mailbox files of the users in virtual_uid_maps. It may be set for "
        "one line of master.cf.",
        "virtual",
        choices=("mailstore", "files"),
        compatible=False,
    ),
    Parameter(
        "virtual_mailbox_limit",
        Type.SIZE,
        "51200000",
        "The size of a mailbox file, or of a file in a Maildir, that no delivery may exceed; 0: none. "
        "Quotas bound accounts of the mailstore.",
        "virtual",
        minimum=0,
    ),
    Parameter(
        "virtual_mailbox_lock",
        Type.NAMES,
        "fcntl, dotlock",
        "How mailbox files are locked: fcntl, flock, dotlock.",
        "virtual",
    ),
    Parameter(
        "virtual_mailbox_maps", Type.TABLES, "", "Tables of all recipients in virtual_mailbox_domains.", "virtual"
    ),
    Parameter(
        "virtual_minimum_uid",
        Type.INTEGER,
        "100",
        "The least user id that virtual_uid_maps may give; mail for others waits.",
        "virtual",
        minimum=0,
    ),
    Parameter(
        "virtual_transport", Type.STRING, "virtual", "The transport of mail for virtual_mailbox_domains.", "virtual"
    ),
    Parameter(
        "virtual_uid_maps",
        Type.TABLES,
        "",
        "Tables of the user ids with which mailboxes are written, by recipient: for virtual_mailbox_format = files.",
        "virtual",
    ),
)
