"""A parsed file that is read again when it has changed.

The file is asked for its modification time at most once a second, so that a busy server does not spend its time in
``stat``. A file that vanishes or breaks raises at each use until it is back: the caller makes that a temporary error.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from angarium.runtime import heldfiles

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
            stamp = heldfiles.stamp(self.path)
            if value is None or stamp != self._stamp:
                value = self._parse(heldfiles.read_bytes(self.path).decode("utf-8", "surrogateescape"))
                self._value, self._stamp = value, stamp
        except OSError:
            self._value = None
            raise
        self._checked = now
        return value
