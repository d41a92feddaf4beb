"""``Parameter``: the declaration of one main.cf parameter, from which defaults, checks and the manual come.

Values of this package are named tuples and not dataclasses: ``import dataclasses`` alone takes 18 ms, and every short
command reads the configuration.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Type(enum.Enum):
    """What a value is, and how it is read."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"  # yes or no
    TIME = "time"  # a number with s, m, h, d or w
    SIZE = "size"  # bytes, a plain number
    ENUM = "enum"  # one of ``choices``
    TABLES = "tables"  # a list of lookup tables, matched in order
    RESTRICTIONS = "restrictions"  # an access restriction list
    NAMES = "names"  # words separated by commas or white space
    RAW = "raw"  # not expanded when it is read: its $names are filled in at use
    LEGACY = "legacy"  # an old name, read by the default of the new one


class Status(enum.Enum):
    """What this server does with a parameter."""

    HONOURED = "honoured"
    NO_EFFECT = "no effect"  # accepted; there is nothing here that it could change. ``reason`` says why
    UNSUPPORTED = "unsupported"  # known, but what it asks for is not done: said at start-up when it is set


FOR_SCRIPTS = "read by scripts only"
"""The reason of parameters that Postfix itself does nothing with either: no warning when they are set."""


class Parameter(NamedTuple):
    """One parameter.

    Attributes:
        name: as in main.cf.
        type: how its value is read.
        default: as in main.cf; it may refer to other parameters.
        help: what it is for, in a sentence or two; may be empty for what is not honoured.
        program: the program it belongs to, for the manual.
        status: what is done with it.
        reason: why it has no effect or is not supported.
        unit: of a time without one: s, m, h, d or w.
        minimum: the least integer, size or seconds; of a string the least length.
        maximum: the greatest integer, size or seconds; of a string the greatest length.
        choices: of an enum.
        compatible: False: Postfix does not have it.
    """

    name: str
    type: Type
    default: str
    help: str = ""
    program: str = ""
    status: Status = Status.HONOURED
    reason: str = ""
    unit: str = "s"
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    compatible: bool = True
