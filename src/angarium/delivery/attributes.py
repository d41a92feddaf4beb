"""The attributes of a line of master.cf that runs a command: ``user=vmail argv=/usr/bin/maildrop -d ${recipient}``.

==============  =======================================================  =====  =====
attribute                                                                 pipe   spawn
==============  =======================================================  =====  =====
``user``        ``name`` or ``name:group``; required                      yes    yes
``argv``        the command, up to the end of the line; required          yes    yes
``flags``       of ``BDFORXhqu.>``                                        yes
``chroot``      the root directory of the command                         yes
``directory``   where it runs, instead of the queue directory             yes
``eol``         the end of lines, with the backslashes of C               yes
``null_sender``  in the place of an empty sender, instead of MAILER-DAEMON  yes
``size``        the largest message, bytes                                yes
==============  =======================================================  =====  =====

Follows pipe(8) and spawn(8), COMMAND ATTRIBUTE SYNTAX. Fails with ConfigError, worded as Postfix's daemons word it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from angarium.config.error import ConfigError
from angarium.config.master_cf import MasterService

FLAGS = frozenset("BDFORXhqu.>")
PIPE = frozenset({"user", "flags", "chroot", "directory", "eol", "null_sender", "size"})
SPAWN = frozenset({"user"})

_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


@dataclass(frozen=True, slots=True)
class Attributes:
    """Attributes are those of the table.

    ``group`` is empty when the user's own counts, ``null_sender`` and ``size`` are None and 0 when they are not said.
    """

    user: str
    argv: tuple[str, ...]
    group: str = ""
    flags: frozenset[str] = frozenset()
    chroot: str = ""
    directory: str = ""
    eol: bytes = b"\n"
    null_sender: str | None = None
    size: int = 0

    @classmethod
    def parse(cls, operands: Iterable[str], known: frozenset[str], file: str = "", line: int = 0) -> Attributes:
        """Read the operands of a service.

        Args:
            operands: ``MasterService.operands``.
            known: the attributes that there are beside ``argv``: PIPE or SPAWN.
            file: of the line, for errors.
            line: its number.

        Raises:
            ConfigError: one is unknown, malformed or missing.
        """
        said: dict[str, str] = {}
        argv: tuple[str, ...] = ()
        rest = iter(operands)
        for word in rest:
            name, equals, value = word.partition("=")
            name = name.lower()
            if name == "argv" and equals:
                argv = (value, *rest)
            elif name in known and equals:
                said[name] = value
            else:
                raise ConfigError(f"unknown attribute name: {word}", file, line)
        user, colon, group = said.get("user", "").partition(":")
        fault = _fault(said, user, group if colon else "-", argv)
        if fault:
            raise ConfigError(fault, file, line)
        return cls(
            user=user,
            argv=argv,
            group=group,
            flags=frozenset(said.get("flags", "")),
            chroot=said.get("chroot", ""),
            directory=said.get("directory", ""),
            eol=unescape(said["eol"]) if "eol" in said else b"\n",
            null_sender=said.get("null_sender"),
            size=int(said.get("size", "0")),
        )


def read_attributes(entry: MasterService, known: frozenset[str]) -> Attributes | ConfigError:
    """What a line says, or what is wrong with it: that breaks the service, not the server."""
    try:
        return Attributes.parse(entry.operands, known, entry.file, entry.line)
    except ConfigError as error:
        return error


def _fault(said: dict[str, str], user: str, group: str, argv: tuple[str, ...]) -> str:
    """What is wrong; empty when nothing is."""
    if not user:
        return "missing user= command-line attribute"
    if not group:
        return "missing group in user= command-line attribute"
    if not argv:
        return "missing argv= command-line attribute"
    size = said.get("size", "0")
    if not (size.isascii() and size.isdigit()):
        return f"bad size= value: {size}"
    return next((f"unknown flag: {flag}" for flag in said.get("flags", "") if flag not in FLAGS), "")


def unescape(text: str) -> bytes:
    r"""``\r\n`` and the like; a backslash before anything that is not listed in pipe(8) goes."""

    def value(match: re.Match[bytes]) -> bytes:
        what = match[1]
        return bytes([int(what, 8) & 0xFF]) if what.isdigit() and what[:1] < b"8" else _ESCAPED.get(what, what)

    return _ESCAPE.sub(value, text.encode("utf-8", "surrogateescape"))
