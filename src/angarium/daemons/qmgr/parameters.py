"""The parameters of qmgr(8), read once; and the limits of each transport, which may override them by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from angarium.daemons.qmgr.scheduler import Feedback, Limits

if TYPE_CHECKING:
    from angarium.config import Config


@dataclass(frozen=True, slots=True)
class QmgrParameters:
    """What the queue manager needs; each field is the parameter of that name in postconf(5), times in seconds."""

    minimal_backoff_time: float = 300.0
    maximal_backoff_time: float = 4000.0
    queue_run_delay: float = 300.0
    maximal_queue_lifetime: float = 432_000.0
    bounce_queue_lifetime: float = 432_000.0
    delay_warning_time: float = 0.0
    qmgr_message_active_limit: int = 20_000
    qmgr_message_recipient_limit: int = 20_000
    defer_transports: frozenset[str] = frozenset()
    double_bounce_sender: str = "double-bounce"
    soft_bounce: bool = False
    delay_logging_resolution_limit: int = 2
    daemon_timeout: float = 18_000.0
    default_filter_nexthop: str = ""
    myhostname: str = ""
    qmgr_clog_warn_time: float = 300.0
    confirm_delay_cleared: bool = False

    @property
    def most_recipients(self) -> int:
        """Recipients in memory that keep further messages out: a message comes in whole, so there is room to spare."""
        return max(1, 10 * self.qmgr_message_recipient_limit)

    @property
    def longest_backoff(self) -> float:
        """Seconds that a message waits at most between two attempts."""
        return max(self.minimal_backoff_time, self.maximal_backoff_time)

    @classmethod
    def from_config(cls, conf: Config) -> QmgrParameters:
        """Read them from main.cf."""
        return cls(
            minimal_backoff_time=conf.seconds("minimal_backoff_time"),
            maximal_backoff_time=conf.seconds("maximal_backoff_time"),
            queue_run_delay=conf.seconds("queue_run_delay"),
            maximal_queue_lifetime=conf.seconds("maximal_queue_lifetime"),
            bounce_queue_lifetime=conf.seconds("bounce_queue_lifetime"),
            delay_warning_time=conf.seconds("delay_warning_time"),
            qmgr_message_active_limit=conf.integer("qmgr_message_active_limit"),
            qmgr_message_recipient_limit=conf.integer("qmgr_message_recipient_limit"),
            defer_transports=frozenset(conf.names("defer_transports")),
            double_bounce_sender=conf.text("double_bounce_sender"),
            soft_bounce=conf.boolean("soft_bounce"),
            delay_logging_resolution_limit=conf.integer("delay_logging_resolution_limit"),
            daemon_timeout=conf.seconds("daemon_timeout"),
            default_filter_nexthop=conf.text("default_filter_nexthop"),
            myhostname=conf.text("myhostname"),
            qmgr_clog_warn_time=conf.seconds("qmgr_clog_warn_time") if conf.boolean("helpful_warnings") else 0.0,
            confirm_delay_cleared=conf.boolean("confirm_delay_cleared"),
        )


def transport_limits(conf: Config, transport: str, process_limit: int) -> Limits:
    """The limits of a transport: ``<transport>_destination_…``, or the ``default_destination_…`` that they stand for.

    Args:
        conf: main.cf.
        transport: the service name of master.cf.
        process_limit: the service's process limit; 0 is none.

    Raises:
        ValueError: a feedback value is not of the documented form.
    """
    place = f"{transport}_destination"
    return Limits(
        process_limit=process_limit,
        concurrency_limit=conf.integer(f"{place}_concurrency_limit"),
        initial=conf.integer(f"{transport}_initial_destination_concurrency"),
        recipient_limit=conf.integer(f"{place}_recipient_limit"),
        positive=Feedback.parse(conf.text(f"{place}_concurrency_positive_feedback")),
        negative=Feedback.parse(conf.text(f"{place}_concurrency_negative_feedback")),
        failed_cohort_limit=conf.integer(f"{place}_concurrency_failed_cohort_limit"),
        rate_delay=conf.seconds(f"{place}_rate_delay"),
        transport_rate_delay=conf.seconds(f"{transport}_transport_rate_delay"),
    )
