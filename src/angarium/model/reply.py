"""An SMTP reply as a value: code, enhanced status, text. Rendering it to bytes belongs to ``protocols.smtp``."""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from angarium.model.dsn import Dsn


class Reply(Struct, frozen=True):
    """One reply of RFC 5321 section 4.2.

    Attributes:
        code: three digits, 200 to 599.
        dsn: the enhanced status code (RFC 2034), or None where it is not allowed (greeting, EHLO, 354, 334).
        lines: the text, one item a line, without CR, LF or the code.

    Raises:
        ValueError: code out of range, no line, a line break in a line, or a class that contradicts the code.
    """

    code: int
    dsn: Dsn | None
    lines: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 200 <= self.code <= 599:
            msg = f"not a reply code: {self.code}"
            raise ValueError(msg)
        together = "".join(self.lines)
        if not self.lines or "\n" in together or "\r" in together:
            msg = "a reply has one or more lines without line breaks"
            raise ValueError(msg)
        if self.dsn is not None and self.dsn.klass != self.code // 100:
            msg = f"{self.dsn} contradicts {self.code}"
            raise ValueError(msg)

    @classmethod
    def of(cls, code: int, dsn: str | Dsn | None, *lines: str) -> Reply:
        """Build a reply from literals: ``Reply.of(250, "2.1.0", "Ok")``."""
        return cls(code, _dsn(dsn) if isinstance(dsn, str) else dsn, lines)

    @property
    def positive(self) -> bool:
        """True for 2xx and 3xx."""
        return self.code < 400

    @property
    def temporary(self) -> bool:
        """True for 4xx."""
        return 400 <= self.code < 500

    def __str__(self) -> str:
        """The form used in log lines: ``550 5.1.1 text``."""
        text = " ".join(self.lines)
        return f"{self.code} {self.dsn} {text}" if self.dsn is not None else f"{self.code} {text}"


_dsn = lru_cache(maxsize=256)(Dsn.parse)
"""Literals are few, and the same for each message."""
