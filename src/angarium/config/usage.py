"""Which names of main.cf and master.cf mean something: the check behind "unused" and "undefined parameter".

A name is known when the registry declares it, when a service of master.cf brings it (``config.per_service``), or
when the administrator defines it and something refers to it: ``$name`` in a value, ``smtpd_restriction_classes``, or
a table such as ``ldap:name``, whose settings are named ``name_…``. Everything else is most likely misspelt.

Fails with ConfigError for a malformed ``$`` reference, with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from angarium.config import values
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.expansion import references
from angarium.config.main_cf import Setting
from angarium.config.master_cf import MasterService
from angarium.config.parameter import FOR_SCRIPTS, Parameter, Status, Type
from angarium.config.per_service import by_suffix, service_parameters
from angarium.config.registry import registry
from angarium.config.table_files import TableReference, table_references


class Usage(NamedTuple):
    """What a configuration's names mean.

    Attributes:
        services: per-service parameters that exist, by name.
        user: names of the administrator's own that something refers to.
        undefined: (file, name) of references to nothing.
        unused: settings of main.cf that nothing reads.
        unused_overrides: (service, name, value) of ``-o`` settings that nothing reads.
        table_files: tables whose settings stand in files of their own.
    """

    services: Mapping[str, Parameter]
    user: frozenset[str]
    undefined: tuple[tuple[str, str], ...]
    unused: tuple[Setting, ...]
    unused_overrides: tuple[tuple[MasterService, str, str], ...]
    table_files: tuple[TableReference, ...] = ()


class _Scan:
    """The names met so far, in one file's scope."""

    def __init__(
        self,
        defined: set[str],
        known: Mapping[str, object],
        services: Mapping[str, object],
        expand: Callable[[str], str],
    ) -> None:
        self.expand = expand
        self.defined = defined
        self.known = known
        self.services = services
        self.user: set[str] = set()
        self.undefined: dict[str, None] = {}
        self.table_files: dict[TableReference, None] = {}

    def look_at(self, name: str, text: str, place: Setting | None) -> None:
        """Note what ``text``, the value of ``name``, refers to."""
        parameter = registry().get(name)
        if parameter is not None and parameter.type is Type.RAW:
            return  # its names are filled in at use, by the program
        try:
            found = references(text)
        except ConfigError as error:
            if place is None or not place.file:
                raise
            raise ConfigError(error.text, place.file, place.line) from error
        if name == "smtpd_restriction_classes":
            found |= set(values.names(self.expand(text)))
        for reference in sorted(found):
            if reference in self.known or reference in self.services:
                continue
            if reference in self.defined:
                self.user.add(reference)
            else:
                self.undefined[reference] = None
        for table in table_references(text):
            if table.is_file:
                self.table_files[table] = None
            else:
                self.user.update(self.defined.intersection(table.settings))


def examine(config: Config, services: Iterable[MasterService] = ()) -> Usage:
    """Find out what the names of main.cf and of the services' overrides mean."""
    known = registry()
    services = list(services)
    own = service_parameters((entry.name, entry.command) for entry in services)
    main = _Scan(set(config.main.settings), known, own, config.expand)
    for setting in config.main.settings.values():
        main.look_at(setting.name, setting.value, setting)
    undefined = [(config.main.file, name) for name in main.undefined]
    unused_overrides: list[tuple[MasterService, str, str]] = []
    for entry in services:
        if not entry.overrides:
            continue
        scan = _Scan(main.defined | set(entry.overrides), known, own, config.for_service(entry).expand)
        for name, text in entry.overrides.items():
            scan.look_at(name, text, Setting(name, text, entry.file, entry.line))
        main.user |= scan.user & main.defined
        main.table_files.update(scan.table_files)
        undefined += [(entry.file, name) for name in scan.undefined]
        unused_overrides += [
            (entry, name, text)
            for name, text in entry.overrides.items()
            if name not in known and name not in own and name not in scan.user and name not in main.user
        ]
    unused = tuple(
        setting
        for setting in config.main.settings.values()
        if setting.name not in known and setting.name not in own and setting.name not in main.user
    )
    return Usage(own, frozenset(main.user), tuple(undefined), unused, tuple(unused_overrides), tuple(main.table_files))


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that a misspelt one most likely means; empty when none is near."""
    import difflib  # late: only a misspelt name should pay for it

    found = difflib.get_close_matches(name, known, 1, 0.85)
    return found[0] if found else ""


def _behind(name: str) -> Parameter | None:
    """Of a parameter of one service the one that is its default: they are honoured together."""
    own = by_suffix(name)
    return None if own is None else registry().get(own.default.removeprefix("$"))


def changes_nothing(name: str, text: str) -> Parameter | None:
    """The declaration behind a setting that changes nothing here although it asks for something; None when it does.

    A setting asks for nothing when it is empty, ``no``, or what the default is, and when it is for scripts alone.
    """
    parameter = registry().get(name) or _behind(name)
    if parameter is None or parameter.status is Status.HONOURED or text in ("", parameter.default):
        return None
    if parameter.reason == FOR_SCRIPTS:
        return None
    return None if parameter.type is Type.BOOLEAN and text.lower() == "no" else parameter


def without_effect(name: str, place: str, text: str) -> Iterator[str]:
    """The warning for a setting that is known and changes nothing here."""
    parameter = changes_nothing(name, text)
    if parameter is not None and parameter.status is Status.UNSUPPORTED:
        yield f"{place}: {name} is not supported yet{': ' + parameter.reason if parameter.reason else ''}"
    elif parameter is not None:
        yield f"{place}: {name} has no effect: {parameter.reason}"
