"""The editing of master.cf for postconf(1): ``-Me``, ``-M#``, ``-MX``, ``-Pe``, ``-PX`` and ``-Fe``.

A changed service is written anew, in columns and folded; everything else stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from angarium.config import edit
from angarium.config.error import ConfigError
from angarium.config.lines import decode
from angarium.config.main_cf import split_name_value
from angarium.config.master_cf import MasterService, parse_master_cf
from angarium.config.render import service_line

_ENTRY = "-Me, -MX or -M# requires service_name/type"
_PARAMETER = "-Pe or -PX requires service_name/type/parameter"
_FIELDS = ("service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command")


def edit_master(flags: set[str], operands: Sequence[str], path: Path) -> None:
    """Change master.cf as asked. Raises ConfigError; then nothing is changed."""
    try:
        text = decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"open {path}: {error.strerror}") from error
    parse_master_cf(text, str(path))
    for operand in operands:
        text = _apply(flags, operand, text, path)
    parse_master_cf(text, str(path))
    edit.replace_file(path, text)


def _apply(flags: set[str], operand: str, text: str, path: Path) -> str:
    if "M" in flags:
        if "e" in flags:
            return _set_service(operand, text, path)
        name, kind = _pattern(operand, 2, _ENTRY)
        if "#" in flags:
            return edit.comment_out(text, lambda line: _is_service(line, name, kind))
        return edit.rewrite(text, lambda line: None if _is_service(line, name, kind) else line)
    if "#" in flags:
        raise ConfigError("-# is not supported with -F or -P")
    if "P" in flags:
        if "e" in flags:
            key, value = split_name_value(operand)
            if any(char.isspace() for char in value):
                raise ConfigError("-Pe does not accept whitespace in parameter value")
            name, kind, what = _pattern(key, 3, _PARAMETER)
            return _change(text, path, operand, name, kind, lambda entry: _with_override(entry, what, value))
        name, kind, what = _pattern(operand, 3, _PARAMETER)
        return _change(text, path, operand, name, kind, lambda entry: _with_override(entry, what, None))
    if "e" not in flags:
        raise ConfigError("-X is not supported with -F")
    key, value = split_name_value(operand)
    name, kind, what = _pattern(key, 3, "-Fe requires service_name/type/field")
    if what not in _FIELDS:
        raise ConfigError(f'invalid service attribute name: "{what}"')
    return _change(text, path, operand, name, kind, lambda entry: _with_field(entry, what, value, path))


def _pattern(operand: str, parts: int, form: str) -> list[str]:
    pieces = operand.split("/")
    if len(pieces) != parts or not all(pieces):
        raise ConfigError(form)
    return pieces


def _is_service(line: str, name: str, kind: str) -> bool:
    words = line.split(None, 2)
    return len(words) > 1 and name in ("*", words[0]) and kind in ("*", words[1])


def _one(line: str, path: Path) -> MasterService:
    return parse_master_cf(line, str(path)).services[0]


def _set_service(operand: str, text: str, path: Path) -> str:
    """``name/type = the whole line``: in the place of the old one, or at the end."""
    key, value = split_name_value(operand)
    name, kind = _pattern(key, 2, _ENTRY)
    new = service_line(_one(value, path), fold=True)
    found = False

    def put(line: str) -> str | None:
        nonlocal found
        if not _is_service(line, name, kind):
            return line
        found = True
        return new

    text = edit.rewrite(text, put)
    return text if found else f"{text}{new}\n"


def _change(
    text: str, path: Path, operand: str, name: str, kind: str, change: Callable[[MasterService], MasterService]
) -> str:
    """Apply ``change`` to the services of a name and type."""
    found = False

    def put(line: str) -> str | None:
        nonlocal found
        if not _is_service(line, name, kind):
            return line
        found = True
        return service_line(change(_one(line, path)), fold=True)

    text = edit.rewrite(text, put)
    if not found:
        print(f'postconf: warning: unmatched service_name/type: "{operand}"', file=sys.stderr)
    return text


def _with_override(entry: MasterService, name: str, value: str | None) -> MasterService:
    """The service with ``-o name=value`` set, or removed when the value is None."""
    arguments: list[str] = []
    rest = list(entry.arguments)
    done = value is None
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option != "-o" or not rest:
            arguments.append(option)
            continue
        setting = rest.pop(0)
        if setting.partition("=")[0].strip() != name:
            arguments += ["-o", setting]
        elif value is not None:
            arguments += ["-o", f"{name}={value}"]
            done = True
    if not done:
        arguments += ["-o", f"{name}={value}"]
    return entry._replace(arguments=(*arguments, *rest))


def _with_field(entry: MasterService, field: str, value: str, path: Path) -> MasterService:
    """The service with one column, or its whole command, replaced."""
    if field == "command":
        _one(" ".join([*entry.fields[:7], value]), path)
        return entry._replace(fields=(*entry.fields[:7], value), arguments=())  # printed as it was given
    words = [*entry.fields, *service_line(entry).split()[8:]]
    words[_FIELDS.index(field)] = value
    return _one(" ".join(words), path)
