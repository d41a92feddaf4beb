"""``SqliteDirectoryAdmin``: changes to the directory's database.

Each call is one transaction, on stable storage when it returns. An alias has an account's name only when it leads
to that account too: else the alias would take the account's mail and the account would look broken.

Fails with ``DirectoryError`` and its kinds, or ``DirectoryUnavailableError`` when the database cannot be used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from angarium.directory.interface import (
    Account,
    Alias,
    DirectoryUnavailableError,
    Domain,
    DomainInUseError,
    EntryExistsError,
    NoSuchEntryError,
    QuotaLimit,
    QuotaSettings,
)
from angarium.directory.names import check_destination, domain_of, fold_address, fold_alias, fold_domain
from angarium.directory.schema import open_for_changes
from angarium.runtime.sqlite import Connection, SqlError

_ACCOUNTS = """
SELECT accounts.address, accounts.enabled, accounts.password <> '',
    accounts.quota_bytes, accounts.quota_messages, accounts.quota_mail, accounts.quota_rules,
    coalesce(accounts.quota_bytes, domains.quota_bytes), coalesce(accounts.quota_messages, domains.quota_messages),
    coalesce(accounts.quota_mail, domains.quota_mail), coalesce(accounts.quota_rules, domains.quota_rules),
    domains.total_bytes, domains.total_messages
FROM accounts JOIN domains ON domains.name = accounts.domain
"""
_DOMAINS = """
SELECT name, quota_bytes, quota_messages, quota_mail, quota_rules, total_bytes, total_messages FROM domains
"""


class SqliteDirectoryAdmin:
    """The directory, for changes. Makes the database when it is missing.

    Raises:
        DirectoryUnavailableError: it cannot be opened or made.
    """

    def __init__(self, path: Path) -> None:
        self._connection = open_for_changes(path)
        self._path = path

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    # Domains

    def add_domain(self, name: str, quota: QuotaSettings | None = None) -> bool:
        """Add a domain; False when it was there."""
        name = fold_domain(name)
        with self._transaction() as connection:
            connection.execute("INSERT INTO domains (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
            added = connection.changes() == 1
            if quota is not None:
                connection.execute(
                    "UPDATE domains SET quota_bytes = coalesce(?, quota_bytes), quota_messages ="
                    " coalesce(?, quota_messages), quota_mail = coalesce(?, quota_mail), quota_rules ="
                    " coalesce(?, quota_rules) WHERE name = ?",
                    (*_columns(quota), name),
                )
        return added

    def remove_domain(self, name: str, *, with_contents: bool = False) -> None:
        """Remove a domain, with all in it when told to."""
        name = fold_domain(name)
        with self._transaction() as connection:
            if with_contents:
                connection.execute("DELETE FROM aliases WHERE domain = ?", (name,))
                connection.execute("DELETE FROM accounts WHERE domain = ?", (name,))
            for table in ("accounts", "aliases"):
                if self._first(f"SELECT count(DISTINCT address) FROM {table} WHERE domain = ?", name)[0]:  # noqa: S608 - two literals
                    msg = f"domain {name} still has {table}"
                    raise DomainInUseError(msg)
            connection.execute("DELETE FROM domains WHERE name = ?", (name,))
            self._changed("domain", name)

    def domains(self) -> Sequence[Domain]:
        """All domains."""
        return [_domain(row) for row in self._rows(f"{_DOMAINS} ORDER BY name")]

    def show_domain(self, name: str) -> Domain:
        """One domain."""
        name = fold_domain(name)
        for row in self._rows(f"{_DOMAINS} WHERE name = ?", name):
            return _domain(row)
        raise _missing("domain", name)

    def set_quota(self, name: str, settings: QuotaSettings) -> None:
        """Set all that an account has of its own, or a domain for its accounts."""
        address = "@" in name
        name = fold_address(name) if address else fold_domain(name)
        values = (*_columns(settings), name)
        change = "SET quota_bytes = ?, quota_messages = ?, quota_mail = ?, quota_rules = ? WHERE"
        with self._transaction() as connection:
            # two literals and another
            connection.execute(
                f"UPDATE accounts {change} address = ?" if address else f"UPDATE domains {change} name = ?", values
            )
            self._changed("account" if address else "domain", name)

    def set_domain_total(self, name: str, total: QuotaLimit) -> None:
        """Set what all accounts of a domain may hold together."""
        name = fold_domain(name)
        with self._transaction() as connection:
            connection.execute(
                "UPDATE domains SET total_bytes = ?, total_messages = ? WHERE name = ?",
                (total.bytes, total.messages, name),
            )
            self._changed("domain", name)

    # Accounts

    def add_account(self, address: str, password_hash: str, quota: QuotaSettings | None = None) -> None:
        """Add an account."""
        address = fold_address(address)
        with self._transaction() as connection:
            self._require_domain(address)
            present = self._rows("SELECT destination FROM aliases WHERE address = ?", address)
            if present and address not in {row[0].casefold() for row in present}:
                msg = f"{address} is an alias"
                raise EntryExistsError(msg)
            connection.execute(
                "INSERT INTO accounts (address, domain, password, quota_bytes, quota_messages, quota_mail, quota_rules)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (address, domain_of(address), password_hash, *_columns(quota or QuotaSettings())),
            )
            if connection.changes() == 0:
                msg = f"account {address} exists already"
                raise EntryExistsError(msg)

    def remove_account(self, address: str) -> None:
        """Remove an account."""
        self._change_account("DELETE FROM accounts WHERE address = ?", address)

    def accounts(self, domain: str = "") -> Sequence[Account]:
        """All accounts, or those of a domain."""
        if domain:
            rows = self._rows(f"{_ACCOUNTS} WHERE domain = ? ORDER BY accounts.address", fold_domain(domain))
        else:
            rows = self._rows(f"{_ACCOUNTS} ORDER BY accounts.domain, accounts.address")
        return [_account(row) for row in rows]

    def show_account(self, address: str) -> Account:
        """One account."""
        address = fold_address(address)
        for row in self._rows(f"{_ACCOUNTS} WHERE accounts.address = ?", address):
            return _account(row)
        raise _missing("account", address)

    def set_password(self, address: str, password_hash: str) -> None:
        """Set the password."""
        self._change_account("UPDATE accounts SET password = ? WHERE address = ?", address, password_hash)

    def password_hash(self, address: str) -> str:
        """The hash on file."""
        address = fold_address(address)
        for row in self._rows("SELECT password FROM accounts WHERE address = ?", address):
            return str(row[0])
        raise _missing("account", address)

    def set_enabled(self, address: str, enabled: bool) -> None:
        """Let the account log in, or not."""
        self._change_account("UPDATE accounts SET enabled = ? WHERE address = ?", address, int(enabled))

    def _change_account(self, query: str, address: str, *values: object) -> None:
        address = fold_address(address)
        with self._transaction() as connection:
            connection.execute(query, (*values, address))
            self._changed("account", address)

    # Aliases

    def add_alias(self, address: str, destinations: Sequence[str]) -> bool:
        """Add destinations to an alias."""
        address = fold_alias(address)
        checked = [check_destination(destination) for destination in destinations]
        with self._transaction() as connection:
            return self._add_destinations(connection, address, checked)

    def set_alias(self, address: str, destinations: Sequence[str]) -> None:
        """Replace the destinations of an alias."""
        address = fold_alias(address)
        checked = [check_destination(destination) for destination in destinations]
        with self._transaction() as connection:
            connection.execute("DELETE FROM aliases WHERE address = ?", (address,))
            self._add_destinations(connection, address, checked)

    def remove_alias(self, address: str, destinations: Sequence[str] = ()) -> None:
        """Remove some destinations, or the alias."""
        address = fold_alias(address)
        with self._transaction() as connection:
            if not destinations:
                connection.execute("DELETE FROM aliases WHERE address = ?", (address,))
                self._changed("alias", address)
            for destination in destinations:
                connection.execute("DELETE FROM aliases WHERE address = ? AND destination = ?", (address, destination))
                self._changed("alias", f"{address} to {destination}")

    def aliases(self, domain: str = "") -> Sequence[Alias]:
        """All aliases, or those of a domain."""
        if domain:
            query = "SELECT address, destination FROM aliases WHERE domain = ? ORDER BY address, position"
            return _aliases(self._rows(query, fold_domain(domain)))
        return _aliases(self._rows("SELECT address, destination FROM aliases ORDER BY domain, address, position"))

    def show_alias(self, address: str) -> Alias:
        """One alias."""
        address = fold_alias(address)
        query = "SELECT address, destination FROM aliases WHERE address = ? ORDER BY position"
        for alias in _aliases(self._rows(query, address)):
            return alias
        raise _missing("alias", address)

    def _add_destinations(self, connection: Connection, address: str, destinations: Sequence[str]) -> bool:
        self._require_domain(address)
        if self._first("SELECT count(*) FROM accounts WHERE address = ?", address)[0]:
            # An account that also leads elsewhere is an alias to itself and others, as in virtual(5).
            present = self._rows("SELECT destination FROM aliases WHERE address = ?", address)
            if address not in {row[0].casefold() for row in present} | {one.casefold() for one in destinations}:
                msg = f"{address} is an account; name it among the destinations to keep a copy there"
                raise EntryExistsError(msg)
        added = 0
        for destination in destinations:
            connection.execute(
                "INSERT INTO aliases (address, position, destination, domain)"
                " SELECT ?1, coalesce(max(position), 0) + 1, ?2, ?3 FROM aliases WHERE address = ?1"
                " ON CONFLICT DO NOTHING",
                (address, destination, domain_of(address)),
            )
            added += connection.changes()
        return added > 0

    # The database

    def _require_domain(self, address: str) -> None:
        domain = domain_of(address)
        if not self._first("SELECT count(*) FROM domains WHERE name = ?", domain)[0]:
            raise _missing("domain", domain)

    def _changed(self, kind: str, name: str) -> None:
        if self._connection.changes() == 0:
            raise _missing(kind, name)

    def _first(self, query: str, *values: object) -> tuple[Any, ...]:
        row: tuple[Any, ...] = next(self._connection.execute(query, values))
        return row

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return list(self._connection.execute(query, values))
        except SqlError as error:
            msg = f"{self._path}: {error}"
            raise DirectoryUnavailableError(msg) from error

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except SqlError as error:
            msg = f"{self._path}: {error}"
            raise DirectoryUnavailableError(msg) from error


def _columns(settings: QuotaSettings) -> tuple[int | str | None, ...]:
    return settings.bytes, settings.messages, settings.mail, settings.rules


def _account(row: tuple[Any, ...]) -> Account:
    own, effective = QuotaSettings(*row[3:7]), QuotaSettings(*row[7:11])
    return Account(
        row[0],
        None if own.bytes is None and own.messages is None else effective.limit,
        effective.limit,
        bool(row[1]),
        bool(row[2]),
        own,
        effective,
        QuotaLimit(*row[11:]),
    )


def _domain(row: tuple[Any, ...]) -> Domain:
    settings = QuotaSettings(*row[1:5])
    return Domain(row[0], settings.limit, settings, QuotaLimit(*row[5:]))


def _aliases(rows: list[tuple[Any, ...]]) -> list[Alias]:
    grouped: dict[str, list[str]] = {}
    for address, destination in rows:
        grouped.setdefault(address, []).append(destination)
    return [Alias(address, tuple(destinations)) for address, destinations in grouped.items()]


def _missing(kind: str, name: str) -> NoSuchEntryError:
    return NoSuchEntryError(f"no such {kind}: {name}")
