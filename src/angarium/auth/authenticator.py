"""``DirectoryAuthenticator``: checks passwords against the directory.

Guarantees:
  - The event loop never hashes: ``auth_hash_concurrency`` threads do, each with 19 MiB while it works, so a flood of
    log-ins costs time and not memory. Who comes when ``auth_queue_limit`` wait is told that nobody can tell now.
  - Equal log-ins that come together (a client that opens ten connections) are hashed once, later ones come from
    ``AuthCache``.
  - A user who is unknown, disabled or has no password costs the time of a wrong password.
  - Passwords are in no log line, exception or cache.

Fails with the outcome ``Unavailable``, never with an exception, when the directory or a hash cannot be read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from angarium.auth.cache import AuthCache
from angarium.auth.interface import Accepted, Outcome, Refused, Unavailable
from angarium.auth.parameters import AuthParameters
from angarium.auth.passwords import UnknownHashError, check_password, decoy_hash
from angarium.auth.shared import SharedSuccesses
from angarium.directory.interface import Directory
from angarium.model.lookup import NotFound, TemporaryError


class DirectoryAuthenticator:
    """Checks credentials against the directory's password hashes.

    Args:
        directory: where the accounts are.
        parameters: the auth_* parameters.
        clock: seconds, growing.
        check: checks a hash, on a thread; a test may count or delay here.
        shared: what other workers have found right; their clock must be this one's.
    """

    def __init__(
        self,
        directory: Directory,
        parameters: AuthParameters,
        clock: Callable[[], float] = time.monotonic,
        check: Callable[[str, str], bool] = check_password,
        shared: SharedSuccesses | None = None,
    ) -> None:
        self._directory = directory
        self._parameters = parameters
        self._clock = clock
        self._check = check
        self._cache = AuthCache(parameters.cache_size, parameters.cache_ttl, parameters.cache_negative_ttl, shared)
        self._decoy = decoy_hash()
        self._running: dict[bytes, asyncio.Future[bool]] = {}
        self._threads: ThreadPoolExecutor | None = None

    async def check_password(self, user: str, password: str) -> Outcome:
        """Check a clear-text password for what the client typed as user."""
        account = self._canonical(user)
        entry = self._directory.password(account)
        if isinstance(entry, TemporaryError):
            return Unavailable(entry.cause)
        if isinstance(entry, NotFound):
            refusal, stored = Refused("unknown user"), ""
        elif not entry.enabled:
            refusal, stored = Refused("user disabled"), ""
        elif not entry.hash:
            refusal, stored = Refused("no password"), ""
        else:
            account, refusal, stored = entry.account, Refused("Password mismatch"), entry.hash
        try:
            right = await self._verify(account, password, stored)
        except UnknownHashError as error:
            return Unavailable(f"password of {account}: {error}")
        if right is None:
            return Unavailable(f"over {self._parameters.queue_limit} log-ins are waiting (auth_queue_limit)")
        return Accepted(account) if right and stored else refusal

    def statistics(self) -> dict[str, int]:
        """What the cache holds and spared, and the log-ins that are being checked."""
        return self._cache.statistics() | {"running": len(self._running)}

    def close(self) -> None:
        """End the threads; a check under way is finished first."""
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def _canonical(self, user: str) -> str:
        folded = user.strip().casefold()
        if "@" in folded or not self._parameters.default_domain:
            return folded
        return f"{folded}@{self._parameters.default_domain.casefold()}"

    async def _verify(self, account: str, password: str, stored: str) -> bool | None:
        """Whether the password is right, from the cache or by hashing; None when too many wait."""
        mac = self._cache.mac(account, password, stored)
        known = self._cache.get(mac, self._clock())
        if known is not None:
            return known
        running = self._running.get(mac)
        if running is None:
            if len(self._running) >= self._parameters.queue_limit:
                return None
            if self._threads is None:  # made late: a fork must not come between
                self._threads = ThreadPoolExecutor(self._parameters.hash_concurrency, thread_name_prefix="auth")
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._threads, self._check, stored or self._decoy, password)
            self._running[mac] = running
            running.add_done_callback(lambda done: self._finished(mac, done))
        # The client that asked first may go; those who asked for the same must not notice.
        return await asyncio.shield(running)

    def _finished(self, mac: bytes, done: asyncio.Future[bool]) -> None:
        del self._running[mac]
        if not done.cancelled() and done.exception() is None:
            self._cache.put(mac, done.result(), self._clock())
