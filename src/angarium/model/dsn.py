"""The enhanced mail system status code of RFC 3463: ``class.subject.detail``.

A ``Dsn`` is a value; one that RFC 3463 section 2 does not allow cannot be built.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SYNTAX = re.compile(r"([245])\.([0-9]{1,3})\.([0-9]{1,3})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dsn:
    """An enhanced status code, for example ``5.1.1``.

    Raises:
        ValueError: the class is not 2, 4 or 5, or a part is over 999 (RFC 3463 section 2).
    """

    klass: int
    subject: int
    detail: int

    def __post_init__(self) -> None:
        if self.klass not in (2, 4, 5) or not 0 <= self.subject <= 999 or not 0 <= self.detail <= 999:
            msg = f"not an enhanced status code: {self.klass}.{self.subject}.{self.detail}"
            raise ValueError(msg)

    def __str__(self) -> str:
        return f"{self.klass}.{self.subject}.{self.detail}"

    @property
    def temporary(self) -> bool:
        """True for the class 4, "persistent transient failure"."""
        return self.klass == 4

    @classmethod
    def parse(cls, text: str) -> Dsn:
        """Read ``5.1.1``; raise ValueError for anything else."""
        match = _SYNTAX.fullmatch(text)
        if match is None:
            msg = f"not an enhanced status code: {text!r}"
            raise ValueError(msg)
        return cls(int(match[1]), int(match[2]), int(match[3]))

    @classmethod
    def split(cls, text: str) -> tuple[Dsn | None, str]:
        """Take a leading code off ``text``: ``("5.7.9 no entry") -> (5.7.9, "no entry")``."""
        match = re.match(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ \t]+|$)", text)
        if match is None:
            return None, text
        return cls.parse(match[1]), text[match.end() :]

    def with_class(self, klass: int) -> Dsn:
        """The same subject and detail in another class, as ``soft_bounce`` wants it."""
        return Dsn(klass, self.subject, self.detail)
