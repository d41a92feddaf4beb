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
from typing import NamedTuple, Protocol

from angarium.model.lookup import Lookup, NotFound, TemporaryError
from angarium.model.quota import NO_LIMIT, QuotaLimit

__all__ = [
    "Account",
    "Alias",
    "Directory",
    "DirectoryAdmin",
    "DirectoryError",
    "DirectoryUnavailableError",
    "Domain",
    "DomainInUseError",
    "EntryExistsError",
    "InvalidNameError",
    "NoSuchEntryError",
    "PasswordEntry",
    "QuotaEntry",
    "QuotaLimit",
    "QuotaSettings",
]


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
class QuotaSettings:
    """Limits of an account, as somebody set them; None where nobody did: the domain's hold, then main.cf's.

    Attributes:
        bytes, messages: the most that it may hold; 0 is no limit.
        mail: the most bytes of one message; 0 is no limit.
        rules: for folders (``model.quota``); empty is no rules.
    """

    bytes: int | None = None
    messages: int | None = None
    mail: int | None = None
    rules: str | None = None

    @property
    def limit(self) -> QuotaLimit:
        """What it may hold; no limit where nothing is set."""
        return QuotaLimit(self.bytes or 0, self.messages or 0)


class QuotaEntry(NamedTuple):
    """What the directory says of an account's quota: its settings, else its domain's, and its domain's own limits."""

    settings: QuotaSettings
    domain: QuotaLimit


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
    """A domain that we are home to.

    Attributes:
        name: in lower case.
        quota: what each of its accounts may hold that has no limits of its own.
        settings: the same as it was set, with what else belongs to it.
        total: what all its accounts may hold together.
    """

    name: str
    quota: QuotaLimit = NO_LIMIT
    settings: QuotaSettings = QuotaSettings()
    total: QuotaLimit = NO_LIMIT


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the administrator sees it.

    Attributes:
        address: the canonical name, which is also its first address.
        quota: its own limits; None where the domain's apply.
        effective_quota: the limits in force.
        enabled: may log in.
        has_password: a password is set.
        settings: what was set for the account itself.
        effective_settings: that, completed from its domain's.
        total: what its domain may hold.
    """

    address: str
    quota: QuotaLimit | None
    effective_quota: QuotaLimit
    enabled: bool
    has_password: bool
    settings: QuotaSettings = QuotaSettings()
    effective_settings: QuotaSettings = QuotaSettings()
    total: QuotaLimit = NO_LIMIT


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

    def quota(self, account: str) -> QuotaEntry | NotFound | TemporaryError:
        """What is set for an account. A directory that is not there knows no quotas: NotFound."""
        ...

    def password(self, account: str) -> PasswordEntry | NotFound | TemporaryError:
        """What a log-in is checked against."""
        ...


class DirectoryAdmin(Protocol):
    """Changes, each durable and visible to all processes on return; and listings, in order of name."""

    def add_domain(self, name: str, quota: QuotaSettings | None = None) -> bool:
        """Add a domain; False when it was there, which changes nothing but what is given of a quota."""
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

    def set_quota(self, name: str, settings: QuotaSettings) -> None:
        """Set all that an account has of its own, or a domain for its accounts; None gives one thing up."""
        ...

    def set_domain_total(self, name: str, total: QuotaLimit) -> None:
        """Set what all accounts of a domain may hold together."""
        ...

    def add_account(self, address: str, password_hash: str, quota: QuotaSettings | None = None) -> None:
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
