"""The parameters of pickup(8), read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from angarium.config.config import Config


@dataclass(frozen=True, slots=True)
class PickupParameters:
    """What pickup needs; each field is the parameter of that name in postconf(5).

    ``maildrop`` is the directory of that name in queue_directory; ``message_size_limit`` of 0 is no limit.
    """

    maildrop: Path
    message_size_limit: int = 10240000
    authorized_submit_users: tuple[str, ...] = ("static:anyone",)

    @classmethod
    def from_config(cls, conf: Config) -> PickupParameters:
        """Read them from main.cf."""
        return cls(
            maildrop=Path(conf.text("queue_directory")) / "maildrop",
            message_size_limit=conf.size("message_size_limit"),
            authorized_submit_users=tuple(conf.names("authorized_submit_users")),
        )
