"""The restriction lists of one smtpd service: SMTPD_ACCESS_README and postconf(5).

Lists are compiled when the service starts: each word becomes a function of ``restrictions`` with its argument. A word
that means nothing is kept as a fault that answers ``451 4.3.5 Server configuration error`` whenever it is reached, so
that mail waits for the administrator. So does every RCPT when nothing in smtpd_relay_restrictions or
smtpd_recipient_restrictions keeps strangers from relaying: a server without main.cf is no open relay.

``smtpd_delay_reject`` moves the client, helo and sender lists to RCPT.

Guarantees: no wait but that of a table; an address is resolved once a command. Never raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from angarium.model.lookup import TemporaryError
from angarium.model.quota import Excess
from angarium.model.verdict import Action, Effect, Request, Verdict
from angarium.policy.access import AccessTables
from angarium.policy.delegation import PolicyClient
from angarium.policy.evaluation import Evaluation, Subject
from angarium.policy.interface import SYNTAX, Facts
from angarium.policy.parameters import PolicyParameters
from angarium.policy.recipients import RecipientTables
from angarium.policy.restrictions import (
    ARGUMENT_RESTRICTIONS,
    GUARDS,
    NOT_YET,
    RESTRICTIONS,
    TABLE_RESTRICTIONS,
    skipped,
)
from angarium.policy.room import MailboxRoom, QuotaCheck
from angarium.policy.tools import Restriction, Tools
from angarium.policy.verification import AddressVerifier
from angarium.rewrite.interface import Resolution
from angarium.rewrite.resolve import TrivialRewrite
from angarium.runtime.dns import Resolver
from angarium.runtime.log import ServiceLog
from angarium.tables.dnsfilter import FilteredResolver
from angarium.tables.maps import Maps
from angarium.tables.matchlist import MatchList
from angarium.tables.opener import TableOpener

_LISTS = {
    "smtpd_client_restrictions": Subject.CLIENT,
    "smtpd_helo_restrictions": Subject.HELO,
    "smtpd_sender_restrictions": Subject.SENDER,
    "smtpd_relay_restrictions": Subject.RECIPIENT,
    "smtpd_recipient_restrictions": Subject.RECIPIENT,
    "smtpd_data_restrictions": Subject.DATA,
    "smtpd_end_of_data_restrictions": Subject.END_OF_DATA,
    "smtpd_etrn_restrictions": Subject.ETRN,
}
_BARE_TABLE = {
    Subject.CLIENT: "check_client_access",
    Subject.HELO: "check_helo_access",
    Subject.SENDER: "check_sender_access",
    Subject.RECIPIENT: "check_recipient_access",
}
_FINAL = frozenset({"permit", "reject", "defer"})
"""What always ends a list."""

_BEFORE_MAIL = ("smtpd_client_restrictions", "smtpd_helo_restrictions")
"""Lists that may be delayed; what the client has not said is not judged, as in Postfix."""

_EARLY = frozenset({"CONNECT", "HELO", "EHLO", "MAIL"})
"""Stages whose defer_if_permit counts for the recipients, as the lists are not delayed till then."""

_LATER = _EARLY | {"RCPT", "VRFY", "ETRN"}
"""Stages at which it counts or is handed on."""

_NESTING_LIMIT = 10
_PASS = Verdict(Action.PERMIT, "nothing objects", "smtpd")


@dataclass(frozen=True, slots=True)
class Step:
    """One word of a list: what to ask, and how the configuration writes it."""

    text: str
    function: Restriction | None
    argument: str = ""
    steps: tuple[Step, ...] = ()
    warn: bool = False
    guard: bool = False
    fault: str = ""


class RestrictionPolicy:
    """``Policy`` out of main.cf's restriction lists.

    Args:
        parameters: of the service, with master.cf's overrides.
        resolver: of the server; shared.
        opener: of the server; shared.
        log: of the service.
        quota: tells why a mailbox has no room for so many bytes; None: nobody asks at RCPT.
        dns: for reject_unknown_sender_domain and its like; None: they have no opinion.
        verifier: for reject_unverified_sender and _recipient; None: they have no opinion.
    """

    def __init__(
        self,
        parameters: PolicyParameters,
        resolver: TrivialRewrite,
        opener: TableOpener,
        log: ServiceLog,
        quota: QuotaCheck | None = None,
        dns: Resolver | None = None,
        verifier: AddressVerifier | None = None,
    ) -> None:
        self._parameters = parameters
        self.dry_run = False
        self._resolver = resolver
        self._log = log
        bare = frozenset(parameters.parent_domain_matches_subdomains)
        self._mynetworks = MatchList(
            "mynetworks", parameters.mynetworks, opener, networks=True, bare_parents="mynetworks" in bare
        )
        permits = parameters.smtpd_log_access_permit_actions
        self._logged_permits = MatchList("smtpd_log_access_permit_actions", permits, opener) if permits else None
        self._recipients = RecipientTables(parameters, opener, resolver.is_own)
        self._room = (
            MailboxRoom(self._recipients, parameters.mailstore_transports, quota) if quota is not None else None
        )
        access = AccessTables(
            opener,
            parameters.recipient_delimiter,
            bare_parents="smtpd_access_maps" in bare,
            null_key=parameters.smtpd_null_access_lookup_key,
        )
        access.nested = self._nested
        logins = Maps.open("smtpd_sender_login_maps", parameters.smtpd_sender_login_maps, opener)
        own_addresses = resolver.parameters.own_addresses
        self._tools = Tools(
            recipients=self._recipients,
            access=access,
            logins=logins,
            client_certificates=Maps.open("relay_clientcerts", parameters.relay_clientcerts, opener),
            is_own=resolver.is_own,
            own_addresses=own_addresses,
            rbl_replies=Maps.open("rbl_reply_maps", parameters.rbl_reply_maps, opener),
            backup_networks=MatchList(
                "permit_mx_backup_networks",
                parameters.permit_mx_backup_networks,
                opener,
                networks=True,
                bare_parents="permit_mx_backup_networks" in bare,
            ),
            services=PolicyClient(Path(parameters.queue_directory), log.warning),
            service=parameters.policy_service,
            verifier=verifier,
            dns=_filtered(dns, parameters.smtpd_dns_reply_filter, opener, log),
        )
        self._lists = {
            name: self._compile(name, getattr(parameters, name), subject, 0) for name, subject in _LISTS.items()
        }
        self._silent = frozenset(
            stage
            for stage, name in (
                ("DATA", "smtpd_data_restrictions"),
                ("BDAT", "smtpd_data_restrictions"),
                ("END-OF-MESSAGE", "smtpd_end_of_data_restrictions"),
            )
            if not self._lists[name]
        )
        if parameters.smtpd_delay_reject:
            self._silent |= {"CONNECT", "HELO", "EHLO"}
        relay, recipient = "smtpd_relay_restrictions", "smtpd_recipient_restrictions"
        first = parameters.smtpd_relay_before_recipient_restrictions
        self._relay_and_recipient = (relay, recipient) if first else (recipient, relay)
        self._guarded = _guards(self._lists["smtpd_relay_restrictions"]) or _guards(
            self._lists["smtpd_recipient_restrictions"]
        )
        if not self._guarded:
            log.fatal(
                "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working "
                "instance of: reject_unauth_destination, defer_unauth_destination, reject, defer, defer_if_permit or "
                "check_relay_domains"
            )

    def close(self) -> None:
        """Close the connections to policy servers."""
        self._tools.services.close()

    # Compiling

    def _compile(self, name: str, words: Sequence[str], subject: Subject, depth: int) -> tuple[Step, ...]:
        steps: list[Step] = []
        warn = False
        position = 0
        while position < len(words):
            word = words[position]
            position += 1
            verb = word.lower()
            if steps and steps[-1].text.lower() in _FINAL and not steps[-1].warn:
                self._log.warning(f"restriction `{word}' after `{steps[-1].text}' is ignored")
                break
            if verb == "warn_if_reject":
                warn = True
                continue
            takes = 1 if verb in TABLE_RESTRICTIONS or verb in ARGUMENT_RESTRICTIONS else NOT_YET.get(verb, 0)
            if position + takes > len(words):
                step = Step(word, None, fault=f'restriction "{word}" in {name} needs an argument')
            else:
                argument = " ".join(words[position : position + takes])
                position += takes
                step = self._step(name, word, argument, subject, depth)
            steps.append(replace(step, warn=warn))
            warn = False
        return tuple(steps)

    def _step(self, name: str, word: str, argument: str, subject: Subject, depth: int) -> Step:
        verb = word.lower()
        text = f"{word} {argument}" if argument else word
        if verb in TABLE_RESTRICTIONS:
            if ":" not in argument and not argument.startswith("/"):
                return Step(text, None, fault=f"{text}: need a table of the form type:name")
            return Step(text, TABLE_RESTRICTIONS[verb], argument)
        if verb in ARGUMENT_RESTRICTIONS:
            return Step(text, ARGUMENT_RESTRICTIONS[verb], argument)
        if verb in RESTRICTIONS:
            return Step(text, RESTRICTIONS[verb], guard=verb in GUARDS)
        if word in self._parameters.classes:
            if depth >= _NESTING_LIMIT:
                return Step(text, None, fault=f"restriction class {word} nests too deeply")
            nested = self._compile(name, self._parameters.classes[word], subject, depth + 1)
            return Step(text, None, steps=nested)
        if verb in NOT_YET:
            self._log.warning(f"{name}: restriction {text} is not supported and is skipped")
            return Step(text, skipped)
        if ":" in word and subject in _BARE_TABLE:
            return Step(text, TABLE_RESTRICTIONS[_BARE_TABLE[subject]], word)
        return Step(text, None, fault=f'unknown smtpd restriction: "{word}"')

    # Evaluating

    async def _run(self, evaluation: Evaluation, steps: tuple[Step, ...]) -> Verdict | None:
        for step in steps:
            outer, before = evaluation.warning, evaluation.defer_if_reject
            warn = evaluation.warning = outer or step.warn
            if step.function is not None:
                verdict = await step.function(evaluation, self._tools, step.argument)
            elif step.fault:
                self._log.warning(step.fault)
                verdict = evaluation.misconfigured(step.fault)
            else:
                verdict = await self._run(evaluation, step.steps)
            evaluation.warning = outer
            if warn:
                evaluation.defer_if_reject = before
            if verdict is None:
                evaluation.note(step.text, "no opinion")
                continue
            answer = "warn" if warn and verdict.refused else verdict.action.value
            evaluation.note(step.text, answer, verdict.reason, verdict.source)
            if warn and verdict.refused:
                evaluation.requests.append(Request(Effect.REJECT_WARNING, str(verdict.reply), "", verdict.source))
                continue
            if evaluation.logged_permits is not None and verdict.action is Action.PERMIT:
                await _log_permit(evaluation, step)
            return verdict
        return None

    async def _nested(self, evaluation: Evaluation, text: str, source: str) -> Verdict | None:
        """A result of an access table that is a list of restrictions."""
        steps = self._compile(source, text.replace(",", " ").split(), evaluation.subject, 1)
        return await self._run(evaluation, steps)

    async def _run_list(self, evaluation: Evaluation, name: str) -> Verdict | None:
        steps = self._lists[name]
        if not steps or evaluation.discarded:
            return None
        evaluation.begin_list(name, _LISTS[name])
        verdict = await self._run(evaluation, steps)
        if verdict is not None and verdict.action is Action.REJECT and evaluation.defer_if_reject is not None:
            later = evaluation.defer_if_reject
            evaluation.note("defer_if_reject", "defer", later.reason, later.source)
            return evaluation.defer_if_reject
        return verdict

    def _begin(self, facts: Facts, stage: str) -> Evaluation:
        return Evaluation(
            facts,
            self._parameters,
            self._resolver,
            self._mynetworks,
            self._log.warning,
            stage=stage,
            dry_run=self.dry_run,
            defer_if_permit=facts.later if stage in _LATER else None,
            logged_permits=self._logged_permits,
        )

    @staticmethod
    def _end(evaluation: Evaluation, verdict: Verdict | None) -> Verdict:
        verdict = verdict or _PASS
        if verdict.refused and not any(step.reason == verdict.reason for step in evaluation.trail):
            evaluation.note(evaluation.list_name, verdict.action.value, verdict.reason, verdict.source)
        later = evaluation.defer_if_permit if evaluation.stage in _EARLY else None
        return replace(verdict, requests=tuple(evaluation.requests), trail=tuple(evaluation.trail), later=later)

    async def _ask(self, facts: Facts, stage: str, *names: str) -> Verdict:
        if not any(self._lists[name] for name in names):
            return _PASS
        evaluation = self._begin(facts, stage)
        if stage == "ETRN":
            evaluation.domain, evaluation.facts = facts.recipient or "", structs.replace(facts, recipient=None)
        last: Verdict | None = None
        for name in names:
            verdict = await self._run_list(evaluation, name)
            if verdict is not None:
                last = verdict
                if verdict.refused:
                    return self._end(evaluation, last)
        return self._end(evaluation, last if stage in _EARLY else evaluation.defer_if_permit or last)

    # The stages

    @property
    def silent(self) -> frozenset[str]:
        """See the interface."""
        return self._silent

    async def connect(self, facts: Facts) -> Verdict:
        """smtpd_client_restrictions, when not delayed."""
        return (
            _PASS
            if self._parameters.smtpd_delay_reject
            else await self._ask(facts, "CONNECT", "smtpd_client_restrictions")
        )

    async def helo(self, facts: Facts) -> Verdict:
        """smtpd_helo_restrictions, when not delayed."""
        if self._parameters.smtpd_delay_reject:
            return _PASS
        return await self._ask(facts, "EHLO" if facts.protocol == "ESMTP" else "HELO", "smtpd_helo_restrictions")

    async def mail(self, facts: Facts) -> Verdict:
        """An address that is none; smtpd_sender_restrictions, smtpd_reject_unlisted_sender, when not delayed."""
        if facts.sender and self._resolver.is_malformed(facts.sender):
            evaluation = self._begin(facts, "MAIL")
            evaluation.list_name, evaluation.subject = SYNTAX, Subject.SENDER
            reason = f"address syntax: {facts.sender} cannot be an address"
            return evaluation.refuse(501, "5.1.7", "Bad sender address syntax", reason)
        if self._parameters.smtpd_delay_reject:
            return _PASS
        evaluation = self._begin(facts, "MAIL")
        return self._end(evaluation, await self._sender(evaluation))

    async def _sender(self, evaluation: Evaluation) -> Verdict | None:
        verdict = await self._run_list(evaluation, "smtpd_sender_restrictions")
        if evaluation.discarded or (verdict is not None and verdict.refused):
            return verdict
        if self._parameters.smtpd_reject_unlisted_sender:
            evaluation.list_name = "smtpd_reject_unlisted_sender"
            unlisted = await RESTRICTIONS["reject_unlisted_sender"](evaluation, self._tools, "")
            return unlisted or verdict
        return verdict

    async def rcpt(self, facts: Facts, stage: str = "RCPT") -> Verdict:
        """The delayed lists, relay and recipient restrictions, unlisted recipients, quota.

        A bare ``postmaster`` is always accepted (RFC 5321 section 4.5.1).
        """
        if facts.recipient is not None and facts.recipient.lower() == "postmaster":
            return _PASS
        evaluation = self._begin(facts, stage)
        verdict = None
        if facts.recipient:
            way = await evaluation.resolve(facts.recipient)
            if isinstance(way, Resolution) and way.malformed:
                evaluation.list_name, evaluation.subject = SYNTAX, Subject.RECIPIENT
                verdict = evaluation.refuse(501, "5.1.3", "Bad recipient address syntax", way.reason)
        return self._end(evaluation, verdict or await self._rcpt(evaluation))

    async def _rcpt(self, evaluation: Evaluation) -> Verdict | None:
        if self._parameters.smtpd_delay_reject:
            for name in _BEFORE_MAIL if evaluation.facts.helo else _BEFORE_MAIL[:1]:
                verdict = await self._run_list(evaluation, name)
                if verdict is not None and verdict.refused:
                    return verdict
            verdict = await self._sender(evaluation) if evaluation.facts.sender is not None else None
            if verdict is not None and verdict.refused:
                return verdict
        if not self._guarded:
            evaluation.list_name, evaluation.subject = "smtpd_relay_restrictions", Subject.RECIPIENT
            return evaluation.misconfigured("nothing keeps strangers from relaying")
        permitted: Verdict | None = None
        for name in self._relay_and_recipient:
            verdict = await self._run_list(evaluation, name)
            if verdict is not None:
                if verdict.refused:
                    return verdict
                permitted = verdict
        if evaluation.defer_if_permit is not None and not evaluation.discarded:
            return evaluation.defer_if_permit
        return await self._address(evaluation) or permitted

    async def _address(self, evaluation: Evaluation) -> Verdict | None:
        """What is asked of a recipient that the lists let pass: does it exist, has it room."""
        recipient = evaluation.facts.recipient
        if recipient is None or evaluation.discarded:
            return None
        evaluation.subject = Subject.RECIPIENT
        if self._parameters.smtpd_reject_unlisted_recipient:
            evaluation.list_name = "smtpd_reject_unlisted_recipient"
            verdict = await self._recipients.check(evaluation, recipient, verb="reject_unlisted_recipient")
            if verdict is not None:
                return verdict
        if self._room is None:
            return None
        evaluation.list_name = "quota"
        account, excess, _known = await self._room.of(recipient, evaluation.facts.size, evaluation.resolve)
        if excess is None:
            return None
        if isinstance(excess, TemporaryError):
            return evaluation.try_later(excess)
        why, reason = "Mailbox is full", f"quota: {account}: {excess.value}"
        code, dsn = self._parameters.over_quota_reject_code, "5.2.2"
        if excess is Excess.MAIL:
            why, code, dsn = "Message is too large for the mailbox", 552, "5.2.3"
        text = f"<{recipient}>: Recipient address rejected: {why}"
        return evaluation.refuse(code, dsn, text, reason, "quota")

    async def data(self, facts: Facts) -> Verdict:
        """smtpd_data_restrictions."""
        return await self._ask(facts, "DATA", "smtpd_data_restrictions")

    async def end_of_data(self, facts: Facts) -> Verdict:
        """smtpd_end_of_data_restrictions."""
        return await self._ask(facts, "END-OF-MESSAGE", "smtpd_end_of_data_restrictions")

    async def etrn(self, facts: Facts) -> Verdict:
        """The client and helo lists when they were delayed, then smtpd_etrn_restrictions."""
        names: tuple[str, ...] = ("smtpd_etrn_restrictions",)
        if self._parameters.smtpd_delay_reject:
            names = (*(_BEFORE_MAIL if facts.helo else _BEFORE_MAIL[:1]), *names)
        return await self._ask(facts, "ETRN", *names)

    async def vrfy(self, facts: Facts) -> Verdict:
        """What RCPT would say."""
        return await self.rcpt(facts, "VRFY")


_OF_CLIENT = frozenset({"permit_mynetworks", "permit_sasl_authenticated"})
_UNLOGGED = frozenset({"check_policy_service", "permit_inet_interfaces"})  # the latter as in Postfix
_OF_RECIPIENT = frozenset({"permit_auth_destination", "permit_mx_backup"})


async def _log_permit(evaluation: Evaluation, step: Step) -> None:
    """A yes for smtpd_log_access_permit_actions; that of a table has been told where it was found."""
    verb = step.text.split(None, 1)[0].lower()
    if step.steps or verb in TABLE_RESTRICTIONS or verb in _UNLOGGED or ":" in verb:
        return
    before = evaluation.subject
    if verb in _OF_CLIENT or verb in ARGUMENT_RESTRICTIONS or verb.startswith("permit_tls"):
        evaluation.subject = Subject.CLIENT
    elif verb in _OF_RECIPIENT:
        evaluation.subject = Subject.RECIPIENT
    await evaluation.log_permit(verb)
    evaluation.subject = before


def _filtered(dns: Resolver | None, tables: tuple[str, ...], opener: TableOpener, log: ServiceLog) -> Resolver | None:
    """The resolver behind smtpd_dns_reply_filter."""
    if dns is None or not tables:
        return dns
    return FilteredResolver(dns, Maps.open("smtpd_dns_reply_filter", tables, opener), log.warning)


def _guards(steps: Sequence[Step]) -> bool:
    """Whether something in the list refuses mail for strangers; what only warns does not count."""
    return any(not step.warn and (step.guard or _guards(step.steps)) for step in steps)
