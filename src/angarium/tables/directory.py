"""``directory:domains``, ``directory:accounts`` and ``directory:aliases``: the directory as lookup tables."""

from __future__ import annotations

from collections.abc import Callable

from angarium.directory.interface import Directory
from angarium.model.lookup import Lookup
from angarium.tables.interface import Table


class DirectoryTable:
    """One kind of entry of the directory. Keys fold as the directory folds them."""

    pattern = False

    def __init__(self, name: str, ask: Callable[[str], Lookup]) -> None:
        self.name = name
        self._ask = ask

    async def lookup(self, key: str) -> Lookup:
        """Ask the directory; it never raises and never waits."""
        return self._ask(key)


def directory_factory(directory: Directory) -> Callable[[str, str], Table]:
    """What ``TableOpener(extra={"directory": …})`` wants. Its argument is ``domains``, ``accounts`` or ``aliases``."""
    kinds = {"domains": directory.domain, "accounts": directory.account, "aliases": directory.alias}

    def make(name: str, argument: str) -> Table:
        if argument not in kinds:
            raise ValueError(f"{name}: need one of directory:domains, directory:accounts, directory:aliases")
        return DirectoryTable(name, kinds[argument])

    return make
