"""The contract of the directory: what every back end does alike."""

from __future__ import annotations

import pytest

from angarium.directory.interface import (
    Directory,
    DirectoryAdmin,
    Domain,
    DomainInUseError,
    EntryExistsError,
    InvalidNameError,
    NoSuchEntryError,
    PasswordEntry,
    QuotaEntry,
    QuotaLimit,
    QuotaSettings,
)
from angarium.model.lookup import NOT_FOUND, Found, TemporaryError


def test_a_directory_that_is_not_there_is_a_temporary_error(directory: Directory) -> None:
    for answer in (
        directory.domain("example.test"),
        directory.account("alice@example.test"),
        directory.alias("alice@example.test"),
        directory.password("alice@example.test"),
    ):
        assert isinstance(answer, TemporaryError)
        assert answer.cause
    assert directory.quota("alice@example.test") == NOT_FOUND


def test_it_is_found_when_it_appears(directory: Directory, backend) -> None:
    assert isinstance(directory.domain("example.test"), TemporaryError)
    admin = backend[0]()
    admin.add_domain("example.test")
    assert isinstance(directory.domain("example.test"), Found)
    admin.close()


def test_domains(admin: DirectoryAdmin, directory: Directory) -> None:
    assert directory.domain("example.test") == NOT_FOUND
    assert admin.add_domain("Example.Test") is True
    assert admin.add_domain("example.test") is False
    assert directory.domain("EXAMPLE.test") == Found("example.test", "directory:domains")
    assert directory.domain("sub.example.test") == NOT_FOUND
    assert admin.domains() == [Domain("example.test")]
    admin.remove_domain("example.test")
    assert directory.domain("example.test") == NOT_FOUND
    with pytest.raises(NoSuchEntryError):
        admin.remove_domain("example.test")
    with pytest.raises(NoSuchEntryError):
        admin.show_domain("example.test")


def test_a_domain_in_use_stays(admin: DirectoryAdmin, directory: Directory) -> None:
    admin.add_domain("example.test")
    admin.add_account("alice@example.test", "")
    admin.add_alias("info@example.test", ["alice@example.test"])
    with pytest.raises(DomainInUseError):
        admin.remove_domain("example.test")
    assert isinstance(directory.account("alice@example.test"), Found)
    admin.remove_domain("example.test", with_contents=True)
    assert directory.account("alice@example.test") == NOT_FOUND
    assert directory.alias("info@example.test") == NOT_FOUND


def test_accounts(admin: DirectoryAdmin, directory: Directory) -> None:
    with pytest.raises(NoSuchEntryError):
        admin.add_account("alice@example.test", "h")
    admin.add_domain("example.test")
    admin.add_account("Alice@Example.test", "h")
    with pytest.raises(EntryExistsError):
        admin.add_account("alice@example.test", "h2")
    assert directory.account("ALICE@EXAMPLE.TEST") == Found("alice@example.test", "directory:accounts")
    assert directory.account("bob@example.test") == NOT_FOUND
    assert directory.account("alice") == NOT_FOUND
    assert directory.account("alice\udcff@example.test") == NOT_FOUND
    assert [account.address for account in admin.accounts()] == ["alice@example.test"]
    assert admin.accounts("other.test") == []
    admin.remove_account("alice@example.test")
    assert directory.account("alice@example.test") == NOT_FOUND
    with pytest.raises(NoSuchEntryError):
        admin.remove_account("alice@example.test")


def test_passwords(admin: DirectoryAdmin, directory: Directory) -> None:
    admin.add_domain("example.test")
    admin.add_account("alice@example.test", "one")
    assert directory.password("Alice@example.test") == PasswordEntry("alice@example.test", "one")
    admin.set_password("alice@example.test", "two")
    admin.set_enabled("alice@example.test", False)
    entry = directory.password("alice@example.test")
    assert entry == PasswordEntry("alice@example.test", "two", enabled=False)
    assert "two" not in repr(entry)
    assert admin.password_hash("Alice@example.test") == "two"
    assert directory.password("bob@example.test") == NOT_FOUND
    with pytest.raises(NoSuchEntryError):
        admin.set_password("bob@example.test", "x")
    with pytest.raises(NoSuchEntryError):
        admin.password_hash("bob@example.test")
    account = admin.show_account("alice@example.test")
    assert not account.enabled
    assert account.has_password


def test_quotas(admin: DirectoryAdmin, directory: Directory) -> None:
    def limit() -> QuotaLimit:
        entry = directory.quota("Alice@example.test")
        assert isinstance(entry, QuotaEntry)
        return entry.settings.limit

    admin.add_domain("example.test")
    admin.add_account("alice@example.test", "")
    assert directory.quota("alice@example.test") == QuotaEntry(QuotaSettings(), QuotaLimit())
    admin.set_quota("example.test", QuotaSettings(1000, 10))
    assert limit() == QuotaLimit(1000, 10)
    admin.set_quota("alice@example.test", QuotaSettings(0, 0))
    assert limit() == QuotaLimit(0, 0)
    assert admin.show_account("alice@example.test").quota == QuotaLimit(0, 0)
    admin.set_quota("alice@example.test", QuotaSettings())
    assert limit() == QuotaLimit(1000, 10)
    account = admin.show_account("alice@example.test")
    assert account.quota is None
    assert account.effective_quota == QuotaLimit(1000, 10)
    assert directory.quota("bob@example.test") == NOT_FOUND
    admin.set_quota("example.test", QuotaSettings())
    assert directory.quota("alice@example.test") == QuotaEntry(QuotaSettings(), QuotaLimit())


def test_each_setting_of_an_account_goes_before_its_domains(admin: DirectoryAdmin, directory: Directory) -> None:
    admin.add_domain("example.test")
    admin.add_account("alice@example.test", "")
    domains = QuotaSettings(1000, None, 50, "Trash:ignore")
    admin.set_quota("Example.test", domains)
    admin.set_domain_total("example.test", QuotaLimit(9000, 90))
    admin.set_quota("alice@example.test", QuotaSettings(bytes=0, messages=7, rules=""))
    both = QuotaSettings(0, 7, 50, "")
    assert directory.quota("alice@example.test") == QuotaEntry(both, QuotaLimit(9000, 90))
    account = admin.show_account("alice@example.test")
    assert account.settings == QuotaSettings(bytes=0, messages=7, rules="")
    assert (account.effective_settings, account.total) == (both, QuotaLimit(9000, 90))
    assert admin.show_domain("example.test") == Domain("example.test", QuotaLimit(1000), domains, QuotaLimit(9000, 90))
    admin.set_quota("alice@example.test", QuotaSettings())
    assert directory.quota("alice@example.test") == QuotaEntry(domains, QuotaLimit(9000, 90))
    for name in ("bob@example.test", "other.test"):
        with pytest.raises(NoSuchEntryError):
            admin.set_quota(name, QuotaSettings())
    with pytest.raises(NoSuchEntryError):
        admin.set_domain_total("other.test", QuotaLimit())


def test_adding_a_domain_again_changes_its_quota_alone(admin: DirectoryAdmin) -> None:
    admin.add_domain("example.test", QuotaSettings(5, mail=7))
    assert admin.add_domain("example.test") is False
    assert admin.show_domain("example.test").quota == QuotaLimit(5)
    admin.add_domain("example.test", QuotaSettings(6))
    assert admin.show_domain("example.test").quota == QuotaLimit(6)


def test_aliases(admin: DirectoryAdmin, directory: Directory) -> None:
    admin.add_domain("example.test")
    assert admin.add_alias("Info@example.test", ["alice@example.test"]) is True
    assert admin.add_alias("info@example.test", ["alice@example.test"]) is False
    assert admin.add_alias("info@example.test", ["Bob@elsewhere.test", "alice@example.test"]) is True
    assert directory.alias("INFO@example.test") == Found("alice@example.test, Bob@elsewhere.test", "directory:aliases")
    admin.set_alias("info@example.test", ["zoe@example.test", "carol@example.test"])
    assert directory.alias("info@example.test") == Found("zoe@example.test, carol@example.test", "directory:aliases")
    admin.remove_alias("info@example.test", ["zoe@example.test"])
    assert admin.show_alias("info@example.test").destinations == ("carol@example.test",)
    with pytest.raises(NoSuchEntryError):
        admin.remove_alias("info@example.test", ["carol@example.test", "zoe@example.test"])
    assert admin.show_alias("info@example.test").destinations == ("carol@example.test",)  # all or nothing
    admin.remove_alias("info@example.test")
    assert directory.alias("info@example.test") == NOT_FOUND
    assert admin.aliases() == []
    with pytest.raises(NoSuchEntryError):
        admin.add_alias("info@other.test", ["a@b.test"])


def test_a_catch_all_leaves_accounts_their_mail(admin: DirectoryAdmin, directory: Directory) -> None:
    admin.add_domain("example.test")
    admin.add_account("alice@example.test", "")
    assert directory.alias("alice@example.test") == NOT_FOUND
    admin.add_alias("@example.test", ["bob@example.test"])
    assert directory.alias("@example.test") == Found("bob@example.test", "directory:aliases")
    assert directory.alias("alice@example.test") == Found("alice@example.test", "directory:accounts")
    assert directory.alias("nobody@example.test") == NOT_FOUND
    assert [alias.address for alias in admin.aliases("example.test")] == ["@example.test"]


def test_an_alias_does_not_take_an_accounts_mail(admin: DirectoryAdmin) -> None:
    admin.add_domain("example.test")
    admin.add_account("alice@example.test", "")
    with pytest.raises(EntryExistsError):
        admin.add_alias("alice@example.test", ["bob@example.test"])
    assert admin.add_alias("alice@example.test", ["alice@example.test", "bob@example.test"])
    admin.add_alias("info@example.test", ["alice@example.test"])
    with pytest.raises(EntryExistsError):
        admin.add_account("info@example.test", "")


_BAD_LOCAL_PARTS = ["", "a b", "a/b", "..", ".", "a\n", 'a"', "a@b", "x" * 65]
_BAD_DOMAINS = ["", "-x.test", "x..test", "x" * 64, ".test", "x test"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "@",
        "alice",
        *(f"{local}@example.test" for local in _BAD_LOCAL_PARTS),
        *(f"a@{name}" for name in _BAD_DOMAINS),
    ],
)
def test_names_that_no_account_can_have(admin: DirectoryAdmin, name: str) -> None:
    admin.add_domain("example.test")
    with pytest.raises(InvalidNameError):
        admin.add_account(name, "")


@pytest.mark.parametrize(
    "name", ["jürgen@example.test", "a+b@example.test", "o'neill@example.test", "a.b-c_d@example.test"]
)
def test_names_that_an_account_can_have(admin: DirectoryAdmin, directory: Directory, name: str) -> None:
    admin.add_domain("example.test")
    admin.add_account(name, "")
    assert directory.account(name.upper()) == Found(name, "directory:accounts")


@pytest.mark.parametrize("name", ["", "alice", "a,b@example.test", "|program", ":include:/x", "<a@b.test>"])
def test_destinations_that_an_alias_cannot_have(admin: DirectoryAdmin, name: str) -> None:
    admin.add_domain("example.test")
    with pytest.raises(InvalidNameError):
        admin.add_alias("info@example.test", [name])


def test_changes_are_there_after_opening_again(backend) -> None:
    first = backend[0]()
    first.add_domain("example.test")
    first.close()
    second = backend[0]()
    assert [domain.name for domain in second.domains()] == ["example.test"]
    second.close()
