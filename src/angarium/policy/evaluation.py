"""One command under judgement: what restrictions see, and how they say no.

An ``Evaluation`` lives for one SMTP command. It asks the resolver once an address however many restrictions want to
know, and keeps the trail.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from angarium.model.dsn import Dsn
from angarium.model.lookup import Found, TemporaryError
from angarium.model.reply import Reply
from angarium.model.verdict import Action, Effect, Request, TrailStep, Verdict
from angarium.policy.interface import Facts
from angarium.policy.parameters import PolicyParameters
from angarium.rewrite.interface import Resolution, Resolver
from angarium.tables.matchlist import MatchList

_CONTROLS = dict.fromkeys((*range(32), 127), "?")


class Subject(enum.Enum):
    """What a restriction judges, in the words of the reply: ``<x>: Sender address rejected: …``."""

    CLIENT = "Client host"
    REVERSE_CLIENT = "Unverified Client host"
    HELO = "Helo command"
    SENDER = "Sender address"
    RECIPIENT = "Recipient address"
    DATA = "Data command"
    END_OF_DATA = "End-of-data"
    ETRN = "Etrn command"
    LOGIN = "SASL login name"
    CERTIFICATE = "Client certificate"


@dataclass(slots=True)
class Evaluation:
    """One command: the facts, and what was found on the way.

    Attributes:
        facts: of the session.
        parameters: main.cf.
        resolver: where addresses go.
        mynetworks: the clients that are ours.
        warn: takes what the administrator should know, for the log.
        subject: what the list in hand judges.
        list_name: the list in hand, or the restriction class.
        trail: one step a restriction.
        domain: of ETRN; then there is no recipient, and there will be no message to do something with.
        warning: a refusal of the restriction in hand is only to be logged (warn_if_reject).
        stage: of the protocol: CONNECT, HELO, EHLO, MAIL, RCPT, DATA, END-OF-MESSAGE, VRFY, ETRN.
        dry_run: nobody waits for the answer but one who wants to know it (``angarium explain``).
        requests: what was asked for, for the message or the log.
        defer_if_permit: the answer in place of a yes: something could not be asked that might have said no.
        defer_if_reject: the answer in place of a no of the list in hand: something that might have said yes.
        logged_permits: which yes goes into the log; None: none does.
    """

    facts: Facts
    parameters: PolicyParameters
    resolver: Resolver
    mynetworks: MatchList
    warn: Callable[[str], None] = lambda _text: None
    subject: Subject = Subject.CLIENT
    list_name: str = ""
    trail: list[TrailStep] = field(default_factory=list)
    domain: str = ""
    warning: bool = False
    stage: str = ""
    dry_run: bool = False
    requests: list[Request] = field(default_factory=list)
    defer_if_permit: Verdict | None = None
    defer_if_reject: Verdict | None = None
    logged_permits: MatchList | None = None
    _resolved: dict[str, Resolution | TemporaryError] = field(default_factory=dict)

    async def resolve(self, address: str) -> Resolution | TemporaryError:
        """Where an address goes; asked once."""
        known = self._resolved.get(address)
        if known is None:
            known = self._resolved[address] = await self.resolver.resolve(self.facts.sender or "", address)
        return known

    @property
    def name(self) -> str:
        """What stands between ``<`` and ``>`` in a reply about the subject in hand."""
        facts = self.facts
        match self.subject:
            case Subject.CLIENT:
                return f"{facts.client_name}[{facts.client_address}]"
            case Subject.REVERSE_CLIENT:
                return facts.reverse_client_name
            case Subject.CERTIFICATE:
                return facts.certificate.subject if facts.certificate is not None else ""
            case Subject.LOGIN:
                return facts.sasl_username
            case Subject.HELO:
                return facts.helo
            case Subject.SENDER:
                return facts.sender or ""
            case Subject.RECIPIENT:
                return facts.recipient or ""
            case Subject.ETRN:
                return self.domain
            case Subject.DATA:
                return "DATA"
            case Subject.END_OF_DATA:
                return "END-OF-MESSAGE"

    @property
    def discarded(self) -> bool:
        """Whether the message is to be thrown away: nothing more is asked then."""
        return any(request.effect is Effect.DISCARD for request in self.requests)

    def permit(self, reason: str, source: str = "") -> Verdict:
        """End the list in hand with a yes."""
        return Verdict(Action.PERMIT, reason, source or self.list_name)

    def refuse(self, code: int, dsn: str, text: str, reason: str, source: str = "") -> Verdict:
        """A no. ``text`` follows the code; the enhanced status is fitted to the code and to the subject."""
        code = code - 100 if self.parameters.soft_bounce and 500 <= code < 600 else code
        status = fit_dsn(Dsn.parse(dsn), code, self.subject)
        action = Action.REJECT if code >= 500 else Action.DEFER
        # Texts may come from the DNS, from policy servers and from clients.
        reply = Reply(code, status, (text if text.isprintable() else text.translate(_CONTROLS),))
        return Verdict(action, reason, source or self.list_name, reply, disconnect=code in (421, 521))

    def rejected(self, code: int, dsn: str, why: str, reason: str, source: str = "") -> Verdict:
        """``<name>: Sender address rejected: why``."""
        return self.refuse(code, dsn, f"<{self.name}>: {self.subject.value} rejected: {why}", reason, source)

    def note(self, rule: str, answer: str, reason: str = "", source: str = "") -> None:
        """Add a step to the trail."""
        self.trail.append(TrailStep(self.list_name, rule, answer, reason, source))

    def begin_list(self, name: str, subject: Subject) -> None:
        """Turn to another list; what might have said yes in the one before does not matter any more."""
        self.list_name, self.subject, self.defer_if_reject = name, subject, None

    async def log_permit(self, action: str, table: str = "") -> None:
        """Ask for a line of the log about a yes to the subject in hand, if it is one of those that are wanted there."""
        wanted = self.logged_permits
        if wanted is None or not isinstance(await wanted.match_string(action), Found):
            return
        source = f"from {table}" if table else ""
        text = f"action={action} for {self.subject.value}={self.name} {source}"
        self.requests.append(Request(Effect.PERMIT, text, "", self.list_name))

    def unless_refused(self, verdict: Verdict) -> None:
        """A temporary failure that counts unless something refuses: the first of them is kept."""
        if self.warning:
            self.requests.append(Request(Effect.REJECT_WARNING, str(verdict.reply), "", verdict.source))
            return
        self.note(verdict.reason, "defer unless something refuses", str(verdict.reply), verdict.source)
        self.defer_if_permit = self.defer_if_permit or verdict

    def try_later(self, error: TemporaryError, name: str | None = None) -> Verdict:
        """A table that cannot be asked: ``451 4.3.0 <name>: Temporary lookup failure``."""
        name = self.name if name is None else name
        self.warn(f'{error.source} lookup error for "{name}": {error.cause}')
        text = f"<{name}>: Temporary lookup failure"
        return self.refuse(451, "4.3.0", text, f"{error.source}: {error.cause}", error.source)

    def misconfigured(self, reason: str) -> Verdict:
        """``451 4.3.5 Server configuration error``: the administrator has to act, mail waits."""
        return self.refuse(451, "4.3.5", "Server configuration error", reason)


_SENDER_DETAILS = {(1, 1): (1, 7), (1, 2): (1, 8), (1, 3): (1, 7), (1, 4): (1, 0), (1, 5): (1, 0), (1, 6): (1, 7)}
_RECIPIENT_DETAILS = {(1, 8): (1, 2), (1, 7): (1, 3), (1, 0): (1, 0)}


def fit_dsn(dsn: Dsn, code: int, subject: Subject) -> Dsn:
    """The status in the class of the code, with a detail that speaks of the right address (RFC 3463 section 3.2)."""
    key = (dsn.subject, dsn.detail)
    if subject is Subject.SENDER:
        key = _SENDER_DETAILS.get(key, key)
    elif subject is Subject.RECIPIENT:
        key = _RECIPIENT_DETAILS.get(key, key)
    elif key[0] == 1:
        key = (0, 0)
    return Dsn(code // 100, *key)
