"""The limits of an ordinary process, for programs that a server starts which has higher ones."""

from __future__ import annotations

import contextlib
import resource
import threading
from collections.abc import Iterator

FILES = 1024
"""Open files that a program may have: those that use select(2) rely on it, others close each of them at their start."""

_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def few_files() -> Iterator[None]:
    """Within, what is started gets no more open files than is usual. No waiting within: other threads may queue."""
    with _ONE_AT_A_TIME:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft <= FILES:
            yield
            return
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
