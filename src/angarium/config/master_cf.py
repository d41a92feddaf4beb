"""master.cf: one service a logical line, as master(5) describes it.

Fields: name, type, private, unprivileged, chroot, wake-up time, process limit, then the command with its arguments.
``{ … }`` keeps an argument with blanks together. ``-o name=value`` and ``-o { name = value }`` override main.cf for
that service; ``-v`` is counted. What follows the last option stays the command's arguments (pipe(8)).

Fails with ConfigError, with file and line, worded as Postfix words it. A line that is merely odd is kept and
complained of in ``warnings``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from angarium.config.error import ConfigError
from angarium.config.lines import decode, logical_lines
from angarium.config.main_cf import split_name_value

TYPES = ("inet", "unix", "fifo", "pass", "unix-dgram")


class MasterService(NamedTuple):
    """A service.

    Attributes:
        name: ``smtp``, ``127.0.0.1:10025``, ``pickup``.
        type: one of TYPES.
        private: the private column: True when ``-`` or ``y`` (not for inet).
        unprivileged: the command runs as mail_owner.
        chroot: the column; None when ``-``.
        wakeup: seconds between wake-ups, 0 for none.
        wakeup_if_used: the ``?``: wake up only once the service has been used.
        process_limit: None for default_process_limit, 0 for none.
        command: the program's name.
        arguments: all arguments as they are printed: ``-o`` and ``name=value`` apart.
        overrides: the settings of ``-o``; the last one of a name counts.
        verbose: how many ``-v``.
        fields: the seven columns and the command as written.
        file: the file's path.
        line: the first line's number.
    """

    name: str
    type: str
    private: bool
    unprivileged: bool
    chroot: bool | None
    wakeup: int
    wakeup_if_used: bool
    process_limit: int | None
    command: str
    arguments: tuple[str, ...]
    overrides: Mapping[str, str]
    verbose: int
    fields: tuple[str, ...]
    file: str
    line: int

    @property
    def key(self) -> str:
        """``smtp/inet``: what names a service, also in postconf."""
        return f"{self.name}/{self.type}"

    @property
    def operands(self) -> tuple[str, ...]:
        """The arguments that are not options: ``flags=DRhu``, ``user=vmail``, ``argv=…``."""
        rest = list(self.arguments)
        while rest and rest[0].startswith("-"):
            first = rest.pop(0)
            if first in ("-o", "-n", "-t", "-s") and rest:
                rest.pop(0)
        return tuple(rest)


class MasterCf(NamedTuple):
    """What a master.cf says."""

    file: str
    services: Sequence[MasterService]
    warnings: list[str]

    def find(self, name: str, kind: str) -> MasterService | None:
        """The last service of that name and type."""
        return next((entry for entry in reversed(self.services) if entry.name == name and entry.type == kind), None)

    def without(self, disabled: Sequence[str]) -> MasterCf:
        """Without those of master_service_disable: ``inet``, ``smtp/inet``, ``!smtp/inet``; the first match decides."""

        def stays(entry: MasterService) -> bool:
            for pattern in disabled:
                if pattern.lstrip("!") in (entry.type, f"{entry.name}/{entry.type}"):
                    return pattern.startswith("!")
            return True

        return self._replace(services=[entry for entry in self.services if stays(entry)])


def parse_master_cf(text: str, file: str) -> MasterCf:
    """Parse the text of a master.cf. ``file`` is for the messages."""
    lines, stray = logical_lines(text)
    warnings = [f'{file}: logical line must not start with whitespace: "{line.text:.100}"' for line in stray]
    services = [_service(line.text, file, line.line, warnings) for line in lines]
    return MasterCf(file, services, warnings)


def read_master_cf(path: Path) -> MasterCf:
    """Read a master.cf. Raises ConfigError when it cannot be read or parsed."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"open {path}: {error.strerror}") from error
    return parse_master_cf(decode(data), str(path))


def split_words(text: str) -> list[str]:
    """Split at white space outside ``{ }``, wherever in a word the brace opens. An unclosed one runs to the end."""
    words: list[str] = []
    start = -1
    level = 0
    for at, char in enumerate(text):
        if char.isspace() and level == 0:
            if start >= 0:
                words.append(text[start:at])
                start = -1
            continue
        if start < 0:
            start = at
        level += (char == "{") - (char == "}" and level > 0)
    if start >= 0:
        words.append(text[start:])
    return words


def _service(text: str, file: str, line: int, warnings: list[str]) -> MasterService:
    words = split_words(text)
    if len(words) < 8:
        raise ConfigError("bad field count", file, line)
    name, kind, private, unprivileged, chroot, wakeup, limit, command = words[:8]
    shown = " ".join(words)

    def bad(field: str, value: str) -> ConfigError:
        return ConfigError(f'invalid {field} field "{value}" in "{shown:.200}"', file, line)

    if kind not in TYPES:
        raise bad("type", kind)
    for field, value in (("private", private), ("unprivileged", unprivileged), ("chroot", chroot)):
        if value not in ("y", "n", "-"):
            raise bad(field, value)
    seconds = wakeup.removesuffix("?")
    if not (wakeup == "-" or _is_small_number(seconds) or wakeup == "?"):
        raise bad("wakeup", wakeup)
    if not (limit == "-" or _is_small_number(limit)):
        raise bad("process_limit", limit)
    arguments = _arguments(words[8:], file, line, warnings)
    overrides, verbose = _options(arguments)
    return MasterService(
        name=name,
        type=kind,
        private=private != "n",
        unprivileged=unprivileged != "n",
        chroot=None if chroot == "-" else chroot == "y",
        wakeup=int(seconds) if _is_small_number(seconds) else 0,
        wakeup_if_used=wakeup.endswith("?"),
        process_limit=None if limit == "-" else int(limit),
        command=command,
        arguments=arguments,
        overrides=overrides,
        verbose=verbose,
        fields=(name, kind, private, unprivileged, chroot, wakeup, limit, command),
        file=file,
        line=line,
    )


def _is_small_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _arguments(words: Sequence[str], file: str, line: int, warnings: list[str]) -> tuple[str, ...]:
    """The arguments without their braces; ``-oname=value`` and ``-o { name = value }`` as ``-o``, ``name=value``."""
    arguments: list[str] = []
    in_options = True
    after_option = False
    for word in words:
        text = word
        if in_options and not after_option and len(word) > 2 and word.startswith("-o"):
            arguments.append("-o")
            text = word[2:]
            after_option = True
        if text.startswith("{"):
            text = _unbraced(text, file, line, warnings)
            if after_option:
                text = _braced_setting(text, file, line, warnings)
        if after_option:
            after_option = False
        else:
            in_options = in_options and text.startswith("-")
            after_option = in_options and text == "-o"
        arguments.append(text)
    return tuple(arguments)


def _unbraced(word: str, file: str, line: int, warnings: list[str]) -> str:
    if word.endswith("}") and word.count("{") == word.count("}"):
        return word[1:-1].strip()
    warnings.append(f"{file}, line {line}: missing '}}' in \"{word:.100}\"")
    return word[1:].strip()


def _braced_setting(text: str, file: str, line: int, warnings: list[str]) -> str:
    try:
        name, value = split_name_value(text)
    except ConfigError as error:
        warnings.append(f"{file}, line {line}: {error.text}")
        return text
    return f"{name}={value}"


def _options(arguments: Sequence[str]) -> tuple[dict[str, str], int]:
    """The overrides and the number of ``-v`` in front of the first operand."""
    overrides: dict[str, str] = {}
    verbose = 0
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            break
        if argument == "-o":
            name, equals, value = next(rest, "").partition("=")
            if equals and name:
                overrides[name.strip()] = value.strip()
        elif len(argument) > 1 and set(argument[1:]) == {"v"}:
            verbose += len(argument) - 1
    return overrides, verbose
