"""The environment that commands get of ours (``export_environment``): nothing else of it reaches them."""

from __future__ import annotations

import os
from collections.abc import Iterable

PATH = "/usr/bin:/bin"


def exported(names: Iterable[str]) -> dict[str, str]:
    """The variables that are named, if they are set, and those that are given as ``name=value``."""
    values: dict[str, str] = {}
    for word in names:
        name, equals, value = word.partition("=")
        if equals:
            values[name] = value
        elif name in os.environ:
            values[name] = os.environ[name]
    return values
