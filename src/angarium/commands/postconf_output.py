"""How postconf(1) says things: a setting in a line, a warning on standard error."""

from __future__ import annotations

import sys

from angarium.commands.postconf_options import Request
from angarium.config.config import Config
from angarium.config.parameter import Type
from angarium.config.render import folded, on_one_line
from angarium.config.usage import without_effect


def warn(text: str) -> None:
    """A warning on standard error."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    print(f"postconf: warning: {shown}", file=sys.stderr)


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


def warn_without_effect(request: Request, name: str, place: str, text: str) -> None:
    """Say of a setting that is shown that this server does not honour it, unless ``-q`` asks for silence."""
    if "q" not in request.flags:
        for complaint in without_effect(name, place, text):
            warn(complaint)
