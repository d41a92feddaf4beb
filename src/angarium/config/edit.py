"""Edits of main.cf and master.cf that keep what is around them: what ``postconf -e``, ``-#`` and ``-X`` do.

Text goes in and text comes out; comments, empty lines and the order of entries stay. An entry is all of its physical
lines and the comment lines between them; these stay.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from angarium.config.error import ConfigError

Replace = Callable[[str], str | None]
"""What becomes of an entry's text: the same, another, or None to remove it."""


def _entries(text: str) -> list[tuple[bool, list[str]]]:
    """The physical lines, grouped: (is an entry, its lines with the comments among them)."""
    groups: list[tuple[bool, list[str]]] = []
    pending: list[str] = []
    for raw in text.removesuffix("\n").split("\n") if text else []:
        visible = raw.strip()
        if not visible or visible.startswith("#"):
            pending.append(raw)
        elif raw[0].isspace() and groups and groups[-1][0]:
            groups[-1][1].extend([*pending, raw])
            pending = []
        else:
            if pending:
                groups.append((False, pending))
                pending = []
            groups.append((True, [raw]))
    if pending:
        groups.append((False, pending))
    return groups


def _is_comment(raw: str) -> bool:
    visible = raw.strip()
    return not visible or visible.startswith("#")


def logical(lines: list[str]) -> str:
    """The logical line that an entry's physical lines make."""
    return "".join(raw for raw in lines if not _is_comment(raw))


def rewrite(text: str, replace: Replace) -> str:
    """Pass each entry's logical line to ``replace``; comments inside a replaced entry move behind it."""
    out: list[str] = []
    for is_entry, lines in _entries(text):
        if not is_entry:
            out += lines
            continue
        old = logical(lines)
        new = replace(old)
        if new == old:
            out += lines
            continue
        if new is not None:
            out.append(new)
        out += [raw for raw in lines if _is_comment(raw)]
    return "".join(f"{raw}\n" for raw in out)


def comment_out(text: str, matches: Callable[[str], bool]) -> str:
    """Put ``#`` before each line of the entries that match; comments among them stay as they are."""
    out: list[str] = []
    for is_entry, lines in _entries(text):
        chosen = is_entry and matches(logical(lines))
        out += [raw if _is_comment(raw) else f"#{raw}" for raw in lines] if chosen else lines
    return "".join(f"{raw}\n" for raw in out)


def setting_name(line: str) -> str:
    """The name that a line of main.cf sets."""
    return line.partition("=")[0].strip()


def set_main(text: str, settings: Mapping[str, str]) -> tuple[str, list[str]]:
    """Set names in main.cf's text; the new text, and the names that stood there more than once (all are changed)."""
    counts: dict[str, int] = {}

    def replace(line: str) -> str | None:
        name = setting_name(line)
        if name not in settings:
            return line
        counts[name] = counts.get(name, 0) + 1
        return f"{name} = {settings[name]}"

    text = rewrite(text, replace)
    text += "".join(f"{name} = {value}\n" for name, value in settings.items() if name not in counts)
    return text, [name for name, count in counts.items() if count > 1]


def remove_main(text: str, names: set[str]) -> str:
    """Remove the settings of some names."""
    return rewrite(text, lambda line: None if setting_name(line) in names else line)


def comment_main(text: str, names: set[str]) -> str:
    """Comment out the settings of some names."""
    return comment_out(text, lambda line: setting_name(line) in names)


def replace_file(path: Path, text: str) -> None:
    """Put ``text`` in the place of a file at once, with its mode and owner kept. Raises ConfigError."""
    try:
        status = path.stat()
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(status.st_mode & 0o7777)
            if os.geteuid() == 0:
                os.chown(temporary, status.st_uid, status.st_gid)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"open {path}: {error.strerror}") from error
