"""An address in internal form, taken apart: ``local``, ``domain``, and the extension after a recipient delimiter.

The internal form has no quoting: the local part is everything before the last ``@``. Quoting for the wire (RFC 5321
section 4.1.2) belongs to ``protocols.smtp``.
"""

from __future__ import annotations

from msgspec import Struct


class AllSplit(str):
    """Delimiters that split ``owner-x`` and ``x-request`` as any other name: owner_request_special = no."""

    __slots__ = ()


class Address(Struct, frozen=True):
    """``local@domain``; ``domain`` is empty for a bare name."""

    local: str
    domain: str

    @classmethod
    def split(cls, text: str) -> Address:
        """Take ``text`` apart at its last ``@``."""
        local, at, domain = text.rpartition("@")
        return cls(local, domain) if at else cls(text, "")

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local

    @property
    def folded(self) -> str:
        """The lookup form: lower case, as Postfix folds table keys."""
        return str(self).casefold()

    def extension(self, delimiters: str) -> tuple[str, str]:
        """Split the local part at the first delimiter: ``user+ext`` -> (``user``, ``+ext``).

        A delimiter at the very start, and the names ``mailer-daemon``, ``double-bounce``, ``owner-x`` and
        ``x-request`` with ``-``, are not split (postfix ``split_addr.c``, as local(8) documents it); the latter two
        are by delimiters that are ``AllSplit``.
        """
        local = self.local
        positions = [at for char in delimiters if (at := local.find(char)) > 0]
        if not positions:
            return local, ""
        folded = local.lower()
        if folded in ("mailer-daemon", "double-bounce"):
            return local, ""
        if (
            "-" in delimiters
            and not isinstance(delimiters, AllSplit)
            and (folded.startswith("owner-") or folded.endswith("-request"))
        ):
            return local, ""
        first = min(positions)
        return local[:first], local[first:]
