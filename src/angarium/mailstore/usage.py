"""What an account holds, read without opening it: for commands, which run beside the server and perhaps as root.

Only reads: no mailbox, lock or file is made, so nothing changes its owner.
"""

from __future__ import annotations

from pathlib import Path

from angarium.mailstore.interface import MailstoreUnavailableError
from angarium.mailstore.layout import DATABASE, account_directory
from angarium.mailstore.reading import usage
from angarium.runtime.sqlite import SqlError, connect


def read_usage(base: Path, account: str) -> tuple[int, int]:
    """Bytes and messages of an account; zeros when it has no mailbox yet.

    Raises:
        MailstoreUnavailableError: its database cannot be read.
        MailstoreError: not a name of an account.
    """
    path = account_directory(base, account) / DATABASE
    try:
        if not path.exists():
            return 0, 0
        connection = connect(path, readonly=True)
        try:
            return usage(connection)
        finally:
            connection.close()
    except (SqlError, OSError) as error:
        raise MailstoreUnavailableError(f"{path}: {error}") from error
