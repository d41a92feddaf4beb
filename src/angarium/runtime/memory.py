"""Memory that the process does not need any more goes back to the operating system.

glibc keeps what is freed in the middle of its heap for later. A worker that was busy with a thousand mailboxes and is
idle now would stay as large as it was; ``give_back`` lets those pages go. Where there is no glibc, nothing happens.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def _malloc_trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None


def give_back() -> bool:
    """Return free heap pages to the system; whether there were any. Takes milliseconds: not for the event loop."""
    trim = _malloc_trim()
    return bool(trim(0)) if trim is not None else False
