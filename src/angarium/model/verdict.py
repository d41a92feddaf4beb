"""A policy decision with its reason and its source.

The reply to the peer, the log line, ``angarium explain`` and the web page are renderings of this one value.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from msgspec import Struct

from angarium.model.reply import Reply


class Action(enum.Enum):
    """What a restriction decided (access(5) and smtpd's restriction lists)."""

    PERMIT = "permit"
    REJECT = "reject"
    DEFER = "defer"
    DUNNO = "dunno"


class Effect(enum.Enum):
    """What a restriction asks for beside its decision; the value is the word that the log has for it."""

    HOLD = "hold"
    DISCARD = "discard"
    REDIRECT = "redirect"
    FILTER = "filter"
    BCC = "bcc"
    PREPEND = "prepend"
    WARN = "warn"
    INFO = "info"
    REJECT_WARNING = "reject_warning"
    PERMIT = "permit"


@dataclass(frozen=True, slots=True)
class Request:
    """One thing that a restriction asks for, for the message or for the log.

    Attributes:
        effect: what.
        text: for the log: ``<a@x.test>: Sender address triggers HOLD action``.
        argument: the operand of REDIRECT, FILTER, BCC and PREPEND.
        source: where the rule stands.
    """

    effect: Effect
    text: str
    argument: str = ""
    source: str = ""


class TrailStep(Struct, frozen=True):
    """One restriction that was asked.

    Attributes:
        list_name: the list or restriction class that it stands in.
        rule: as it is written: ``check_sender_access hash:/etc/postfix/senders``.
        answer: ``no opinion``, ``permit``, ``reject``, ``defer``, ``warn`` …
        reason: why; empty without an opinion.
        source: where the rule stands that decided.
    """

    list_name: str
    rule: str
    answer: str
    reason: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One decision.

    Attributes:
        action: what to do.
        reason: why, for people: ``reject_unauth_destination: example.org is not ours``.
        source: where the rule stands: ``smtpd_relay_restrictions``, ``/etc/postfix/access:3``.
        reply: what the peer is told; always there for REJECT and DEFER.
        disconnect: the peer is told and then hung up on (421 and 521).
        requests: what else is to be done, in order; also when the command is refused.
        trail: the steps that led here, one a restriction, in order.
        later: the answer to recipients that nothing refuses, when a stage before RCPT has found that it may not be yes.

    Raises:
        ValueError: REJECT or DEFER without a reply, or with a positive one.
    """

    action: Action
    reason: str
    source: str
    reply: Reply | None = None
    disconnect: bool = False
    requests: tuple[Request, ...] = ()
    trail: tuple[TrailStep, ...] = field(default=(), compare=False)
    later: Verdict | None = None

    def __post_init__(self) -> None:
        refuses = self.action in (Action.REJECT, Action.DEFER)
        if refuses and (self.reply is None or self.reply.positive):
            msg = f"{self.action.value} needs a negative reply"
            raise ValueError(msg)

    @property
    def refused(self) -> bool:
        """True when the peer gets a negative reply."""
        return self.action in (Action.REJECT, Action.DEFER)
