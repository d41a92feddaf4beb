"""The command line of postconf(1): its options, and which of them exclude each other.

Two tables say it all: ``EXCLUSIVE`` holds groups of which one may be given, ``ALLOWED`` what may stand beside an option
that chooses what is shown. An operand with ``=`` in front means ``-e``, given or not.

Fails with UsageError, in Postfix's words.
"""

from __future__ import annotations

from collections.abc import Sequence

from angarium.commands.command import parse_options
from angarium.config.error import ConfigError
from angarium.config.main_cf import split_name_value

OPTIONS = "aAbc:C:deo:fFhHlmMnpPqtT:vxX#"
USAGE = "usage: postconf [-aAbdefFhHlmMnpPqtvxX#] [-c config_dir] [-C class,...] [-o name=value] [-T mode] [name...]"
CLASSES = ("builtin", "service", "user", "all")

EXCLUSIVE = ("aAbFlmMpPtT", "denX#", "deoX#", "efX#", "exX#", "ehX#", "eHX#", "hH")
"""Of each group one may be given."""

_BESIDES = "defhHnoxX#"
ALLOWED = {
    **dict.fromkeys("aAblmtT", ""),
    "M": "efoxX#",
    "F": "efhHox",
    "P": "efhHoxX",
}
"""Of ``-d -e -f -h -H -n -o -x -X -#`` those that mean something beside an option."""


class UsageError(Exception):
    """The command was called in a way that means nothing."""


class Request:
    """What the command line asks for.

    Attributes:
        flags: the letters of the options given, and ``e`` when an operand has a value.
        operands: what follows the options.
        directory: of ``-c``.
        overrides: of ``-o``, by name.
        classes: of ``-C``.
        topic: of ``-T``.
    """

    def __init__(self, operands: list[str]) -> None:
        self.operands = operands
        self.flags: set[str] = set()
        self.directory: str | None = None
        self.overrides: dict[str, str] = {}
        self.classes: set[str] = set()
        self.topic = ""


def parse_arguments(argv: Sequence[str]) -> Request:
    """Read the command line. Raises UsageError."""
    options, operands = parse_options("postconf", argv, OPTIONS, USAGE)
    request = Request(operands)
    for option, value in options:
        letter = option[1]
        if letter in "bt" and request.flags & ({"b", "t"} - {letter}):
            raise UsageError("specify one of -b and -t")
        request.flags.add(letter)
        match letter:
            case "c":
                request.directory = value
            case "C":
                request.classes |= _classes(value)
            case "o":
                name, text = _override(value)
                request.overrides[name] = text
            case "T":
                request.topic = value
    if operands and "=" in operands[0]:
        request.flags.add("e")
    _check_combination(request.flags)
    _check_operands(request)
    return request


def _classes(text: str) -> set[str]:
    names = [name for name in text.replace(",", " ").split() if name]
    for name in names:
        if name.lower() not in CLASSES:
            raise UsageError(f'unknown -C option value "{name}" in "{text}"')
    return {name.lower() for name in names}


def _override(text: str) -> tuple[str, str]:
    try:
        return split_name_value(text)
    except ConfigError as error:
        raise UsageError(f"invalid parameter override: {text}: {error.text.partition(':')[0]}") from error


def _check_combination(flags: set[str]) -> None:
    for group in EXCLUSIVE:
        given = [letter for letter in group if letter in flags]
        if len(given) > 1:
            raise UsageError("specify one of " + _listed(given))
    for letter, allowed in ALLOWED.items():
        if letter in flags:
            wrong = [other for other in _BESIDES if other in flags and other not in allowed]
            if wrong:
                raise UsageError(f"with option -{letter}, do not specify {_listed(wrong)}")


def _listed(letters: Sequence[str]) -> str:
    return " ".join(f"-{letter}" for letter in letters)


def _check_operands(request: Request) -> None:
    flags, operands = request.flags, request.operands
    if "e" in flags and not operands:
        raise UsageError("-e requires name=value argument")
    if flags & set("X#") and not operands:
        raise UsageError("missing service argument")
    if flags & set("bt") and len(operands) > 1:
        raise UsageError("options -b and -t require at most one template file")
