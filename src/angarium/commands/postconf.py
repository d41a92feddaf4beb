"""postconf(1): shows and edits main.cf and master.cf.

========================  ===============================================================================
``postconf [name …]``     settings of main.cf with their defaults; ``-d`` defaults, ``-n`` explicit ones
``-x`` ``-h`` ``-H``      with ``$name`` expanded; without names; without values
``-f`` ``-o name=value``  long lines folded; with a setting replaced
``-C class``              only ``builtin``, ``service``, ``user`` or ``all`` parameters
``-M`` ``-P`` ``-F``      services of master.cf; their ``-o`` settings; their fields
``-e`` ``-#`` ``-X``      set, comment out or remove (also after ``-M``, ``-P``, ``-F`` where Postfix allows it)
``-m`` ``-l`` ``-a -A``   table types; lock types; SASL types of the server and the client
========================  ===============================================================================

Exit status 0, also with warnings for unknown names; 1 for a configuration that cannot be read or a wrong call.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from angarium.config.config import Config, configuration_directory
from angarium.config.error import ConfigError
from angarium.config.expansion import compatibility_level
from angarium.config.lines import decode
from angarium.config.main_cf import MainCf, parse_main_cf, split_name_value
from angarium.config.master_cf import MasterService, parse_master_cf
from angarium.config.parameter import Type
from angarium.config.registry import registry
from angarium.config.render import folded, on_one_line, service_line
from angarium.config.usage import Usage, examine

OPTIONS = "aAbc:C:deEfFhHlmMno:pPtT:vxX#"
CLASSES = ("builtin", "service", "user", "all")
FIELDS = ("service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command")
_EXCLUSIVE = "aAbdeFlmMnpPtTX#"
_MAY_COMBINE = frozenset({"M", "P", "F"})


class UsageError(Exception):
    """The command was called in a way that means nothing."""


class Request:
    """What the command line asks for."""

    def __init__(self, operands: list[str]) -> None:
        self.operands = operands
        self.flags: set[str] = set()
        self.directory: str | None = None
        self.overrides: dict[str, str] = {}
        self.classes: set[str] = set()
        self.topic = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    try:
        request = parse_arguments(sys.argv[1:] if argv is None else argv)
        return run(request)
    except (UsageError, ConfigError) as error:
        print(f"postconf: fatal: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1


def parse_arguments(argv: Sequence[str]) -> Request:
    """Read the command line. Raises UsageError."""
    try:
        options, operands = getopt.getopt(list(argv), OPTIONS)
    except getopt.GetoptError as error:
        print(f"postconf: invalid option -- '{error.opt}'", file=sys.stderr)
        raise UsageError(f"usage: postconf [-{OPTIONS.replace(':', '')}] [-c config_dir] [name...]") from error
    request = Request(operands)
    for option, value in options:
        letter = option[1]
        match letter:
            case "c":
                request.directory = value
            case "C":
                if value not in CLASSES:
                    raise UsageError(f'unknown -C option value "{value}" in "{value}"')
                request.classes.add(value)
            case "o":
                name, text = split_name_value(value)
                request.overrides[name] = text
            case "T":
                request.topic = value
                request.flags.add(letter)
            case _:
                request.flags.add(letter)
    _check_combination(request.flags)
    if not request.flags & set("eX#dnambltTA") and any("=" in operand for operand in operands):
        request.flags.add("e")
    return request


def _check_combination(flags: set[str]) -> None:
    """Refuse options that exclude each other, in Postfix's words."""
    chosen = [letter for letter in sorted(_EXCLUSIVE) if letter in flags]
    edits = [letter for letter in chosen if letter in "eX#"]
    places = [letter for letter in chosen if letter in "MPFp"]
    others = [letter for letter in chosen if letter not in "eX#MPFp"]
    if len(others) > 1 or (others and edits) or (others and set(places) & _MAY_COMBINE):
        raise UsageError("specify one of " + " ".join(f"-{letter}" for letter in chosen))
    if len(places) > 1 or len(edits) > 1:
        raise UsageError(
            "specify one of " + " ".join(f"-{letter}" for letter in (places if len(places) > 1 else edits))
        )


def run(request: Request) -> int:
    """Do what was asked. Raises ConfigError and UsageError."""
    flags = request.flags
    if fixed := fixed_listing(request):
        print("\n".join(fixed))
        return 0
    directory = configuration_directory(request.directory)
    if flags & set("eX#"):
        return edit_files(request, directory)
    if "d" in flags and not flags & _MAY_COMBINE:
        config = Config(directory, parse_main_cf("", str(directory / "main.cf")))
        services: Sequence[MasterService] = _services_if_readable(directory)
        show_parameters(request, config, examine(config, services))
        return 0
    config = Config.load(directory)
    compatibility_level(config.text("compatibility_level"))
    for warning in config.main.warnings:
        warn(warning)
    if request.overrides:
        config = Config(directory, _with(config, request.overrides))
    if flags & _MAY_COMBINE:
        master = config.master
        for warning in master.warnings:
            warn(warning)
        usage = examine(config, master.services)
        show_services(request, config, master.services)
        report(usage, main=False)
        return 0
    services = _services_if_readable(directory)
    usage = examine(config, services)
    explicit = request.directory is not None or "MAIL_CONFIG" in os.environ
    show_parameters(request, config, usage, explicit_directory=explicit)
    report(usage, main=True)
    return 0


def _with(config: Config, overrides: Mapping[str, str]) -> MainCf:
    """main.cf with settings of ``-o`` in it, as if they stood there."""
    lines = "".join(f"{name} = {text}\n" for name, text in overrides.items())
    added = parse_main_cf(lines, config.main.file)
    return config.main._replace(settings={**config.main.settings, **added.settings})


def _services_if_readable(directory: Path) -> Sequence[MasterService]:
    """The services; none when there is no master.cf to read, for main.cf can be shown without it."""
    path = directory / "master.cf"
    try:
        data = path.read_bytes()
    except OSError:
        return ()
    return parse_master_cf(decode(data), str(path)).services


def fixed_listing(request: Request) -> list[str]:
    """The lists that need no configuration; empty when none was asked for."""
    flags = request.flags
    if "m" in flags:
        from angarium.tables.opener import TableOpener  # late: wanted by this option alone

        return sorted({*TableOpener(warn).types, "directory"})
    if "l" in flags:
        return ["flock", "fcntl", "dotlock"]
    if "a" in flags:
        return ["dovecot"]
    if "A" in flags:
        return ["cyrus"]
    if "T" in flags:
        import ssl  # slow to load, and wanted by this option alone

        if request.topic in ("compile-version", "run-version"):
            return [ssl.OPENSSL_VERSION]
        if request.topic == "public-key-algorithms":
            return ["rsa", "ecdsa", "ed25519", "ed448"]
        raise UsageError(f"unknown -T option value: {request.topic}")
    if flags & {"b", "t"}:
        raise UsageError("bounce templates are not supported yet")
    return []


def warn(text: str) -> None:
    """A warning on standard error."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    print(f"postconf: warning: {shown}", file=sys.stderr)


def report(usage: Usage, *, main: bool) -> None:
    """Warn of names that mean nothing, with the file they stand in."""
    for file, name in usage.undefined:
        warn(f"{file}: undefined parameter: {name}")
    if main:
        for setting in usage.unused:
            warn(f"{setting.file}: unused parameter: {setting.name}={setting.value}")
    for entry, name, text in usage.unused_overrides:
        warn(f"{entry.file}: unused parameter: {name}={text}")


# -- main.cf


def show_parameters(request: Request, config: Config, usage: Usage, *, explicit_directory: bool = False) -> None:
    """Print parameters of main.cf: those named, or all of the wanted kind."""
    names = request.operands or sorted(_names_of(request, config, usage, explicit_directory=explicit_directory))
    known = registry()
    for name in names:
        parameter = known.get(name)
        is_known = (parameter is not None and (parameter.type is not Type.LEGACY or name in config.main.settings)) or (
            name in usage.services or name in usage.user
        )
        if not is_known:
            warn(f"{name}: unknown parameter")
            continue
        print_setting(request, name, value_of(request, config, name))


def _names_of(request: Request, config: Config, usage: Usage, *, explicit_directory: bool) -> Iterator[str]:
    classes = request.classes or {"all"}
    everything = "all" in classes
    if everything or "builtin" in classes:
        for parameter in registry().values():
            if parameter.type is not Type.LEGACY or parameter.name in config.main.settings:
                explicit = parameter.name in config.main.settings
                explicit = explicit or (parameter.name == "config_directory" and explicit_directory)
                if explicit or "n" not in request.flags:
                    yield parameter.name
    if everything or "service" in classes:
        for name in usage.services:
            if name not in registry() and (name in config.main.settings or "n" not in request.flags):
                yield name
    if everything or "user" in classes:
        yield from usage.user - set(registry())


def value_of(request: Request, config: Config, name: str) -> str:
    """The text to show for a name."""
    raw = config.raw(name) or ""
    parameter = config.declared(name)
    if "x" not in request.flags or (parameter is not None and parameter.type is Type.RAW):
        return raw
    return config.expand(raw)


def print_setting(request: Request, name: str, text: str) -> None:
    """``name = value``, or the half of it that was asked for."""
    if "h" in request.flags:
        line = text
    elif "H" in request.flags:
        line = name
    else:
        line = f"{name} = {text}" if text else f"{name} ="
    print(folded(line) if "f" in request.flags else on_one_line(line))


# -- master.cf


def show_services(request: Request, config: Config, services: Sequence[MasterService]) -> None:
    """Print services, or their fields or settings."""
    show = {"M": _show_entries, "P": _show_overrides, "F": _show_fields}
    for letter, function in show.items():
        if letter in request.flags:
            function(request, config, services)


def matches(pattern: Sequence[str], entry: MasterService) -> bool:
    """Whether ``name/type`` of a request, ``*`` standing for all, names the service."""
    name, kind = pattern[0], pattern[1] if len(pattern) > 1 else "*"
    return name in ("*", entry.name) and kind in ("*", entry.type)


def split_request(operand: str, parts: int) -> list[str]:
    """Take ``name/type[/what]`` apart; a service's name has no slash before a type. Raises UsageError."""
    pieces = operand.split("/")
    if len(pieces) > parts or not pieces[0]:
        raise UsageError(f'malformed request: "{operand}"')
    return pieces


def _show_entries(request: Request, config: Config, services: Sequence[MasterService]) -> None:
    del config
    for operand in request.operands or ["*"]:
        chosen = [entry for entry in services if matches(split_request(operand, 2), entry)]
        for entry in chosen:
            print(service_line(entry, fold="f" in request.flags))
        if not chosen and request.operands:
            warn(f'unmatched request: "{operand}"')


def _show_overrides(request: Request, config: Config, services: Sequence[MasterService]) -> None:
    for operand in request.operands or ["*"]:
        pattern = split_request(operand, 3)
        found = False
        for entry in services:
            if not matches(pattern, entry):
                continue
            layered = config.for_service(entry)
            for name in sorted(entry.overrides):
                if len(pattern) < 3 or pattern[2] in ("*", name):
                    found = True
                    print_setting(request, f"{entry.key}/{name}", value_of(request, layered, name))
        if not found and request.operands:
            warn(f'unmatched request: "{operand}"')


def _show_fields(request: Request, config: Config, services: Sequence[MasterService]) -> None:
    del config
    for operand in request.operands or ["*"]:
        pattern = split_request(operand, 3)
        found = False
        for entry in services:
            if not matches(pattern, entry):
                continue
            command = " ".join(service_line(entry).split()[7:])
            for name, text in zip(FIELDS, (*entry.fields[:7], command), strict=True):
                if len(pattern) < 3 or pattern[2] in ("*", name):
                    found = True
                    print_setting(request, f"{entry.key}/{name}", text)
        if not found and request.operands:
            warn(f'unmatched request: "{operand}"')


# -- editing


def edit_files(request: Request, directory: Path) -> int:
    """``-e``, ``-#`` and ``-X``, of main.cf or, after -M, -P or -F, of master.cf."""
    for operand in request.operands:
        if operand.lstrip().startswith("#"):
            raise UsageError("-e, -X, or -# accepts no comment input")
        if "\n" in operand:
            raise UsageError("-e, -X, or -# accepts no multi-line input")
    if request.flags & _MAY_COMBINE:
        from angarium.commands import postconf_master  # wanted by these options alone

        postconf_master.edit_master(request.flags, request.operands, directory / "master.cf")
        return 0
    from angarium.config import edit  # late, as above

    path = directory / "main.cf"
    text = read_text(path)
    if "e" in request.flags:
        settings = dict(split_name_value(operand) for operand in request.operands)
        text, repeated = edit.set_main(text, settings)
        for name in repeated:
            warn(f'{path}: multiple entries for "{name}"')
    else:
        for operand in request.operands:
            if "=" in operand or not operand.strip():
                raise UsageError("-X or -# requires parameter names without value")
        names = {operand.strip() for operand in request.operands}
        text = edit.remove_main(text, names) if "X" in request.flags else edit.comment_main(text, names)
    edit.replace_file(path, text)
    return 0


def read_text(path: Path) -> str:
    """A configuration file's text. Raises ConfigError."""
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"open {path}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
