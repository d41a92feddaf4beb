"""Tables without files: static, inline, environ, unix, fail."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Mapping

from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.tables.text import split_list, unbrace


class StaticTable:
    """``static:value`` or ``static:{value with space}``: every key has this value."""

    pattern = True

    def __init__(self, name: str, argument: str) -> None:
        self.name = name
        self._found = Found(unbrace(argument), name)

    async def lookup(self, key: str) -> Lookup:  # noqa: ARG002 - any key
        """The one value."""
        return self._found


class InlineTable:
    """``inline:{ key=value, {key = text with spaces} }``; of two equal keys the last holds, keys fold to lower case.

    Raises:
        ValueError: the argument is not of that form.
    """

    pattern = False

    def __init__(self, name: str, argument: str) -> None:
        self.name = name
        if not (argument.startswith("{") and argument.endswith("}")):
            raise ValueError(f"bad inline table syntax: {name}: need {{name=value...}}")
        self._entries: dict[str, Found] = {}
        for item in split_list(argument[1:-1]):
            key, equals, value = unbrace(item).partition("=")
            key, value = key.strip(), value.strip()
            if not equals or not key or not value:
                raise ValueError(f"bad inline table syntax: {name}: missing '=' in {item!r}")
            self._entries[key.lower()] = Found(value, name)
        if not self._entries:
            raise ValueError(f"bad inline table syntax: {name}: empty table")

    async def lookup(self, key: str) -> Lookup:
        """The value of a key."""
        return self._entries.get(key.lower(), NOT_FOUND)


class EnvironTable:
    """``environ:``: the process's environment, read-only; names do not fold."""

    pattern = False

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self.name = name
        self._environment = environment

    async def lookup(self, key: str) -> Lookup:
        """The value of an environment variable."""
        value = self._environment.get(key)
        return NOT_FOUND if not value else Found(value, self.name)


class UnixTable:
    """``unix:passwd.byname`` and ``unix:group.byname``: the system's users and groups, as lines of their files.

    Raises:
        ValueError: another name.
    """

    pattern = False

    def __init__(self, name: str, argument: str) -> None:
        self.name = name
        if argument not in ("passwd.byname", "group.byname"):
            raise ValueError(f"unknown table: {name}")
        self._users = argument == "passwd.byname"

    async def lookup(self, key: str) -> Lookup:
        """The line of a user or a group."""
        try:
            line = _user_line(key) if self._users else _group_line(key)
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


class FailTable:
    """``fail:text``, and what stands in for a table that cannot be opened: every lookup is a temporary error."""

    pattern = False

    def __init__(self, name: str, cause: str) -> None:
        self.name = name
        self._error = TemporaryError(cause, name)

    async def lookup(self, key: str) -> Lookup:  # noqa: ARG002 - any key
        """The error."""
        return self._error
