"""postconf(1): shows and edits main.cf and master.cf.

========================  ===============================================================================
``postconf [name …]``     settings of main.cf with their defaults; ``-d`` defaults, ``-n`` explicit ones
``-x`` ``-h`` ``-H``      with ``$name`` expanded; without names; without values
``-f`` ``-o name=value``  long lines folded; with a setting replaced
``-C class,…``            only ``builtin``, ``service``, ``user`` or ``all`` parameters
``-M`` ``-P`` ``-F``      services of master.cf; their ``-o`` settings; their fields
``-e`` ``-#`` ``-X``      set, comment out or remove (also after ``-M``, ``-P``, ``-F`` where Postfix allows it)
``-b`` ``-t`` ``[file]``  the texts of bounces as people read them; their templates
``-m`` ``-l`` ``-a -A``   table types; lock types; SASL types of the server and the client
``-T mode``               about the TLS library: compile-version, run-version, public-key-algorithms
``-q``                    say nothing of settings that are unused or have no effect
========================  ===============================================================================

Which options go together: ``postconf_options``. Beside Postfix's warnings there is one of our own, for a setting that
is shown and that this server does not honour; it names file and line.

Exit status 0, also with warnings for unknown names; 1 for a configuration that cannot be read or a wrong call.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from angarium.commands.command import CommandError, guarded
from angarium.commands.postconf_options import Request, UsageError, parse_arguments
from angarium.commands.postconf_output import print_setting, value_of, warn, warn_without_effect
from angarium.config.config import Config, configuration_directory
from angarium.config.error import ConfigError
from angarium.config.expansion import compatibility_level
from angarium.config.lines import decode
from angarium.config.main_cf import MainCf, Setting, parse_main_cf, shown, split_name_value
from angarium.config.master_cf import MasterService, parse_master_cf
from angarium.config.parameter import Parameter, Type
from angarium.config.registry import registry
from angarium.config.table_files import complaints_of
from angarium.config.usage import Usage, examine

_MASTER = frozenset({"M", "P", "F"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")  # what is no UTF-8 in a file leaves as it came
    return guarded("postconf", lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> int:
    try:
        return run(parse_arguments(argv))
    except UsageError as error:
        raise CommandError(str(error)) from error
    except SystemExit as end:
        return int(end.code or 0)


def run(request: Request) -> int:
    """Do what was asked. Raises ConfigError and UsageError."""
    flags = request.flags
    if fixed := fixed_listing(request):
        print("\n".join(fixed))
        return 0
    directory = configuration_directory(request.directory)
    if flags & set("eX#"):
        return edit_files(request, directory)
    if flags & set("bt"):
        from angarium.commands import postconf_templates  # late: wanted by these options alone

        print(postconf_templates.show(_loaded(request, directory), request.operands, expanded="b" in flags), end="")
        return 0
    if "d" in flags:
        config = Config(directory, parse_main_cf("", str(directory / "main.cf")))
        show_parameters(request, config, examine(config, _services_if_readable(directory)))
        return 0
    config = _loaded(request, directory)
    if flags & _MASTER:
        from angarium.commands import postconf_services  # late, as above

        master = config.master
        for warning in master.warnings:
            warn(warning)
        usage = examine(config, master.services)
        postconf_services.show(request, config, master.services)
        report(request, usage, main=False)
        return 0
    services = _services_if_readable(directory)
    usage = examine(config, services)
    explicit = request.directory is not None or "MAIL_CONFIG" in os.environ
    show_parameters(request, config, usage, explicit_directory=explicit)
    report(request, usage, main=True)
    return 0


def _loaded(request: Request, directory: Path) -> Config:
    """main.cf with the settings of ``-o``; says what is odd in it."""
    config = Config.load(directory)
    compatibility_level(config.text("compatibility_level"))
    for warning in config.main.warnings:
        warn(warning)
    for setting in config.main.settings.values():
        _expandable(config, setting)
    return Config(directory, _with(config, request.overrides)) if request.overrides else config


def _expandable(config: Config, setting: Setting) -> None:
    """Refuse a parameter whose value refers to itself, as Postfix does whatever was asked for."""
    parameter = registry().get(setting.name)
    if parameter is None or parameter.type is Type.RAW or "$" not in setting.value:
        return
    try:
        config.expand(setting.value)
    except ConfigError as error:
        if error.text.startswith("unreasonable macro call nesting"):
            warn(error.text)
            raise ConfigError("macro processing error") from error


def _with(config: Config, overrides: Mapping[str, str]) -> MainCf:
    """main.cf with settings of ``-o`` in it, as if they stood there."""
    lines = "".join(f"{name} = {text}\n" for name, text in overrides.items())
    added = parse_main_cf(lines, config.main.file)
    return config.main._replace(settings={**config.main.settings, **added.settings})


def _services_if_readable(directory: Path) -> Sequence[MasterService]:
    """The services; a warning and none when there is no master.cf: main.cf can be shown without it."""
    path = directory / "master.cf"
    try:
        data = path.read_bytes()
    except OSError as error:
        warn(f"open {path}: {error.strerror}")
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
        return _tls_listing(request.topic)
    return []


def _tls_listing(topic: str) -> list[str]:
    import ssl  # slow to load, and wanted by this option alone

    if topic in ("compile-version", "run-version"):
        return [ssl.OPENSSL_VERSION]
    if topic == "public-key-algorithms":
        return ["dsa", "ecdsa", "rsa"]
    warn(f"unknown 'postconf -T' mode: {topic}")
    raise SystemExit(1)


def report(request: Request, usage: Usage, *, main: bool) -> None:
    """Warn of names that mean nothing, with the file they stand in."""
    if "q" in request.flags:
        return
    for file, name in usage.undefined:
        warn(f"{file}: undefined parameter: {name}")
    if main:
        for setting in usage.unused:
            warn(f"{setting.file}: unused parameter: {setting.name}={shown(setting.name, setting.value)}")
    for entry, name, text in usage.unused_overrides:
        warn(f"{entry.file}: unused parameter: {name}={shown(name, text)}")
    for complaint in complaints_of(usage.table_files):
        warn(complaint)


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
        setting = config.main.settings.get(name)
        if setting is None and "n" in request.flags and not (name == "config_directory" and explicit_directory):
            continue
        print_setting(request, name, value_of(request, config, name))
        if setting is not None and "d" not in request.flags:
            warn_without_effect(request, name, setting.place, setting.value)


def _names_of(request: Request, config: Config, usage: Usage, *, explicit_directory: bool) -> Iterator[str]:
    classes = request.classes or {"all"}
    everything = "all" in classes
    settings = config.main.settings
    for parameter in registry().values():
        kind = _class_of(parameter, usage)
        explicit = parameter.name in settings or (parameter.name == "config_directory" and explicit_directory)
        if (everything or kind in classes) and (explicit or (kind != "user" and "n" not in request.flags)):
            yield parameter.name
    if everything or "service" in classes:
        for name in usage.services:
            if name not in registry() and (name in settings or "n" not in request.flags):
                yield name
    if everything or "user" in classes:
        yield from usage.user - set(registry())


def _class_of(parameter: Parameter, usage: Usage) -> str:
    """What ``-C`` calls a declared parameter: old names count as the administrator's own."""
    if parameter.type is Type.LEGACY:
        return "user"
    return "service" if parameter.name in usage.services else "builtin"


# -- editing


def edit_files(request: Request, directory: Path) -> int:
    """``-e``, ``-#`` and ``-X``, of main.cf or, after -M, -P or -F, of master.cf."""
    for operand in request.operands:
        if operand.lstrip().startswith("#"):
            raise UsageError("-e, -X, or -# accepts no comment input")
        if "\n" in operand:
            raise UsageError("-e, -X, or -# accepts no multi-line input")
    if request.flags & _MASTER:
        from angarium.commands import postconf_master  # late, as above

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
