"""The maildrop directory as the administrator's commands see it: what was submitted while no server ran.

A message there has its file's name as its queue id. Nothing is changed but by ``discard``. Only the mail system and
root may read the directory. A file that is not whole, or no submission, is no message; ``Maildrop`` of pickup deals
with those.

Fails with OSError for a directory that cannot be read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from angarium.daemons.pickup.access import User
from angarium.daemons.pickup.extract import argument_addresses, bare, header_recipients
from angarium.mailqueue.interface import PendingRecipient, QueuedMessage, QueueName
from angarium.model.content import MemoryContent
from angarium.model.delivery import QueuedRecipient
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.protocols.pickup.commandline import CommandLineError
from angarium.protocols.pickup.session import End, PickupError, PickupSession, Piece

_CHUNK = 256 * 1024
_HEADER = 256 * 1024
"""Bytes of a message that are kept when its body is not wanted."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message of the directory.

    Attributes:
        message: as the other queues have it.
        full_name: the sender's.
        content: the message in wire form, or its beginning.
    """

    message: QueuedMessage
    full_name: str
    content: MemoryContent


def read(path: Path, *, whole: bool = True) -> Dropped | None:
    """The message of a file, without ``whole`` with the beginning of its content; None when there is none in it.

    Raises:
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & stat.S_IXUSR:
            return None
        session = PickupSession()
        pieces: list[bytes] = []
        size = kept = 0
        while data := file.read(_CHUNK):
            try:
                events = session.receive_data(data)
            except (PickupError, CommandLineError):
                return None
            for event in events:
                if isinstance(event, Piece):
                    size += len(event.data)
                    if whole or kept < _HEADER:
                        pieces.append(event.data)
                        kept += len(event.data)
                elif isinstance(event, End):
                    content = MemoryContent(b"".join(pieces))
                    return _dropped(path.name, event, content, size, status)
    return None


def _dropped(name: str, end: End, content: MemoryContent, size: int, status: os.stat_result) -> Dropped:
    submission = end.submission
    owner = User.of(status.st_uid)
    addresses = [each for word in submission.recipients for each in argument_addresses(word)]
    if submission.extract:
        addresses.extend(header_recipients(content))
    people = tuple(Recipient(each, "", submission.notify) for each in addresses)
    envelope = Envelope(
        owner.name if submission.sender is None else bare(submission.sender),
        people,
        status.st_mtime,
        Origin("local", uid=status.st_uid),
        submission.body,
        ret=submission.ret,
        envid=submission.envid,
        verp=submission.verp or "",
    )
    pending = tuple(PendingRecipient(QueuedRecipient(number, each), "") for number, each in enumerate(people))
    message = QueuedMessage(name, QueueName.MAILDROP, envelope, size, status.st_mtime, 0.0, 0, pending)
    return Dropped(message, owner.full_name if submission.full_name is None else submission.full_name, content)


def _files(queue_directory: Path) -> list[Path]:
    try:
        return sorted(path for path in (queue_directory / "maildrop").iterdir() if path.suffix != ".bad")
    except FileNotFoundError:
        return []


def messages(queue_directory: Path) -> Iterator[QueuedMessage]:
    """All of them. Raises OSError."""
    for path in _files(queue_directory):
        try:
            found = read(path, whole=False)
        except OSError:
            continue  # pickup has just taken it, or it is nothing to be read
        if found is not None:
            yield found.message


def find(queue_directory: Path, queue_id: str) -> Dropped | None:
    """One of them, by its id."""
    try:
        return read(queue_directory / "maildrop" / queue_id)
    except OSError:
        return None


def discard(queue_directory: Path, ids: Iterable[str] | None, told: Callable[[str], None]) -> int:
    """Delete those, or all; how many. ``told`` hears of each. Raises OSError."""
    directory = queue_directory / "maildrop"
    names = [path.name for path in _files(queue_directory)] if ids is None else ids
    count = 0
    for name in names:
        try:
            (directory / name).unlink()
        except FileNotFoundError:
            continue
        told(name)
        count += 1
    return count
