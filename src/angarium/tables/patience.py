"""A bound on the time that a regular expression may take.

An expression that backtracks without end would stop a worker for good. ``limited()`` lets a block run for ``LIMIT``
seconds of the processor's time, then ends it with ``OutOfPatienceError``: a timer's signal interrupts the matching,
which looks for signals now and then. Python hands signals to the main thread alone; in others nothing is bounded.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

LIMIT = 0.25
"""Seconds of the processor's time for one look-up."""


class OutOfPatienceError(Exception):
    """The block took too long."""


class _Limited:
    """The one limit of the process; it does not nest."""

    __slots__ = ("_armed", "_installed")

    def __init__(self) -> None:
        self._armed = False
        self._installed = False

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if not self._installed:
            signal.signal(signal.SIGVTALRM, self._expired)
            self._installed = True
        self._armed = True
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._armed:
            self._armed = False
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _expired(self, _number: int, _frame: FrameType | None) -> None:
        if self._armed:
            raise OutOfPatienceError


_LIMITED = _Limited()


def limited() -> _Limited:
    """A context that ends by itself. Raises OutOfPatienceError out of the block."""
    return _LIMITED
