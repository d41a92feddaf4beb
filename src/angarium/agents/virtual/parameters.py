"""The parameters of main.cf that virtual(8) uses here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Conf(Protocol):
    """The typed reads of ``config.Config`` that are needed here."""

    def text(self, name: str) -> str:
        """A string parameter."""
        ...

    def boolean(self, name: str) -> bool:
        """A yes-or-no parameter."""
        ...

    def choice(self, name: str) -> str:
        """One of the words that a parameter may be."""
        ...


@dataclass(frozen=True, slots=True)
class VirtualParameters:
    """Attributes are the parameters of the same names."""

    recipient_delimiter: str = ""
    enable_original_recipient: bool = True
    over_quota_action: str = "bounce"

    @classmethod
    def from_config(cls, conf: Conf) -> VirtualParameters:
        """Read them."""
        return cls(
            conf.text("recipient_delimiter"),
            conf.boolean("enable_original_recipient"),
            conf.choice("over_quota_action"),
        )
