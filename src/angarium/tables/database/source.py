"""The settings of one database table: a file in main.cf's format, or names in main.cf.

``mysql:/etc/postfix/x.cf`` reads ``hosts = …`` from the file, as it stands: no ``$name`` in it is expanded.
``mysql:x`` reads ``x_hosts = …`` from main.cf, expanded (mysql_table(5), OBSOLETE MAIN.CF PARAMETERS).

Guarantees: a secret comes out as a ``Secret``; no message of this module holds a value of one.
Fails with ValueError, in Postfix's words, for a value that makes no sense and for a file that cannot be read or parsed.
"""

from __future__ import annotations

from collections.abc import Callable

from angarium.config import values
from angarium.config.error import ConfigError
from angarium.config.lines import decode
from angarium.config.main_cf import parse_main_cf
from angarium.protocols.sasl.types import Secret
from angarium.runtime.heldfiles import read_bytes
from angarium.tables.opener import TableSite


class TableSource:
    """Reads settings by name.

    Args:
        kind: the table's type.
        argument: the file, when it starts with ``/`` or ``.``; else the prefix of names in main.cf.
        site: where the table is opened.
    """

    def __init__(self, kind: str, argument: str, site: TableSite) -> None:
        self.argument = argument
        if not argument:
            raise ValueError(f'open dictionary: expecting "type:name" form instead of "{kind}:"')
        if "\0" in argument:
            raise ValueError(f"{kind}: a NUL in a file name")
        self._prefix = ""
        if argument.startswith(("/", ".")):
            settings = self._read(argument, site)
            self._get: Callable[[str], str | None] = settings.get
        else:
            self._prefix = f"{argument}_"
            self._get = site.parameter

    @staticmethod
    def _read(argument: str, site: TableSite) -> dict[str, str]:
        path = site.base / argument
        try:
            parsed = parse_main_cf(decode(read_bytes(path)), str(path))
        except OSError as error:
            raise ValueError(f"open {path}: {error.strerror}") from error
        except ConfigError as error:
            raise ValueError(str(error)) from error
        for warning in parsed.warnings:
            site.warn(warning)
        return {name: setting.value for name, setting in parsed.settings.items()}

    def _raw(self, name: str) -> str | None:
        try:
            return self._get(self._prefix + name)
        except ConfigError as error:
            raise ValueError(f"{self._prefix}{name}: {error.text}") from None

    def present(self, name: str) -> bool:
        """Whether a setting is there, be it empty."""
        return self._raw(name) is not None

    def text(self, name: str, default: str = "", *, required: bool = False) -> str:
        """A text; ``required``: it must not be empty."""
        value = self._raw(name)
        if value is None:
            value = default
        if required and not value:
            raise ValueError(self._placed(f"bad string length 0 < 1: {self._prefix}{name} = "))
        return value

    def secret(self, name: str) -> Secret | None:
        """A password; None when there is none."""
        value = self._raw(name)
        return Secret(value) if value else None

    def names(self, name: str, default: str = "") -> tuple[str, ...]:
        """Words between commas or white space."""
        return tuple(values.names(self.text(name, default)))

    def integer(self, name: str, default: int, minimum: int | None = None, maximum: int | None = None) -> int:
        """A number in a range."""
        value = self._raw(name)
        if value is None:
            return default
        try:
            return values.integer(self._prefix + name, value, minimum, maximum)
        except ConfigError as error:
            raise ValueError(self._placed(error.text)) from error

    def seconds(self, name: str, default: float) -> float:
        """A time in seconds, at least 1."""
        value = self._raw(name)
        if value is None:
            return default
        try:
            return values.seconds(self._prefix + name, value, minimum=1)
        except ConfigError as error:
            raise ValueError(self._placed(error.text)) from error

    def boolean(self, name: str, *, default: bool) -> bool:
        """Yes or no."""
        value = self._raw(name)
        if value is None:
            return default
        try:
            return values.boolean(self._prefix + name, value)
        except ConfigError as error:
            raise ValueError(self._placed(error.text)) from error

    def _placed(self, text: str) -> str:
        return text if self._prefix else f"{self.argument}: {text}"
