"""Runs a command with a message on its standard input (local(8), EXTERNAL COMMAND DELIVERY; pipe(8)).

The command gets a session of its own, the rights of its user, no descriptors but the three (``starter``), and its time
limit; then its whole process group is killed (``talk``).

Fails with DeliveryError when it takes too long, when its directory cannot be entered, and when it cannot be started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from angarium.delivery.launcher import Launcher, LostError, Running, StartError
from angarium.delivery.starter import Order
from angarium.delivery.sysexits import Outcome, command_outcome, printable, with_output
from angarium.delivery.talk import Talk
from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User
from angarium.model.dsn import Dsn

_DYING = 5.0
"""Seconds that one is waited for that was killed: it may hang in the kernel."""

_FAILED = "temporary failure"


@dataclass(frozen=True, slots=True)
class CommandRules:
    """How a command is run.

    Attributes:
        arguments: from ``commandline.arguments``.
        environment: the whole of it.
        directory: where it is run.
        time_limit: command_time_limit: seconds within which it reads or says something, or ends. What it says beyond
            ``talk.OUTPUT`` does not count.
        user: whose rights it has.
        fatal: how the report of a command that cannot be executed begins.
        root: what it sees as the root of all files; empty: the root.
        shell: the command line that a shell gets when there is no such program; empty: none.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    time_limit: float
    user: User
    fatal: str = "local: fatal: execvp"
    root: str = ""
    shell: str = ""


class Commands:
    """Runs commands of any user, in a process of root's.

    Args:
        launcher: starts them.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    async def run(self, command: str, pieces: Iterable[bytes], rules: CommandRules) -> Outcome:
        """Run it to its end; what became of it. Raises DeliveryError."""
        try:
            talk = Talk(iter(pieces), rules.time_limit)
        except OSError as error:
            raise _unstarted(f"cannot start a process: {error.strerror}") from error
        try:
            order = self._order(rules)
            async with self._launcher.started(order, talk.stdin_end, talk.output_end) as running:
                return await self._attend(command, talk, running, rules)
        except ValueError as error:  # a NUL
            raise _unstarted(f"command {rules.arguments[0]!r}: {error}") from error
        except OSError as error:  # there can be no process, or the message cannot be read
            raise _unstarted(f"command {rules.arguments[0]}: {error.strerror or error}") from error
        except LostError as error:
            raise _unstarted(str(error)) from error
        except StartError as error:
            return _failed(command, error, rules)
        finally:
            talk.close()

    def _order(self, rules: CommandRules) -> Order:
        """What the launcher is told. Raises DeliveryError."""
        return _order(rules, rules.user.uid, rules.user.gid)

    async def _attend(self, command: str, talk: Talk, running: Running, rules: CommandRules) -> Outcome:
        """See it through. Raises DeliveryError, StartError, LostError."""
        running.lost.add_done_callback(talk.leave)
        try:
            await talk.ended()
            returned = running.code()
            if returned is None:
                async with asyncio.timeout(rules.time_limit):
                    returned = await running.ended()
        except TimeoutError as error:
            if not running.has_begun():
                running.give_up()
                raise LostError("the process that starts commands does not answer") from error
            await _killed(running)
            text = with_output(f'Command time limit exceeded: "{command}"', talk.said)
            output = printable(talk.said).strip() or "internal software error"
            raise DeliveryError(Dsn(5, 3, 0), text, output=output) from error
        except (OSError, ValueError):
            await _killed(running)
            raise
        return command_outcome(command, returned, bytes(talk.said))


class OwnCommands(Commands):
    """Runs commands of our own user, and of no other, in any other process."""

    def _order(self, rules: CommandRules) -> Order:
        if rules.root:
            raise DeliveryError(Dsn(4, 3, 0), _FAILED, f"chroot={rules.root} needs a server that was started by root")
        if rules.user.uid != os.geteuid():
            text = f"delivery for the user {rules.user.name} needs a server that was started by root"
            raise DeliveryError(Dsn(4, 3, 0), text)
        return _order(rules, -1, -1)


def _order(rules: CommandRules, uid: int, gid: int) -> Order:
    return Order(
        uid,
        gid,
        os.fsencode(rules.directory),
        os.fsencode(rules.root),
        os.fsencode(rules.shell),
        [os.fsencode(each) for each in rules.arguments],
        [os.fsencode(f"{name}={value}") for name, value in rules.environment.items()],
    )


async def _killed(running: Running) -> None:
    """Kill it, and only then go on: the end of what it was given would look like the end of the message."""
    running.kill()
    with contextlib.suppress(TimeoutError, StartError, LostError):
        async with asyncio.timeout(_DYING):
            await running.ended()


def _unstarted(cause: str) -> DeliveryError:
    return DeliveryError(Dsn(4, 3, 0), _FAILED, cause, _FAILED)


def _failed(command: str, error: StartError, rules: CommandRules) -> Outcome:
    """What a step means that was not done. Raises DeliveryError."""
    if error.step == "command":
        said = f"{rules.fatal} {rules.arguments[0]}: {error.reason}\n"
        return command_outcome(command, 75, said.encode())
    if error.step == "directory":
        who = f"uid={rules.user.uid} gid={rules.user.gid}"
        raise _unstarted(f'cannot change directory to "{rules.directory}" for {who}: {error.reason}') from error
    if error.step == "root":
        raise _unstarted(f"fatal: cannot change root directory to {rules.root}: {error.reason}") from error
    raise _unstarted(f"cannot start a process: {error}") from error
