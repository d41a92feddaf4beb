"""What smtpd would answer, and what would have to be different for the other answer.

``SessionTrial`` asks the policy of a service, made as the server makes it, at each stage of a session. The alternatives
are not guessed: each is the same session with one fact changed, or without the rule that decided, put to the same
policy; those with the other outcome are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network

from msgspec import structs

from angarium.model.verdict import Effect, Verdict
from angarium.policy.engine import RestrictionPolicy
from angarium.policy.interface import Facts
from angarium.policy.parameters import PolicyParameters
from angarium.policy.room import QuotaCheck
from angarium.rewrite.hostname import valid_domain
from angarium.rewrite.resolve import TrivialRewrite
from angarium.runtime.dns import Resolver
from angarium.runtime.log import ServiceLog
from angarium.tables.opener import TableOpener

_STRANGER = "203.0.113.1"
_HOST = "mail.example.com"
_USER = "somebody"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, in words, and what it changes."""

    words: str
    facts: Facts | None = None
    parameters: PolicyParameters | None = None
    resolver: TrivialRewrite | None = None


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Changes that turn the outcome round, and those after which something else refuses, with its reply."""

    turning: tuple[str, ...] = ()
    shifting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What one stage of the session is answered."""

    stage: str
    verdict: Verdict


class SessionTrial:
    """One smtpd service, in a dry run.

    Args:
        parameters: of the service.
        resolver: of the server.
        opener: of the server.
        log: takes warnings.
        quota: whether a mailbox is full.
        dns: for the restrictions that ask it.
    """

    def __init__(
        self,
        parameters: PolicyParameters,
        resolver: TrivialRewrite,
        opener: TableOpener,
        log: ServiceLog,
        quota: QuotaCheck | None,
        dns: Resolver | None,
    ) -> None:
        self.parameters = parameters
        self._resolver = resolver
        self._opener = opener
        self._log = log
        self._quota = quota
        self._dns = dns

    async def answers(self, facts: Facts, change: Change | None = None) -> list[Answer]:
        """The stages up to the one that refuses or throws away, or all."""
        change = change or Change("")
        facts = change.facts or facts
        policy = RestrictionPolicy(
            change.parameters or self.parameters,
            change.resolver or self._resolver,
            self._opener,
            self._log,
            self._quota,
            self._dns,
        )
        policy.dry_run = True
        early = structs.replace(facts, sender=None, recipient=None, size=0)
        after = structs.replace(facts, recipient_count=1)
        stages = (
            ("CONNECT", policy.connect, structs.replace(early, helo="", protocol="SMTP", tls=False, sasl_username="")),
            ("EHLO", policy.helo, structs.replace(early, sasl_username="")),
            ("MAIL", policy.mail, structs.replace(facts, recipient=None)),
            ("RCPT", policy.rcpt, facts),
            ("DATA", policy.data, after),
            ("END-OF-MESSAGE", policy.end_of_data, after),
        )
        answers: list[Answer] = []
        try:
            for stage, ask, known in stages:
                verdict = await ask(known)
                answers.append(Answer(stage, verdict))
                if verdict.refused or any(request.effect is Effect.DISCARD for request in verdict.requests):
                    break  # of what is thrown away nothing more is asked
        finally:
            policy.close()
        return answers

    async def alternatives(self, facts: Facts, answers: Sequence[Answer]) -> Alternatives:
        """What, each alone, would turn a refusal into a yes or the other way round, or into another refusal."""
        verdict = answers[-1].verdict
        turning: list[str] = []
        shifting: list[str] = []
        for change in (*self._changes(facts), *self._without(answers), *self._listed(facts)):
            other = (await self.answers(facts, change))[-1].verdict
            if other.refused != verdict.refused:
                turning.append(change.words)
            elif other.refused and _decider(other) != _decider(verdict):
                shifting.append(f"{change.words}: {other.reply}")
        return Alternatives(tuple(turning), tuple(shifting))

    def _changes(self, facts: Facts) -> list[Change]:
        """The same session with one fact changed."""
        changes: list[tuple[str, Facts]] = []
        if facts.sasl_username:
            changes.append(("the client had not logged in", structs.replace(facts, sasl_username="", sasl_method="")))
        else:
            user = facts.sender or _USER
            known = structs.replace(facts, sasl_username=user, sasl_method="PLAIN", tls=True)
            changes.append((f"the client had logged in (as {user})", known))
        inside = self._inside()
        if inside:
            changes.append((f"the client's address were in mynetworks ({inside})", _from(facts, inside)))
        changes.append((f"the client came from elsewhere ({_STRANGER})", _from(facts, _STRANGER)))
        if not facts.tls:
            changes.append(("the session were encrypted (STARTTLS)", structs.replace(facts, tls=True)))
        if facts.client_name == "unknown":
            named = structs.replace(facts, client_name=_HOST, reverse_client_name=_HOST)
            changes.append(("the client's address had a host name that leads back to it", named))
        changes.append((f"HELO gave another name ({_HOST})", structs.replace(facts, helo=_HOST)))
        if facts.sender:
            changes.append(("the sender were the null address", structs.replace(facts, sender="")))
            other = f"{_USER}@{facts.sender.rpartition('@')[2]}"
            changes.append((f"the sender were another ({other})", structs.replace(facts, sender=other)))
        else:
            other = f"{_USER}@{self.parameters.myhostname}"
            changes.append((f"there were a sender ({other})", structs.replace(facts, sender=other)))
        if facts.recipient and "@" in facts.recipient:
            other = f"no-such-address-here@{facts.recipient.rpartition('@')[2]}"
            changes.append(("the recipient did not exist", structs.replace(facts, recipient=other)))
        return [Change(words, facts=changed) for words, changed in changes if changed != facts]

    def _inside(self) -> str:
        """An address of mynetworks; empty when only tables and names are there."""
        for word in self.parameters.mynetworks:
            try:
                network = ip_network(word.replace("[", "").replace("]", ""), strict=False)
            except ValueError:
                continue
            return str(network.network_address if network.num_addresses == 1 else network.network_address + 1)
        return ""

    def _without(self, answers: Sequence[Answer]) -> list[Change]:
        """The same session without a rule that has decided."""
        verdict = answers[-1].verdict
        wanted = verdict.action.value if verdict.refused else "permit"
        changes: list[Change] = []
        for answer in answers:
            for step in answer.verdict.trail:
                if step.answer != wanted:
                    continue
                parameters = without_rule(self.parameters, step.list_name, step.rule)
                if parameters is not None:
                    off = f"{step.list_name} were off" if step.list_name == step.rule else ""
                    words = off or f"{step.list_name} did not have {step.rule}"
                    changes.append(Change(words, parameters=parameters))
        return changes

    def _listed(self, facts: Facts) -> list[Change]:
        """The recipient's address, or its domain, were in a list of ours."""
        address = facts.recipient or ""
        domain = address.rpartition("@")[2]
        if "@" not in address or not valid_domain(domain):
            return []
        rewriting = self._resolver.parameters
        relayed = replace(rewriting, relay_domains=(*rewriting.relay_domains, domain))
        changes = [Change(f"{domain} were in relay_domains", resolver=TrivialRewrite(relayed, self._opener))]
        if set(address) & set("{}=,; $"):
            return changes
        for name in ("local_recipient_maps", "virtual_mailbox_maps", "relay_recipient_maps", "virtual_alias_maps"):
            tables = getattr(self.parameters, name)
            added = (*tables, f"inline:{{{{{address} = {address}}}}}")
            if tables or name == "virtual_alias_maps":
                parameters = replace(self.parameters, **{name: added})  # type: ignore[arg-type]  # tables
                changes.append(Change(f"{address} were in {name}", parameters=parameters))
        return changes


def _decider(verdict: Verdict) -> tuple[str, str]:
    """The list and the rule that have decided."""
    last = verdict.trail[-1] if verdict.trail else None
    return (last.list_name, last.rule) if last is not None else ("", verdict.reason)


def without_rule(parameters: PolicyParameters, list_name: str, rule: str) -> PolicyParameters | None:
    """The parameters with one rule taken out of a list; None when it is not there."""
    if list_name in ("smtpd_reject_unlisted_recipient", "smtpd_reject_unlisted_sender"):
        return replace(parameters, **{list_name: False})  # type: ignore[arg-type]  # both are yes or no
    words = getattr(parameters, list_name, None)
    if not isinstance(words, tuple):
        return None
    for at in range(len(words)):
        for length in (1, 2):
            if " ".join(words[at : at + length]) == rule:
                left = (*words[:at], *words[at + length :])
                return replace(parameters, **{list_name: left})  # type: ignore[arg-type]  # a list of words
    return None


def _from(facts: Facts, address: str) -> Facts:
    return structs.replace(facts, client_address=address, client_name="unknown", reverse_client_name="unknown")
