"""Carries out the plan of a recipient: mailboxes, files, commands, each with the rights of its user (local(8)).

What is to be forwarded is handed back, for whoever may write to the queue. Each recipient of a request gives one
``Part`` or more, in order.

Guarantees: a recipient whose expansion could not be finished gets no part of it delivered. Nothing here runs with
rights that the recipient lacks: ``rights`` sees to it.

Fails with nothing: a failure is a Part.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from angarium.agents.local.atonce import AtOnce
from angarium.agents.local.commandline import arguments, environment
from angarium.agents.local.expansion import Expansion
from angarium.agents.local.parameters import LocalParameters
from angarium.agents.local.plan import (
    Addressee,
    Origin,
    Outcome,
    Step,
    ToCommand,
    ToFile,
    ToMailbox,
    ToOthers,
    ToTransport,
)
from angarium.agents.local.variables import expand
from angarium.agents.local.world import MachineWorld
from angarium.config.error import ConfigError
from angarium.delivery import mailboxfile, maildir
from angarium.delivery.command import CommandRules, Commands
from angarium.delivery.environment import exported
from angarium.delivery.filerights import FileRights, acting
from angarium.delivery.framing import Framing, delivery_header, framed, postmark
from angarium.delivery.loops import delivered_to
from angarium.delivery.mailboxfile import MailboxRules
from angarium.delivery.maildir import Moment
from angarium.delivery.rights import Rights, Work
from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User
from angarium.model.delivery import DeliveryRequest, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.lookup import Found, TemporaryError
from angarium.rewrite.interface import Resolver
from angarium.runtime.log import ServiceLog

_SENT = Dsn(2, 0, 0)
_MAILDIR_FAILED = "maildir delivery failed"
"""Told the sender, as in Postfix, also where other failures are told the owner of a list."""


@dataclass(frozen=True, slots=True)
class Part:
    """What came of one step for a recipient.

    Attributes:
        address: of the step, in full.
        status: how it ended; SENT for what is to be forwarded.
        dsn: the enhanced code.
        text: for the log and the report; empty for what is to be forwarded.
        forward: addresses that are to get the message as a new one.
        sender: of that message, and the recipient's first address is forgotten; None: all stays.
        owner: who is told of a failure in place of the sender; empty: the sender.
        delivered: the Delivered-To header of that message; empty: the recipient's address.
        transport: the transport of master.cf that is to deliver it; empty when that is nobody else's affair.
        nexthop: for that transport; empty: as it is.
        output: what a command said, for the report.
        actor: the user with whose rights it is done, where a user does it; said of what would be done.
        place: the mailbox, file or Maildir; likewise.
    """

    address: str
    status: Status
    dsn: Dsn
    text: str
    forward: tuple[str, ...] = ()
    sender: str | None = None
    transport: str = ""
    nexthop: str = ""
    output: str = ""
    owner: str = ""
    delivered: str = ""
    actor: str = ""
    place: str = ""


class LocalDeliverer:
    """Delivers to system users.

    Args:
        parameters: of main.cf.
        world: of this machine.
        resolver: completes addresses, and knows which are ours.
        commands: runs commands, as their users.
        files: does what concerns files, likewise.
        log: ``postfix/local``.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        parameters: LocalParameters,
        world: MachineWorld,
        resolver: Resolver,
        commands: Commands,
        files: Rights,
        log: ServiceLog,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._parameters = parameters
        self._world = world
        self._resolver = resolver
        self._commands = commands
        self._files = files
        self._log = log
        self._clock = clock
        self._writes_at_once = (
            isinstance(self._files, FileRights)
            and not (parameters.mailbox_command or parameters.mailbox_transport)
            and not (world.asks("mailbox_command_maps") or world.asks("mailbox_transport_maps"))
        )

    async def deliver(self, request: DeliveryRequest) -> Sequence[Sequence[Part]]:
        """The parts of each recipient, in the order of the request."""
        parameters = self._parameters
        expansion = Expansion(
            parameters.rules,
            self._world,
            self._resolver,
            request.envelope.sender,
            delivered_to(request),
            self._log.warning,
            lambda to: expand(parameters.rules.luser_relay, to, None, "", parameters.rules.recipient_delimiter),
        )
        return [await self._recipient(request, queued, expansion) for queued in request.recipients]

    async def _recipient(
        self, request: DeliveryRequest, queued: QueuedRecipient, expansion: Expansion
    ) -> Sequence[Part]:
        address = queued.recipient.address
        delivery = _Delivery(self._parameters, request, queued, self._clock())
        at_once: AtOnce | None = None
        if self._writes_at_once and not request.verify:
            at_once = AtOnce(self._world, lambda step: self._visited(delivery, step))
            expansion.world = at_once
        try:
            steps = await expansion.expand(address)
        except ConfigError as error:
            self._log.warning(f"{request.queue_id}: {error}")
            return [Part(address, Status.DEFERRED, Dsn(4, 3, 5), "mail system configuration error")]
        if at_once is not None and at_once.step is not None:
            return [self._ended(at_once.step, at_once.outcome)]
        if request.verify:
            return [part for step in steps for part in await self._described(step)] or [
                Part(address, Status.SENT, _SENT, "discarded")
            ]
        waiting = [s for s in steps if isinstance(s, Outcome) and s.status is Status.DEFERRED]
        if waiting:  # all of it is tried again: deliver none of it now
            return [_told(each) for each in waiting]
        return await self._carried_out(delivery, steps) or [Part(address, Status.SENT, _SENT, "discarded")]

    async def _carried_out(self, delivery: _Delivery, steps: Sequence[Step]) -> Sequence[Part]:
        """Take the steps; but nothing of a file below a line that must be tried again, as in Postfix."""
        parts: list[Part] = []
        stopped: dict[int, int] = {}
        for step in steps:
            lines = step.origin.lines
            if any(stopped.get(file, line) < line for file, line in lines):
                continue
            part = await self._step(delivery, step)
            parts.append(part)
            if part.status is Status.DEFERRED:
                stopped.update(lines)
        return parts

    async def _described(self, step: Step) -> Sequence[Part]:
        """What a step would do, in Postfix's words."""
        if isinstance(step, Outcome):
            return [_told(step)]
        if isinstance(step, ToOthers):
            return [replace(_part(step), address=each, text=f"forwards to {each}") for each in step.addresses]
        if isinstance(step, ToTransport):
            part = _part(step, transport=step.transport, nexthop=step.nexthop)
            return [replace(part, text=f"goes to {step.transport}:{step.nexthop}")]
        try:
            if isinstance(step, ToMailbox):
                return [await self._mailbox_described(step)]
            actor = self._actor(step.rights, step.to).name
        except DeliveryError as error:
            return [replace(_part(step), status=Status.DEFERRED, dsn=error.dsn, text=error.text)]
        if isinstance(step, ToFile):
            return [replace(_part(step), text=f"delivers to file: {step.path}", actor=actor, place=step.path)]
        return [replace(_part(step), text=f"delivers to command: {step.command}", actor=actor)]

    async def _mailbox_described(self, step: ToMailbox) -> Part:
        command = await self._mailbox_command(step.to)
        if command:
            actor = self._actor(step.user, step.to)
            return replace(_part(step), text=f"delivers to command: {command}", actor=actor.name)
        path = self._mailbox_path(step.user)
        text = "delivers to maildir" if path.endswith("/") else "delivers to mailbox"
        return replace(_part(step), text=text, actor=step.user.name, place=path)

    def _mailbox_path(self, user: User) -> str:
        """The mailbox of a user, or with a slash at the end his Maildir."""
        parameters = self._parameters
        if parameters.home_mailbox:
            return f"{user.home}/{parameters.home_mailbox}"
        spool = parameters.mail_spool_directory
        return f"{spool}{user.name}/" if spool.endswith("/") else f"{spool}/{user.name}"

    async def _step(self, delivery: _Delivery, step: Step) -> Part:
        if isinstance(step, Outcome):
            return _told(step)
        if isinstance(step, ToOthers):
            return _part(step, forward=step.addresses)
        if isinstance(step, ToTransport):
            return _part(step, transport=step.transport, nexthop=step.nexthop)
        try:
            if isinstance(step, ToCommand):
                return self._ended(step, await self._run(delivery, step, step.command, step.rights))
            command = await self._mailbox_command(step.to) if isinstance(step, ToMailbox) else ""
            if command and isinstance(step, ToMailbox):
                return self._ended(step, await self._run(delivery, step, command, step.user))
            return self._ended(step, await self._files.run(*self._work(delivery, step)))
        except DeliveryError as error:
            return self._ended(step, error)
        except ConfigError as error:
            return self._ended(step, DeliveryError(Dsn(4, 3, 5), str(error)))

    def _ended(self, step: Step, outcome: Sequence[str] | DeliveryError) -> Part:
        """The part of a step that was carried out, and its warnings to the log."""
        if isinstance(outcome, DeliveryError):
            for line in outcome.cause.splitlines():
                self._log.warning(line)
            status = Status.DEFERRED if outcome.dsn.temporary else Status.BOUNCED
            part = replace(_part(step), status=status, dsn=outcome.dsn, text=outcome.text, output=outcome.output)
            return replace(part, owner="") if outcome.text.startswith(_MAILDIR_FAILED) else part
        said, dsn, text, output, *warnings = outcome
        for line in warnings:
            self._log.warning(line)
        return replace(_part(step), status=Status(said), dsn=Dsn.parse(dsn), text=text, output=output)

    def _visited(self, delivery: _Delivery, step: ToMailbox) -> Work:
        """The work of a mailbox, for a thread that has the user's rights already. Raises nothing."""
        actor, work = self._mailbox_work(delivery, step)
        if actor == step.user:
            return work

        def act() -> Sequence[str]:
            with acting(actor):
                return work()

        return act

    async def _mailbox_command(self, to: Addressee) -> str:
        """The command that stands for the mailbox; empty without. Raises DeliveryError."""
        found = await self._world.ask("mailbox_command_maps", to)
        if isinstance(found, TemporaryError):
            self._log.warning(f'{found.source} lookup error for "{to.user}"')
            raise DeliveryError(Dsn(4, 3, 0), "table lookup failure")
        return found.value if isinstance(found, Found) else self._parameters.mailbox_command

    async def _run(
        self, delivery: _Delivery, step: ToMailbox | ToCommand, command: str, user: User | None
    ) -> Sequence[str]:
        """Run a command; ``user`` is whom its environment describes, if anybody. Raises DeliveryError, ConfigError."""
        rules = delivery.command_rules(step, command, user, self._actor(user, step.to))
        outcome = await self._commands.run(command, delivery.pieces(Framing.COMMAND, "command", step.origin), rules)
        return [outcome.status.value, str(outcome.dsn), outcome.text, outcome.output]

    def _work(self, delivery: _Delivery, step: ToMailbox | ToFile) -> tuple[User, Work]:
        """Who writes what. Raises DeliveryError."""
        if isinstance(step, ToMailbox):
            return self._mailbox_work(delivery, step)
        return self._actor(step.rights, step.to), delivery.to_file(step)

    def _mailbox_work(self, delivery: _Delivery, step: ToMailbox) -> tuple[User, Work]:
        parameters = self._parameters
        user = step.user
        path = self._mailbox_path(user)
        if parameters.home_mailbox or path.endswith("/"):
            return user, delivery.to_mailbox(path, step)
        actor, keeper = _in_spool(user, parameters.mail_spool_directory)
        return actor, delivery.to_mailbox(path, step, keeper)

    def _actor(self, user: User | None, to: Addressee) -> User:
        """Who delivers to files and commands: never root, nor anybody with root's group. Raises DeliveryError."""
        if user is None or user.uid == 0:
            return self._default(to)
        return user if user.gid else replace(user, gid=self._default(to).gid)

    def _default(self, to: Addressee) -> User:
        """The user of default_privs. Raises DeliveryError."""
        user = self._world.default_user()
        if not isinstance(user, User) or user.uid == 0:
            self._log.warning(f"default_privs: no such user, or root; mail for {to.address} waits")
            raise DeliveryError(Dsn(4, 3, 5), "mail system configuration error")
        return user


class _Delivery:
    """One recipient's message, ready to be written in any form."""

    def __init__(
        self, parameters: LocalParameters, request: DeliveryRequest, queued: QueuedRecipient, now: float
    ) -> None:
        self._parameters = parameters
        self._request = request
        self._queued = queued
        self._date = time.asctime(time.localtime(now))

    def _sender(self, origin: Origin) -> str:
        return self._request.envelope.sender if origin.sender is None else origin.sender

    def _original(self, origin: Origin) -> str:
        recipient = self._queued.recipient
        return "" if origin.sender is not None else recipient.original or recipient.address

    def pieces(self, kind: Framing, context: str, origin: Origin) -> Iterator[bytes]:
        """The message in a form, with the headers of prepend_delivered_header's ``context``."""
        sender = self._sender(origin)
        original = self._original(origin) if self._parameters.enable_original_recipient else ""
        delivered = ""
        if context in self._parameters.prepend_delivered_header:
            delivered = origin.delivered or self._queued.recipient.address
        header = delivery_header(sender, original, delivered)
        mark = postmark(sender, self._date)
        return framed(kind, mark, header, chain((self._request.prefix,), self._request.content.chunks()))

    def to_mailbox(self, path: str, step: ToMailbox, keeper: User | None = None) -> Callable[[], Sequence[str]]:
        """Into the user's own mailbox, which root opens for its ``keeper`` if there is one."""
        user = step.user
        owner = user.uid if self._parameters.strict_mailbox_ownership else None

        def work() -> Sequence[str]:
            if self._parameters.require_home_directory:
                _need_home(user.home)
            if path.endswith("/"):
                return self._maildir(path, step.origin)
            rules = MailboxRules(self._parameters.lock, self._parameters.mailbox_size_limit, owner, keeper=keeper)
            try:
                warnings = mailboxfile.append(path, self.pieces(Framing.MAILBOX, "file", step.origin), rules)
            except DeliveryError as error:
                text = f"cannot update mailbox {path} for user {user.name}. {error.text}"
                raise DeliveryError(error.dsn, text, error.cause, error.output) from error
            return _sent("delivered to mailbox", *warnings)

        return work

    def to_file(self, step: ToFile) -> Callable[[], Sequence[str]]:
        """Into a file that an alias or a ``.forward`` names."""
        path = step.path

        def work() -> Sequence[str]:
            if path.endswith("/"):
                return self._maildir(path, step.origin)
            limit = self._parameters.mailbox_size_limit
            rules = MailboxRules(self._parameters.lock, limit, regular=False, lock_may_fail=True)
            try:
                warnings = mailboxfile.append(path, self.pieces(Framing.MAILBOX, "file", step.origin), rules)
            except DeliveryError as error:
                text = f"cannot append message to file {path}: {error.text}"
                raise DeliveryError(error.dsn, text, error.cause, error.output) from error
            return _sent(f"delivered to file: {path}", *warnings)

        return work

    def _maildir(self, path: str, origin: Origin) -> Sequence[str]:
        moment = Moment.now(self._parameters.host)
        limit = self._parameters.mailbox_size_limit
        try:
            maildir.deliver(path, self.pieces(Framing.MAILDIR, "file", origin), moment, limit)
        except DeliveryError as error:
            text = f"{_MAILDIR_FAILED}: {error.text}"
            raise DeliveryError(error.dsn, text, error.cause, error.output) from error
        return _sent("delivered to maildir")

    def command_rules(self, step: ToMailbox | ToCommand, command: str, user: User | None, actor: User) -> CommandRules:
        """How ``actor`` runs a command whose environment describes ``user``. Raises ConfigError."""
        parameters = self._parameters
        to = step.to
        directory = parameters.queue_directory
        if parameters.command_execution_directory:
            allowed = parameters.execution_directory_expansion_filter
            delimiters = parameters.rules.recipient_delimiter
            directory = expand(parameters.command_execution_directory, to, user, allowed, delimiters) or directory
        told = exported(parameters.export_environment)
        return CommandRules(
            arguments(command, parameters.local_command_shell),
            environment(self._facts(to, user, step.origin), told, parameters.command_expansion_filter),
            directory,
            parameters.command_time_limit,
            actor,
            shell="" if parameters.local_command_shell else command,
            fatal=f"local: fatal: {'pipe_command: ' if parameters.local_command_shell else ''}execvp",
        )

    def _facts(self, to: Addressee, user: User | None, above: Origin) -> dict[str, str]:
        origin = self._request.envelope.origin
        client = origin.logged
        return {
            "SENDER": self._sender(above),
            "RECIPIENT": to.address,
            "ORIGINAL_RECIPIENT": self._original(above),
            "LOCAL": to.local,
            "USER": to.user,
            "LOGNAME": to.user,
            "HOME": user.home if user else "",
            "SHELL": user.shell if user else "",
            "EXTENSION": to.extension,
            "DOMAIN": to.domain,
            "CLIENT_ADDRESS": client.address,
            "CLIENT_HELO": client.helo,
            "CLIENT_HOSTNAME": client.name,
            "CLIENT_PROTOCOL": client.protocol,
            "SASL_METHOD": origin.sasl_method,
            "SASL_SENDER": origin.sasl_sender,
            "SASL_USERNAME": origin.sasl_username,
        }


def _in_spool(user: User, directory: str) -> tuple[User, User | None]:
    """Who opens a mailbox in a spool directory, and for whom: whoever may make and lock files there.

    ==============================  ======================================================
    everybody may write to it       the user
    its group may                   the user, with that group
    its owner alone                 root, for the user, if that is whom we are
    ==============================  ======================================================
    """
    try:
        status = Path(directory).stat()
    except OSError:
        return user, None  # the delivery will say why
    if status.st_mode & stat.S_IWOTH:
        return user, None
    if status.st_mode & stat.S_IWGRP:
        return replace(user, gid=status.st_gid), None
    if user.uid == 0 or os.geteuid() != 0:
        return user, None
    return User("root", 0, 0), user


def _need_home(home: str) -> None:
    """require_home_directory. Raises DeliveryError."""
    try:
        if home:
            Path(home).stat()
            return
        reason = os.strerror(errno.ENOENT)
    except OSError as error:
        reason = error.strerror or str(error)
    raise DeliveryError(Dsn(4, 3, 0), f"cannot access home directory {home}: {reason}")


def _part(step: Step, forward: tuple[str, ...] = (), transport: str = "", nexthop: str = "") -> Part:
    """The part of a step that is to be carried out, or is somebody else's affair."""
    above = step.origin
    return Part(
        step.to.address,
        Status.SENT,
        _SENT,
        "",
        forward,
        above.sender,
        transport,
        nexthop,
        owner=above.owner,
        delivered=above.delivered,
    )


def _told(outcome: Outcome) -> Part:
    return replace(_part(outcome), status=outcome.status, dsn=outcome.dsn, text=outcome.text)


def _sent(text: str, *warnings: str) -> Sequence[str]:
    return [Status.SENT.value, str(_SENT), text, "", *warnings]
