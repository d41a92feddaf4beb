"""The words of quota warnings: built in, or from files of ``mailstore_quota_template_directory``.

A template is a text in UTF-8: header lines (Subject, Postmaster-Subject, From), an empty line, and what the mail says.
``$name`` and ``${name}`` stand for what ``NAMES`` has, ``$$`` for a dollar. A template for one account or domain has
its name appended, so that each may be written to in its language::

    warning             when a threshold was reached         domain-warning      the same of a domain's limits, to its
    below               when it is not exceeded any more     domain-below        postmaster
    warning.fa.test     for the accounts of fa.test          warning.bob@fa.test for one account

A file that cannot be read, is over ``LIMIT`` or has no sense is passed over, with a warning in the log: no warning to a
user may fail for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

LIMIT = 64 * 1024
"""Bytes of a template."""

NAMES = ("account", "user", "domain", "resource", "percent", "used", "limit", "share", "myhostname")
"""What a template may mention; ``share`` is what is used now in percent, ``percent`` the threshold."""

_NAME = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)
_HEADER = re.compile(r"([A-Za-z-]+):[ \t]*(.*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Template:
    """What one kind of warning says.

    Attributes:
        subject: to the user.
        postmaster_subject: of the postmaster's copy of what is told to a user.
        text: before its ``$names`` are filled in, as are those of the subjects.
        sender: the From header: an address, or ``name <address>``; an address without a domain is completed.
    """

    subject: str
    postmaster_subject: str
    text: str
    sender: str = "Mail System <MAILER-DAEMON>"


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its names filled in; one that is not known stays as it is."""
    return _NAME.sub(lambda match: "$" if match[0] == "$$" else values.get(match[1] or match[2], match[0]), text)


class Templates:
    """Finds the template for an account.

    Args:
        directory: of the files; None: all are built in.
        warn: hears of files that cannot be used.
    """

    def __init__(self, directory: Path | None, warn: Callable[[str], None]) -> None:
        self._directory = directory
        self._warn = warn

    def find(self, kind: str, account: str) -> Template:
        """The template of a kind (``warning``, ``domain-below`` …): the account's, the domain's, anybody's."""
        for path in self._places(kind, account):
            try:
                with path.open("rb") as file:
                    data = file.read(LIMIT + 1)
                if len(data) > LIMIT:
                    self._warn(f"{path}: over {LIMIT} bytes")
                    continue
                return read_template(data.decode("utf-8"), BUILT_IN[kind], partial(self._about, path))
            except FileNotFoundError:
                continue
            except (OSError, UnicodeDecodeError) as error:
                self._warn(f"{path}: {error}")
        return BUILT_IN[kind]

    def _about(self, path: Path, text: str) -> None:
        self._warn(f"{path}: {text}")

    def _places(self, kind: str, account: str) -> Iterator[Path]:
        if self._directory is None:
            return
        for suffix in (f".{account}", f".{account.rpartition('@')[2]}", ""):
            if "/" not in suffix and "\0" not in suffix:
                yield self._directory / f"{kind}{suffix}"


def read_template(text: str, template: Template, warn: Callable[[str], None]) -> Template:
    """A built-in template with the headers and the text of a file."""
    lines = text.splitlines()
    at = 0
    while at < len(lines) and (header := _HEADER.fullmatch(lines[at])) is not None:
        name, value = header[1].lower(), header[2].strip()
        at += 1
        if not value.isprintable():
            warn(f"line {at}: header {header[1]} holds what a header cannot")
        elif name == "subject":
            template = replace(template, subject=value)
        elif name == "postmaster-subject":
            template = replace(template, postmaster_subject=value)
        elif name == "from":
            template = replace(template, sender=value)
        else:
            warn(f"line {at}: unknown header {header[1]}")
    if at < len(lines) and not lines[at].strip():
        at += 1
    return replace(template, text="\n".join(lines[at:]) + "\n")


BUILT_IN = {
    "warning": Template(
        "Your mailbox is $share% full",
        "Mailbox of $account is $share% full",
        """\
The mailbox of $account holds $used of $resource.
It may hold $limit; $share% of that is used.

When it is full, no more mail can be delivered to it, and those who
write to you will have their mail refused or returned.

Please delete what you do not need any more, or move it elsewhere.
What is in the trash counts until it is expunged.

                   The mail system at $myhostname
""",
    ),
    "below": Template(
        "Your mailbox has room again",
        "Mailbox of $account has room again",
        """\
The mailbox of $account holds $used of $resource now,
which is $share% of the $limit that it may hold.

                   The mail system at $myhostname
""",
    ),
    "domain-warning": Template(
        "Mailboxes of $domain are $share% full",
        "",
        """\
The mailboxes of $domain together hold $used of $resource.
They may hold $limit; $share% of that is used.

When that is reached, no more mail can be delivered to any of them.

                   The mail system at $myhostname
""",
    ),
    "domain-below": Template(
        "Mailboxes of $domain have room again",
        "",
        """\
The mailboxes of $domain together hold $used of $resource now,
which is $share% of the $limit that they may hold.

                   The mail system at $myhostname
""",
    ),
}
