"""What the rest of the server may ask of the directory. Every back end passes ``tests/contract/directory``.

``Directory`` is read by every process, inline, between two packets: its calls are synchronous and take microseconds.
``DirectoryAdmin`` is what ``angarium domain|account|alias|quota`` writes with; what it has committed, the
lookups of every process see within 10 ms.

Failures: a lookup never raises, its third outcome is ``TemporaryError``. An administrative call raises
``DirectoryError`` and its kinds for what the administrator asked wrongly, ``DirectoryUnavailableError`` for the rest.

Names are folded (``Address.folded``), so ``Alice@Example.Test`` finds ``alice@example.test``. A recipient delimiter
is not the directory's affair: who asks for ``alice+news@example.test`` asks again for ``alice@example.test``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from angarium.model.lookup import Lookup, NotFound, TemporaryError


class DirectoryError(Exception):
    """What was asked cannot be done; the text is for the administrator."""


class InvalidNameError(DirectoryError):
    """Not a name of a domain, an account or an alias."""


class NoSuchEntryError(DirectoryError):
    """The domain, account or alias is not there."""


class EntryExistsError(DirectoryError):
    """The account or alias is there already, or an account and an alias want one name."""


class DomainInUseError(DirectoryError):
    """The domain still has accounts or aliases."""


class DirectoryUnavailableError(Exception):
    """The directory cannot be read or written; the text says why."""


@dataclass(frozen=True, slots=True)
class QuotaLimit:
    """The most that an account may hold; 0 is no limit."""

    bytes: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class PasswordEntry:
    """What a log-in is checked against.

    Attributes:
        account: the canonical name.
        hash: as ``auth.passwords`` made it, or an imported crypt(3) string; empty: no password opens this account.
        enabled: False for an account that receives mail but lets nobody in.
    """

    account: str
    hash: str
    enabled: bool = True

    def __repr__(self) -> str:
        return f"PasswordEntry(account={self.account!r}, enabled={self.enabled})"


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain that we are home to. ``quota`` applies to its accounts that have none of their own."""

    name: str
    quota: QuotaLimit = QuotaLimit()


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the administrator sees it.

    Attributes:
        address: the canonical name, which is also its first address.
        quota: its own limits; None where the domain's apply.
        effective_quota: the limits in force.
        enabled: may log in.
        has_password: a password is set.
    """

    address: str
    quota: QuotaLimit | None
    effective_quota: QuotaLimit
    enabled: bool
    has_password: bool


@dataclass(frozen=True, slots=True)
class Alias:
    """An address that stands for others. ``@domain`` catches what nothing else in the domain takes."""

    address: str
    destinations: tuple[str, ...]


class Directory(Protocol):
    """Lookups. Never raise, never wait."""

    def domain(self, name: str) -> Lookup:
        """Whether the domain is ours: Found with its canonical name."""
        ...

    def account(self, address: str) -> Lookup:
        """Whether the account exists: Found with its canonical address."""
        ...

    def alias(self, address: str) -> Lookup:
        """What the address stands for: Found with the destinations, separated by ``", "``.

        ``@domain`` finds the domain's catch-all. An account in a domain with a catch-all finds itself, so that the
        catch-all does not take its mail (virtual(5) asks for the address before ``@domain``).
        """
        ...

    def quota(self, account: str) -> QuotaLimit | NotFound | TemporaryError:
        """The limits in force for an account."""
        ...

    def password(self, account: str) -> PasswordEntry | NotFound | TemporaryError:
        """What a log-in is checked against."""
        ...


class DirectoryAdmin(Protocol):
    """Changes, each durable and visible to all processes on return; and listings, in order of name."""

    def add_domain(self, name: str, quota: QuotaLimit | None = None) -> bool:
        """Add a domain; False when it was there, which changes nothing but a quota that is given."""
        ...

    def remove_domain(self, name: str, *, with_contents: bool = False) -> None:
        """Remove a domain. Raises DomainInUseError while it has accounts or aliases, unless ``with_contents``."""
        ...

    def domains(self) -> Sequence[Domain]:
        """All domains."""
        ...

    def show_domain(self, name: str) -> Domain:
        """One domain. Raises NoSuchEntryError."""
        ...

    def set_domain_quota(self, name: str, quota: QuotaLimit) -> None:
        """Set the limits of the domain's accounts that have none of their own."""
        ...

    def add_account(self, address: str, password_hash: str, quota: QuotaLimit | None = None) -> None:
        """Add an account. Raises EntryExistsError, or NoSuchEntryError when its domain is not there."""
        ...

    def remove_account(self, address: str) -> None:
        """Remove an account from the directory; its mailbox is the mailstore's."""
        ...

    def accounts(self, domain: str = "") -> Sequence[Account]:
        """All accounts, or those of a domain."""
        ...

    def show_account(self, address: str) -> Account:
        """One account. Raises NoSuchEntryError."""
        ...

    def set_password(self, address: str, password_hash: str) -> None:
        """Set the password; an empty hash lets nobody in."""
        ...

    def password_hash(self, address: str) -> str:
        """The hash on file; empty when there is none."""
        ...

    def set_enabled(self, address: str, enabled: bool) -> None:
        """Let the account log in, or not."""
        ...

    def set_account_quota(self, address: str, quota: QuotaLimit | None) -> None:
        """Set the account's own limits; None goes back to the domain's."""
        ...

    def add_alias(self, address: str, destinations: Sequence[str]) -> bool:
        """Add destinations to an alias, which is made when it is new; False when all were there."""
        ...

    def set_alias(self, address: str, destinations: Sequence[str]) -> None:
        """Replace the destinations of an alias, which is made when it is new."""
        ...

    def remove_alias(self, address: str, destinations: Sequence[str] = ()) -> None:
        """Remove some destinations of an alias, or the alias; an alias without destinations is gone."""
        ...

    def aliases(self, domain: str = "") -> Sequence[Alias]:
        """All aliases, or those of a domain."""
        ...

    def show_alias(self, address: str) -> Alias:
        """One alias. Raises NoSuchEntryError."""
        ...

    def close(self) -> None:
        """Close the database."""
        ...
