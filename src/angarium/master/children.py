"""What a child of the master does between fork and exit: one worker, the queue manager, or the local process.

A child gives up root first (the local process alone keeps it, to become its recipients), then opens its log, stores
and bus, runs its services, and says so by one byte on the status pipe. What it hears:

- SIGHUP drains it: it stops accepting and ends with its last session (a reload);
- SIGUSR1 does not end it: it opens the log file again;
- SIGTERM stops it: network sessions are closed at once, the queue manager gets ``STOP_PATIENCE`` to finish what it
  delivers, so that fewer messages go out twice;
- the master is gone: the life line, a pipe whose other end only the master holds, tells;
- SIGALRM kills it: the watchdog (watchdog(3) of Postfix), a timer that the event loop winds up again as long as it
  turns. A loop that stands still for ``HUNG`` seconds, or daemon_timeout if that is less, serves nobody.

Fails by a ``fatal`` line in the log and exit status 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import uvloop

from angarium.auth.shared import SharedSuccesses
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.master_cf import MasterService
from angarium.master import programs
from angarium.master.node import Node
from angarium.master.privileges import Owner, confine
from angarium.master.tls import Contexts
from angarium.master.transports import privileged_service, queue_manager
from angarium.master.watchdog import HUNG, Watchdog
from angarium.master.wiring import NetworkWiring, local_service
from angarium.runtime.counts import Column
from angarium.runtime.log import MailLog, ServiceLog
from angarium.runtime.service import Service

STOP_PATIENCE = 3.0
"""Seconds that the queue manager may go on delivering after SIGTERM."""

Listening = Sequence[tuple[MasterService, Sequence[socket.socket]]]


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a child gets from the master.

    Attributes:
        conf: main.cf, as the master has read it.
        sink: the mail log.
        owner: whom to become.
        listening: the network services with their sockets.
        contexts: their TLS contexts.
        life_line: the pipe's end that reads as closed when the master is gone.
        status: the pipe to say "ready" on.
        number: of the worker, from 0.
        workers: how many there are.
        counts: what workers count together, as this one sees it; None: it counts by itself.
        successes: the log-ins that any worker has found right.
        background: leave standard error alone once ready: it belongs to the command that started the server.
    """

    conf: Config
    sink: MailLog
    owner: Owner | None
    listening: Listening
    contexts: Contexts
    life_line: int
    status: int
    background: bool
    number: int
    workers: int
    counts: Column | None
    successes: SharedSuccesses


Builder = Callable[[Node], Sequence[tuple[Service, Sequence[socket.socket]]]]


def worker(inherited: Inheritance) -> NoReturn:
    """Serve the network: every inet service of master.cf."""
    network, local, privileged = _split(inherited)
    addresses = _addresses(inherited, privileged)
    _close(local)
    _close(privileged)

    def build(node: Node) -> list[tuple[Service, Sequence[socket.socket]]]:
        node.privileged.update(addresses)
        node.successes = inherited.successes
        wiring = NetworkWiring(node, inherited.contexts, inherited.counts, inherited.number, inherited.workers)
        return [(wiring.service(entry), sockets) for entry, sockets in network]

    _run("worker", inherited, build, patience=0.0, watchdog="daemon_timeout")


def manager(inherited: Inheritance) -> NoReturn:
    """Manage the queue, take local submissions, list the queue."""
    network, local, privileged = _split(inherited)
    addresses = _addresses(inherited, privileged)
    _close(network)
    _close(privileged)

    def build(node: Node) -> list[tuple[Service, Sequence[socket.socket]]]:
        node.privileged.update(addresses)
        services: list[tuple[Service, Sequence[socket.socket]]] = [
            (queue_manager(node, inherited.conf.master.services), ())
        ]
        return services + [(local_service(node, entry), sockets) for entry, sockets in local]

    _run("qmgr", inherited, build, patience=STOP_PATIENCE, watchdog="qmgr_daemon_timeout")


def deliverer(inherited: Inheritance) -> NoReturn:
    """Deliver to users and commands of the system, as root, who becomes each of them."""
    network, local, privileged = _split(inherited)
    _close(network)
    _close(local)
    assert inherited.owner is not None
    owner = inherited.owner.uid

    def build(node: Node) -> list[tuple[Service, Sequence[socket.socket]]]:
        return [(privileged_service(node, entry, owner), sockets) for entry, sockets in privileged]

    _run("local", inherited, build, patience=STOP_PATIENCE, watchdog="daemon_timeout", privileged=True)


def is_roots(entry: MasterService, conf: Config, owner: Owner | None) -> bool:
    """Whether the service of a line belongs into the process of root's. Raises ConfigError."""
    return owner is not None and (entry.command in programs.SPAWNING or programs.is_privileged(entry, conf))


def _addresses(inherited: Inheritance, privileged: Listening) -> dict[str, bytes]:
    """Where the services of root's process are asked."""
    return {
        entry.key: sockets[0].getsockname()
        for entry, sockets in privileged
        if programs.is_privileged(entry, inherited.conf)
    }


def _split(inherited: Inheritance) -> tuple[Listening, Listening, Listening]:
    """The services of the workers, those beside the queue manager, and those of root's process."""
    network, local, privileged = [], [], []
    for entry, sockets in inherited.listening:
        if is_roots(entry, inherited.conf, inherited.owner):
            privileged.append((entry, sockets))
        elif entry.command in programs.LOCAL | programs.SPAWNING:
            local.append((entry, sockets))
        else:
            network.append((entry, sockets))
    return network, local, privileged


def _close(listening: Listening) -> None:
    """A child keeps no socket that it does not serve."""
    for _entry, sockets in listening:
        for each in sockets:
            each.close()


def _run(
    name: str,
    inherited: Inheritance,
    build: Builder,
    patience: float,
    watchdog: str,
    *,
    privileged: bool = False,
) -> NoReturn:
    """Everything that children have in common. Never returns: what the parent had on its stack is not ours.

    Who is ``privileged`` stays root, and has no part in the stores and wake-ups of the others.
    """
    status = 1
    log = ServiceLog(inherited.sink, f"{inherited.conf.text('syslog_name')}/{name}")
    try:
        _detach()
        guard = Watchdog(min(HUNG, inherited.conf.seconds(watchdog)))
        if inherited.owner is not None and not privileged:
            inherited.owner.become()
        confine(inherited.conf.names("import_environment"), executes=privileged)
        os.environ["MAIL_CONFIG"] = str(inherited.conf.directory)  # what this configuration's commands shall read
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(inherited, build, log, patience, guard, joins=not privileged))
        status = 0
    except ConfigError as error:
        _last_words(log, str(error))
    except BaseException as error:  # noqa: BLE001  # the last frame of the process: log it, whatever it is
        _last_words(log, f"{type(error).__name__}: {error}", **_traceback(error))
    finally:
        with contextlib.suppress(Exception):
            inherited.sink.flush()
            sys.stderr.flush()
        os._exit(status)


def leave_standard_error() -> None:
    """Let go of the terminal or pipe that standard error is."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    os.close(devnull)


def _last_words(log: ServiceLog, text: str, **event: object) -> None:
    """To the log, and to whoever waits for the start."""
    log.fatal(text, **event)
    print(f"{log.tag}: fatal: {text}", file=sys.stderr)


def _traceback(error: BaseException) -> dict[str, object]:
    import traceback  # late: only for the process's last words

    return {"traceback": "".join(traceback.format_exception(error))}


def _detach() -> None:
    """Undo the master's signal set-up."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a terminal goes to the group; the master answers it
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o077)
    gc.enable()
    gc.set_threshold(20_000, 20, 20)  # sessions make many objects that live for a moment; measured 10 % less CPU


async def _serve(
    inherited: Inheritance,
    build: Builder,
    log: ServiceLog,
    patience: float,
    watchdog: Watchdog,
    *,
    joins: bool,
) -> None:
    loop = asyncio.get_running_loop()
    watchdog.guard(loop)
    loop.set_exception_handler(lambda _loop, context: _unforeseen(log, context))
    node = Node(inherited.conf, inherited.sink)
    if joins:
        await node.start()
    try:
        services = build(node)
        tasks = [loop.create_task(service.run(sockets)) for service, sockets in services]
        await _first_turns(tasks)
        end = _Ending([service for service, _sockets in services], tasks, patience)
        loop.add_signal_handler(signal.SIGTERM, end.stop)
        loop.add_signal_handler(signal.SIGHUP, end.drain)
        loop.add_signal_handler(signal.SIGUSR1, _reopen, inherited.sink)
        loop.add_reader(inherited.life_line, end.master_gone, inherited.life_line)
        if inherited.background:
            leave_standard_error()
        os.write(inherited.status, b"+")
        os.close(inherited.status)
        await end.wait()
    finally:
        await node.close()


def _reopen(sink: MailLog) -> None:
    """The log file was rotated."""
    with contextlib.suppress(OSError):  # then the old file goes on being written: nothing better is left
        sink.reopen()


async def _first_turns(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Let each service begin; raise what one that cannot begin raises."""
    for _turn in range(5):
        await asyncio.sleep(0)
    for task in tasks:
        if task.done():
            task.result()


class _Ending:
    """The ways in which a child's services end."""

    def __init__(self, services: Sequence[Service], tasks: Sequence[asyncio.Task[None]], patience: float) -> None:
        self._services = services
        self._tasks = tasks
        self._patience = patience
        self._stopping = False

    def drain(self) -> None:
        """A reload: end with the last session."""
        for service in self._services:
            service.drain()

    def stop(self) -> None:
        """A stop: end now, or soon."""
        if self._stopping:
            return
        self._stopping = True
        loop = asyncio.get_running_loop()
        if self._patience:
            self.drain()
            loop.call_later(self._patience, self._cancel)
        else:
            self._cancel()

    def master_gone(self, life_line: int) -> None:
        """The life line was cut."""
        asyncio.get_running_loop().remove_reader(life_line)
        self.stop()

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def wait(self) -> None:
        """Until all have ended. Raises what one that failed raised, after cancelling the others."""
        done, pending = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        failed = next((task for task in done if not task.cancelled() and task.exception() is not None), None)
        if failed is not None or (self._stopping and pending):
            self._cancel()
        if pending:
            await asyncio.wait(pending)
        if failed is not None:
            await failed


def _unforeseen(log: ServiceLog, context: dict[str, object]) -> None:
    """An error that no task awaited: a fault of ours, said and survived."""
    error = context.get("exception")
    detail = f": {type(error).__name__}: {error}" if isinstance(error, BaseException) else ""
    text = f"{context.get('message')}{detail}"
    log.error(text, **(_traceback(error) if isinstance(error, BaseException) else {}))
