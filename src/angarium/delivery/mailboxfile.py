"""Appends a message to a mailbox file: locks it, writes, and puts it back as it was when that fails.

Runs with the recipient's rights, and blocks: it belongs into a child or a thread. Locks are those of
mailbox_delivery_lock: ``fcntl``, ``flock`` (on the open file) and ``dotlock`` (``file.lock`` beside it, given up when
it is older than stale_lock_time). A lock that others hold is tried for deliver_lock_attempts times.

Guarantees: what was appended is on stable storage, or the file has its former length. Symbolic links are followed only
when root has made them in a directory of root's; a file of several names is refused. A file that is no regular one
(``/dev/null``) is written to without locks, if the caller allows it; a pipe whose reader has gone to sleep is given up.

In a spool that nobody but root may write to, root opens, makes and locks the mailbox for its user (``keeper``); it is
written to, and a link of root's is followed, with the user's rights.

Fails with DeliveryError: the mailbox is full (mailbox_size_limit, quota), locked, somebody else's, no file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from angarium.delivery.filerights import acting
from angarium.delivery.troubles import DeliveryError, storage_error
from angarium.delivery.user import User
from angarium.model.dsn import Dsn

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
_MODE = 0o600
_FAILED = Dsn(5, 2, 0)
_UNREAD = 1000.0
"""Seconds that the reader of a pipe may take for a piece: his user may stop him for ever, and a thread waits here."""


@dataclass(frozen=True, slots=True)
class LockRules:
    """How mailboxes are locked.

    Attributes:
        methods: mailbox_delivery_lock: some of ``fcntl``, ``flock``, ``dotlock``.
        attempts: deliver_lock_attempts.
        delay: deliver_lock_delay, seconds.
        stale: stale_lock_time, seconds.
    """

    methods: tuple[str, ...] = ("fcntl", "dotlock")
    attempts: int = 20
    delay: float = 1.0
    stale: float = 500.0


@dataclass(frozen=True, slots=True)
class MailboxRules:
    """What a mailbox may be.

    Attributes:
        lock: how it is locked.
        size_limit: mailbox_size_limit, bytes; 0: none.
        owner: whose it must be (strict_mailbox_ownership); None: anybody's.
        regular: it must be a regular file.
        failure: the code of a failure that nothing else is known of.
        lock_may_fail: a lock file that cannot be made is done without, with a warning.
        keeper: the user for whom root opens the file; None: whoever we are opens it.
    """

    lock: LockRules = LockRules()
    size_limit: int = 0
    owner: int | None = None
    regular: bool = True
    failure: Dsn = _FAILED
    lock_may_fail: bool = False
    keeper: User | None = None


def append(
    path: str, pieces: Iterable[bytes], rules: MailboxRules, sleep: Callable[[float], None] = time.sleep
) -> list[str]:
    """Append; see the module. Warnings for the log. Raises DeliveryError."""
    with _dot_locked(path, rules, sleep) as warnings:
        try:
            _append(path, pieces, rules, sleep)
        except DeliveryError as error:
            error.cause = "\n".join(filter(None, (*warnings, error.cause)))
            raise
    return warnings


def _append(path: str, pieces: Iterable[bytes], rules: MailboxRules, sleep: Callable[[float], None]) -> None:
    descriptor = _opened(path, rules)
    try:
        status = os.fstat(descriptor)
        _check(path, status, rules)
        with acting(rules.keeper) if rules.keeper else contextlib.nullcontext():
            if stat.S_ISREG(status.st_mode):
                _lock(descriptor, rules.lock, sleep)
                _write(descriptor, pieces, rules)
            else:
                _write_all(descriptor, pieces, rules)
    finally:
        os.close(descriptor)


def _opened(path: str, rules: MailboxRules) -> int:
    """Open the file, or make it. Raises DeliveryError."""
    try:
        return os.open(path, _FLAGS)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise storage_error(error, "cannot open file", rules.failure) from error
        return _behind(path, rules)
    try:
        descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, _MODE)
    except FileExistsError as error:  # somebody has made it just now: the next attempt finds it
        raise storage_error(error, "cannot create file exclusively", Dsn(4, 2, 0)) from error
    except OSError as error:
        raise storage_error(error, "cannot create file exclusively", rules.failure) from error
    if rules.keeper is not None:
        try:
            os.fchown(descriptor, rules.keeper.uid, rules.keeper.gid)
        except OSError as error:
            os.close(descriptor)
            Path(path).unlink(missing_ok=True)
            raise storage_error(error, "cannot change ownership of file", rules.failure) from error
    return descriptor


def _behind(path: str, rules: MailboxRules) -> int:
    """Open what a symbolic link of root's leads to: with the user's rights, for the way there may be his. As above."""
    try:
        follows = _is_roots(path)
        with acting(rules.keeper) if rules.keeper else contextlib.nullcontext():
            descriptor = os.open(path, _FLAGS & ~os.O_NOFOLLOW)
    except OSError as behind:
        raise storage_error(behind, "cannot open file", rules.failure) from behind
    if not follows:
        os.close(descriptor)
        raise DeliveryError(rules.failure, "file is a symbolic link")
    return descriptor


def _is_roots(path: str) -> bool:
    """Whether root has made that symbolic link where nobody else could have."""
    above = Path(path).parent.stat()
    return Path(path).lstat().st_uid == 0 and above.st_uid == 0 and not above.st_mode & 0o022


def _check(path: str, status: os.stat_result, rules: MailboxRules) -> None:
    is_regular = stat.S_ISREG(status.st_mode)
    if rules.regular and not is_regular:
        raise DeliveryError(rules.failure, f"destination {path} is not a regular file")
    if is_regular and status.st_nlink != 1:  # 0: no file of a directory, but one that a process has open
        raise DeliveryError(rules.failure, f"file has {status.st_nlink} hard links")
    if is_regular and rules.owner is not None and status.st_uid != rules.owner:
        hint = 'specify "strict_mailbox_ownership = no" to ignore mailbox ownership mismatch'
        raise DeliveryError(Dsn(4, 2, 0), f"destination {path} is not owned by recipient", hint)


@contextlib.contextmanager
def _dot_locked(path: str, rules: MailboxRules, sleep: Callable[[float], None]) -> Iterator[list[str]]:
    """Within, the lock file is there; yields a list of warnings. Raises DeliveryError."""
    lock = rules.lock
    name = f"{path}.lock"
    if "dotlock" not in lock.methods or _is_special(path):
        yield []
        return
    try:
        _make(name, lock, sleep)
    except FileExistsError as error:
        raise DeliveryError(Dsn(4, 2, 0), f"unable to create lock file {name}: File exists") from error
    except OSError as error:
        text = f"unable to create lock file {name}"
        if not rules.lock_may_fail:
            raise storage_error(error, text, rules.failure) from error
        yield [f"{text}: {error.strerror}"]
        return
    try:
        yield []
    finally:
        with contextlib.suppress(OSError):
            Path(name).unlink()


def _is_special(path: str) -> bool:
    try:
        return not stat.S_ISREG(Path(path).stat().st_mode)
    except OSError:
        return False


def _make(name: str, lock: LockRules, sleep: Callable[[float], None]) -> None:
    """Create the lock file. Raises FileExistsError when others hold it, OSError."""
    for attempt in range(max(1, lock.attempts)):
        if attempt:
            sleep(lock.delay)
        try:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400))
        except FileExistsError:
            # When it was made here, as Postfix does it: its owner can set the other time to anything.
            with contextlib.suppress(FileNotFoundError):
                if time.time() > Path(name).lstat().st_ctime + lock.stale:
                    Path(name).unlink()
        else:
            return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)


def _lock(descriptor: int, lock: LockRules, sleep: Callable[[float], None]) -> None:
    calls = {"fcntl": _lock_record, "flock": _lock_file}
    for method in lock.methods:
        if method not in calls:
            continue
        for attempt in range(max(1, lock.attempts)):
            if attempt:
                sleep(lock.delay)
            try:
                calls[method](descriptor)
            except (BlockingIOError, PermissionError):
                continue  # fcntl(2): either says that somebody has it
            except OSError as error:
                raise storage_error(error, "unable to lock for exclusive access", Dsn(4, 2, 0)) from error
            break
        else:
            text = f"unable to lock for exclusive access: {os.strerror(errno.EAGAIN)}"
            raise DeliveryError(Dsn(4, 2, 0), text)


def _lock_file(descriptor: int) -> None:
    """flock(2)'s lock. Raises OSError."""
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_record(descriptor: int) -> None:
    """fcntl(2)'s lock of the whole file, held against other threads of this process too. Raises OSError."""
    if not hasattr(fcntl, "F_OFD_SETLK"):
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, whole)


def _write(descriptor: int, pieces: Iterable[bytes], rules: MailboxRules) -> None:
    """Append, or leave nothing behind."""
    length = os.fstat(descriptor).st_size
    try:
        _write_all(descriptor, pieces, rules, length)
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise storage_error(error, "error writing message", rules.failure, "input/output error") from error
    except BaseException:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, length)
        raise


def _write_all(descriptor: int, pieces: Iterable[bytes], rules: MailboxRules, length: int = 0) -> None:
    try:
        for piece in pieces:
            length += len(piece)
            if rules.size_limit and length > rules.size_limit:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            rest = memoryview(piece)
            while rest:
                try:
                    rest = rest[os.write(descriptor, rest) :]
                except BlockingIOError:  # not of a regular file
                    _wait(descriptor)
    except OSError as error:
        raise storage_error(error, "error writing message", rules.failure, "input/output error") from error


def _wait(descriptor: int) -> None:
    """Wait until a pipe takes more. Raises BlockingIOError when it does not in time."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if not poll.poll(_UNREAD * 1000):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
