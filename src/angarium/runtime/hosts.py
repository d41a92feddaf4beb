"""The hosts file: names and addresses that need no name server (hosts(5)).

Guarantees: a file that has changed is read again, and it is looked at no more than once a second. One that is missing
or cannot be read is an empty one; a line that makes no sense is passed over.
"""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class HostsFile:
    """``/etc/hosts``: read when first asked, and again when it has changed; looked at no more than once a second."""

    path: Path = Path("/etc/hosts")
    _names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _addresses: dict[str, str] = field(default_factory=dict)
    _stamp: tuple[int, int] | None = None
    _looked: float = -10.0

    def addresses(self, name: str) -> tuple[str, ...]:
        """Addresses of a name, in the file's order; empty when it isn't there."""
        self._refresh()
        return self._names.get(name.lower().rstrip("."), ())

    def name(self, address: str) -> str:
        """The canonical name of an address; empty when it isn't there."""
        self._refresh()
        return self._addresses.get(address, "")

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked < 1.0:
            return
        self._looked = now
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            text = self.path.read_text("utf-8", "replace")
        except OSError:
            self._names, self._addresses, self._stamp = {}, {}, None
            return
        names: dict[str, tuple[str, ...]] = {}
        addresses: dict[str, str] = {}
        for line in text.splitlines():
            fields = line.partition("#")[0].split()
            address = numeric_address(fields[0]) if len(fields) > 1 else None
            if address is None:
                continue
            addresses.setdefault(address, fields[1])
            for name in fields[1:]:
                key = name.lower().rstrip(".")
                names[key] = (*names.get(key, ()), address)
        self._names, self._addresses, self._stamp = names, addresses, stamp


def numeric_address(text: str) -> str | None:
    """The canonical text of a numeric address; None for a name."""
    if not (text[:1].isdigit() or ":" in text):
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
