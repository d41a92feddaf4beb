"""The parameters of pickup(8), read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from angarium.config.config import Config
from angarium.config.verp import verp_rules
from angarium.model.verp import USUAL_RULES, VerpRules


@dataclass(frozen=True, slots=True)
class PickupParameters:
    """What pickup needs; each field is the parameter of that name in postconf(5).

    ``maildrop`` is the directory of that name in queue_directory, ``socket`` its ``public/pickup``;
    ``message_size_limit`` of 0 is no limit.
    """

    maildrop: Path
    socket: Path
    message_size_limit: int = 10240000
    sendmail_fix_line_endings: str = "always"
    verp: VerpRules = USUAL_RULES

    @classmethod
    def from_config(cls, conf: Config) -> PickupParameters:
        """Read them from main.cf."""
        queue_directory = Path(conf.text("queue_directory"))
        return cls(
            maildrop=queue_directory / "maildrop",
            socket=queue_directory / "public" / "pickup",
            message_size_limit=conf.size("message_size_limit"),
            sendmail_fix_line_endings=conf.choice("sendmail_fix_line_endings"),
            verp=verp_rules(conf),
        )
