"""Where the rules of a pattern table stand: in a file, or between ``{ }`` in main.cf."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from angarium.tables.opener import TableSite
from angarium.tables.text import SPACE, logical_lines, split_list
from angarium.tables.watch import WatchedFile

R = TypeVar("R")

Lines = Sequence[tuple[int, str, str]]
"""``(number, text, source)`` of each line; the source is for people: ``/etc/postfix/access:3``."""


class RuleLines(Generic[R]):
    """The rules of a table, read again when the file has changed.

    Args:
        kind: of the table, for messages.
        name: ``type:name``.
        argument: a file name, or rules between braces.
        site: where the table is opened.
        parse: makes rules of lines.

    Raises:
        ValueError: the braces are not right.
        OSError: the file cannot be read, and a command wants to know at once.
    """

    __slots__ = ("_file", "_fixed", "argument")

    def __init__(
        self, kind: str, name: str, argument: str, site: TableSite, parse: Callable[[Lines], tuple[R, ...]]
    ) -> None:
        self.argument = argument
        self._file: WatchedFile[tuple[R, ...]] | None = None
        self._fixed: tuple[R, ...] = ()
        if argument.startswith("{"):
            rules = _braced(kind, argument)
            self._fixed = parse([(number, rule, name) for number, rule in enumerate(rules, 1)])
            return
        path = site.base / argument

        def read(text: str) -> tuple[R, ...]:
            lines = logical_lines(text, lambda fault: site.warn(f"{path}: {fault}"))
            return parse([(number, line, f"{path}:{number}") for number, line in lines])

        self._file = WatchedFile(path, read)
        if site.strict:
            try:
                self._file.current()
            except OSError as error:
                raise OSError(f"open {argument}: {error.strerror}") from error

    def current(self) -> tuple[R, ...]:
        """The rules. Raises OSError."""
        return self._fixed if self._file is None else self._file.current()


def _braced(kind: str, argument: str) -> list[str]:
    """The rules in ``{ {rule}, {rule} }``. Raises ValueError."""
    if not argument.endswith("}"):
        raise ValueError(f"{kind} map: missing '}}' in \"{argument}\"")
    try:
        items = split_list(argument[1:-1])
    except ValueError as error:
        raise ValueError(f"{kind} map: missing '}}' in \"{argument}\"") from error
    for item in items:
        if not item.startswith("{"):
            raise ValueError(f"{kind} map: no '{{' at start of text in \"{item}\"")
        depth = 0
        for position, char in enumerate(item, 1):
            depth += (char == "{") - (char == "}")
            if not depth and position < len(item):
                raise ValueError(f"{kind} map: syntax error after '}}' in \"{item}\"")
        if depth:
            raise ValueError(f"{kind} map: missing '}}' in \"{item}\"")
    return [item[1:-1].strip(SPACE) for item in items]
