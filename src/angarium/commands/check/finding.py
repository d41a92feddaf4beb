"""A finding: what is wrong, where it stands, and what to do about it.

A ``Rule`` is one kind of finding; the rules of all families make ``docs/manual/checks.md``. Its texts hold ``{name}``
fields, which a finding fills. Ids are stable: people silence and search them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Severity(enum.Enum):
    """How bad a finding is."""

    ERROR = "error"  # mail is lost, refused or relayed for strangers, or the server does not start
    WARNING = "warning"  # most likely not what was meant
    NOTE = "note"  # works, and could be said better


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding.

    Attributes:
        id: its name: lower case, words joined by ``-``.
        severity: of every finding of the kind.
        text: what is wrong, with ``{fields}``.
        hint: what to do about it, with ``{fields}``.
        as_postfix: the text is Postfix's own line and names the file itself: the log has it without place and id.
    """

    id: str
    severity: Severity
    text: str
    hint: str
    as_postfix: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        rule: what kind of finding it is.
        file: the path of the file it stands in; empty when in none.
        line: of that file, from 1; 0 when it is the file as a whole.
        values: what the fields of the rule's texts stand for.
    """

    rule: Rule
    file: str = ""
    line: int = 0
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What is wrong."""
        return self.rule.text.format_map(self.values)

    @property
    def hint(self) -> str:
        """What to do about it."""
        return self.rule.hint.format_map(self.values)

    @property
    def place(self) -> str:
        """``/etc/postfix/main.cf:14``."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place and not self.rule.as_postfix else self.text

    @property
    def log_line(self) -> str:
        """The finding as ``postfix check`` logs it."""
        return self.text if self.rule.as_postfix else f"{self} [{self.rule.id}]"

    def as_json(self) -> dict[str, object]:
        """The finding as ``angarium check --json`` prints it."""
        return {
            "id": self.rule.id,
            "severity": self.rule.severity.value,
            "file": self.file,
            "line": self.line,
            "text": self.text,
            "hint": self.hint,
        }
