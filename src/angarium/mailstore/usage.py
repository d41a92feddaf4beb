"""What an account holds, read without opening it: for commands, which run beside the server and perhaps as root.

Only reads: no mailbox, lock or file is made, so nothing changes its owner.
"""

from __future__ import annotations

from pathlib import Path

from angarium.mailstore.interface import MailstoreUnavailableError
from angarium.mailstore.layout import DATABASE, account_directory, component
from angarium.mailstore.ledger import LEDGER
from angarium.mailstore.quota import usage
from angarium.mailstore.rows import one_row
from angarium.model.quota import UNLIMITED, QuotaPlan, Usage
from angarium.runtime.sqlite import SqlError, connect


def read_usage(base: Path, account: str, plan: QuotaPlan = UNLIMITED) -> Usage:
    """Bytes and messages of an account that count by ``plan``; zeros when it has no mailbox yet.

    Raises:
        MailstoreUnavailableError: its database cannot be read.
        MailstoreError: not a name of an account.
    """
    path = account_directory(base, account) / DATABASE
    try:
        if not path.exists():
            return Usage(0, 0)
        connection = connect(path, readonly=True)
        try:
            return usage(connection, plan)
        finally:
            connection.close()
    except (SqlError, OSError) as error:
        raise MailstoreUnavailableError(f"{path}: {error}") from error


def read_domain_usage(base: Path, domain: str) -> Usage:
    """What the ledger of a domain says; zeros when it has none. Raises MailstoreUnavailableError."""
    path = base / component(domain) / LEDGER
    try:
        if not path.exists():
            return Usage(0, 0)
        connection = connect(path, readonly=True)
        try:
            return Usage(*one_row(connection, "SELECT bytes, messages FROM total"))
        finally:
            connection.close()
    except (SqlError, OSError) as error:
        raise MailstoreUnavailableError(f"{path}: {error}") from error
