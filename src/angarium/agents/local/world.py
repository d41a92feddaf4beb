"""What an expansion asks of this machine: alias_maps, the password file, ``.forward`` and ``:include:`` files.

Files are read with the rights of their user (``rights``), and no more of them than ``LIST`` bytes. A ``.forward`` that
somebody else owns, that others may write to or that is no regular file is passed over with a warning (local(8)).
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence

from angarium.agents.local.expansion import Alias, ListFile
from angarium.agents.local.parameters import LocalParameters
from angarium.agents.local.plan import Addressee
from angarium.agents.local.variables import expand
from angarium.delivery.rights import Rights
from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User
from angarium.model.lookup import NOT_FOUND, Found, Lookup, NotFound, TemporaryError
from angarium.runtime.log import ServiceLog

LIST = 8 * 1024 * 1024
"""Bytes of a list file that are read."""


def find_user(name: str) -> User | NotFound:
    """A user of the password file. Raises OSError when it cannot be asked."""
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):  # ValueError: a NUL in the name
        return NOT_FOUND
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell)


Ask = Callable[[str], Awaitable[Lookup]]
"""A look-up in the tables of one parameter."""


class MachineWorld:
    """``expansion.World`` of this machine.

    Args:
        parameters: of main.cf.
        alias: asks alias_maps; the key is a name in lower case.
        rights: runs what reads files.
        log: ``postfix/local``.
        users: finds users; raises OSError.
        tables: other tables by the name of their parameter: mailbox_transport_maps, fallback_transport_maps and
            mailbox_command_maps, those of them that are set.
    """

    def __init__(
        self,
        parameters: LocalParameters,
        alias: Ask,
        rights: Rights,
        log: ServiceLog,
        users: Callable[[str], User | NotFound] = find_user,
        tables: Mapping[str, Ask] | None = None,
    ) -> None:
        self._parameters = parameters
        self._alias = alias
        self._rights = rights
        self._log = log
        self._users = users
        self._tables = tables or {}

    async def alias(self, name: str) -> Alias | NotFound | TemporaryError:
        """Ask alias_maps."""
        found = await self._alias(name)
        return Alias(found.value) if isinstance(found, Found) else found

    async def user(self, name: str) -> User | NotFound | TemporaryError:
        """Ask the password file."""
        try:
            return self._users(name)
        except OSError as error:
            return TemporaryError(str(error), "password file")

    async def transport(self, kind: str, to: Addressee) -> str | NotFound | TemporaryError:
        """The tables of the parameter first, then its general value."""
        parameters = self._parameters
        found = await self.ask(f"{kind}_transport_maps", to)
        if isinstance(found, NotFound):
            general = parameters.mailbox_transport if kind == "mailbox" else parameters.fallback_transport
            return general or NOT_FOUND
        return found.value if isinstance(found, Found) else found

    async def ask(self, parameter: str, to: Addressee) -> Lookup:
        """Ask the tables of a parameter for a user."""
        table = self._tables.get(parameter)
        return NOT_FOUND if table is None else await table(to.user)

    def default_user(self) -> User | NotFound | TemporaryError:
        """The user of default_privs."""
        try:
            return self._users(self._parameters.default_privs)
        except OSError as error:
            return TemporaryError(str(error), "default_privs")

    async def forward(self, user: User, to: Addressee) -> ListFile | NotFound | TemporaryError:
        """Read the first file of forward_path that is there."""
        parameters = self._parameters
        paths = [expand(path, to, user, parameters.forward_expansion_filter) for path in parameters.forward_path]
        paths = list(dict.fromkeys(paths))
        if not paths:
            return NOT_FOUND
        try:
            found = await self._rights.run(user, lambda: _first(paths, user))
        except DeliveryError as error:
            return TemporaryError(error.text, f".forward of {user.name}")
        text, *warnings = found
        for warning in warnings:
            self._log.warning(warning)
        return ListFile(text, user) if text else NOT_FOUND

    async def include(self, path: str, rights: User | None) -> ListFile | NotFound | TemporaryError:
        """Read a list."""
        user = rights or self.default_user()
        if not isinstance(user, User):
            return user if isinstance(user, TemporaryError) else TemporaryError("no such user", "default_privs")
        try:
            kind, text = await self._rights.run(user, lambda: _list(path))
        except DeliveryError as error:
            return TemporaryError(error.text, f":include: {path}")
        if kind == "text":
            return ListFile(text)
        self._log.warning(text)
        return NOT_FOUND


def _first(paths: Sequence[str], user: User) -> list[str]:
    """The text of the first file that may be trusted, then warnings. Runs with the user's rights."""
    warnings: list[str] = []
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            warnings.append(f"cannot open file {path}: {error}")
            continue
        try:
            fault = _fault(path, os.fstat(descriptor), user)
            if fault:
                warnings.append(fault)
                continue
            return [_read(descriptor), *warnings]
        finally:
            os.close(descriptor)
    return ["", *warnings]


def _fault(path: str, status: os.stat_result, user: User) -> str:
    if not stat.S_ISREG(status.st_mode):
        return f"file {path} is not a regular file"
    if status.st_uid not in (0, user.uid):
        return f"file {path} has bad owner uid {status.st_uid}"
    return f"file {path} is world writable" if status.st_mode & 0o002 else ""


def _read(descriptor: int) -> str:
    data = bytearray()
    while len(data) < LIST and (piece := os.read(descriptor, 65536)):
        data += piece
    return bytes(data).decode("utf-8", "surrogateescape")


def _list(path: str) -> list[str]:
    """``text`` and the text of an ``:include:`` file, or ``warning`` and why not. Runs with the user's rights."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return ["warning", f"unable to lookup :include: file {path}: {why}"]
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return ["warning", f":include: file {path} is not a regular file"]
        if status.st_mode & 0o002:
            return ["warning", f":include: file {path} is world writable"]
        return ["text", _read(descriptor)]
    finally:
        os.close(descriptor)
