"""A parsed file that is read again when it has changed.

The file is asked for its modification time at most once a second, so that a busy server does not spend its time in
``stat``. A file that vanishes or breaks raises at each use until it is back: the caller makes that a temporary error.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

CHECK_INTERVAL = 1.0


class WatchedFile(Generic[T]):
    """``parse`` of the text of ``path``, kept until the file changes.

    Args:
        path: which file.
        parse: makes the value; called with the text (bytes that are not UTF-8 become surrogates).
        clock: seconds, monotonic.
    """

    __slots__ = ("_checked", "_clock", "_parse", "_stamp", "_value", "path")

    def __init__(self, path: Path, parse: Callable[[str], T], clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._parse = parse
        self._clock = clock
        self._checked = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self._value: T | None = None

    def current(self) -> T:
        """The value as of at most a second ago.

        Raises:
            OSError: the file cannot be read.
        """
        now = self._clock()
        value = self._value
        if value is not None and now - self._checked < CHECK_INTERVAL:
            return value
        if "\0" in str(self.path):
            raise OSError(errno.EINVAL, "a NUL in a file name")
        try:
            status = os.stat(self.path)  # noqa: PTH116 - the hot path; Path.stat costs four times as much
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if value is None or stamp != self._stamp:
                value = self._parse(self.path.read_text("utf-8", "surrogateescape"))
                self._value, self._stamp = value, stamp
        except OSError:
            self._value = None
            raise
        self._checked = now
        return value
