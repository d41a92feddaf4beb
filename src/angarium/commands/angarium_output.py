"""What the ``angarium`` commands print, the sizes that they read, and how they ask for a password."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from angarium.directory.interface import QuotaLimit, QuotaSettings

if TYPE_CHECKING:
    from angarium.model.quota import QuotaPlan

_SIZE = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,9}))?\s*([KMGTP]?)(?:I?B)?", re.IGNORECASE | re.ASCII)
_UNITS = "KMGTP"
_LARGEST = 2**62


class Failure(Exception):  # noqa: N818 - an end of the command with a status, raised once and printed once
    """The command ends with this status of sysexits.h and this text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found or did: lines for people, and a value for ``--json``, where an iterator is a list."""

    lines: Iterable[str]
    value: object


def print_result(result: Result, *, as_json: bool) -> None:
    """Print it on standard output."""
    if as_json and isinstance(result.value, Iterator):
        before = "["
        for each in result.value:
            print(before + json.dumps(each, ensure_ascii=False), end="")
            before = ",\n"
        print("[]" if before == "[" else "]")
    elif as_json:
        print(json.dumps(result.value, ensure_ascii=False))
    else:
        for line in result.lines:
            print(line)


def table(rows: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Rows as lines with aligned columns; the first column is always the name."""
    kept = list(rows)
    if not kept:
        return ()
    widths = [max(len(row[column]) for row in kept) for column in range(len(kept[0]))]
    return tuple("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in kept)


def parse_size(text: str) -> int:
    """``1G`` -> 1073741824; ``0`` and ``none`` are no limit, and nothing else is. Raises Failure."""
    if text.lower() in ("none", "unlimited"):
        return 0
    match = _SIZE.fullmatch(text.strip())
    if match is not None:
        whole, part, unit = match[1], match[2] or "", match[3].upper()
        exact = int(whole + part) * 1024 ** (_UNITS.index(unit) + 1 if unit else 0)  # in units of the last digit
        size: int = exact // 10 ** len(part)
        if size <= _LARGEST and bool(size) == bool(exact):  # less than one byte is not "no limit"
            return size
    raise Failure(os.EX_DATAERR, f"not a size: {text!r} (for example 500M, 1G; 0 for no limit)")


def check_number(number: int) -> int:
    """A number of messages. Raises Failure."""
    if not 0 <= number <= _LARGEST:
        raise Failure(os.EX_DATAERR, f"not a number of messages: {number}")
    return number


def format_size(size: int) -> str:
    """The size with the largest unit in which it is a whole number; ``none`` for 0."""
    if size == 0:
        return "none"
    unit = ""
    for name in _UNITS:
        if size % 1024:
            break
        size, unit = size // 1024, name
    return f"{size}{unit}"


def format_quota(quota: QuotaLimit) -> str:
    """``1G``, ``1G 5000 messages``, ``none``."""
    if quota.messages:
        return f"{format_size(quota.bytes)} {quota.messages} messages" if quota.bytes else f"{quota.messages} messages"
    return format_size(quota.bytes)


def usage_of(base: Path | None, account: str, plan: QuotaPlan | None = None) -> tuple[int, int] | None:
    """The bytes and messages of an account that count; None when that cannot be told. Raises Failure."""
    if base is None:
        return None
    from angarium.mailstore.interface import MailstoreError  # late: only where it is shown
    from angarium.mailstore.usage import read_usage
    from angarium.model.quota import UNLIMITED

    try:
        return read_usage(base, account, plan or UNLIMITED)
    except MailstoreError as error:
        raise Failure(os.EX_TEMPFAIL, str(error)) from error


def format_usage(usage: tuple[int, int] | None, quota: QuotaLimit) -> str:
    """``used 1536K (15%) in 12 messages``; empty when it is not known."""
    if usage is None:
        return ""
    share = f" ({usage[0] * 100 // quota.bytes}%)" if quota.bytes else ""
    return f"used {_rounded(usage[0])}{share} in {usage[1]} messages"


def _rounded(size: int) -> str:
    """The size with a unit in which it has at most four digits."""
    unit, value = "", float(size)
    for name in _UNITS:
        if value < 10_000:
            break
        unit, value = name, value / 1024
    return f"{value:.0f}{unit}"


def quota_value(quota: QuotaLimit | None) -> dict[str, int] | None:
    """The quota for JSON: numbers, 0 for no limit; null where there is none of its own."""
    return None if quota is None else {"bytes": quota.bytes, "messages": quota.messages}


def quota_of(size: str | None, messages: int | None, before: QuotaSettings | None = None) -> QuotaSettings | None:
    """What ``--quota`` and ``--messages`` ask for, on top of ``before``; None when neither was given."""
    if size is None and messages is None:
        return None
    settings = before or QuotaSettings()
    if size is not None:
        settings = replace(settings, bytes=parse_size(size))
    return settings if messages is None else replace(settings, messages=check_number(messages))


def read_password(account: str) -> str:
    """The password: the first line of standard input, or asked for twice on a terminal. Raises Failure."""
    from angarium.protocols.sasl.mechanisms import PASSWORD_LIMIT  # late: it brings what computes with passwords

    if sys.stdin.isatty():
        from getpass import getpass

        password = getpass(f"Password for {account}: ")
        if password != getpass("Again: "):
            raise Failure(os.EX_DATAERR, "the two passwords differ")
    else:
        password = sys.stdin.readline(PASSWORD_LIMIT + 2).rstrip("\r\n")
    if not password or "\0" in password or len(password.encode("utf-8", "surrogateescape")) > PASSWORD_LIMIT:
        raise Failure(os.EX_DATAERR, f"a password has 1 to {PASSWORD_LIMIT} bytes; it is read from standard input")
    if not password.isprintable() and any("\udc80" <= char <= "\udcff" for char in password):
        raise Failure(os.EX_DATAERR, "the password is not UTF-8")
    return password
