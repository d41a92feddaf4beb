"""postlock(1): runs a command while a mailbox is locked: ``postlock FILE COMMAND …``.

=======  ======================================================================================
``-l``   how: some of fcntl, flock, dotlock; as mailbox_delivery_lock says when it is without
``-c``   the configuration directory
``-v``   accepted
=======  ======================================================================================

It tries deliver_lock_attempts times, deliver_lock_delay apart, and takes a lock file for forgotten after
stale_lock_time, as the delivery of mail does.

Exit status: the command's own; 75 when the lock cannot be had and for a wrong call; 1 when the command cannot be run
or ends by a signal.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from angarium.commands.command import Command, CommandError, complain, guarded, parse_options

USAGE = "usage: postlock [-c config_dir] [-l lock_style] [-v] folder command..."
_METHODS = ("fcntl", "flock", "dotlock")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    return guarded("postlock", lambda: _run(sys.argv[1:] if argv is None else argv), os.EX_TEMPFAIL)


def _run(argv: Sequence[str]) -> int:
    options, words = parse_options("postlock", argv, "c:l:v", USAGE)
    if len(words) < 2:
        raise CommandError(USAGE)
    command = Command("postlock", dict(options).get("-c"))
    with locked(Path(words[0]), _methods(command, dict(options).get("-l")), command):
        return run(words[1:])


def _methods(command: Command, option: str | None) -> list[str]:
    text = command.config.text("mailbox_delivery_lock") if option is None else option
    methods = text.replace(",", " ").split()
    for method in methods:
        if method not in _METHODS:
            raise CommandError(f'unknown mailbox_delivery_lock value "{method}" in "{text}"')
    return methods


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a lock is waited for, and when it is forgotten."""

    attempts: int
    delay: float
    stale: float

    def take(self, path: Path, what: str, lock: Callable[[], None]) -> None:
        """Try until it works. Raises CommandError."""
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(self.delay)
            try:
                lock()
            except (BlockingIOError, FileExistsError) as error:
                if attempt == self.attempts - 1:
                    raise CommandError(f"open file {path}: {what}: {error.strerror}") from error
            except OSError as error:
                raise CommandError(f"open file {path}: {what}: {error.strerror}") from error
            else:
                return


@contextlib.contextmanager
def locked(path: Path, methods: Sequence[str], command: Command) -> Iterator[None]:
    """Within, the mailbox is locked. Raises CommandError."""
    conf = command.config
    attempts = max(1, conf.integer("deliver_lock_attempts"))
    patience = Patience(attempts, conf.seconds("deliver_lock_delay"), conf.seconds("stale_lock_time"))
    with contextlib.ExitStack() as stack:
        if "dotlock" in methods:
            lock = path.with_name(f"{path.name}.lock")
            patience.take(path, f"unable to create lock file {lock}", partial(_make, lock, patience.stale))
            stack.callback(lock.unlink, missing_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CommandError(f"open file {path}: {error.strerror}") from error
        stack.callback(os.close, descriptor)
        for method in methods:
            if method != "dotlock":
                patience.take(path, "unable to lock for exclusive access", partial(_lock, method, descriptor))
        yield


def _make(lock: Path, stale: float) -> None:
    with contextlib.suppress(OSError):
        if time.time() > lock.lstat().st_mtime + stale:
            lock.unlink()
    os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400))


def _lock(method: str, descriptor: int) -> None:
    call = fcntl.lockf if method == "fcntl" else fcntl.flock
    try:
        call(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except PermissionError as error:  # fcntl(2) may say it this way, too
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error


def run(words: Sequence[str]) -> int:
    """The command's exit status."""
    try:
        status = subprocess.run(words, check=False).returncode
    except OSError as error:
        complain("postlock", f"execvp {words[0]}: {error.strerror}")
        return 1
    return 1 if status < 0 else status


if __name__ == "__main__":
    sys.exit(main())
