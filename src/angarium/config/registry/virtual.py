"""Parameters of main.cf: virtual."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "virtual_delivery_status_filter",
        Type.TABLES,
        "$default_delivery_status_filter",
        "",
        "virtual",
        Status.UNSUPPORTED,
        "delivery status codes are not rewritten yet",
    ),
    Parameter(
        "virtual_gid_maps", Type.TABLES, "", "", "virtual", Status.NO_EFFECT, "all mailboxes belong to mail_owner"
    ),
    Parameter("virtual_mailbox_base", Type.STRING, "", "The directory of the accounts' mailboxes.", "virtual"),
    Parameter(
        "virtual_mailbox_domains",
        Type.TABLES,
        "$virtual_mailbox_maps",
        "Domains whose recipients have mailboxes here.",
        "virtual",
    ),
    Parameter(
        "virtual_mailbox_limit",
        Type.SIZE,
        "51200000",
        "",
        "virtual",
        Status.NO_EFFECT,
        "quotas of the directory bound mailboxes",
        minimum=0,
    ),
    Parameter(
        "virtual_mailbox_lock", Type.NAMES, "fcntl, dotlock", "", "virtual", Status.NO_EFFECT, "mailboxes are databases"
    ),
    Parameter(
        "virtual_mailbox_maps", Type.TABLES, "", "Tables of all recipients in virtual_mailbox_domains.", "virtual"
    ),
    Parameter(
        "virtual_minimum_uid",
        Type.INTEGER,
        "100",
        "",
        "virtual",
        Status.NO_EFFECT,
        "all mailboxes belong to mail_owner",
        minimum=0,
    ),
    Parameter(
        "virtual_transport", Type.STRING, "virtual", "The transport of mail for virtual_mailbox_domains.", "virtual"
    ),
    Parameter(
        "virtual_uid_maps", Type.TABLES, "", "", "virtual", Status.NO_EFFECT, "all mailboxes belong to mail_owner"
    ),
)
