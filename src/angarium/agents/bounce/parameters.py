"""The parameters of bounce(8), read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from angarium.config import Config


@dataclass(frozen=True, slots=True)
class BounceParameters:
    """What making notices needs; each field is the parameter of that name in postconf(5), times in seconds.

    ``second_bounce_notice_recipient`` is ``2bounce_notice_recipient``.
    """

    myhostname: str
    myorigin: str
    notify_classes: frozenset[str] = frozenset({"resource", "software"})
    bounce_notice_recipient: str = "postmaster"
    second_bounce_notice_recipient: str = "postmaster"
    delay_notice_recipient: str = "postmaster"
    bounce_size_limit: int = 50_000
    double_bounce_sender: str = "double-bounce"
    delay_warning_time: float = 0.0
    maximal_queue_lifetime: float = 432_000.0
    enable_threaded_bounces: bool = False

    @classmethod
    def from_config(cls, conf: Config) -> BounceParameters:
        """Read them from main.cf."""
        return cls(
            myhostname=conf.text("myhostname"),
            myorigin=conf.text("myorigin"),
            notify_classes=frozenset(name.lower() for name in conf.names("notify_classes")),
            bounce_notice_recipient=conf.text("bounce_notice_recipient"),
            second_bounce_notice_recipient=conf.text("2bounce_notice_recipient"),
            delay_notice_recipient=conf.text("delay_notice_recipient"),
            bounce_size_limit=conf.size("bounce_size_limit"),
            double_bounce_sender=conf.text("double_bounce_sender"),
            delay_warning_time=conf.seconds("delay_warning_time"),
            maximal_queue_lifetime=conf.seconds("maximal_queue_lifetime"),
            enable_threaded_bounces=conf.boolean("enable_threaded_bounces"),
        )

    def complete(self, address: str) -> str:
        """``address`` as headers show it: a bare name gets our domain."""
        return address if "@" in address else f"{address}@{self.myorigin}"

    @property
    def double_bounce_address(self) -> str:
        """The sender of what goes to the postmaster: a bounce of that ends here."""
        return f"{self.double_bounce_sender}@{self.myhostname}"
