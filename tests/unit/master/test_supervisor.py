"""The master when the system has nothing left to give."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

from angarium.master.supervisor import Master, Role
from angarium.runtime.log import MemoryLog, ServiceLog


class Counts:
    def __init__(self) -> None:
        self.reserved = 0

    def reserve(self) -> int:
        self.reserved += 1
        return 7

    def release(self, column: int) -> None:
        assert column == 7
        self.reserved -= 1


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_fork_that_fails_is_tried_again_and_ends_nobody(monkeypatch):
    def fork():
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    master = object.__new__(Master)
    memory = MemoryLog()
    master._log = ServiceLog(memory, "postfix/master")
    master._counts = Counts()
    master._now = SimpleNamespace(throttled={})
    opened = descriptors()
    role = Role("worker", 0)
    master._replace(role)
    assert list(master._now.throttled) == [role]
    assert master._counts.reserved == 0
    assert descriptors() == opened
    assert "cannot start worker" in memory.lines[0]
