"""Threads that do what they are handed, and tell nobody: the half of a thread pool that a commit needs.

``concurrent.futures`` makes a future, a work item and five locked steps for each call, which costs more than the
statements of a small transaction. Here it is one entry of a queue.

Guarantees: work is begun in the order in which it came; ``close`` returns when all of it is done. Threads start when
they are first needed, so a crew may be made before a fork.

Work must not raise: whoever waits for it has to hear of it by the work's own means. If it does, the fault is shown on
standard error and the thread goes on.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from queue import SimpleQueue


class Crew:
    """A few threads.

    Args:
        size: how many.
        name: of the threads, for debuggers.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._threads: list[threading.Thread] = []
        self._work: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._closed = False

    def submit(self, work: Callable[[], object], /) -> None:
        """Run it, once, as soon as a thread is free. Called by one thread. Raises RuntimeError after ``close``."""
        if self._closed:
            msg = "the crew has been sent home"
            raise RuntimeError(msg)
        if len(self._threads) < self._size:
            thread = threading.Thread(target=self._serve, name=f"{self._name}_{len(self._threads)}", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._work.put(work)

    def close(self) -> None:
        """Wait until all is done that was handed over, and end the threads."""
        self._closed = True
        for _thread in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        take = self._work.get
        while (work := take()) is not None:
            try:
                work()
            except Exception:  # noqa: BLE001 - see the module
                traceback.print_exc()
            del work  # what it holds is not kept until the next one comes
