"""Runs a command for each connection, with the connection as its standard input, output and error (spawn(8)).

The command has a session of its own, the rights of ``user=`` alone, no descriptors but the three, and the service's
time limit; then its whole process group is killed. No more run at once than the process limit of master.cf says: who
comes then waits in the backlog.

Nothing is read from a connection here, so nothing that is sent can do anything to this process, which may be root's.

Fails by closing the connection, with a line in the log. Attributes that make no sense, or a user who may run nothing:
the connection waits for ``service_throttle_time`` before, as it would for a daemon of Postfix that does not start.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence

from angarium.config.error import ConfigError
from angarium.daemons.spawn.parameters import SpawnParameters
from angarium.delivery.actor import NOBODY, Reserved, actor
from angarium.delivery.attributes import Attributes
from angarium.delivery.environment import PATH, exported
from angarium.delivery.launcher import Launcher, LostError, Running, StartError
from angarium.delivery.starter import Order
from angarium.delivery.user import User
from angarium.runtime.log import ServiceLog


class SpawnService:
    """The service of one line of master.cf (``runtime.service.Service``).

    Args:
        attributes: of the line, or what is wrong with them.
        parameters: of main.cf.
        log: ``postfix/spawn``.
        launcher: starts the commands.
        reserved: who may not be the command's user.
    """

    def __init__(
        self,
        attributes: Attributes | ConfigError,
        parameters: SpawnParameters,
        log: ServiceLog,
        launcher: Launcher,
        reserved: Reserved = NOBODY,
    ) -> None:
        self._attributes = attributes
        self._parameters = parameters
        self._log = log
        self._launcher = launcher
        self._reserved = reserved
        self._draining = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """For the log."""
        return self._log.tag

    def drain(self) -> None:
        """Accept nothing more; ``run`` returns when the commands have ended."""
        self._draining.set()

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serve until drained; cancelled, kill what runs."""
        loop = asyncio.get_running_loop()
        room = asyncio.Semaphore(self._parameters.most) if self._parameters.most else None
        accepting = [loop.create_task(self._accept(each, room)) for each in sockets]
        try:
            await self._draining.wait()
            for task in accepting:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            for task in (*accepting, *self._tasks):
                task.cancel()
            await asyncio.gather(*accepting, *self._tasks, return_exceptions=True)

    async def _accept(self, listener: socket.socket, room: asyncio.Semaphore | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if room is not None:
                await room.acquire()
            try:
                connection, _peer = await loop.sock_accept(listener)
            except OSError as error:
                self._log.warning(f"accept connection: {error.strerror}")
                if room is not None:
                    room.release()
                await asyncio.sleep(1.0)
                continue
            task = loop.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if room is not None:
                task.add_done_callback(lambda _task: room.release())

    async def _serve(self, connection: socket.socket) -> None:
        """One connection, from its command's start to its end."""
        with connection:
            try:
                attributes, user = self._whose()
            except (ConfigError, OSError) as error:
                self._log.fatal(str(error))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._draining.wait(), self._parameters.service_throttle_time)
                return
            connection.setblocking(True)
            descriptor = connection.fileno()
            try:
                async with self._launcher.started(self._order(attributes, user), descriptor, descriptor) as running:
                    connection.close()  # the command has it, and nobody else shall
                    await self._attend(running, attributes.argv[0])
            except StartError as error:
                what = f"execvp {attributes.argv[0]}" if error.step == "command" else error.step
                self._log.fatal(f"{what}: {error.reason}")
            except (LostError, OSError, ValueError) as error:
                self._log.warning(f"command {attributes.argv[0]}: {error}")

    async def _attend(self, running: Running, command: str) -> None:
        """See a command through. Raises StartError, LostError."""
        try:
            async with asyncio.timeout(self._parameters.time_limit):
                code = await running.ended()
        except TimeoutError:
            self._log.warning(f"{command}: process id {running.pid}: command time limit exceeded")
            running.kill()
            code = await running.ended()
        if code > 0:
            self._log.warning(f"command {command} exit status {code}")
        elif code < 0:
            self._log.warning(f"command {command} killed by signal {-code}")

    def _whose(self) -> tuple[Attributes, User]:
        """What is to be run, by whom. Raises ConfigError, OSError."""
        if isinstance(self._attributes, ConfigError):
            raise self._attributes
        user = actor(self._attributes.user, self._attributes.group, self._reserved)
        if os.geteuid() not in (0, user.uid):
            raise ConfigError(f"a command of the user {user.name} needs a server that was started by root")
        return self._attributes, user

    def _order(self, attributes: Attributes, user: User) -> Order:
        changes = os.geteuid() == 0
        environment = {"PATH": PATH, **exported(self._parameters.export_environment)}
        return Order(
            user.uid if changes else -1,
            user.gid if changes else -1,
            os.fsencode(self._parameters.queue_directory),
            b"",
            b"",
            [os.fsencode(each) for each in attributes.argv],
            [os.fsencode(f"{name}={value}") for name, value in environment.items()],
        )
