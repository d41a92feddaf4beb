"""The tables of an account's database.

What a mailbox shows of a message stands apart from what the message is: ``message`` has a narrow row for each
(mailbox, uid), and everything else is keyed by the body's id, once however many copies there are. Each kind of reading
has a table of its own, so that a scan passes no bytes that it does not want:

============ ===========================================================================================
account      one row: the last UIDVALIDITY given
mailbox      the mailboxes, with the counters that STATUS shows, kept in each transaction; their sum is the usage;
             ``firstrecent`` is the UID from which on messages are recent (RFC 3501 section 2.3.2)
subscription subscribed names
flagset      each combination of flags once; ``message.flags`` is its id
keyword      the spelling of each keyword that was used first: they are the same in any case
message      (mailbox, uid) -> modseq, flags, body
vanished     ranges of UIDs that were expunged, with the modseq, for QRESYNC; ``mailbox.gaps`` is their number
body         size, INTERNALDATE, ENVELOPE: what a message list shows
structure    BODY, BODYSTRUCTURE and the part table
content      header block and the rest; large ones are in a file
field        the folded text of the header fields that SEARCH knows by name, then the common header fields as they
             stand; ``ordering`` says in which order
text         the folded text of body and header
shared       bodies with more than one copy: how many more
dead         bodies without a copy, to be removed behind the transaction that took the last one
delivery     keys of deliveries, so that a repeated one is known
owed         thresholds of the quota that were passed and are to be told of
============ ===========================================================================================
"""

# ruff: noqa: S608 - the statements are put together from this package's own names; values are always bound.

from __future__ import annotations

VERSION = 6
"""Kept in the database as user_version; ``migration`` leads from one to the next."""

COMMON_FIELDS = (
    "date", "from", "to", "cc", "bcc", "sender", "reply-to", "subject", "message-id", "in-reply-to", "references",
    "content-type", "content-transfer-encoding", "mime-version", "priority", "x-priority", "importance", "newsgroups",
    "list-id", "list-post", "disposition-notification-to", "delivered-to", "return-path",
)  # fmt: skip
"""Header fields that clients ask for when they list a mailbox; each is a column of ``field``."""

SOUGHT_FIELDS = ("subject", "from", "to", "cc", "bcc", "message-id")
"""Header fields that SEARCH has a key for; each has a column of folded text in ``field``."""


def column(field: str) -> str:
    """The quoted column name of a header field."""
    return f'"{field}"'


def sought(field: str) -> str:
    """The quoted column name of the folded text of a header field."""
    return f'"sought {field}"'


_FIELD_COLUMNS = ", ".join(f"{column(name)} BLOB" for name in COMMON_FIELDS)
_SOUGHT_COLUMNS = ", ".join(f"{sought(name)} BLOB" for name in SOUGHT_FIELDS)

FIELD_TABLE = (
    f"CREATE TABLE field (id INTEGER PRIMARY KEY, ordering INTEGER NOT NULL, {_SOUGHT_COLUMNS}, {_FIELD_COLUMNS});"
)
KEYWORD_TABLE = "CREATE TABLE keyword (folded TEXT PRIMARY KEY, spelling TEXT NOT NULL) WITHOUT ROWID;"
DELIVERY_TABLE = """CREATE TABLE delivery (
    key TEXT PRIMARY KEY, mailbox INTEGER NOT NULL, uidvalidity INTEGER NOT NULL, uid INTEGER NOT NULL,
    modseq INTEGER NOT NULL, delivered REAL NOT NULL) WITHOUT ROWID;"""
VANISHED_TABLE = """CREATE TABLE vanished (
    mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (mailbox, modseq, first)) WITHOUT ROWID;"""
OWED_TABLE = "CREATE TABLE owed (id INTEGER PRIMARY KEY, since REAL NOT NULL, crossing TEXT NOT NULL);"
ACCOUNT_TABLE = """CREATE TABLE account (
    one INTEGER PRIMARY KEY CHECK (one = 1), uidvalidity INTEGER NOT NULL);"""

TABLES = f"""
{ACCOUNT_TABLE}
CREATE TABLE mailbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, uidvalidity INTEGER NOT NULL,
    uidnext INTEGER NOT NULL DEFAULT 1, highestmodseq INTEGER NOT NULL DEFAULT 1,
    special_use TEXT NOT NULL DEFAULT '', selectable INTEGER NOT NULL DEFAULT 1,
    messages INTEGER NOT NULL DEFAULT 0, unseen INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0, firstrecent INTEGER NOT NULL DEFAULT 1,
    gaps INTEGER NOT NULL DEFAULT 0);
CREATE TABLE subscription (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE flagset (
    id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE, seen INTEGER NOT NULL, deleted INTEGER NOT NULL);
{KEYWORD_TABLE}
CREATE TABLE message (
    mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, modseq INTEGER NOT NULL, flags INTEGER NOT NULL,
    body INTEGER NOT NULL, saved INTEGER NOT NULL, PRIMARY KEY (mailbox, uid)) WITHOUT ROWID;
CREATE INDEX message_modseq ON message (mailbox, modseq);
{VANISHED_TABLE}
CREATE TABLE body (
    id INTEGER PRIMARY KEY, size INTEGER NOT NULL, internaldate REAL NOT NULL, zone INTEGER NOT NULL, sent REAL,
    stamp BLOB NOT NULL, envelope BLOB NOT NULL);
CREATE TABLE structure (id INTEGER PRIMARY KEY, body BLOB NOT NULL, bodystructure BLOB NOT NULL, parts TEXT NOT NULL);
CREATE TABLE content (id INTEGER PRIMARY KEY, header BLOB NOT NULL, rest BLOB, file TEXT, skip INTEGER NOT NULL);
CREATE TABLE ordering (id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE);
{FIELD_TABLE}
CREATE TABLE text (id INTEGER PRIMARY KEY, body BLOB NOT NULL, header BLOB NOT NULL);
CREATE TABLE shared (body INTEGER PRIMARY KEY, copies INTEGER NOT NULL);
CREATE TABLE dead (body INTEGER PRIMARY KEY);
{DELIVERY_TABLE}
{OWED_TABLE}
INSERT INTO account VALUES (1, 0);
"""
