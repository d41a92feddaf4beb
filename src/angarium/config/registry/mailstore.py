"""Parameters of the mailstore: accounts' mailboxes under ``virtual_mailbox_base``, and their quotas."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Type

_PROGRAM = "mailstore"
_STATUS_PROGRAM = "quota-status"

PARAMETERS = (
    Parameter(
        "mailstore_body_file_threshold",
        Type.SIZE,
        "524288",
        "Messages over this many bytes are kept in a file beside the account's database instead of in it.",
        _PROGRAM,
        minimum=4096,
        compatible=False,
    ),
    Parameter(
        "mailstore_bytes_limit",
        Type.SIZE,
        "0",
        "Bytes that an account may hold when the directory sets no limit for it or for its domain; 0 means none.",
        _PROGRAM,
        minimum=0,
        compatible=False,
    ),
    Parameter(
        "mailstore_duplicate_lifetime",
        Type.TIME,
        "10d",
        "How long a delivery is remembered, so that the same delivery made again after a crash is not stored twice. "
        "It should exceed maximal_queue_lifetime.",
        _PROGRAM,
        unit="d",
        minimum=1,
        compatible=False,
    ),
    Parameter(
        "mailstore_idle_limit",
        Type.TIME,
        "5s",
        "How long a process keeps an account's database open that it has no use for.",
        _PROGRAM,
        minimum=1,
        compatible=False,
    ),
    Parameter(
        "mailstore_mail_limit",
        Type.SIZE,
        "0",
        "Bytes that one message may have to be taken into a mailbox, when the directory sets no such limit for the "
        "account or for its domain; 0 means no limit.",
        _PROGRAM,
        minimum=0,
        compatible=False,
    ),
    Parameter(
        "mailstore_messages_limit",
        Type.INTEGER,
        "0",
        "Messages that an account may hold when the directory sets no limit for it or for its domain; 0 means none.",
        _PROGRAM,
        minimum=0,
        compatible=False,
    ),
    Parameter(
        "mailstore_open_accounts",
        Type.INTEGER,
        "100",
        "How many accounts' databases a process keeps open; each takes six file descriptors.",
        _PROGRAM,
        minimum=1,
        compatible=False,
    ),
    Parameter(
        "mailstore_quota_grace",
        Type.STRING,
        "10%",
        "By how much one delivery may exceed an account's limit of bytes, once: a share of the limit, or a size. The "
        "next delivery is refused. What a user stores himself (IMAP) has no grace.",
        _PROGRAM,
        compatible=False,
    ),
    Parameter(
        "mailstore_quota_maps",
        Type.TABLES,
        "",
        "Tables that say what an account may hold that the directory does not know, for servers whose accounts are in "
        "SQL or LDAP: the key is the account's name, the result a size in bytes (also 500M, 1G; 0 for no limit), and "
        "behind a blank a number of messages. What is not found has the limits of main.cf; a result without sense is a "
        "temporary error.",
        _PROGRAM,
        compatible=False,
    ),
    Parameter(
        "mailstore_quota_rules",
        Type.STRING,
        "",
        "Quota rules for folders, when the directory sets none for the account or for its domain: words of the form "
        'mailbox:storage=size, mailbox:messages=number or mailbox:ignore, for example "Trash:storage=+100M, '
        "\\Junk:ignore\". With + or - the account's limit is changed for what is saved there, also by a share of it "
        "(+10%); what is in an ignored folder is not counted. A name may have a * for any characters; with a "
        "backslash it is a special use. The first rule that matches holds.",
        _PROGRAM,
        compatible=False,
    ),
    Parameter(
        "mailstore_quota_template_directory",
        Type.STRING,
        "",
        'Where the texts of quota warnings are: in "warning" and, for what is below a threshold again, "below"; '
        '"domain-warning" and "domain-below" speak of a domain\'s limits. A file whose name has .user@domain or '
        ".domain appended is for those alone, in their language. What is not there is built in.",
        _PROGRAM,
        compatible=False,
    ),
    Parameter(
        "mailstore_quota_warning_postmaster",
        Type.BOOLEAN,
        "no",
        "The domain's postmaster gets a copy of each quota warning. He gets those about the domain's limits always.",
        _PROGRAM,
        compatible=False,
    ),
    Parameter(
        "mailstore_quota_warnings",
        Type.STRING,
        "",
        "Shares of a limit at which the user is sent a warning by mail, once each time that what he holds reaches one: "
        'for example "80%, 95%". With a minus sign, when it falls below that share again. storage=95% and '
        "messages=95% are about one resource. Empty: no warnings.",
        _PROGRAM,
        compatible=False,
    ),
    Parameter(
        "mailstore_writer_threads",
        Type.INTEGER,
        "4",
        "Threads of a process that write to mailboxes; one account at a time is written by each.",
        _PROGRAM,
        minimum=1,
        maximum=64,
        compatible=False,
    ),
    Parameter(
        "over_quota_action",
        Type.ENUM,
        "${{$over_quota_reject_code} < {500} ? {defer} : {bounce}}",
        "What becomes of a message that is in the queue already and finds a mailbox full: it is returned (bounce), or "
        "tried again until the queue's lifetime is over (defer).",
        _PROGRAM,
        choices=("bounce", "defer"),
        compatible=False,
    ),
    Parameter(
        "over_quota_reject_code",
        Type.INTEGER,
        "552",
        "The SMTP server's reply code for a recipient whose mailbox is full: 552 (with 5.2.2), or 452 (with 4.2.2) to "
        "let the client try again.",
        _PROGRAM,
        minimum=400,
        maximum=599,
        compatible=False,
    ),
    Parameter(
        "quota_status_nouser",
        Type.STRING,
        "DUNNO",
        "What the quota-status service answers for a recipient who has no mailbox here.",
        _STATUS_PROGRAM,
        minimum=1,
        compatible=False,
    ),
    Parameter(
        "quota_status_overquota",
        Type.STRING,
        "$over_quota_reject_code ${{$over_quota_reject_code} < {500} ? {4.2.2} : {5.2.2}} Mailbox is full",
        "What the quota-status service answers for a recipient whose mailbox has no room for the message: an action of "
        "access(5).",
        _STATUS_PROGRAM,
        minimum=1,
        compatible=False,
    ),
    Parameter(
        "quota_status_success",
        Type.STRING,
        "DUNNO",
        "What the quota-status service answers for a recipient whose mailbox has room for the message.",
        _STATUS_PROGRAM,
        minimum=1,
        compatible=False,
    ),
    Parameter(
        "quota_status_toolarge",
        Type.STRING,
        "552 5.2.3 Message is too large for the mailbox",
        "What the quota-status service answers when the message exceeds what the recipient's mailbox takes at all.",
        _STATUS_PROGRAM,
        minimum=1,
        compatible=False,
    ),
)
