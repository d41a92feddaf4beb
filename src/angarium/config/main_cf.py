"""main.cf: ``name = value`` in logical lines, each setting with its place.

Later settings of a name replace earlier ones; the earlier ones are remembered, for the warning. Values are kept as
they stand (``$name`` is not looked at here), with white space around them removed and the line ends of continuations
gone: "a" continued by " b" is "a b" (postconf(5)).

Fails with ConfigError: a file that cannot be read, a line without ``=``, a line without a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from angarium.config.error import ConfigError
from angarium.config.lines import decode, logical_lines

_SECRET = re.compile(r"(?:^|_)(?:pass[a-z]*|pw|[a-z]*secret)$", re.IGNORECASE)


class Setting(NamedTuple):
    """A value and where it stands."""

    name: str
    value: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """``/etc/postfix/main.cf:14``."""
        return f"{self.file}:{self.line}" if self.line else self.file


class MainCf(NamedTuple):
    """What a main.cf says.

    Attributes:
        file: its path.
        settings: the last setting of each name, in the order of the first ones.
        overridden: settings that a later one of the same name replaced, with the line of the later one.
        warnings: complaints about single lines, worded like Postfix's, with the file.
    """

    file: str
    settings: Mapping[str, Setting]
    overridden: list[tuple[Setting, int]]
    warnings: list[str]


def parse_main_cf(text: str, file: str) -> MainCf:
    """Parse the text of a main.cf. ``file`` is for the messages."""
    lines, stray = logical_lines(text)
    warnings = [f'{file}: logical line must not start with whitespace: "{line.text:.100}"' for line in stray]
    settings: dict[str, Setting] = {}
    overridden: list[tuple[Setting, int]] = []
    for line in lines:
        name, value = split_name_value(line.text, file, line.line)
        before = settings.get(name)
        if before is not None:
            overridden.append((before, line.line))
        if before is not None and before.value != value:
            warnings.append(f"{file}, line {line.line}: overriding earlier entry: {name}={shown(name, before.value)}")
        settings[name] = Setting(name, value, file, line.line)
    return MainCf(file, settings, overridden, warnings)


def shown(name: str, value: str) -> str:
    """A value as a warning may show it: that of ``db_password`` or of a misspelt ``passwrd`` is nobody's business."""
    return "…" if _SECRET.search(name) else value


def split_name_value(text: str, file: str = "", line: int = 0) -> tuple[str, str]:
    """Split ``name = value``. Raises ConfigError with Postfix's words for what is missing."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not name and (equals or not text):
        raise ConfigError(f'missing attribute name: "{text:.100}"', file, line)
    if not equals or any(char.isspace() for char in name):
        raise ConfigError(f"missing '=' after attribute name: \"{text.strip():.100}\"", file, line)
    return name, value.strip()


def read_main_cf(path: Path) -> MainCf:
    """Read a main.cf. Raises ConfigError when it cannot be read or parsed."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"open {path}: {error.strerror}") from error
    return parse_main_cf(decode(data), str(path))
