"""What an expansion asks of this machine: alias_maps, the password file, ``.forward`` and ``:include:`` files.

Files are read with the rights of their user (``rights``); for one over ``LIST`` bytes mail waits. A ``.forward`` that
somebody else owns, that others may write to or that is no regular file is passed over with a warning (local(8)).
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from angarium.agents.local.aliases import AskAlias, OwnedAlias
from angarium.agents.local.expansion import Alias, Failure, ListFile
from angarium.agents.local.parameters import LocalParameters
from angarium.agents.local.plan import Addressee
from angarium.agents.local.variables import expand, is_defined
from angarium.delivery.rights import Rights
from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User
from angarium.model.dsn import Dsn
from angarium.model.lookup import NOT_FOUND, Found, Lookup, NotFound, TemporaryError
from angarium.runtime.log import ServiceLog
from angarium.tables.ownership import NOBODY

LIST = 8 * 1024 * 1024
"""Bytes of a list file."""


def find_user(name: str) -> User | NotFound:
    """A user of the password file. Raises OSError when it cannot be asked."""
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):  # ValueError: a NUL in the name
        return NOT_FOUND
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell)


def find_owner(uid: int) -> User | NotFound:
    """A user of the password file by his number. Raises OSError when it cannot be asked."""
    try:
        entry = pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        return NOT_FOUND
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell)


Ask = Callable[[str], Awaitable[Lookup]]
"""A look-up in the tables of one parameter."""


class MachineWorld:
    """``expansion.World`` of this machine.

    Args:
        parameters: of main.cf.
        alias: asks alias_maps.
        rights: runs what reads files.
        log: ``postfix/local``.
        users: finds users; raises OSError.
        owners: finds users by their number; raises OSError.
        tables: other tables by the name of their parameter: mailbox_transport_maps, fallback_transport_maps and
            mailbox_command_maps, those of them that are set.
    """

    def __init__(
        self,
        parameters: LocalParameters,
        alias: AskAlias,
        rights: Rights,
        log: ServiceLog,
        users: Callable[[str], User | NotFound] = find_user,
        owners: Callable[[int], User | NotFound] = find_owner,
        tables: Mapping[str, Ask] | None = None,
    ) -> None:
        self._parameters = parameters
        self._alias = alias
        self._rights = rights
        self._log = log
        self._users = users
        self._owners = owners
        self._tables = tables or {}

    async def alias(self, name: str) -> Alias | Failure | NotFound | TemporaryError:
        """Ask alias_maps."""
        found = await self._alias(name)
        if not isinstance(found, OwnedAlias):
            return found
        if found.owner == 0:
            return Alias(found.value)
        user = self.owner(found.owner)
        if isinstance(user, NotFound):
            text = "cannot find alias database owner"
            if found.owner == NOBODY:
                fault = f"deliver_alias: no owner UID for alias database {found.table}"
                return Failure(Dsn(4, 3, 0), "mail system configuration error", fault)
            return Failure(Dsn(4, 3, 0), text, f"{text} for {found.table}")
        return Alias(found.value, user) if isinstance(user, User) else user

    def owner(self, uid: int) -> User | NotFound | TemporaryError:
        """Ask the password file for whom a file belongs to."""
        try:
            return self._owners(uid)
        except OSError as error:
            return TemporaryError(str(error), "password file")

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

    def asks(self, parameter: str) -> bool:
        """Whether there are tables of that parameter."""
        return parameter in self._tables

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

    async def forward(
        self, user: User, to: Addressee, without: Callable[[], None] | None = None
    ) -> ListFile | NotFound | TemporaryError:
        """Read the first file of forward_path that is there; ``without`` is done where it was looked for, if none is.

        ``without`` wants rights that work in threads of this process: it returns nothing.
        """
        parameters = self._parameters
        allowed, delimiters = parameters.forward_expansion_filter, parameters.rules.recipient_delimiter
        usable = (path for path in parameters.forward_path if is_defined(path, to))
        paths = list(dict.fromkeys(expand(path, to, user, allowed, delimiters) for path in usable))
        if not paths:
            return NOT_FOUND

        def look() -> Sequence[str]:
            found = _first(paths, user)
            if not found[0] and without is not None:
                without()
            return found

        try:
            found = await self._rights.run(user, look)
        except DeliveryError as error:
            return TemporaryError(error.text, f".forward of {user.name}")
        text, path, *warnings = found
        for warning in warnings:
            self._log.warning(warning)
        return ListFile(text, user, path) if text else NOT_FOUND

    async def include(self, path: str, rights: User | None) -> ListFile | Failure | NotFound | TemporaryError:
        """Read a list: with the rights of whoever names it, else of its owner, else of default_privs."""
        visitor = rights or self.default_user()
        if not isinstance(visitor, User):
            return visitor if isinstance(visitor, TemporaryError) else TemporaryError("no such user", "default_privs")
        reader, owner = visitor, None
        try:
            if rights is None:
                kind, text = await self._rights.run(visitor, lambda: _list_owner(path))
                if kind == "warning":
                    self._log.warning(text)
                    return NOT_FOUND
                if int(text) != 0:
                    found = self.owner(int(text))
                    if isinstance(found, NotFound):
                        warning = f"{path}: cannot find :include: file owner username"
                        return Failure(Dsn(4, 3, 5), "mail system configuration error", warning)
                    if isinstance(found, TemporaryError):
                        return found
                    reader = owner = found
            kind, text = await self._rights.run(reader, lambda: _list(path, None if owner is None else owner.uid))
        except DeliveryError as error:
            return TemporaryError(error.text, f":include: {path}")
        if kind == "text":
            return ListFile(text, owner)
        if kind == "changed":
            return TemporaryError(text, f":include: {path}")
        self._log.warning(text)
        return NOT_FOUND


def _first(paths: Sequence[str], user: User) -> list[str]:
    """The text of the first file that may be trusted, its path, then warnings. Runs with the user's rights.

    A file that he cannot even see is passed over in silence, one that he may not read is not.
    """
    warnings: list[str] = []
    for path in paths:
        try:
            fault = _fault(path, Path(path).lstat(), user)
        except (OSError, ValueError):
            continue
        if fault:
            warnings.append(fault)
            continue
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            warnings.append(f"cannot open file {path}: {error.strerror}")
            continue
        try:
            fault = _fault(path, os.fstat(descriptor), user)
            if not fault:
                return [_read(descriptor), path, *warnings]
            warnings.append(fault)
        finally:
            os.close(descriptor)
    return ["", "", *warnings]


def _fault(path: str, status: os.stat_result, user: User) -> str:
    if not stat.S_ISREG(status.st_mode):
        return f"file {path} is not a regular file"
    if status.st_uid not in (0, user.uid):
        return f"file {path} has bad owner uid {status.st_uid}"
    return f"file {path} is world writable" if status.st_mode & 0o002 else ""


def _read(descriptor: int) -> str:
    """The whole list. Raises DeliveryError for one that is too long: who stands behind its end must not go without."""
    data = bytearray()
    while piece := os.read(descriptor, 65536):
        data += piece
        if len(data) > LIST:
            raise DeliveryError(Dsn(4, 3, 5), f"list of more than {LIST} bytes")
    return bytes(data).decode("utf-8", "surrogateescape")


def _list_owner(path: str) -> list[str]:
    """``owner`` and the uid of a list's, or ``warning`` and why there is none. Runs with the visitor's rights."""
    try:
        return ["owner", str(Path(path).stat().st_uid)]
    except (OSError, ValueError) as error:
        return ["warning", f"unable to lookup :include: file {path}: {_reason(error)}"]


def _list(path: str, owner: int | None) -> list[str]:
    """``text`` and the text of an ``:include:`` file, or ``warning`` and why not. Runs with the reader's rights.

    It must still be the file of the ``owner`` whom it was opened for: whoever changes the path may not have files of
    others read.
    """
    try:
        Path(path).stat()
    except (OSError, ValueError) as error:
        return ["warning", f"unable to lookup :include: file {path}: {_reason(error)}"]
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return ["warning", f"cannot open include file {path}: {_reason(error)}"]
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return ["warning", f":include: file {path} is not a regular file"]
        if status.st_mode & 0o002:
            return ["warning", f":include: file {path} is world writable"]
        if owner is not None and status.st_uid != owner:
            return ["changed", "its owner has changed just now"]
        return ["text", _read(descriptor)]
    finally:
        os.close(descriptor)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
