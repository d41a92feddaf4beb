"""Tables of whole keys in a text file: texthash, and for now hash, btree, lmdb, cdb and sdbm read from their source.

The file is read as postmap(1) reads it: of two lines with the same key the first holds. Keys are folded to lower
case. A file whose first entry is ``name: value`` is in the form of aliases(5), as postalias(1) reads it.

Postfix looks into the built file (``name.db`` …); this reads the source that it is built from, so no one has to run
postmap first. The built files come with the table types of their own.

Failures: a file that cannot be read is a temporary error at each lookup. A line that is wrong is skipped and reported
once for each reading through ``warn``, with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.tables.text import logical_lines, split_entry
from angarium.tables.watch import WatchedFile

_ALIAS = re.compile(r'("[^"]*"|[^\s:]+)\s*:(?:\s|$)')


def _split_alias(line: str) -> tuple[str, str]:
    """``name: value`` of aliases(5). Raises ValueError."""
    key, colon, value = line.partition(":")
    if line.startswith('"'):
        key, quote, rest = line[1:].partition('"')
        _, colon, value = rest.partition(":") if quote else ("", "", "")
    if not colon or not key.strip() or not value.strip():
        raise ValueError("expected format: name: value")
    return key.strip(), value.strip()


class FileTable:
    """A text file of ``key whitespace value`` lines, held in memory."""

    pattern = False

    def __init__(self, name: str, path: Path, warn: Callable[[str], None]) -> None:
        self.name = name
        self._path = path
        self._warn = warn
        self._file = WatchedFile(path, self._parse)

    def _parse(self, text: str) -> dict[str, tuple[str, int]]:
        entries: dict[str, tuple[str, int]] = {}
        split = split_entry
        for number, line in logical_lines(text):
            if not entries and _ALIAS.match(line):
                split = _split_alias
            try:
                key, value = split(line)
            except ValueError as error:
                self._warn(f"{self._path}, line {number}: {error}")
                continue
            if key.endswith(":"):
                self._warn(f'{self._path}, line {number}: record is in "key: value" format; is this an alias file?')
            folded = key.lower()
            if folded in entries:
                self._warn(f'{self._path}, line {number}: duplicate entry: "{key}"')
            else:
                entries[folded] = (value, number)
        return entries

    async def lookup(self, key: str) -> Lookup:
        """The value, with the line that it stands in."""
        try:
            entry = self._file.current().get(key.lower())
        except OSError as error:
            return TemporaryError(f"open {self._path}: {error.strerror}", self.name)
        return NOT_FOUND if entry is None else Found(entry[0], f"{self._path}:{entry[1]}")
