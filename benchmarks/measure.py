"""What is measured, and how: CPU and memory of process trees from /proc, deliveries from the mail log.

CPU is user + system time of all living processes of a server and of those that they have waited for, so that nothing
is lost when a process ends between two samples. Memory is PSS (smaps_rollup): shared pages count once in the sum.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def process_tree(root: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                text = Path(entry.path, "stat").read_text()
            except OSError:
                continue  # it has just ended
            children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, ()))
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """User and system time of the trees so far: to the nanosecond of what lives, in ticks of what has ended."""
    seconds = 0.0
    for root in roots:
        for pid in process_tree(root):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                seconds += time.clock_gettime(_cpu_clock(pid)) + (int(fields[13]) + int(fields[14])) / _TICK
            except OSError:
                continue
    return seconds


def _cpu_clock(pid: int) -> int:
    """What clock_getcpuclockid(3) gives on Linux."""
    return ~pid << 3 | 2


def pss_kib(roots: Iterable[int]) -> int:
    """Proportional set size of the trees."""
    total = 0
    for root in roots:
        for pid in process_tree(root):
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
    return total


class LogWatch:
    """Counts a text in what is added to a log file from now on."""

    def __init__(self, path: Path, needle: bytes = b"status=sent") -> None:
        self._path = path
        self._needle = needle
        self._offset = path.stat().st_size if path.exists() else 0
        self._rest = b""
        self.count = 0

    def wait(self, expected: int, limit: float = 600.0) -> float:
        """Until ``expected`` were seen; the time of it. Raises TimeoutError."""
        end = time.perf_counter() + limit
        while True:
            self._read()
            now = time.perf_counter()
            if self.count >= expected:
                return now
            if now > end:
                msg = f"{self.count} of {expected} {self._needle.decode()!r} in {self._path} after {limit} s"
                raise TimeoutError(msg)
            time.sleep(0.005)

    def _read(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        data = self._rest + data
        end = data.rfind(b"\n") + 1
        self.count += data.count(self._needle, 0, end)
        self._rest = data[end:]


@dataclass(slots=True)
class Sample:
    """One measurement of a row: ``value`` in the row's unit, CPU seconds a unit of work where that makes sense."""

    value: float
    cpu: float | None = None


@dataclass(slots=True)
class Series:
    """All measurements of one row on one server."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(sample.value for sample in self.samples)

    @property
    def cpu(self) -> float | None:
        """The median CPU seconds; None when it was not measured."""
        known = [sample.cpu for sample in self.samples if sample.cpu is not None]
        return statistics.median(known) if known else None


def timed(action: Callable[[], object]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
