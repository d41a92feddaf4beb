"""check_policy_service: asking a policy server (SMTPD_POLICY_README).

Owns the connections to the servers, one at a time for each server and evaluation, kept between requests for
smtpd_policy_service_max_idle seconds, and at most _max_ttl seconds or _request_limit requests. A request that fails is
made again on a new connection, smtpd_policy_service_try_limit times in all, with _retry_delay between; then the
answer is smtpd_policy_service_default_action.

An argument is ``inet:host:port``, ``unix:path`` (relative to queue_directory), or ``{ server, name = value … }`` with
settings of its own. Every wait is bounded by smtpd_policy_service_timeout.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from angarium.config.error import ConfigError
from angarium.config.values import seconds
from angarium.protocols.policy.attributes import AttributeReader, render


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """One server with its settings; each field is ``smtpd_policy_service_`` and its name, times in seconds."""

    server: str
    timeout: float = 100.0
    max_idle: float = 300.0
    max_ttl: float = 1000.0
    request_limit: int = 0
    retry_delay: float = 1.0
    try_limit: int = 2
    default_action: str = "451 4.3.5 Server configuration problem"
    policy_context: str = ""

    def of(self, argument: str) -> ServiceSettings:
        """The settings that an argument of check_policy_service stands for. Raises ValueError."""
        if not argument.startswith("{"):
            return replace(self, server=argument)
        words = _split(argument[1:-1])
        if not words:
            msg = f"no server: {argument}"
            raise ValueError(msg)
        changed: dict[str, str | float | int] = {"server": words[0]}
        for word in words[1:]:
            name, equals, value = (part.strip() for part in word.partition("="))
            if not equals or name not in _READERS:
                msg = f"bad setting: {word}"
                raise ValueError(msg)
            try:
                changed[name] = _READERS[name](value)
            except (ConfigError, ValueError) as error:
                msg = f"bad setting: {word}: {error}"
                raise ValueError(msg) from error
        return replace(self, **changed)  # type: ignore[arg-type]  # each by its reader


def _time(value: str) -> float:
    return float(seconds("smtpd_policy_service", value))


_Reader = Callable[[str], str | float | int]
_BY_TYPE: Mapping[str, _Reader] = {"float": _time, "int": int, "str": str}
_READERS: Mapping[str, _Reader] = {
    each.name: _BY_TYPE[str(each.type)] for each in fields(ServiceSettings) if each.name != "server"
}


def _split(text: str) -> list[str]:
    """At commas and blanks; ``{name = value}`` keeps together, and so do blanks around ``=``."""
    words: list[str] = []
    level = 0
    current = ""
    for char in text:
        level += (char == "{") - (char == "}")
        if char == "," and not level:
            words.append(current)
            current = ""
        else:
            current += char
    words.append(current)
    result: list[str] = []
    for word in (each.strip() for each in words):
        if word.startswith("{") and word.endswith("}"):
            result.append(word[1:-1].strip())
        elif "=" in word:
            before, _, after = word.partition("=")
            result += [*before.split()[:-1], f"{before.split()[-1] if before.split() else ''}={after.strip()}"]
        else:
            result += word.split()
    return [word for word in result if word]


class PolicyTroubleError(Exception):
    """A request that got no answer; the text is for the log."""


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    opened: float
    used: float
    requests: int = 0
    attributes: AttributeReader = field(default_factory=AttributeReader)

    async def ask(self, request: bytes) -> dict[str, str]:
        self.writer.write(request)
        await self.writer.drain()
        while True:
            data = await self.reader.read(65536)
            if not data:
                msg = "the server has closed the connection"
                raise PolicyTroubleError(msg)
            replies = self.attributes.receive_data(data)
            if replies:
                return replies[0]


class PolicyClient:
    """The policy servers of one smtpd service. Belongs to one event loop.

    Args:
        base: what relative paths of ``unix:`` servers start from: queue_directory.
        warn: takes what the administrator should know.
        clock: monotonic seconds.
    """

    def __init__(self, base: Path, warn: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._base = base
        self._warn = warn
        self._clock = clock
        self._idle: dict[str, list[_Connection]] = {}

    async def ask(self, settings: ServiceSettings, attributes: Mapping[str, str]) -> str:
        """The action of the server, or the default one."""
        request = render(attributes)
        for attempt in range(max(1, settings.try_limit)):
            if attempt:
                await asyncio.sleep(settings.retry_delay)
            try:
                async with asyncio.timeout(settings.timeout or None):
                    return await self._attempt(settings, request)
            except (OSError, ValueError, PolicyTroubleError) as error:
                self._warn(f"problem talking to server {settings.server}: {_words(error)}")
        return settings.default_action

    async def _attempt(self, settings: ServiceSettings, request: bytes) -> str:
        connection = self._take(settings) or await self._connect(settings.server)
        try:
            reply = await connection.ask(request)
            action = reply.get("action", "")
            if not action:
                msg = "the reply has no action"
                raise PolicyTroubleError(msg)
        except BaseException:
            connection.writer.close()
            raise
        connection.requests += 1
        connection.used = self._clock()
        self._idle.setdefault(settings.server, []).append(connection)
        return action

    def _take(self, settings: ServiceSettings) -> _Connection | None:
        now = self._clock()
        idle = self._idle.get(settings.server, [])
        while idle:
            connection = idle.pop()
            worn = settings.request_limit and connection.requests >= settings.request_limit
            old = now - connection.used > settings.max_idle or now - connection.opened > settings.max_ttl
            if not worn and not old and not connection.reader.at_eof():
                return connection
            connection.writer.close()
        return None

    async def _connect(self, server: str) -> _Connection:
        kind, _, place = server.partition(":")
        if kind == "unix":
            reader, writer = await asyncio.open_unix_connection(self._base / place)
        elif kind == "inet":
            host, _, port = place.rpartition(":")
            reader, writer = await asyncio.open_connection(host.strip("[]") or "127.0.0.1", port)
        else:
            msg = f"neither inet: nor unix: {server}"
            raise ValueError(msg)
        now = self._clock()
        return _Connection(reader, writer, now, now)

    def close(self) -> None:
        """Close what is idle."""
        for connections in self._idle.values():
            for connection in connections:
                connection.writer.close()
        self._idle.clear()


def _words(error: Exception) -> str:
    return "it takes too long" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
