"""Hands messages to a command, with the rights of the user that master.cf names (pipe(8)).

One run of the command for all recipients of a request, and one outcome for them all.

==========================================  ==========================================================
the message is larger than ``size=``         5.2.3, back to the sender
flag ``D`` and it has been there before      5.4.6, back
an argument cannot be expanded               4.3.5, waits
flag ``D`` or ``O`` and several recipients   4.3.5, waits
the user may not run commands, no such user  4.3.0, waits: the transport is broken
the directory cannot be entered              4.3.0, waits
else                                         what the command's end means (``delivery.sysexits``)
==========================================  ==========================================================

Fails with nothing: a failure is an outcome.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from angarium.agents.pipe.macros import MacroError, MacroRules, expand
from angarium.agents.pipe.parameters import PipeParameters
from angarium.config.error import ConfigError
from angarium.delivery.actor import NOBODY, Reserved, actor
from angarium.delivery.attributes import Attributes
from angarium.delivery.command import CommandRules, Commands
from angarium.delivery.environment import PATH, exported
from angarium.delivery.framing import Form, shaped
from angarium.delivery.loops import delivered_to
from angarium.delivery.sysexits import Outcome
from angarium.delivery.troubles import DeliveryError
from angarium.model.delivery import DeliveryRequest, Status
from angarium.model.dsn import Dsn
from angarium.protocols.smtp.path import quote_address
from angarium.runtime.log import ServiceLog

_NULL_SENDER = "MAILER-DAEMON"
_FATAL = "pipe: fatal: pipe_command: execvp"


class PipeDeliverer:
    """Delivers to the command of one line of master.cf.

    Args:
        attributes: of the line; ConfigError when it has none that make sense: all of its mail waits.
        parameters: of main.cf.
        commands: runs the command as its user.
        log: ``postfix/pipe``.
        reserved: who may not be that user.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        attributes: Attributes | ConfigError,
        parameters: PipeParameters,
        commands: Commands,
        log: ServiceLog,
        reserved: Reserved = NOBODY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._attributes = attributes
        self._parameters = parameters
        self._commands = commands
        self._log = log
        self._reserved = reserved
        self._clock = clock

    async def deliver(self, request: DeliveryRequest) -> Sequence[Outcome]:
        """Run the command; the same outcome for each recipient."""
        try:
            if isinstance(self._attributes, ConfigError):
                raise self._attributes
            outcome = await self._deliver(request, self._attributes)
        except ConfigError as error:
            self._log.fatal(str(error))
            outcome = _failed(Dsn(4, 3, 0), "unknown mail transport error")
        except MacroError as error:
            self._log.warning(f"service {request.transport}: {error}")
            outcome = _failed(Dsn(4, 3, 5), "mail system configuration error")
        except DeliveryError as error:
            for line in error.cause.splitlines():
                self._log.fatal(line.removeprefix("fatal: "))
            outcome = _failed(error.dsn, error.text, error.output)
        except OSError as error:
            self._log.warning(f"{request.queue_id}: {error}")
            outcome = _failed(Dsn(4, 3, 0), "temporary failure")
        return [outcome] * len(request.recipients)

    async def _deliver(self, request: DeliveryRequest, attributes: Attributes) -> Outcome:
        """Raises what ``deliver`` catches."""
        flags = attributes.flags
        user = actor(attributes.user, attributes.group, self._reserved)
        form = Form("F" in flags, ">" in flags, "." in flags, "B" in flags, attributes.eol)
        size = _size(request)
        if attributes.size and size > attributes.size:
            self._log.warning(f"{request.queue_id}: too big: size_limit = {attributes.size}, data_size = {size}")
            return _failed(Dsn(5, 2, 3), "message too large")
        if request.verify:
            return Outcome(Status.SENT, Dsn(2, 0, 0), f"delivers to command: {attributes.argv[0]}")
        self._check_recipients(request, flags)
        if "D" in flags:
            seen = delivered_to(request)
            for queued in request.recipients:
                if queued.recipient.address.lower() in seen:
                    return _failed(Dsn(5, 4, 6), f"mail forwarding loop for {queued.recipient.address}")
        null_sender = _NULL_SENDER if attributes.null_sender is None else attributes.null_sender
        parameters = self._parameters
        arguments = expand(
            attributes.argv,
            request,
            size,
            MacroRules(flags, null_sender, parameters.recipient_delimiter),
        )
        rules = CommandRules(
            arguments,
            {"PATH": PATH, **exported(parameters.export_environment)},
            attributes.directory or parameters.queue_directory,
            parameters.time_limit,
            user,
            _FATAL,
            attributes.chroot,
        )
        pieces = self._pieces(request, flags, null_sender, form)
        outcome = await self._commands.run(attributes.argv[0], pieces, rules)
        if outcome.status is not Status.SENT:
            return outcome
        said = f" ({outcome.said})" if outcome.said else ""
        return Outcome(outcome.status, outcome.dsn, f"delivered via {request.transport} service{said}")

    @staticmethod
    def _check_recipients(request: DeliveryRequest, flags: frozenset[str]) -> None:
        """A header about the recipient needs a message for one."""
        for flag in "DO":
            if flag in flags and len(request.recipients) > 1:
                limit = f"{request.transport}_destination_recipient_limit = 1"
                raise MacroError(f"pipe flag `{flag}' requires {limit}")

    def _pieces(self, request: DeliveryRequest, flags: frozenset[str], null_sender: str, form: Form) -> Iterator[bytes]:
        recipient = request.recipients[0].recipient
        sender = quote_address(request.envelope.sender or null_sender)
        date = time.asctime(time.localtime(self._clock()))
        original = recipient.original or recipient.address
        has_original = "O" in flags and self._parameters.enable_original_recipient
        header = "".join(
            (
                f"Return-Path: <{sender}>\n" if "R" in flags else "",
                f"X-Original-To: {quote_address(original)}\n" if has_original else "",
                f"Delivered-To: {quote_address(recipient.address)}\n" if "D" in flags else "",
            )
        )
        mark = f"From {sender or _NULL_SENDER}  {date}\n"
        message = chain((request.prefix,), request.content.chunks())
        return shaped(form, _bytes(mark), _bytes(header), message)


def _size(request: DeliveryRequest) -> int:
    return len(request.prefix) + request.content.size


def _failed(dsn: Dsn, text: str, output: str = "") -> Outcome:
    return Outcome(Status.DEFERRED if dsn.temporary else Status.BOUNCED, dsn, text, output)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
