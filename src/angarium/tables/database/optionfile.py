r"""MySQL's option files: ``[group]`` and ``name = value``, ``!include`` and ``!includedir``.

Follows the manual of the MySQL client library ("Using Option Files"): names may be written with ``-`` or ``_``,
values in quotes, with ``\n``, ``\t``, ``\s`` and ``\\``; ``#`` and ``;`` open comments; the last setting holds.
Bounded: files of a megabyte, ten deep.

Fails with ValueError for a file that was named and cannot be read; a default file that is missing is no fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from angarium.runtime.heldfiles import read_bytes

DEFAULT_FILES = ("/etc/my.cnf", "/etc/mysql/my.cnf", "~/.my.cnf")
_LARGEST = 1024 * 1024
_DEEPEST = 10
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "r": "\r", "\\": "\\", "s": " ", '"': '"', "'": "'"}


def read_options(file: str, group: str) -> dict[str, str]:
    """The options of ``[client]`` and then of ``[group]``, with names in their ``-`` form.

    Args:
        file: which file; empty: the default ones.
        group: the second group; empty: nothing is read unless a file is named (mysql_table(5), option_group).
    """
    if not file and not group:
        return {}
    groups = ("client", "client-server", "client-mariadb", group)
    found: dict[str, dict[str, str]] = {}
    if file:
        _read(Path(file), found, 0, wanted=True)
    else:
        for default in DEFAULT_FILES:
            try:
                path = Path(default).expanduser()
            except RuntimeError:  # there is no home directory
                continue
            _read(path, found, 0, wanted=False)
    options: dict[str, str] = {}
    for each in groups:
        options.update(found.get(each, {}))
    return options


def _read(path: Path, found: dict[str, dict[str, str]], depth: int, *, wanted: bool) -> None:
    if depth > _DEEPEST:
        return
    try:
        text = read_bytes(path)[:_LARGEST].decode("utf-8", "surrogateescape")
    except OSError as error:
        if wanted:
            raise ValueError(f"open {path}: {error.strerror}") from error
        return
    section: dict[str, str] = {}
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("!include"):
            for other in _included(line):
                _read(other, found, depth + 1, wanted=False)
        elif line.startswith("["):
            section = found.setdefault(line[1:].partition("]")[0].strip(), {})
        else:
            name, _, value = line.partition("=")
            section[name.strip().replace("_", "-")] = _value(value.strip())


def _included(line: str) -> Iterable[Path]:
    directive, _, argument = line.partition(" ")
    path = Path(argument.strip())
    if directive == "!includedir":
        return sorted(path.glob("*.cnf"))
    return [path]


def _value(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    else:
        text = re.split(r"\s#", text, maxsplit=1)[0].rstrip()
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text)
