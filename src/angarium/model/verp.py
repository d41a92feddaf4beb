"""VERP, variable envelope return paths: each recipient gets a message with a sender that names him.

Follows VERP_README of Postfix.

``owner-list@lists.test`` becomes ``owner-list+joe=example.org@lists.test`` for ``joe@example.org``, with the delimiters
``+=``. The recipient that is named is the one that the sender wrote, before aliases: it is him whom a list knows.
"""

from __future__ import annotations

from dataclasses import dataclass

from angarium.model.envelope import Recipient

LENGTH = 2
"""Delimiters: one before the recipient, one in place of his ``@``."""


@dataclass(frozen=True, slots=True)
class VerpRules:
    """Which delimiters there may be.

    Attributes:
        default: those of who names none (default_verp_delimiters).
        allowed: the characters that delimiters may be (verp_delimiter_filter).
    """

    default: str = "+="
    allowed: str = "-=+"

    def permit(self, delimiters: str) -> bool:
        """Whether these may be used."""
        return len(delimiters) == LENGTH and all(each in self.allowed for each in delimiters)


USUAL_RULES = VerpRules()


def verp_sender(delimiters: str, sender: str, recipient: Recipient) -> str:
    """The sender for one recipient; addresses are in internal form, and their last ``@`` is the one that counts."""
    prefix, at, origin = sender.rpartition("@")
    user, _, domain = (recipient.original or recipient.address).rpartition("@")
    if not at:
        prefix, origin = sender, ""
    if not user:
        user, domain = domain, ""
    named = f"{user}{delimiters[1]}{domain}" if domain else user
    return f"{prefix}{delimiters[0]}{named}{at}{origin}"
