"""Making a new account's database: a file that is complete when its name appears.

The tables and the first mailboxes are made in memory; the file is written, synced and linked into place, which costs a
tenth of making them on the disk. Of two processes that make the same account one wins, and both use its file. A crash
leaves nothing, or a file without a name in the layout. Fails with OSError.
"""

from __future__ import annotations

import os
import secrets
from functools import lru_cache
from pathlib import Path

from angarium.mailstore import hierarchy
from angarium.mailstore.layout import DATABASE
from angarium.mailstore.schema import TABLES, VERSION
from angarium.runtime.spool import sync_directory
from angarium.runtime.sqlite import connect

_FORMAT_VERSIONS = slice(18, 20)
_WAL = b"\x02\x02"
"""What the file header says at 18 and 19 when the journal is a write-ahead log (https://sqlite.org/fileformat2.html)."""


def create_database(directory: Path, now: float) -> None:
    """Make the directory and the database in it, on stable storage; nothing when it is there already."""
    new_levels = [level for level in (directory, directory.parent) if not level.is_dir()]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = directory / f"new-{secrets.token_hex(8)}"
    try:
        _write(draft, _template(int(now)))
        os.link(draft, directory / DATABASE)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(directory)
    for level in new_levels:
        sync_directory(level.parent)


@lru_cache(maxsize=1)
def _template(now: int) -> bytes:
    """The database of an account that is made in this second."""
    connection = connect(Path(":memory:"))
    try:
        connection.execute(TABLES)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        hierarchy.populate(connection, now)
        image = bytearray(connection.serialize("main"))
    finally:
        connection.close()
    image[_FORMAT_VERSIONS] = _WAL
    return bytes(image)


def _write(path: Path, image: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        view = memoryview(image)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())
