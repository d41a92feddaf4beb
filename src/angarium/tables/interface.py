"""What a lookup table is to everyone who asks one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from angarium.model.lookup import Lookup


class Table(Protocol):
    """One ``type:name``. Asking it never raises: a back end that fails is a ``TemporaryError`` value."""

    @property
    def name(self) -> str:
        """``type:name``, as the configuration has it."""
        ...

    @property
    def pattern(self) -> bool:
        """The table matches patterns (regexp, cidr …): it is asked with whole keys alone, never with parts of one."""
        ...

    async def lookup(self, key: str) -> Lookup:
        """Ask for one key. Folding the case is the table's own affair."""
        ...


class OpensTables(Protocol):
    """What opens ``type:name``: a ``TableOpener``, or the ``TableSite`` that it gives to a table."""

    @property
    def open(self) -> Callable[[str], Table]:
        """Opens a table; never raises."""
        ...
