"""atheris target: table files, keys and match lists. Run: python tests/fuzz/fuzz_tables.py -atheris_runs=1000."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

from angarium.tables.aliasfile import split_alias
from angarium.tables.maps import Maps, access_address, find_address
from angarium.tables.matchlist import MatchList
from angarium.tables.opener import TableOpener

_FILE = Path(tempfile.mkdtemp()) / "table"


async def _ask(text: bytes, key: str) -> None:
    _FILE.write_bytes(text)
    opener = TableOpener(lambda _text: None)
    for kind in ("texthash", "cidr", "regexp", "pcre"):
        maps = Maps.open("p", (f"{kind}:{_FILE}",), opener)
        await maps.find(key)
        await find_address(maps, key, "+-")
        await access_address(maps, key, "+-", bare_parents=True)
    for kind in ("inline", "regexp", "pcre", "cidr", "static", "unionmap", "pipemap"):
        await opener.open(f"{kind}:" + text.decode("utf-8", "replace")).lookup(key)
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        with contextlib.suppress(ValueError):
            split_alias(line)
    patterns = MatchList("p", text.decode("utf-8", "replace").split(), opener, networks=True)
    await patterns.match_client(key, "192.0.2.1")
    await patterns.match_domain(key)


def one_input(data: bytes) -> None:
    """Nothing raises, whatever the file and the key hold."""
    key, _, text = data.partition(b"\n")
    asyncio.run(_ask(text, key.decode("utf-8", "surrogateescape")))


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
