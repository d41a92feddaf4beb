"""What is checked: one configuration directory, with the exact lines that things stand in.

Reads files when first asked and keeps them. Never fails for a file that cannot be read: it is empty then, and a check
of its own says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from angarium.config import values
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.lines import decode
from angarium.config.main_cf import Setting
from angarium.config.master_cf import MasterService
from angarium.config.parameter import Type

_NAME = r"(?:proxy:|proxywrite:)*([a-z][a-z0-9_]*):(\{(?:[^{}]|\{[^{}]*\})*\}|[^\s,{}]*)"
_TABLE = re.compile(rf"(?:^|[\s,{{}}!]){_NAME}")
_ACCESS = re.compile(rf"\bcheck_\w+_access[\s,]+{_NAME}")
_OF_TABLES = ("unionmap", "pipemap")
"""Tables that are lists of tables."""


class Place(NamedTuple):
    """A line of a file; line 0 is the file as a whole."""

    file: str
    line: int


class TableUse(NamedTuple):
    """``type:name`` as a parameter uses it."""

    kind: str
    name: str
    parameter: str
    place: Place


class Installation:
    """A configuration under check."""

    def __init__(self, conf: Config, services: Sequence[MasterService]) -> None:
        self.conf = conf
        self.services = services
        self._lines: dict[str, list[str]] = {}

    @cached_property
    def views(self) -> list[tuple[Config, MasterService | None]]:
        """main.cf itself, and what each service with settings of its own sees."""
        return [(self.conf, None)] + [
            (self.conf.for_service(entry), entry) for entry in self.services if entry.overrides
        ]

    def settings(self) -> Iterator[tuple[Config, Setting]]:
        """Every setting of main.cf and of master.cf, with the configuration that it is read in."""
        for setting in self.conf.main.settings.values():
            yield self.conf, setting
        for view, entry in self.views:
            if entry is not None:
                for name, text in entry.overrides.items():
                    yield view, Setting(name, text, entry.file, entry.line)

    def lines(self, file: str) -> list[str]:
        """The physical lines of a file; empty when it cannot be read."""
        if file not in self._lines:
            try:
                self._lines[file] = decode(Path(file).read_bytes()).split("\n")
            except OSError:
                self._lines[file] = []
        return self._lines[file]

    def find(self, setting: Setting, word: str) -> Place:
        """The line of a setting that has ``word``: the setting may go on over several lines."""
        if not setting.file or not setting.line:
            return Place(setting.file, setting.line)
        lines = self.lines(setting.file)
        for number in range(setting.line, len(lines) + 1):
            text = lines[number - 1]
            visible = text.strip()
            if number > setting.line and visible and not text[0].isspace() and not visible.startswith("#"):
                break
            if word in text and not visible.startswith("#"):
                return Place(setting.file, number)
        return Place(setting.file, setting.line)

    def place(self, view: Config, name: str, word: str = "") -> Place:
        """Where a parameter is set, to the line of ``word`` in it; nowhere when it has its default."""
        setting = view.setting(name)
        if setting is None:
            return Place("", 0)
        return self.find(setting, word or name)

    def words(self, view: Config, name: str) -> list[tuple[str, Place]]:
        """The words of a list, expanded, each with its line; empty when the value makes no sense."""
        setting = view.setting(name)
        try:
            if setting is None:
                return [(word, Place("", 0)) for word in view.names(name)]
            raw = self._raw_words(setting)
            if "$" not in setting.value:
                return raw
            return [(word, place) for text, place in raw for word in values.names(view.expand(text))]
        except ConfigError:
            return []

    def _raw_words(self, setting: Setting) -> list[tuple[str, Place]]:
        """The words of a value as they stand, each with its line."""
        words = values.names(setting.value)
        exact: list[tuple[str, Place]] = []
        lines = self.lines(setting.file) if setting.file else []
        for number in range(setting.line or 1, len(lines) + 1):
            text = lines[number - 1]
            if number == setting.line:
                text = text.partition("=")[2]
            elif not text.strip() or text.lstrip().startswith("#"):
                continue
            elif not text[0].isspace():
                break
            exact += [(word, Place(setting.file, number)) for word in values.names(text)]
        if [word for word, _place in exact] == words:
            return exact
        return [(word, self.find(setting, word)) for word in words]

    def text(self, view: Config, name: str) -> str:
        """The value of a parameter; empty when it makes no sense (a check of its own says so)."""
        try:
            return view.text(name)
        except ConfigError:
            return ""

    def tables(self) -> Iterator[TableUse]:
        """The tables that main.cf and master.cf name."""
        for view, setting in self.settings():
            parameter = view.declared(setting.name)
            kind = parameter.type if parameter else None
            if kind is Type.TABLES or (kind is Type.RESTRICTIONS and not setting.name.endswith("_restrictions")):
                pattern = _TABLE
            elif kind is Type.RESTRICTIONS or kind is None:
                pattern = _ACCESS
            else:
                continue
            try:
                text = view.expand(setting.value)
            except ConfigError:
                continue
            for table in _named(pattern, text):
                yield TableUse(*table, setting.name, self.find(setting, ":".join(table)))


def _named(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    """The tables in a value, also those that others are made of."""
    for match in pattern.finditer(text):
        yield match[1], match[2]
        if match[1] in _OF_TABLES:
            yield from _named(_TABLE, match[2])
