"""What the services of one process share: the stores, the directory, the tables, the bus, the log.

A ``Node`` is made after the fork, once a process, from the configuration that the parent has read. Each thing is
built when the first service asks for it, so a process holds only what it uses. Nothing here knows a service.

Fails with ConfigError for a parameter without sense, OSError and the stores' errors for files that cannot be used.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Sequence
from functools import cached_property
from pathlib import Path

from angarium.agents.warning.main import QuotaWarner, WarningParameters
from angarium.auth.authenticator import DirectoryAuthenticator
from angarium.auth.parameters import AuthParameters
from angarium.auth.shared import SharedSuccesses
from angarium.cleanup.main import make_cleanup
from angarium.cleanup.process import CleanupService
from angarium.config.config import Config
from angarium.delivery.launcher import Launcher
from angarium.directory.reader import SqliteDirectory
from angarium.mailqueue.sqlite import SqliteMailQueue
from angarium.mailstore.interface import MailstoreError
from angarium.mailstore.main import open_mailstore
from angarium.mailstore.parameters import MailstoreParameters
from angarium.mailstore.store import SqliteMailStore
from angarium.master.quotas import Quotas
from angarium.model.delivery import DeliveryAgent
from angarium.model.lookup import TemporaryError
from angarium.model.quota import Crossing, Excess
from angarium.rewrite.main import make_shared_resolver
from angarium.rewrite.resolve import TrivialRewrite
from angarium.runtime.bus import Bus
from angarium.runtime.dns import DnsResolver
from angarium.runtime.log import MailLog, ServiceLog
from angarium.runtime.spool import Spool
from angarium.runtime.trace import TracedLog
from angarium.tables.main import make_opener
from angarium.tables.maps import Maps
from angarium.tables.opener import TableOpener

DIRECTORIES = (
    ("private", 0o700),
    ("public", 0o755),
    ("pid", 0o755),
    ("spool", 0o700),
    ("private/bus", 0o700),
    ("maildrop", 0o1733),
)
"""What ``queue_directory`` holds beside the queue, with the modes."""

_MASTERS_OWN = frozenset({"pid"})
"""Nobody else shall say who the master is."""


class Node:
    """One process's share of the server.

    Args:
        conf: main.cf, without any service's overrides.
        sink: the mail log; ``plain_sink`` is without the event store, for what concerns no message.

    ``successes`` are the log-ins that other workers have found right, ``privileged`` the addresses of the services
    that run in a process of root's, by master.cf key, ``agents`` those of the queue manager's transports by name;
    ``launcher`` starts commands.
    """

    def __init__(self, conf: Config, sink: MailLog) -> None:
        self.conf = conf
        self.plain_sink = sink
        self.sink = TracedLog.of(conf, sink)
        self.queue_directory = Path(conf.text("queue_directory"))
        self.bus = Bus(self.queue_directory / "private" / "bus")
        self.successes: SharedSuccesses | None = None
        self.privileged: dict[str, bytes] = {}
        self.agents: dict[str, DeliveryAgent] = {}
        self.launcher = Launcher()

    def log(self, program: str, conf: Config | None = None) -> ServiceLog:
        """The log of a program: ``$syslog_name/smtpd``."""
        return ServiceLog(self.sink, f"{(conf or self.conf).text('syslog_name')}/{program}")

    @cached_property
    def directory(self) -> SqliteDirectory:
        """Domains, accounts, aliases, passwords."""
        return SqliteDirectory(Path(self.conf.text("directory_database")))

    @cached_property
    def tables(self) -> TableOpener:
        """Opens ``type:name``."""
        return make_opener(self.conf, self.directory, self.log("proxymap"))

    @cached_property
    def rewrite(self) -> TrivialRewrite:
        """Resolves recipients."""
        return make_shared_resolver(self.conf, self.tables)

    @cached_property
    def queue(self) -> SqliteMailQueue:
        """The mail queue; whoever enqueues wakes the queue manager."""
        return SqliteMailQueue(
            self.queue_directory,
            self.log("qmgr"),
            long_ids=self.conf.boolean("enable_long_queue_ids"),
            announce=lambda queue_id: self.bus.publish("queue", queue_id),
        )

    @cached_property
    def mailstore(self) -> SqliteMailStore:
        """The accounts' mailboxes, with the directory's quotas."""
        return open_mailstore(
            self._mailstore_parameters,
            self.log("mailstore"),
            self.bus,
            self.quotas.plan,
            self._tell_of_quotas,
        )

    def _tell_of_quotas(self, passed: Sequence[Crossing]) -> Awaitable[bool]:
        return self.quota_warner.tell(passed)

    @cached_property
    def quota_warner(self) -> QuotaWarner:
        """Sends warnings when quotas are nearly used up; made when the first is due."""
        parameters = WarningParameters.from_config(self.conf)
        return QuotaWarner(parameters, self.cleanup, self.queue, self.log("quota-warning"))

    @cached_property
    def _mailstore_parameters(self) -> MailstoreParameters:
        return MailstoreParameters.from_config(self.conf)

    @cached_property
    def quotas(self) -> Quotas:
        """What is in force for an account."""
        maps = Maps.open("mailstore_quota_maps", self.conf.names("mailstore_quota_maps"), self.tables)
        return Quotas(self.directory, self._mailstore_parameters.quota, maps.find if maps else None)

    async def room(self, account: str, size: int) -> Excess | TemporaryError | None:
        """Why a message of ``size`` bytes (0: unknown, at least one) has no room in the account's mailbox."""
        plan = await self.quotas.of(account)
        if isinstance(plan, TemporaryError):
            return plan
        if not plan.counts and not plan.mail:
            return None  # and no mailstore is opened for it
        try:
            return await self.mailstore.room(account, size)
        except MailstoreError as error:
            return TemporaryError(str(error), "mailstore")

    @cached_property
    def authenticator(self) -> DirectoryAuthenticator:
        """Checks passwords, for every protocol of this process with one cache."""
        return DirectoryAuthenticator(self.directory, AuthParameters.from_config(self.conf), shared=self.successes)

    @cached_property
    def cleanup(self) -> CleanupService:
        """Finishes messages."""
        seen = self.cleanup_conf("cleanup")
        return make_cleanup(seen, self.rewrite, self.tables, self.log("cleanup", seen), self.spool, self.conf)

    def cleanup_conf(self, name: str) -> Config:
        """The configuration that a cleanup service of master.cf sees; main.cf alone when there is none of that name."""
        for entry in self.conf.master.services:
            if entry.command == "cleanup" and entry.name == name:
                return self.conf.for_service(entry)
        return self.conf

    @cached_property
    def spool(self) -> Spool:
        """Takes messages over 1 MiB."""
        return Spool(self.queue_directory / "spool")

    @cached_property
    def dns(self) -> DnsResolver:
        """Asks the name servers."""
        return DnsResolver(transitional=self.conf.boolean("enable_idna2003_compatibility"))

    @cached_property
    def dnssec(self) -> DnsResolver:
        """Asks them for DNSSEC, too: for the services with smtp_dns_support_level = dnssec."""
        return DnsResolver(transitional=self.conf.boolean("enable_idna2003_compatibility"), dnssec=True)

    async def start(self) -> None:
        """Join the bus. Raises OSError."""
        await self.bus.start()

    async def close(self) -> None:
        """Leave the bus and close what was opened."""
        self.launcher.close()
        if "mailstore" in self.__dict__:
            await self.mailstore.close()
        if "queue" in self.__dict__:
            await self.queue.close()
        if "tables" in self.__dict__:
            await self.tables.close()
        self.bus.close()
        self.sink.flush()


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_directories(queue_directory: Path, owner: tuple[int, int] | None = None) -> None:
    """Make what is missing below ``queue_directory``; with ``owner`` (uid, gid) give it to him, but for ``pid``.

    Root does this in a directory that ``owner`` may write to: no symbolic link is followed, lest root gave away what
    it points to.

    Raises:
        OSError: one cannot be made, or is no directory.
    """
    queue_directory.mkdir(parents=True, exist_ok=True)
    for name, mode in DIRECTORIES:
        place = os.open(queue_directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in name.split("/"):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, mode, dir_fd=place)
                above, place = place, _below(place, part, queue_directory / name)
                os.close(above)
            os.fchmod(place, mode)
            if owner is not None:
                os.fchown(place, *((os.geteuid(), os.getegid()) if name in _MASTERS_OWN else owner))
        finally:
            os.close(place)


def _below(place: int, part: str, path: Path) -> int:
    """Open a directory in an open one. Raises OSError with the whole path."""
    try:
        return os.open(part, _DIRECTORY, dir_fd=place)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
