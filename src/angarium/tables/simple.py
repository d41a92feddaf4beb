"""Tables without files: static, inline, environ, unix, nis, fail; what stands in for a table that cannot be opened."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable, Mapping
from pathlib import Path

from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.tables.keys import Fold, fold_unicode
from angarium.tables.text import SPACE, split_list


class StaticTable:
    """``static:value`` or ``static:{value with space}``: every key has this value.

    Raises:
        ValueError: a brace is not closed.
    """

    pattern = True

    def __init__(self, name: str, argument: str) -> None:
        self.name = name
        if argument.startswith("{"):
            end = _closing_brace(argument)
            if not end:
                raise ValueError(f"bad static:name syntax: missing '}}' in \"{argument}\"")
            if end != len(argument):
                raise ValueError(f"bad static:name syntax: syntax error after '}}' in \"{argument}\"")
            argument = argument[1:-1].strip(SPACE)
        self._found = Found(argument, name)

    async def lookup(self, key: str) -> Lookup:  # noqa: ARG002 - any key
        """The one value."""
        return self._found


def _closing_brace(text: str) -> int:
    """Behind the brace that closes the one which the text starts with; 0 when none does."""
    depth = 0
    for position, char in enumerate(text, 1):
        depth += (char == "{") - (char == "}")
        if not depth:
            return position
    return 0


class InlineTable:
    """``inline:{ key=value, {key = text with spaces} }``; of two equal keys the last holds.

    Raises:
        ValueError: the argument is not of that form.
    """

    pattern = False

    def __init__(self, name: str, argument: str, fold: Fold = fold_unicode) -> None:
        self.name = name
        self._fold = fold
        need = f'"{name}"; need "inline:{{name=value...}}"'
        items = []
        if argument.startswith("{") and _closing_brace(argument) == len(argument):
            items = split_list(argument[1:-1])
        if not items:
            raise ValueError(f"bad syntax: {need}")
        self._entries: dict[str, Found] = {}
        for item in items:
            braced = item.startswith("{")
            if braced and _closing_brace(item) != len(item):
                raise ValueError(f"syntax error after '}}' in \"{item}\": {need}")
            key, equals, value = (item[1:-1] if braced else item).partition("=")
            if not equals:
                raise ValueError(f"missing '=' after attribute name: {need}")
            self._entries[fold(key.strip(SPACE))] = Found(value.strip(SPACE), name)

    async def lookup(self, key: str) -> Lookup:
        """The value of a key."""
        return self._entries.get(self._fold(key), NOT_FOUND)

    def items(self) -> list[tuple[str, str]]:
        """Every entry."""
        return [(key, found.value) for key, found in self._entries.items()]


class EnvironTable:
    """``environ:any``: the process's environment, read-only; keys fold to lower case, as those of other tables."""

    pattern = False

    def __init__(self, name: str, environment: Mapping[str, str], fold: Fold = fold_unicode) -> None:
        self.name = name
        self._fold = fold
        self._environment = environment

    async def lookup(self, key: str) -> Lookup:
        """The value of an environment variable."""
        value = self._environment.get(self._fold(key))
        return NOT_FOUND if not value else Found(value, self.name)


class UnixTable:
    """``unix:passwd.byname`` and ``unix:group.byname``: the system's users and groups, as lines of their files.

    Raises:
        ValueError: another name.
    """

    pattern = False

    def __init__(self, name: str, argument: str, fold: Fold = fold_unicode) -> None:
        self.name = name
        self._fold = fold
        if argument not in ("passwd.byname", "group.byname"):
            raise ValueError(f"unknown table: {name}")
        self._users = argument == "passwd.byname"

    async def lookup(self, key: str) -> Lookup:
        """The line of a user or a group."""
        try:
            folded = self._fold(key)
            line = _user_line(folded) if self._users else _group_line(folded)
        except KeyError:
            return NOT_FOUND
        except (OSError, ValueError) as error:
            return TemporaryError(str(error), self.name)
        return Found(line, self.name)


def _user_line(name: str) -> str:
    entry = pwd.getpwnam(name)
    return f"{entry.pw_name}:x:{entry.pw_uid}:{entry.pw_gid}:{entry.pw_gecos}:{entry.pw_dir}:{entry.pw_shell}"


def _group_line(name: str) -> str:
    entry = grp.getgrnam(name)
    return f"{entry.gr_name}:x:{entry.gr_gid}:{','.join(entry.gr_mem)}"


class NisTable:
    """``nis:map`` on a system without a NIS domain, where nothing is found; ``alias_maps`` names one by default.

    Raises:
        ValueError: there is a NIS domain: NIS is not supported here.
    """

    pattern = False

    def __init__(
        self, name: str, warn: Callable[[str], None], domain: Path = Path("/proc/sys/kernel/domainname")
    ) -> None:
        self.name = name
        try:
            text = domain.read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            text = ""
        if text not in ("", "(none)"):
            raise ValueError(f"{name}: NIS is not supported, and this system has the NIS domain {text}")
        warn("dict_nis_init: NIS domain name not set - NIS lookups disabled")

    async def lookup(self, key: str) -> Lookup:  # noqa: ARG002 - any key
        """Nothing."""
        return NOT_FOUND


class FailTable:
    """``fail:name``: every lookup is a temporary error."""

    pattern = False

    def __init__(self, name: str, argument: str) -> None:
        self.name = name
        self._error = TemporaryError(argument, name)

    async def lookup(self, key: str) -> Lookup:  # noqa: ARG002 - any key
        """The error."""
        return self._error


class UnusableTable:
    """Stands in for a table that cannot be opened: every lookup is a temporary error."""

    pattern = False

    def __init__(self, name: str, cause: str) -> None:
        self.name = name
        self._error = TemporaryError(cause, name)

    async def lookup(self, key: str) -> Lookup:  # noqa: ARG002 - any key
        """The error."""
        return self._error
