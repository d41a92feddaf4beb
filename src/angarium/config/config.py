"""``Config``: the settings of one configuration directory, as typed values.

Owns nothing but memory. Values are read lazily, and remembered: a daemon that asks for ten parameters pays for ten.
``overlay`` is cheap: it shares everything but the remembered values.

Look-up order of a name: overlays (``-o`` of master.cf), main.cf, the default of the registry or of a per-service
parameter. A name that is none of these is undefined: text() of it is a ConfigError, ``$name`` of it is empty.

Fails with ConfigError, which names the file and the line of the setting and the text as Postfix words it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from angarium.config import derived, per_service, values
from angarium.config.error import ConfigError
from angarium.config.expansion import Expander
from angarium.config.main_cf import MainCf, Setting, parse_main_cf, read_main_cf
from angarium.config.master_cf import MasterCf, MasterService, read_master_cf
from angarium.config.parameter import Parameter, Type
from angarium.config.registry import registry
from angarium.model.address import AllSplit

DEFAULT_DIRECTORY = "/etc/postfix"

T = TypeVar("T")


def configuration_directory(option: str | None = None) -> Path:
    """Where the configuration is: the ``-c`` option, else MAIL_CONFIG, else /etc/postfix."""
    return Path(option or os.environ.get("MAIL_CONFIG") or DEFAULT_DIRECTORY)


class Config:
    """The configuration. Build it with ``load`` or, in tests, with ``of``."""

    def __init__(self, directory: Path, main: MainCf, overlays: Mapping[str, Setting] | None = None) -> None:
        self.directory = directory
        self.main = main
        self._overlays: Mapping[str, Setting] = overlays or {}
        self._texts: dict[str, str] = {}
        self._typed: dict[tuple[str, Type], object] = {}
        self._expander = Expander(self.raw)

    @classmethod
    def load(cls, directory: Path) -> Config:
        """Read ``directory/main.cf``. Raises ConfigError."""
        return cls(directory, read_main_cf(directory / "main.cf"))

    @classmethod
    def of(cls, settings: Mapping[str, str] | None = None, directory: Path = Path(DEFAULT_DIRECTORY)) -> Config:
        """A configuration of the defaults and ``settings``, without a file: for tests and tools."""
        main = parse_main_cf("", str(directory / "main.cf"))
        return cls(directory, main, {name: Setting(name, text, "", 0) for name, text in (settings or {}).items()})

    def overlay(self, settings: Mapping[str, str], file: str = "", line: int = 0) -> Config:
        """A copy with some settings replaced, as ``-o`` in master.cf does; ``file`` and ``line`` say where."""
        changed = {name: Setting(name, text, file, line) for name, text in settings.items()}
        copy = Config(self.directory, self.main, {**self._overlays, **changed})
        if "master" in self.__dict__:
            copy.__dict__["master"] = self.master
        return copy

    def for_service(self, entry: MasterService) -> Config:
        """What one service of master.cf sees: its ``-o`` settings, and ``$service_name``."""
        named = self.overlay({"service_name": entry.name})
        return named.overlay(entry.overrides, entry.file, entry.line) if entry.overrides else named

    @cached_property
    def master(self) -> MasterCf:
        """The services of master.cf but those of master_service_disable, read when first asked for.

        Raises:
            ConfigError: master.cf is not usable.
        """
        master = read_master_cf(self.directory / "master.cf")
        disabled = self.names("master_service_disable")
        return master.without(disabled) if disabled else master

    # -- look-up of raw text

    def setting(self, name: str) -> Setting | None:
        """The explicit setting of a name; None when it has its default."""
        return self._overlays.get(name) or self.main.settings.get(name)

    def declared(self, name: str) -> Parameter | None:
        """The declaration of a parameter, also of a per-service one; None for a name of the administrator's own."""
        return registry().get(name) or per_service.by_suffix(name)

    def default(self, name: str) -> str | None:
        """The default, unexpanded; None for an undeclared name."""
        match name:
            case "myhostname":
                explicit = self.setting("mydomain")
                return derived.myhostname(self.text, self.text("mydomain") if explicit else None)
            case "mydomain":
                return derived.mydomain(self.text)
            case "mynetworks":
                return derived.mynetworks(self.text)
            case "mail_version":
                return derived.MAIL_VERSION
            case "mail_release_date":
                return derived.MAIL_RELEASE_DATE
            case "config_directory":
                return str(self.directory)
            case _:
                parameter = self.declared(name)
                return None if parameter is None else parameter.default

    def raw(self, name: str) -> str | None:
        """The text of a name, unexpanded; None when it is undefined."""
        setting = self.setting(name)
        if setting is not None:
            return setting.value
        return self.default(name)

    def source(self, name: str) -> str:
        """Where a value comes from, for people: ``/etc/postfix/main.cf:14``, or ``default``."""
        setting = self.setting(name)
        return "default" if setting is None else setting.place or "override"

    def expand(self, text: str) -> str:
        """Any text with its ``$name`` replaced. Raises ConfigError."""
        return self._expander.expand(text)

    # -- typed values

    def text(self, name: str) -> str:
        """The expanded text; a parameter of type RAW unexpanded. Raises ConfigError for an undefined name."""
        cached = self._texts.get(name)
        if cached is None:
            cached = self._texts[name] = self._placed(name, self._read_text)
        return cached

    def integer(self, name: str) -> int:
        """An integer in its declared range."""
        return self._typed_value(name, Type.INTEGER, self._read_integer)

    def boolean(self, name: str) -> bool:
        """Yes or no."""
        return self._typed_value(name, Type.BOOLEAN, lambda key: values.boolean(key, self.text(key)))

    def seconds(self, name: str) -> float:
        """A time in seconds."""
        return self._typed_value(name, Type.TIME, self._read_seconds)

    def size(self, name: str) -> int:
        """A number of bytes."""
        return self._typed_value(name, Type.SIZE, self._read_size)

    def names(self, name: str) -> list[str]:
        """Words separated by commas or white space; ``{…}`` holds together. A new list each time."""
        return values.names(self.text(name))

    def delimiters(self) -> str:
        """recipient_delimiter, as owner_request_special says how they split addresses."""
        found = self.text("recipient_delimiter")
        return found if "-" not in found or self.boolean("owner_request_special") else AllSplit(found)

    def choice(self, name: str) -> str:
        """One of the declared choices, in their spelling."""
        return self._typed_value(name, Type.ENUM, self._read_choice)

    def check(self, name: str) -> None:
        """Read a value as its declared type does. Raises ConfigError when it cannot be."""
        parameter = self.declared(name)
        match parameter.type if parameter else Type.STRING:
            case Type.INTEGER:
                self.integer(name)
            case Type.BOOLEAN:
                self.boolean(name)
            case Type.TIME:
                self.seconds(name)
            case Type.SIZE:
                self.size(name)
            case Type.ENUM:
                self.choice(name)
            case _:
                self.text(name)

    # -- readers, one a type

    def _typed_value(self, name: str, kind: Type, read: Callable[[str], T]) -> T:
        cached = self._typed.get((name, kind))
        if cached is None:
            cached = self._typed[name, kind] = self._placed(name, read)
        return cached  # type: ignore[return-value]  # the key holds the type

    def _read_text(self, name: str) -> str:
        raw = self.raw(name)
        if raw is None:
            raise ConfigError(f"{name}: unknown parameter")
        parameter = self.declared(name)
        if parameter is None:
            return self.expand(raw)
        if parameter.type is Type.RAW:
            return raw
        if parameter.type is Type.STRING:
            return values.string(name, self.expand(raw), parameter.minimum, parameter.maximum)
        return self.expand(raw)

    def _read_integer(self, name: str) -> int:
        parameter = self.declared(name)
        low, high = (parameter.minimum, parameter.maximum) if parameter else (None, None)
        return values.integer(name, self.text(name), low, high)

    def _read_size(self, name: str) -> int:
        parameter = self.declared(name)
        low, high = (parameter.minimum, parameter.maximum) if parameter else (None, None)
        return values.size(name, self.text(name), low, high)

    def _read_seconds(self, name: str) -> float:
        parameter = self.declared(name)
        if parameter is None:
            return float(values.seconds(name, self.text(name)))
        return float(values.seconds(name, self.text(name), parameter.unit, parameter.minimum, parameter.maximum))

    def _read_choice(self, name: str) -> str:
        parameter = self.declared(name)
        if parameter is None or not parameter.choices:
            return self.text(name)
        return values.choice(name, self.text(name), parameter.choices)

    def _placed(self, name: str, read: Callable[[str], T]) -> T:
        """Call ``read``, adding the setting's place to an error that has none."""
        try:
            return read(name)
        except ConfigError as error:
            setting = self.setting(name)
            if error.file or setting is None or not setting.file:
                raise
            raise ConfigError(error.text, setting.file, setting.line) from error
