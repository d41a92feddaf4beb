"""Parameters of the mailstore: accounts' mailboxes under ``virtual_mailbox_base``."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Type

_PROGRAM = "mailstore"

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
        "Bytes that an account may hold when the directory sets no quota of its own for it; 0 means no limit.",
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
        "mailstore_messages_limit",
        Type.INTEGER,
        "0",
        "Messages that an account may hold when the directory sets no quota of its own for it; 0 means no limit.",
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
        "mailstore_writer_threads",
        Type.INTEGER,
        "4",
        "Threads of a process that write to mailboxes; one account at a time is written by each.",
        _PROGRAM,
        minimum=1,
        maximum=64,
        compatible=False,
    ),
)
