"""Runs a command with a message on its standard input (local(8), EXTERNAL COMMAND DELIVERY; pipe(8)).

Runs with the recipient's rights, and blocks. The command gets a session of its own, no descriptors but the three, and
its time limit; then its whole process group is killed. It may leave its input unread. Of what it writes the
beginning is kept, the rest is read and dropped, so that it cannot fill anything.

Fails with DeliveryError when it takes too long or its directory cannot be entered.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from angarium.delivery.filerights import acting
from angarium.delivery.limits import few_files
from angarium.delivery.sysexits import Outcome, command_outcome, printable, with_output
from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User
from angarium.model.dsn import Dsn

OUTPUT = 4096
"""Bytes of output that are kept."""

_LONGEST = 18_000.0
"""Seconds that a command may run that makes progress all the time (daemon_timeout of Postfix)."""

_PIECE = 65536


@dataclass(frozen=True, slots=True)
class CommandRules:
    """How commands are run.

    Attributes:
        arguments: from ``commandline.arguments``.
        environment: the whole of it.
        directory: where it is run.
        time_limit: command_time_limit: seconds within which it reads or says something, or ends. What it says beyond
            ``OUTPUT`` does not count.
        fatal: how the report of a command that cannot be executed begins.
        user: whom the command becomes, if we are root; None: it is run as we are.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    time_limit: float
    fatal: str = "local: fatal: execvp"
    user: User | None = None


def run(command: str, pieces: Iterable[bytes], rules: CommandRules) -> Outcome:
    """Run it to its end; what became of it. Raises DeliveryError."""
    user = rules.user if os.geteuid() == 0 else None
    try:
        if user is not None:
            _enter(rules.directory, user)
        process = _start(rules, user)
    except OSError as error:
        if error.filename == rules.directory:
            who = f"uid={user.uid if user else os.geteuid()} gid={user.gid if user else os.getegid()}"
            cause = f'cannot change directory to "{rules.directory}" for {who}: {error.strerror}'
            raise DeliveryError(Dsn(4, 3, 0), "temporary failure", cause, "temporary failure") from error
        said = f"{rules.fatal} {rules.arguments[0]}: {error.strerror}\n"
        return command_outcome(command, 75, said.encode())
    output = bytearray()
    try:
        _exchange(process, pieces, rules.time_limit, output)
        returned = process.wait(rules.time_limit)
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        text = with_output(f'Command time limit exceeded: "{command}"', output)
        raise DeliveryError(
            Dsn(5, 3, 0), text, output=printable(output).strip() or "internal software error"
        ) from error
    finally:
        if process.returncode is None:  # not waited for yet, so that its number still names its group
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
    return command_outcome(command, returned, bytes(output))


def _enter(directory: str, user: User) -> None:
    """Whether the user may go to the directory: the command is there before it becomes him. Raises OSError."""
    try:
        with acting(user):
            os.stat(f"{directory}/.")  # noqa: PTH116  # pathlib drops the dot
    except OSError as error:
        error.filename = directory
        raise


def _start(rules: CommandRules, user: User | None) -> subprocess.Popen[bytes]:
    """Start it. Raises OSError."""
    with few_files():
        return subprocess.Popen(
            list(rules.arguments),
            executable="/bin/sh" if rules.arguments[0] == "sh" else None,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(rules.environment),
            cwd=rules.directory,
            start_new_session=True,
            umask=0o077,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[user.gid] if user else None,
        )


def _exchange(process: subprocess.Popen[bytes], pieces: Iterable[bytes], limit: float, kept: bytearray) -> None:
    """Feed it and listen to it until it has closed both ends; ``kept`` is what it says. Raises TimeoutError."""
    assert process.stdin is not None
    assert process.stdout is not None
    for stream in (process.stdin, process.stdout):
        os.set_blocking(stream.fileno(), False)
    feed = _Feed(process.stdin, iter(pieces))
    end = time.monotonic() + _LONGEST
    deadline = time.monotonic() + limit
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE)
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.get_map():
            left = min(deadline, end) - time.monotonic()
            ready = selector.select(max(0.0, left))
            if not ready or left <= 0:
                raise TimeoutError
            for key, _events in ready:
                if key.fileobj is process.stdin:
                    deadline = time.monotonic() + limit
                    if feed.is_done():
                        selector.unregister(process.stdin)
                        _close(process.stdin)
                    continue
                data = os.read(process.stdout.fileno(), _PIECE)
                if len(kept) < OUTPUT:
                    deadline = time.monotonic() + limit
                kept += data[: OUTPUT - len(kept)]
                if not data:
                    selector.unregister(process.stdout)


def _close(stream: IO[bytes]) -> None:
    with contextlib.suppress(OSError):
        stream.close()


class _Feed:
    """The message on its way to the command."""

    def __init__(self, stream: IO[bytes], pieces: Iterator[bytes]) -> None:
        self._descriptor = stream.fileno()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def is_done(self) -> bool:
        """Write what fits; whether that was the end, or nobody reads it any more."""
        while True:
            while not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    return True
                self._rest = memoryview(piece)
            try:
                self._rest = self._rest[os.write(self._descriptor, self._rest) :]
            except BlockingIOError:
                return False
            except BrokenPipeError:
                return True
