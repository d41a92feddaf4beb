"""The angarium command: what it changes, prints and returns; each noun and verb, and what can go wrong."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from angarium.auth.passwords import check_password
from angarium.commands.angarium import _STATUS, command_parser, main
from angarium.commands.angarium_output import Failure, format_size, parse_size
from angarium.directory.interface import PasswordEntry, QuotaLimit
from angarium.directory.reader import SqliteDirectory
from angarium.mailstore.interface import NewMail
from angarium.mailstore.layout import account_directory
from angarium.mailstore.store import SqliteMailStore
from angarium.model.content import MemoryContent
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.sqlite import connect


class Command:
    """The command on a database of its own."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: str, text: str = "", status: int = 0) -> str:
        self._monkeypatch.setattr("sys.stdin", io.StringIO(text))
        assert main(["--database", str(self.path), *words]) == status
        captured = self._capsys.readouterr()
        if status:
            assert captured.out == ""
            assert captured.err.startswith("angarium: ")
            return captured.err
        assert captured.err == ""
        return captured.out

    def json(self, *words: str, text: str = "") -> object:
        return json.loads(self(*words, "--json", text=text))

    @property
    def directory(self) -> SqliteDirectory:
        """A new reader, which has no answer in its cache."""
        return SqliteDirectory(self.path)


@pytest.fixture
def angarium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path / "directory.sqlite", monkeypatch, capsys)


@pytest.fixture
def example(angarium: Command) -> Command:
    angarium("domain", "add", "example.test")
    angarium("account", "add", "alice@example.test", "--no-password")
    return angarium


def test_domains(angarium: Command) -> None:
    assert angarium("domain", "add", "Example.test") == "added domain example.test\n"
    assert angarium("domain", "add", "example.test") == "domain example.test is there already\n"
    assert angarium("domain", "list") == "example.test  quota none\n"
    assert angarium("domain", "set", "example.test", "--quota", "1G", "--messages", "10")
    assert angarium.json("domain", "show", "example.test") == {
        "domain": "example.test",
        "quota": {"bytes": 2**30, "messages": 10},
        "accounts": 0,
        "aliases": 0,
    }
    assert "1G 10 messages" in angarium("domain", "show", "example.test")
    assert angarium("domain", "remove", "example.test") == "removed domain example.test\n"
    assert angarium("domain", "list") == ""
    assert angarium.json("domain", "list") == []
    angarium("domain", "remove", "example.test", status=os.EX_NOUSER)
    angarium("domain", "add", "a b", status=os.EX_DATAERR)


def test_an_account_with_a_password(angarium: Command) -> None:
    angarium("domain", "add", "example.test")
    out = angarium("account", "add", "alice@example.test", text="geheim wie nie\nnot this\n")
    assert out == "added account alice@example.test\n"
    entry = angarium.directory.password("alice@example.test")
    assert isinstance(entry, PasswordEntry)
    assert check_password(entry.hash, "geheim wie nie")
    assert angarium("account", "check", "alice@example.test", text="geheim wie nie\n")
    angarium("account", "check", "alice@example.test", text="geheim\n", status=os.EX_NOPERM)
    angarium("account", "set", "alice@example.test", "--password", text="neu")
    assert angarium.json("account", "check", "alice@example.test", text="neu") == {
        "account": "alice@example.test",
        "right": True,
    }
    angarium("account", "set", "alice@example.test", "--disable")
    angarium("account", "check", "alice@example.test", text="neu", status=os.EX_NOPERM)
    assert "disabled" in angarium("account", "list")
    angarium("account", "set", "alice@example.test", "--enable")
    assert angarium("account", "show", "alice@example.test").endswith("enabled\n")


def test_an_account_that_is_there(example: Command) -> None:
    error = example("account", "add", "alice@example.test", "--no-password", status=os.EX_CANTCREAT)
    assert error == "angarium: account alice@example.test exists already\n"
    out = example("account", "add", "alice@example.test", "--exist-ok", text="other\n")
    assert out == "account alice@example.test is there already\n"
    entry = example.directory.password("alice@example.test")
    assert entry == PasswordEntry("alice@example.test", "")
    example("account", "remove", "alice@example.test")
    example("account", "remove", "alice@example.test", status=os.EX_NOUSER)
    assert example("account", "remove", "alice@example.test", "--missing-ok") == "no account alice@example.test\n"


@pytest.mark.parametrize("text", ["", "\n", "a\0b\n", "x" * 5000])
def test_passwords_that_are_refused(angarium: Command, text: str) -> None:
    angarium("domain", "add", "example.test")
    angarium("account", "add", "alice@example.test", text=text, status=os.EX_DATAERR)
    assert angarium("account", "list") == ""


def test_an_imported_hash(example: Command) -> None:
    stored = "$6$saltsaltsalt$OVGIo/QQysbHPiV.uQJEBRYUERRSIO/.tsFM2RentXoSO1Hw78WnZDpdFcBKGtor2nH7xDCW55mmdI8OS9sNW/"
    example("account", "set", "alice@example.test", "--password-hash", stored)
    example("account", "check", "alice@example.test", text="geheim\n")
    example("account", "set", "alice@example.test", "--password-hash", "geheim", status=os.EX_DATAERR)
    example("account", "set", "alice@example.test", status=os.EX_USAGE)


def test_quotas(example: Command) -> None:
    assert example("quota", "set", "example.test", "2G") == "example.test  2G\n"
    assert example("quota", "show", "alice@example.test") == "alice@example.test  2G\n"
    assert example("quota", "set", "alice@example.test", "500M", "--messages", "7")
    assert example.directory.quota("alice@example.test").settings.limit == QuotaLimit(500 * 2**20, 7)
    assert example("quota", "add", "alice@example.test", "1K") == "alice@example.test  1K 7 messages\n"
    assert example("quota", "list") == "alice@example.test  1K 7 messages\n"
    example("quota", "remove", "alice@example.test")
    assert example.directory.quota("alice@example.test").settings.limit == QuotaLimit(2 * 2**30, 0)
    example("quota", "remove", "example.test")
    assert example.json("quota", "show", "example.test") == {
        "name": "example.test",
        "quota": {"bytes": 0, "messages": 0},
    }
    example("quota", "set", "alice@example.test", "much", status=os.EX_DATAERR)
    example("quota", "set", "nobody@example.test", "1G", status=os.EX_NOUSER)
    example("account", "set", "alice@example.test", "--quota", "3G")
    assert example.directory.quota("alice@example.test").settings.limit == QuotaLimit(3 * 2**30)
    example("account", "set", "alice@example.test", "--inherit-quota")
    assert example.directory.quota("alice@example.test").settings.limit == QuotaLimit()


def test_what_is_used_of_a_quota(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "main.cf").write_text(f"data_directory = {tmp_path}\nvirtual_mailbox_base = {tmp_path}/mail\n")

    async def deliver() -> None:
        store = SqliteMailStore(tmp_path / "mail", ServiceLog(MemoryLog(), "x"))
        account = await store.open("alice@example.test")
        mail = NewMail("INBOX", b"", MemoryContent(b"x" * 300_000), frozenset(), 0.0)
        await account.append([mail, mail])
        await store.close()

    def run(*words: str) -> str:
        assert main(["-c", str(tmp_path), *words]) == 0
        return capsys.readouterr().out

    (tmp_path / "mail").mkdir()
    asyncio.run(deliver())
    run("domain", "add", "example.test", "--quota", "1M")
    run("account", "add", "alice@example.test", "--no-password")
    run("account", "add", "bob@example.test", "--no-password")
    assert run("quota", "list") == (
        "alice@example.test  1M  used 586K (57%) in 2 messages\nbob@example.test    1M  used 0 (0%) in 0 messages\n"
    )
    assert json.loads(run("quota", "show", "alice@example.test", "--json"))["used"] == {"bytes": 600_000, "messages": 2}
    assert run("quota", "show", "example.test") == "example.test  1M\n"
    assert not list((tmp_path / "mail").glob("*/bob"))
    next((tmp_path / "mail").glob("*/alice/mail.sqlite")).write_bytes(b"damaged")
    assert main(["-c", str(tmp_path), "quota", "list"]) == os.EX_TEMPFAIL


class Quotas:
    """Accounts with mail, and the command on main.cf."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._directory, self._capsys = directory, capsys
        (directory / "mail").mkdir()
        (directory / "main.cf").write_text(
            f"data_directory = {directory}\nvirtual_mailbox_base = {directory}/mail\n"
            "mailstore_bytes_limit = 2097152\nmailstore_quota_rules = Junk:ignore\n"
        )

    def __call__(self, *words: str, status: int = 0) -> str:
        return self.run("quota", *words, status=status)

    def run(self, *words: str, status: int = 0) -> str:
        assert main(["-c", str(self._directory), *words]) == status
        captured = self._capsys.readouterr()
        return captured.err if status else captured.out

    def database(self, account: str) -> Path:
        return account_directory(self._directory / "mail", account) / "mail.sqlite"

    def deliver(self, account: str, *sizes: int, mailbox: str = "INBOX") -> None:
        async def run() -> None:
            store = SqliteMailStore(self._directory / "mail", ServiceLog(MemoryLog(), "x"))
            content = [MemoryContent(b"x" * size) for size in sizes]
            await (await store.open(account)).append([NewMail(mailbox, b"", one, frozenset(), 0.0) for one in content])
            await store.close()

        asyncio.run(run())

    def accounts(self, *names: str) -> None:
        main(["-c", str(self._directory), "domain", "add", "example.test"])
        for name in names:
            main(["-c", str(self._directory), "account", "add", f"{name}@example.test", "--no-password"])
        self._capsys.readouterr()


@pytest.fixture
def quotas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Quotas:
    quotas = Quotas(tmp_path, capsys)
    quotas.accounts("a", "b", "c")
    return quotas


def test_quotas_are_listed_by_what_is_used(quotas: Quotas) -> None:
    quotas.deliver("a@example.test", 900_000, 900_000)
    quotas.deliver("b@example.test", 10)
    quotas.deliver("b@example.test", 500_000, mailbox="Junk")
    quotas("set", "c@example.test", "0", "--messages", "1", "--mail", "1M")
    quotas.deliver("c@example.test", 1, 1)
    assert quotas("list", "--sort", "percent") == (
        "c@example.test  1 messages  used 2 in 2 messages  one message 1M\n"
        "a@example.test  2M          used 1758K (85%) in 2 messages\n"
        "b@example.test  2M          used 10 (0%) in 1 messages\n"
    )
    assert [one["name"][0] for one in json.loads(quotas("list", "--over", "--json"))] == ["c"]
    assert [one["name"][0] for one in json.loads(quotas("list", "--near", "--sort", "used", "--json"))] == ["a", "c"]
    assert json.loads(quotas("list", "--near", "86", "--json")) == [
        {
            "name": "c@example.test",
            "quota": {"bytes": 0, "messages": 1},
            "used": {"bytes": 2, "messages": 2},
            "percent": 200,
            "largest_message": 2**20,
        }
    ]
    assert quotas("get", "a@example.test") == (
        "Quota name Type    Value Limit  %\nUser quota STORAGE  1758  2048 85\nUser quota MESSAGE     2     -  0\n"
    )
    assert quotas("get", "a@example.test", "b@example.test").splitlines()[3].split() == [
        "b@example.test", "User", "quota", "STORAGE", "1", "2048", "0",
    ]  # fmt: skip


def test_parts_of_a_quota_are_set_and_given_up(quotas: Quotas) -> None:
    quotas("set", "example.test", "--rules", "Trash:storage=+1M", "--messages", "9", "--mail", "5K")
    assert quotas("show", "a@example.test") == (
        "a@example.test  2M 9 messages  used 0 (0%) in 0 messages  one message 5K\nrules: Trash:storage=+1M\n"
    )
    quotas("set", "a@example.test", "0", "--rules", "")
    assert quotas("show", "a@example.test") == "a@example.test  9 messages  used 0 in 0 messages  one message 5K\n"
    quotas("unset", "example.test", "mail", "messages")
    assert quotas("show", "a@example.test") == "a@example.test  none  used 0 in 0 messages\n"
    quotas("unset", "a@example.test")
    assert json.loads(quotas("show", "a@example.test", "--json"))["rules"] == "Trash:storage=+1M"
    for words, status in (
        (("set", "a@example.test"), os.EX_USAGE),
        (("set", "a@example.test", "--total", "1G"), os.EX_USAGE),
        (("set", "a@example.test", "--rules", "nonsense"), os.EX_DATAERR),
        (("set", "example.test", "--total-messages", "-1"), os.EX_DATAERR),
        (("unset", "a@example.test", "size"), os.EX_USAGE),
        (("recalculate",), os.EX_USAGE),
        (("recalculate", "z@example.test"), os.EX_NOUSER),
        (("get", "other.test"), os.EX_NOUSER),
    ):
        assert quotas(*words, status=status).startswith("angarium: ")


def test_limits_that_no_database_holds_are_refused(quotas: Quotas) -> None:
    for words in (
        ("a@example.test", "--messages", "9" * 30),
        ("a@example.test", "--messages", str(2**63 - 1)),
        ("example.test", "--total-messages", "9" * 30),
    ):
        assert "not a number of messages" in quotas("set", *words, status=os.EX_DATAERR)


def test_what_is_not_set_stays_main_cfs(quotas: Quotas) -> None:
    for words in (
        ("domain", "add", "other.test", "--messages", "9"),
        ("account", "add", "d@other.test", "--no-password", "--messages", "8"),
        ("account", "set", "a@example.test", "--messages", "7"),
        ("domain", "set", "example.test", "--messages", "6"),
    ):
        quotas.run(*words)
    assert [line.split("  used")[0].split() for line in quotas("list").splitlines()] == [
        ["a@example.test", "2M", "7", "messages"],
        ["b@example.test", "2M", "6", "messages"],
        ["c@example.test", "2M", "6", "messages"],
        ["d@other.test", "2M", "8", "messages"],
    ]
    quotas("set", "other.test", "--total", "1G")
    assert "together" in quotas.run("domain", "show", "other.test")
    quotas.run("account", "set", "a@example.test", "--inherit-quota")
    assert quotas("show", "a@example.test").startswith("a@example.test  2M 6 messages")


def test_a_domains_total_is_counted_when_it_is_set(quotas: Quotas) -> None:
    quotas.deliver("a@example.test", 300_000)
    quotas.deliver("b@example.test", 200_000)
    quotas.deliver("b@example.test", 200_000, mailbox="Junk")
    assert quotas("set", "example.test", "--total", "1M") == "example.test  2M  together 1M\n"
    assert quotas("show", "example.test").splitlines()[1] == "together 1M  used 488K (47%) in 2 messages"
    assert quotas("get", "a@example.test").splitlines()[3].split() == [
        "Domain",
        "quota",
        "STORAGE",
        "489",
        "1024",
        "47",
    ]
    assert quotas("list", "--domains", "--near", "40") == "example.test  1M  used 488K (47%) in 2 messages\n"
    assert quotas("list", "other.test", "--domains") == quotas("list", "--domains", "--over") == ""
    quotas("set", "example.test", "--rules", "")
    quotas("recalculate", "example.test")
    assert json.loads(quotas("show", "example.test", "--json"))["domain_used"] == {"bytes": 700_000, "messages": 3}
    assert quotas("unset", "example.test", "total") == "example.test  2M\n"


def test_counters_are_put_right(quotas: Quotas) -> None:
    quotas.deliver("a@example.test", 100, 200)
    quotas.deliver("b@example.test", 100)
    connection = connect(quotas.database("a@example.test"))
    connection.execute("UPDATE mailbox SET bytes = 5000, messages = 7, unseen = 9 WHERE name = 'INBOX'")
    wrong = "a@example.test: was 5000 bytes in 7 messages, is 300 bytes in 2 messages (wrong: INBOX)\n"
    assert quotas("recalculate", "a@example.test", "--dry-run") == wrong
    assert quotas("recalculate", "--all") == (
        wrong + "b@example.test: right: 100 bytes in 1 messages\nc@example.test: right: 0 bytes in 0 messages\n"
    )
    assert list(connection.execute("SELECT bytes, messages, unseen FROM mailbox WHERE name = 'INBOX'")) == [(300, 2, 2)]
    assert json.loads(quotas("recalculate", "a@example.test", "--json"))[0]["wrong"] == []
    connection.close()
    quotas.database("b@example.test").write_bytes(b"damaged" * 1000)
    assert "b/mail.sqlite" in quotas("recalculate", "b@example.test", status=os.EX_TEMPFAIL)


def test_mailboxes_that_the_directory_does_not_know_are_counted_too(quotas: Quotas) -> None:
    for account in ("gone@example.test", "u@sql.test", "odd@a b"):
        quotas.deliver(account, 100)
        connection = connect(quotas.database(account))
        connection.execute("UPDATE mailbox SET bytes = 7 WHERE name = 'INBOX'")
        connection.close()
    right = "100 bytes in 1 messages"
    wrong = f"was 7 bytes in 1 messages, is {right} (wrong: INBOX)\n"
    assert quotas("recalculate", "u@sql.test", "--dry-run") == f"u@sql.test: {wrong}"
    assert quotas("recalculate", "sql.test") == f"u@sql.test: {wrong}"
    assert quotas("recalculate", "--all") == (
        f"odd@a b: {wrong}"
        + "".join(f"{name}@example.test: right: 0 bytes in 0 messages\n" for name in "abc")
        + f"gone@example.test: {wrong}u@sql.test: right: {right}\n"
    )
    assert "no such account" in quotas("recalculate", "nobody@sql.test", status=os.EX_NOUSER)
    assert "no such domain" in quotas("recalculate", "other.test", status=os.EX_NOUSER)


def test_an_accounts_own_size_keeps_the_domains_number(example: Command) -> None:
    example("domain", "set", "example.test", "--messages", "9")
    example("account", "add", "bob@example.test", "--no-password", "--quota", "1G")
    assert example.directory.quota("bob@example.test").settings.limit == QuotaLimit(2**30, 9)


def test_aliases(example: Command) -> None:
    line = "info@example.test  alice@example.test, bob@elsewhere.test\n"
    assert example("alias", "add", "info@example.test", "alice@example.test", "bob@elsewhere.test") == line
    assert example("alias", "add", "info@example.test", "alice@example.test") == line
    assert example("alias", "list", "example.test") == line
    assert example("alias", "show", "info@example.test") == "alice@example.test\nbob@elsewhere.test\n"
    example("alias", "set", "info@example.test", "carol@elsewhere.test")
    assert example.json("alias", "list") == [{"alias": "info@example.test", "destinations": ["carol@elsewhere.test"]}]
    example("alias", "remove", "info@example.test", "nobody@example.test", status=os.EX_NOUSER)
    example("alias", "remove", "info@example.test")
    assert example("alias", "remove", "info@example.test", "--missing-ok") == "no alias info@example.test\n"
    example("alias", "add", "alice@example.test", "bob@elsewhere.test", status=os.EX_CANTCREAT)
    example("domain", "remove", "example.test", status=os.EX_UNAVAILABLE)
    example("domain", "remove", "example.test", "--with-contents")


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        [],
        ["domain"],
        ["domain", "add"],
        ["frobnicate"],
        ["account", "set", "a@b", "--enable", "--disable"],
    ):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == os.EX_USAGE
        assert "usage: angarium" in capsys.readouterr().err


def test_a_database_that_cannot_be_used(angarium: Command) -> None:
    angarium.path.write_text("no database" * 100)
    error = angarium("domain", "list", status=os.EX_TEMPFAIL)
    assert str(angarium.path) in error


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("none", 0),
        ("17", 17),
        ("1k", 1024),
        ("1.5G", 3 * 2**29),
        ("2TiB", 2**41),
        ("500 MB", 500 * 2**20),
        ("9007199254740993", 2**53 + 1),
        ("4096P", 2**62),
        ("0.001K", 1),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1X", "1e9", "1,5G", "9999999P", "0.5", "1\u212a", "9" * 400])
def test_no_sizes(text: str) -> None:
    with pytest.raises(Failure):
        parse_size(text)


def test_sizes_for_people() -> None:
    assert [format_size(size) for size in (0, 1, 1024, 1536, 2**30, 500 * 2**20)] == [
        "none",
        "1",
        "1K",
        "1536",
        "1G",
        "500M",
    ]


def test_it_does_not_load_what_it_does_not_need(tmp_path: Path) -> None:
    program = (
        "import sys; from angarium.commands.angarium import main; "
        f"main(['--database', {str(tmp_path / 'd.sqlite')!r}, 'domain', 'list']); "
        "print(sorted({'argon2', 'uvloop', 'cryptography', 'dns'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_manual_names_every_verb_and_option() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "manual" / "angarium.1.md").read_text(encoding="utf-8")
    for noun, parser_of_noun in _subcommands(command_parser()).items():
        for verb, parser in (_subcommands(parser_of_noun) or {"": parser_of_noun}).items():
            assert f"`{noun} {verb}".strip() in manual, f"{noun} {verb}"
            for action in parser._actions:
                for option in action.option_strings:
                    assert option in manual or option in ("-h", "--help"), option
    for status in (os.EX_USAGE, os.EX_CONFIG, *_STATUS.values()):
        assert f" {status} " in manual.replace("\n", " ")


def _subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    return actions[0].choices if actions else {}
