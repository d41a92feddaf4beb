"""Tables of whole keys in a text file: texthash, and the built types while their built file is missing.

The file is read as postmap(1) reads it: of two lines with the same key the first holds. Where ``aliases`` allows it, a
file whose first entry is ``name: value`` is in the form of aliases(5), as postalias(1) reads it.

Failures: a file that cannot be read is a temporary error at each lookup. A line that is wrong is skipped and reported
once for each reading through ``warn``, with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.tables.aliasfile import split_alias
from angarium.tables.keys import KEY_LIMIT, Fold, fold_unicode, is_utf8, printable
from angarium.tables.text import logical_lines, split_entry
from angarium.tables.watch import WatchedFile

_ALIAS = re.compile(r'("[^"]*"|[^\s:]+)\s*:(?:\s|$)')


class FileTable:
    """A text file of entries, held in memory.

    Args:
        name: ``type:name``.
        path: the file.
        warn: takes the text of a warning for the log.
        utf8: ``smtputf8_enable``.
        fold: folds keys.
        aliases: the file may be in the form of aliases(5).
        content: what is kept in place of a value. Raises OSError: the entry is skipped.
    """

    pattern = False

    def __init__(
        self,
        name: str,
        path: Path,
        warn: Callable[[str], None],
        *,
        utf8: bool = True,
        fold: Fold = fold_unicode,
        aliases: bool = False,
        content: Callable[[str], str] | None = None,
    ) -> None:
        self.name = name
        self._path = path
        self._warn = warn
        self._utf8 = utf8
        self._fold = fold
        self._aliases = aliases
        self._content = content
        self._file = WatchedFile(path, self._parse)

    def _parse(self, text: str) -> dict[str, tuple[str, int]]:
        entries: dict[str, tuple[str, int]] = {}
        split = split_entry
        for number, line in logical_lines(text, lambda fault: self._warn(f"{self._path}: {fault}")):
            if self._utf8 and not is_utf8(line):
                self._complain(number, f'non-UTF-8 input "{printable(line)}" -- ignoring this line')
                continue
            if not entries and self._aliases and _ALIAS.match(line):
                split = split_alias
            try:
                key, value = split(line)
                if self._content is not None:
                    value = self._content(value)
            except ValueError as error:
                self._complain(number, str(error).removesuffix(_IGNORED) + _IGNORED)
                continue
            except OSError as error:
                self._complain(number, f"open {error.filename}: {error.strerror}: skipping this entry")
                continue
            if split is split_entry and key.endswith(":"):
                self._complain(number, 'record is in "key: value" format; is this an alias file?')
            folded = self._fold(key)
            if folded in entries:
                self._complain(number, f'duplicate entry: "{key}"')
            else:
                entries[folded] = (value, number)
        return entries

    def _complain(self, number: int, fault: str) -> None:
        self._warn(f"{self._path}, line {number}: {fault}")

    async def lookup(self, key: str) -> Lookup:
        """The value, with the line that it stands in."""
        if len(key) > KEY_LIMIT:
            return NOT_FOUND
        try:
            entry = self._file.current().get(self._fold(key))
        except OSError as error:
            return TemporaryError(f"open database {self._path}: {error.strerror}", self.name)
        return NOT_FOUND if entry is None else Found(entry[0], f"{self._path}:{entry[1]}")

    def items(self) -> list[tuple[str, str]]:
        """Every entry. Raises OSError."""
        return [(key, value) for key, (value, _) in self._file.current().items()]


_IGNORED = " -- ignoring this line"
