"""The parameters of main.cf that virtual(8) uses here."""

from __future__ import annotations

from dataclasses import dataclass

from angarium.config.config import Config


@dataclass(frozen=True, slots=True)
class VirtualParameters:
    """Attributes are the parameters of the same names."""

    recipient_delimiter: str = ""
    enable_original_recipient: bool = True
    over_quota_action: str = "bounce"

    @classmethod
    def from_config(cls, conf: Config) -> VirtualParameters:
        """Read them."""
        return cls(
            conf.delimiters(),
            conf.boolean("enable_original_recipient"),
            conf.choice("over_quota_action"),
        )
