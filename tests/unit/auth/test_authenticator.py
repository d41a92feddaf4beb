"""The authenticator on a fake directory: outcomes, cache, coalescing, bounds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

from angarium.auth.authenticator import DirectoryAuthenticator
from angarium.auth.interface import Accepted, Outcome, Refused, Unavailable
from angarium.auth.log import refusal_line, shown_user
from angarium.auth.parameters import AuthParameters
from angarium.auth.passwords import check_password, hash_password
from angarium.config.config import Config
from angarium.directory.interface import PasswordEntry, QuotaLimit
from angarium.model.lookup import NOT_FOUND, Lookup, NotFound, TemporaryError

ALICE = "alice@example.test"


class FakeDirectory:
    """Password entries alone; ``broken`` makes each lookup fail."""

    def __init__(self, **entries: PasswordEntry) -> None:
        self.entries = {f"{name}@example.test": entry for name, entry in entries.items()}
        self.broken = False

    def password(self, account: str) -> PasswordEntry | NotFound | TemporaryError:
        if self.broken:
            return TemporaryError("the disk is away", "directory:accounts")
        return self.entries.get(account, NOT_FOUND)

    def domain(self, name: str) -> Lookup:
        raise NotImplementedError

    def account(self, address: str) -> Lookup:
        raise NotImplementedError

    def alias(self, address: str) -> Lookup:
        raise NotImplementedError

    def quota(self, account: str) -> QuotaLimit | NotFound | TemporaryError:
        raise NotImplementedError


class Counting:
    """A check of plain texts that counts, and can be held up."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, stored: str, password: str) -> bool:
        self.calls.append((stored, password))
        self.gate.wait()
        return stored == password


def _run(
    directory: FakeDirectory,
    body: Callable[[DirectoryAuthenticator], Awaitable[None]],
    parameters: AuthParameters | None = None,
    check: Callable[[str, str], bool] | None = None,
    clock: Callable[[], float] = lambda: 0.0,
) -> None:
    async def main() -> None:
        authenticator = DirectoryAuthenticator(
            directory, parameters or AuthParameters(default_domain="example.test"), clock, check or Counting()
        )
        try:
            await body(authenticator)
        finally:
            authenticator.close()

    asyncio.run(main())


def test_outcomes() -> None:
    directory = FakeDirectory(
        alice=PasswordEntry(ALICE, "secret"),
        bob=PasswordEntry("bob@example.test", "secret", enabled=False),
        carol=PasswordEntry("carol@example.test", ""),
    )

    async def body(auth: DirectoryAuthenticator) -> None:
        cases: list[tuple[str, str, Outcome]] = [
            (ALICE, "secret", Accepted(ALICE)),
            ("Alice@EXAMPLE.test", "secret", Accepted(ALICE)),
            ("alice", "secret", Accepted(ALICE)),
            (" alice ", "secret", Accepted(ALICE)),
            (ALICE, "wrong", Refused("Password mismatch")),
            ("nobody", "secret", Refused("unknown user")),
            ("bob", "secret", Refused("user disabled")),
            ("carol", "", Refused("no password")),
            ("alice@elsewhere.test", "secret", Refused("unknown user")),
        ]
        for user, password, wanted in cases:
            assert await auth.check_password(user, password) == wanted, user
        directory.broken = True
        assert await auth.check_password(ALICE, "secret") == Unavailable("the disk is away")

    _run(directory, body)


def test_with_real_hashes() -> None:
    directory = FakeDirectory(
        alice=PasswordEntry(ALICE, hash_password("secret")), bob=PasswordEntry("bob@example.test", "damaged")
    )

    async def body(auth: DirectoryAuthenticator) -> None:
        assert await auth.check_password("alice", "secret") == Accepted(ALICE)
        assert await auth.check_password("alice", "Secret") == Refused("Password mismatch")
        assert await auth.check_password("nobody", "secret") == Refused("unknown user")
        outcome = await auth.check_password("bob", "secret")
        assert isinstance(outcome, Unavailable)
        assert "damaged" not in outcome.cause

    _run(directory, body, check=check_password)


def test_repeated_log_ins_hash_once_until_the_password_changes() -> None:
    directory = FakeDirectory(alice=PasswordEntry(ALICE, "secret"))
    counting = Counting()

    async def body(auth: DirectoryAuthenticator) -> None:
        for _ in range(3):
            assert await auth.check_password("alice", "secret") == Accepted(ALICE)
            assert await auth.check_password("alice", "wrong") == Refused("Password mismatch")
            assert await auth.check_password("nobody", "secret") == Refused("unknown user")
        assert len(counting.calls) == 3
        directory.entries[ALICE] = PasswordEntry(ALICE, "wrong")
        assert await auth.check_password("alice", "secret") == Refused("Password mismatch")
        assert await auth.check_password("alice", "wrong") == Accepted(ALICE)
        del directory.entries[ALICE]
        assert await auth.check_password("alice", "wrong") == Refused("unknown user")
        assert auth.statistics()["hits"] == 6

    _run(directory, body, check=counting)


def test_an_unknown_user_is_checked_against_the_decoy() -> None:
    counting = Counting()

    async def body(auth: DirectoryAuthenticator) -> None:
        await auth.check_password("nobody", "x")
        assert counting.calls[0][0].startswith("$argon2id$")

    _run(FakeDirectory(), body, check=counting)


def test_equal_log_ins_at_once_are_hashed_once() -> None:
    counting = Counting()
    counting.gate.clear()

    async def body(auth: DirectoryAuthenticator) -> None:
        waiting = [asyncio.ensure_future(auth.check_password("alice", "secret")) for _ in range(10)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # its client went away; the others must not notice
        await asyncio.sleep(0)
        counting.gate.set()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(outcomes[0], asyncio.CancelledError)
        assert outcomes[1:] == [Accepted(ALICE)] * 9
        assert len(counting.calls) == 1
        assert auth.statistics()["running"] == 0

    _run(FakeDirectory(alice=PasswordEntry(ALICE, "secret")), body, check=counting)


def test_a_flood_is_turned_away() -> None:
    counting = Counting()
    counting.gate.clear()

    async def body(auth: DirectoryAuthenticator) -> None:
        waiting = [asyncio.ensure_future(auth.check_password("alice", str(number))) for number in range(5)]
        await asyncio.sleep(0)
        outcome = await auth.check_password("alice", "one more")
        assert isinstance(outcome, Unavailable)
        counting.gate.set()
        assert set(await asyncio.gather(*waiting)) == {Refused("Password mismatch")}
        assert len(counting.calls) == 5

    _run(FakeDirectory(alice=PasswordEntry(ALICE, "s")), body, AuthParameters("example.test", queue_limit=5), counting)


def test_parameters_from_main_cf() -> None:
    conf = Config.of({"mydomain": "example.test", "auth_cache_ttl": "5m"})
    assert AuthParameters.from_config(conf) == AuthParameters("example.test", cache_ttl=300.0)
    named = Config.of({"mydomain": "example.test", "smtpd_sasl_local_domain": "other.test"})
    assert AuthParameters.from_config(named).default_domain == "other.test"


def test_the_log_line_is_dovecots() -> None:
    line = refusal_line("u", "192.0.2.1", "abc", Refused("unknown user"))
    assert line == "directory(u,192.0.2.1,<abc>): unknown user"


def test_a_name_cannot_forge_a_log_line() -> None:
    assert shown_user("o'neill.x+y@example.test") == "o?neill.x+y@example.test"
    assert shown_user("jürgen") == "jürgen"
    assert shown_user("x>, rip=192.0.2.1\r\n") == "x???rip=192.0.2.1??"
    assert len(shown_user("x" * 1000)) == 128
    line = refusal_line("x,192.0.2.1,<y>): ok", "192.0.2.9", "abc", Refused("unknown user"))
    assert line == "directory(x?192.0.2.1??y??:?ok,192.0.2.9,<abc>): unknown user"
