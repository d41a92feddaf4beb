"""Commands for connections: how many, how long, and what is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import pwd
import socket
import time
from pathlib import Path

import pytest

from angarium.config.error import ConfigError
from angarium.daemons.spawn.main import SpawnService
from angarium.daemons.spawn.parameters import SpawnParameters
from angarium.delivery.attributes import Attributes
from angarium.delivery.launcher import Launcher
from angarium.runtime.log import MemoryLog, ServiceLog

USER = "daemon" if os.geteuid() == 0 else getpass.getuser()


@contextlib.asynccontextmanager
async def serving(command, user=USER, attributes=None, **settings):
    """A service whose command is run by a shell; its address, its log, itself."""
    log = MemoryLog()
    parameters = SpawnParameters(
        **{"queue_directory": "/", "time_limit": 20.0, "service_throttle_time": 0.01} | settings
    )
    wanted = attributes or Attributes(user, ("/bin/sh", "-c", command))
    launcher = Launcher()
    service = SpawnService(wanted, parameters, ServiceLog(log, "t"), launcher)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")
        listener.listen()
        listener.setblocking(False)
        task = asyncio.create_task(service.run([listener]))
        try:
            yield listener.getsockname(), log, service, task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            launcher.close()


def is_running(pid):
    """Whether it is there, and is not just waiting to be buried."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def talk(address, text=b""):
    """All that the command says."""
    reader, writer = await asyncio.open_unix_connection(address)
    writer.write(text)
    try:
        return await reader.read()
    finally:
        writer.close()


def test_the_connection_is_all_that_a_command_has():
    async def body():
        async with serving("read x; echo $x; echo oops >&2; ls /proc/self/fd | wc -l; id -u; umask; exit 3") as (
            address,
            log,
            _service,
            _task,
        ):
            said = (await talk(address, b"hello\n")).decode().split()
            while not log.lines:
                await asyncio.sleep(0.01)
            return said, log.lines

    said, lines = asyncio.run(body())
    assert said == ["hello", "oops", "4", str(pwd.getpwnam(USER).pw_uid), "0077"]
    assert "command /bin/sh exit status 3" in lines[0]


def test_no_more_than_the_limit_run_at_once():
    async def body():
        async with serving("echo begun; read x", most=1) as (address, _log, _service, _task):
            reader, writer = await asyncio.open_unix_connection(address)
            assert await reader.readline() == b"begun\n"
            second, other = await asyncio.open_unix_connection(address)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(second.readline(), 0.3)
            writer.close()
            assert await second.readline() == b"begun\n"
            other.close()

    asyncio.run(body())


def test_what_takes_too_long_is_killed_with_its_children():
    async def body():
        async with serving("sleep 60 & echo $!; sleep 60", time_limit=0.3) as (address, log, _service, _task):
            child = int(await talk(address))
            while "killed by signal 9" not in "".join(log.lines):
                await asyncio.sleep(0.01)
            return child, log.lines

    child, lines = asyncio.run(body())
    assert "command time limit exceeded" in lines[0]
    deadline = time.monotonic() + 10
    while is_running(child):
        assert time.monotonic() < deadline
        os.sched_yield()


def test_drained_it_lets_commands_end_and_cancelled_it_kills_them():
    async def body():
        async with serving("echo begun; read x; echo ended") as (address, _log, service, task):
            reader, writer = await asyncio.open_unix_connection(address)
            await reader.readline()
            service.drain()
            writer.write(b"\n")
            assert await reader.read() == b"ended\n"
            await task
            writer.close()
        async with serving("echo begun; sleep 60") as (address, _log, _service, task):
            reader, writer = await asyncio.open_unix_connection(address)
            await reader.readline()
            task.cancel()
            assert await reader.read() == b""
            writer.close()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        (ConfigError("unknown flag: Z", "master.cf", 3), "fatal: master.cf, line 3: unknown flag: Z"),
        (Attributes("nosuchuser", ("/bin/true",)), "fatal: unknown user name: nosuchuser"),
        (Attributes("root", ("/bin/true",)), "fatal: user= command-line attribute specifies root privileges"),
        (Attributes(USER, ("/no/such/program",)), "fatal: execvp /no/such/program: No such file or directory"),
    ],
)
def test_what_cannot_be_run_is_told(attributes, said):
    async def body():
        async with serving("", attributes=attributes) as (address, log, _service, _task):
            assert await talk(address) == b""
            return log.lines

    assert any(said in line for line in asyncio.run(body()))
