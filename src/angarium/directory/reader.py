"""``SqliteDirectory``: lookups in the directory's database.

One indexed query a lookup, and a cache of answers that is asked whether it is still true (``PRAGMA data_version``) at
most every 10 ms: a change is in force that soon. A query alone costs 2.4 µs, but it gives the GIL away, and beside a
busy writer thread gets it back late; a message needs about ten lookups.

Guarantees: never raises and never waits; a database that is missing, damaged or too new is a ``TemporaryError``, and
becomes readable without a restart when it appears or is replaced (looked for at most once a second). A missing one is
asked for quotas by servers whose accounts are elsewhere: it has none.

The connection is opened at the first lookup, so an object may be made before a fork; it belongs to one thread at a
time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from angarium.directory.interface import DirectoryUnavailableError, PasswordEntry, QuotaEntry, QuotaLimit, QuotaSettings
from angarium.directory.schema import open_for_lookups
from angarium.model.lookup import NOT_FOUND, Found, Lookup, NotFound, TemporaryError
from angarium.runtime.sqlite import Connection, SqlError

_DOMAIN = "SELECT name FROM domains WHERE name = ?"
_ACCOUNT = "SELECT address FROM accounts WHERE address = ?"
_PASSWORD = "SELECT address, password, enabled FROM accounts WHERE address = ?"  # noqa: S105 - a query
_QUOTA = """
SELECT coalesce(accounts.quota_bytes, domains.quota_bytes), coalesce(accounts.quota_messages, domains.quota_messages),
    coalesce(accounts.quota_mail, domains.quota_mail), coalesce(accounts.quota_rules, domains.quota_rules),
    domains.total_bytes, domains.total_messages
FROM accounts JOIN domains ON domains.name = accounts.domain WHERE accounts.address = ?
"""
_ALIAS = "SELECT group_concat(destination, ', ' ORDER BY position) FROM aliases WHERE address = ?"
_ITSELF = """
SELECT accounts.address FROM accounts JOIN aliases ON aliases.address = '@' || accounts.domain
WHERE accounts.address = ?
"""
_LOOK_AGAIN_SECONDS = 1.0
_TRUST_SECONDS = 0.01
_LONGEST_KEY = 320
_CACHE_LIMIT = 20_000
"""Answers kept; the cache starts afresh when it is full, since every answer can be had again."""

Row = tuple[Any, ...]

T = TypeVar("T")


@lru_cache(maxsize=1024)
def _entry(row: Row) -> QuotaEntry:
    """What a row says of a quota: the same object for equal rows, so that who makes something of it can keep that."""
    limit, messages, mail, rules, total, total_messages = row
    return QuotaEntry(QuotaSettings(limit, messages, mail, rules), QuotaLimit(total, total_messages))


class SqliteDirectory:
    """The directory, for reading.

    Args:
        path: the database (``directory_database``).
        clock: seconds, growing.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._connection: Connection | None = None
        self._identity = (0, 0)
        self._looked = float("-inf")
        self._trouble = ""
        self._missing = False
        self._cache: dict[tuple[str, str], Row | None] = {}
        self._trusted_until = float("-inf")
        self._version: Any = None

    def domain(self, name: str) -> Lookup:
        """Whether the domain is ours."""
        return self._text(_DOMAIN, name, "domains")

    def account(self, address: str) -> Lookup:
        """Whether the account exists."""
        return self._text(_ACCOUNT, address, "accounts")

    def alias(self, address: str) -> Lookup:
        """What the address stands for; see the interface for catch-alls."""
        answer = self._text(_ALIAS, address, "aliases")
        return self._text(_ITSELF, address, "accounts") if isinstance(answer, NotFound) else answer

    def quota(self, account: str) -> QuotaEntry | NotFound | TemporaryError:
        """What is set for an account."""
        row = self._row(_QUOTA, account, "accounts")
        if row is None or (isinstance(row, TemporaryError) and self._missing):
            return NOT_FOUND
        if isinstance(row, TemporaryError):
            return row
        return _entry(row)

    def password(self, account: str) -> PasswordEntry | NotFound | TemporaryError:
        """What a log-in is checked against."""
        row = self._row(_PASSWORD, account, "accounts")
        if row is None:
            return NOT_FOUND
        return row if isinstance(row, TemporaryError) else PasswordEntry(row[0], row[1], bool(row[2]))

    def close(self) -> None:
        """Close the database; the next lookup opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._looked = float("-inf")
        self._forget()

    def _forget(self) -> None:
        self._cache.clear()
        self._trusted_until = float("-inf")
        self._version = None

    def _text(self, query: str, key: str, table: str) -> Lookup:
        row = self._row(query, key, table)
        if row is None or (not isinstance(row, TemporaryError) and row[0] is None):
            return NOT_FOUND
        return row if isinstance(row, TemporaryError) else Found(row[0], f"directory:{table}")

    def _row(self, query: str, key: str, table: str) -> Row | TemporaryError | None:
        now = self._clock()
        place = (query, key)
        if now < self._trusted_until and place in self._cache:
            return self._cache[place]
        try:
            connection = self._open(now)
            if now >= self._trusted_until:
                self._check(connection, now)
                if place in self._cache:
                    return self._cache[place]
            found: Row | None = next(connection.execute(query, (key.casefold(),)), None)
        except (SqlError, UnicodeDecodeError) as error:  # damage shows as text that is none, too
            self.close()
            return TemporaryError(f"{self._path}: {error}", f"directory:{table}")
        except DirectoryUnavailableError as error:
            return TemporaryError(str(error), f"directory:{table}")
        except UnicodeEncodeError:  # a lone surrogate: bytes that are no UTF-8, so no name of ours
            return None
        if len(self._cache) >= _CACHE_LIMIT:
            self._cache.clear()
        if len(key) <= _LONGEST_KEY:
            self._cache[place] = found
        return found

    def _check(self, connection: Connection, now: float) -> None:
        """Throw the cache away when another connection has committed since it was last asked."""
        version = next(connection.execute("PRAGMA data_version"))[0]
        if version != self._version:
            self._cache.clear()
            self._version = version
        self._trusted_until = now + _TRUST_SECONDS

    def _open(self, now: float) -> Connection:
        """The connection, opened again when the file is another one; looks at most once a second."""
        if now - self._looked >= _LOOK_AGAIN_SECONDS:
            self._looked = now
            self._look()
        if self._connection is None:
            raise DirectoryUnavailableError(self._trouble)
        return self._connection

    def _look(self) -> None:
        self._missing = False
        try:
            status = self._path.stat()
        except OSError as error:
            identity, self._trouble = (0, 0), f"{self._path}: {error.strerror}"
            self._missing = isinstance(error, FileNotFoundError)
        else:
            identity, self._trouble = (status.st_dev, status.st_ino), ""
        if self._connection is not None and identity != self._identity:
            self._connection.close()
            self._connection = None
            self._forget()
        if self._connection is None and identity != (0, 0):
            try:
                self._connection = open_for_lookups(self._path)
            except DirectoryUnavailableError as error:
                self._trouble = str(error)
        self._identity = identity
