"""The master process: binds, reads keys, forks workers and the queue manager, and keeps them alive.

It is one synchronous loop around ``sigtimedwait``; it reads nothing from the network and starts no thread, so that a
fork at any moment is safe. Everything is imported and frozen (``gc.freeze``) before the first fork: children share
the parent's pages.

=========  =======================================================================================================
SIGHUP     reload: read the configuration again, bind what is new, start new workers on the same sockets; when they
           are ready the old ones drain. A configuration that cannot be used changes nothing and is logged
SIGUSR1    the log file was rotated: everyone opens it again
SIGTERM    stop: children are stopped, then the master ends
SIGCHLD    a child that ended unasked is replaced: at once if it had lasted ``STEADY`` seconds, after
           ``UNSTEADY_DELAY`` if it had been ready at all, else after ``service_throttle_time``
=========  =======================================================================================================

States of a child: starting (forked, not ready), ready, draining (its generation was replaced), gone.

Fails with ConfigError, TlsError or OSError before anything is started; ``StartError`` when a first child dies.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from angarium.auth.shared import SharedSuccesses
from angarium.config.config import Config
from angarium.config.derived import MAIL_VERSION
from angarium.config.error import ConfigError
from angarium.config.master_cf import MasterService
from angarium.master import children, programs
from angarium.master.children import Inheritance
from angarium.master.filewatch import FileWatch
from angarium.master.listeners import Adopted, adopted_sockets, bind, bind_nameless, bind_unix
from angarium.master.node import make_directories
from angarium.master.pidfile import PidFile
from angarium.master.privileges import Owner, mail_owner
from angarium.master.secrets import hold_secrets, lasting
from angarium.master.tls import Contexts, server_tls
from angarium.master.wiring import socket_path
from angarium.runtime.counts import SharedCounts
from angarium.runtime.log import MailLog, ServiceLog
from angarium.runtime.tls import TlsError

STEADY = 2.0
"""Seconds of service after which a child's end counts as an accident and not as a fault at its start."""

UNSTEADY_DELAY = 1.0
"""Seconds before one that had been ready for less than that is replaced."""

START_PATIENCE = 30.0
"""Seconds that a child may take to become ready."""

STOP_PATIENCE = 10.0
"""Seconds between SIGTERM and SIGKILL of children when the master stops."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)


class StartError(Exception):
    """A child could not start; its own log line says why."""


class Role(NamedTuple):
    """What a child does: ``worker``, ``qmgr`` or ``local``, and which of them it is."""

    name: str
    number: int


_ROLES = {"worker": children.worker, "qmgr": children.manager, "local": children.deliverer}


@dataclass(slots=True)
class Child:
    """A child process.

    Attributes:
        pid: its id.
        role: what it does.
        generation: of the configuration it was started with.
        started: monotonic seconds.
        status: our end of its status pipe; -1 once it is ready.
        column: of what workers count together; None when it does not count.
    """

    pid: int
    role: Role
    generation: int
    started: float
    status: int
    column: int | None = None

    @property
    def ready(self) -> bool:
        """It has said so."""
        return self.status < 0


@dataclass(slots=True)
class Generation:
    """One reading of the configuration, and what was made of it."""

    number: int
    conf: Config
    owner: Owner | None
    sockets: dict[str, list[socket.socket]]
    contexts: Contexts
    workers: int
    watch: FileWatch
    throttled: dict[Role, float] = field(default_factory=dict)

    @property
    def services(self) -> list[MasterService]:
        """Those of master.cf that have sockets."""
        return [entry for entry in self.conf.master.services if entry.key in self.sockets]


class Master:
    """The supervisor.

    Args:
        directory: of main.cf and master.cf.
        sink: the mail log.
        pid_file: acquired.
        ready: called once, when all services listen.
        background: standard error is let go of then.
    """

    def __init__(
        self, directory: Path, sink: MailLog, pid_file: PidFile, ready: Callable[[], None], *, background: bool
    ) -> None:
        self._background = background
        self._directory = directory
        self._sink = sink
        self._pid_file = pid_file
        self._ready = ready
        self._children: dict[int, Child] = {}
        self._life_line = os.pipe2(os.O_CLOEXEC)
        conf = Config.load(directory)
        self._log = ServiceLog(sink, f"{conf.text('syslog_name')}/master")
        self._generations = 0
        self._counts = SharedCounts()
        self._successes = SharedSuccesses()
        self._adopted = adopted_sockets()
        self._now = self._prepare(conf, None)

    # -- configuration

    def _prepare(self, conf: Config, before: Generation | None) -> Generation:
        """Bind and read what a configuration asks for; sockets of ``before`` are used again."""
        owner = mail_owner(conf)
        prepare_directories(conf, owner)
        # Before they are used: a change while we read them is one that has not been seen.
        watch = FileWatch((*lasting(conf), *hold_secrets(conf, owner)), conf.seconds("file_check_interval"))
        kept = before.sockets if before else {}
        sockets: dict[str, list[socket.socket]] = {}
        contexts: dict[str, ssl.SSLContext | None] = {}
        opened: list[socket.socket] = []
        try:
            for entry in conf.master.services:
                if entry.command in programs.NETWORK and entry.type == "inet":
                    contexts[entry.key] = server_tls(conf, entry, self._sink)
                elif programs.is_privileged(entry, conf):
                    if owner is None:
                        continue  # we cannot become anybody: the queue manager delivers to ourselves
                elif entry.command not in programs.LOCAL | programs.SPAWNING:
                    continue
                sockets[entry.key] = kept.get(entry.key) or _bind(entry, conf, self._adopted)
                opened += [] if entry.key in kept else sockets[entry.key]
        except BaseException:
            for each in opened:
                each.close()
            raise
        self._generations += 1
        return Generation(self._generations, conf, owner, sockets, contexts, worker_count(conf), watch)

    # -- children

    def _start(self, generation: Generation) -> bool:
        """Start all children of a generation; True when all are ready."""
        try:
            for number in range(generation.workers):
                self._fork(Role("worker", number), generation)
            if any(children.is_roots(entry, generation.conf, generation.owner) for entry in generation.services):
                self._fork(Role("local", 0), generation)
            self._fork(Role("qmgr", 0), generation)
        except OSError as error:
            self._log.error(f"cannot start a process: {error}")
            return False
        return self._await_ready(generation.number)

    def _fork(self, role: Role, generation: Generation) -> None:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        column = self._counts.reserve() if role.name == "worker" else None
        try:
            pid = os.fork()
        except OSError:
            os.close(ours)
            os.close(theirs)
            if column is not None:
                self._counts.release(column)
            raise
        if pid == 0:
            os.close(ours)
            os.close(self._life_line[1])
            self._pid_file.forget()
            _close_sockets(self._now, generation)  # a service that a reload removes must not live on in a new child
            inherited = Inheritance(
                conf=generation.conf,
                sink=self._sink,
                owner=generation.owner,
                listening=[(entry, generation.sockets[entry.key]) for entry in generation.services],
                contexts=generation.contexts,
                life_line=self._life_line[0],
                status=theirs,
                background=self._background,
                number=role.number,
                workers=generation.workers,
                counts=self._counts.column(column) if column is not None else None,
                successes=self._successes,
            )
            _ROLES[role.name](inherited)
        os.close(theirs)
        self._children[pid] = Child(pid, role, generation.number, time.monotonic(), ours, column)

    def _await_ready(self, generation: int) -> bool:
        """Wait until all children of a generation are ready; False when one dies first or takes too long."""
        deadline = time.monotonic() + START_PATIENCE
        while waiting := [c for c in self._children.values() if c.generation == generation and not c.ready]:
            readable, _, _ = select.select([c.status for c in waiting], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                return False
            for child in waiting:
                if child.status in readable:
                    said = os.read(child.status, 1)
                    os.close(child.status)
                    child.status = -1
                    if not said:
                        return False
        return True

    def _signal(self, number: int, chosen: Callable[[Child], bool] = lambda _child: True) -> None:
        for child in self._children.values():
            if chosen(child):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, number)

    # -- life

    def run(self) -> int:
        """Supervise until a signal ends it; the exit status. Raises StartError."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        _raise_file_limit()
        gc.collect()
        gc.freeze()
        if not self._start(self._now):
            self._stop_children()
            raise StartError
        self._log.info(f"daemon started -- version {MAIL_VERSION}, configuration {self._directory}")
        self._sink.flush()
        if self._background:
            children.leave_standard_error()
        self._ready()
        while True:
            number = self._wait()
            if number in (signal.SIGTERM, signal.SIGINT):
                self._log.info(f"terminating on signal {int(number)}")
                self._stop_children()
                self._sink.flush()
                return 0
            if number == signal.SIGHUP:
                self._reload()
            if number == signal.SIGUSR1:
                self._reopen_log()
            self._reap()
            self._restart_due()
            self._refresh()
            self._sink.flush()

    def _wait(self) -> int:
        """The next signal; 0 when something else is due."""
        due = self._now.throttled.values()
        timeout = self._now.watch.wait(max(0.0, min(due) - time.monotonic()) if due else 3600.0)
        # A child's readiness is only looked at here, so that the restart of one does not hold up signals.
        got = signal.sigtimedwait(_SIGNALS, timeout)
        return 0 if got is None else got.si_signo

    def _reap(self) -> None:
        """Bury children that have ended; plan the replacement of those that should not have."""
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None:
                continue
            if child.column is not None:
                self._counts.release(child.column)
            ready = _has_spoken(child)
            if not ready:
                os.close(child.status)
            unasked = child.generation == self._now.number
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
                self._log.error(f"process {child.role.name} pid {pid} hung: killed by its watchdog")
            elif os.WIFSIGNALED(status):
                self._log.warning(f"process {child.role.name} pid {pid} killed by signal {os.WTERMSIG(status)}")
            elif os.WEXITSTATUS(status) or unasked:
                self._log.warning(f"process {child.role.name} pid {pid} exit status {os.WEXITSTATUS(status)}")
            if unasked:
                self._plan(child, ready=ready)

    def _plan(self, child: Child, *, ready: bool) -> None:
        """Replace a child that was ``ready``: now, or a little later when it did not last; else after the throttle."""
        if ready and time.monotonic() - child.started >= STEADY:
            self._replace(child.role)
            return
        delay = UNSTEADY_DELAY if ready else self._now.conf.seconds("service_throttle_time")
        if not ready:
            self._log.warning(f"{child.role.name}: bad command startup -- throttling")
        self._now.throttled[child.role] = time.monotonic() + delay

    def _restart_due(self) -> None:
        now = time.monotonic()
        for role in [role for role, when in self._now.throttled.items() if when <= now]:
            del self._now.throttled[role]
            self._replace(role)

    def _replace(self, role: Role) -> None:
        """Fork one child; when the system has no process or descriptor left for it, try again a little later."""
        try:
            self._fork(role, self._now)
        except OSError as error:
            self._log.error(f"cannot start {role.name}: {error}")
            self._now.throttled[role] = time.monotonic() + UNSTEADY_DELAY

    def _reopen_log(self) -> None:
        """Open the log file again, and let the children: a new one is given to their user first."""
        try:
            self._sink.reopen()
            path = Path(self._now.conf.text("maillog_file") or os.devnull)
            if self._now.owner is not None and path.is_file():
                self._now.owner.own_file(path)
        except OSError as error:
            self._log.error(f"cannot open the log file again: {error}")
            return
        self._signal(signal.SIGUSR1, _has_spoken)  # others have not set it up yet, and have the new file

    def _reload(self) -> None:
        """SIGHUP. A configuration that cannot be used leaves everything as it is."""
        self._log.info(f"reload -- version {MAIL_VERSION}, configuration {self._directory}")
        self._reopen_log()
        try:
            self._succeed(Config.load(self._directory))
        except (ConfigError, TlsError, OSError) as error:
            self._log.error(f"reload refused: {error}")

    def _refresh(self) -> None:
        """Keys, or files that root alone may read, have changed: new processes, with the configuration that is."""
        changed = self._now.watch.changed()
        if not changed:
            return
        self._log.info(f"{changed[0]} has changed -- restarting")
        try:
            self._succeed(self._now.conf)
        except (ConfigError, TlsError, OSError) as error:
            self._log.error(f"restart refused: {error}")

    def _succeed(self, conf: Config) -> None:
        """Put a new generation in the place of the one that is. Raises ConfigError, TlsError, OSError."""
        old = self._now
        new = self._prepare(conf, old)
        if not self._start(new):
            self._log.error("reload refused: the new processes do not start; the old ones go on")
            self._signal(signal.SIGKILL, lambda child: child.generation == new.number)
            _close_sockets(new, old)
            return
        self._now = new
        self._signal(signal.SIGHUP, lambda child: child.generation != new.number)
        _close_sockets(old, new)

    def _stop_children(self) -> None:
        """SIGTERM to all, SIGKILL to those that stay."""
        self._now.number = -1  # nobody is replaced from now on
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_PATIENCE
        while self._children:
            self._reap_quietly()
            if self._children and signal.sigtimedwait((signal.SIGCHLD,), 0.2) is None and time.monotonic() > deadline:
                self._signal(signal.SIGKILL)

    def _reap_quietly(self) -> None:
        while self._children:
            try:
                pid, _status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._children.clear()
                return
            if pid == 0:
                return
            self._children.pop(pid, None)


def _bind(entry: MasterService, conf: Config, adopted: Adopted) -> list[socket.socket]:
    """Listening sockets of a service. Raises ConfigError with the line of master.cf."""
    try:
        if programs.is_privileged(entry, conf):
            return [bind_nameless()]
        if entry.command in programs.LOCAL | programs.SPAWNING and entry.type == "unix":
            return [bind_unix(socket_path(entry, Path(conf.text("queue_directory"))))]
        return bind(entry, conf, adopted)
    except OSError as error:
        raise ConfigError(f"bind {entry.name}: {error.strerror or error}", entry.file, entry.line) from error


def _has_spoken(child: Child) -> bool:
    """Whether a child has said that it is ready, or had before it went."""
    if not child.ready and select.select([child.status], [], [], 0)[0] and os.read(child.status, 1):
        os.close(child.status)
        child.status = -1
    return child.ready


def _close_sockets(gone: Generation, kept: Generation) -> None:
    """Close the sockets of services that only ``gone`` has."""
    held = {id(each) for sockets in kept.sockets.values() for each in sockets}
    for sockets in gone.sockets.values():
        for each in sockets:
            if id(each) not in held:
                each.close()


def worker_count(conf: Config) -> int:
    """``worker_processes``: a number, or ``auto`` for one a core. Raises ConfigError."""
    if conf.text("worker_processes").lower() == "auto":
        return len(os.sched_getaffinity(0))
    return conf.integer("worker_processes")


def prepare_directories(conf: Config, owner: Owner | None) -> None:
    """Make the directories that the server writes to, for the user who will. Raises OSError."""
    queue_directory = Path(conf.text("queue_directory"))
    make_directories(queue_directory, (owner.uid, owner.gid) if owner else None)
    wanted = [queue_directory, Path(conf.text("data_directory"))]
    if (base := conf.text("virtual_mailbox_base")) and not programs.has_only_files(conf):
        wanted.append(Path(base))
    for directory in wanted:
        directory.mkdir(parents=True, exist_ok=True)
        if owner is not None:
            owner.own(directory)
    database = Path(conf.text("directory_database"))
    database.parent.mkdir(parents=True, exist_ok=True)
    if owner is not None:
        # The administrator's commands run as root and may have made these.
        for path in [*database.parent.glob(f"{database.name}*"), *queue_directory.glob("queue.db*")]:
            owner.own_file(path)


def _raise_file_limit() -> None:
    """As many open files as the system allows us: connections are files."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
