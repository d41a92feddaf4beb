"""Restrictions that ask the DNS whether a name could receive mail, or be a client at all.

Each answers 450 by default (unknown_address_reject_code and its like). A name server that is down is 450 whatever
those codes say, and defers only what nothing refuses later (unknown_address_tempfail_action and its like). Null MX
(RFC 7505) is final: 550 5.7.27 for a sender, 556 5.1.10 for a recipient. Without a resolver (``Tools.dns``) these have
no opinion.
"""

from __future__ import annotations

import enum

from angarium.model.lookup import TemporaryError
from angarium.model.verdict import Verdict
from angarium.policy.evaluation import Evaluation, Subject
from angarium.policy.tools import Tools
from angarium.rewrite.interface import AddressClass
from angarium.runtime.dns import DnsFailure, Records, Resolver


async def reject_unknown_sender_domain(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``reject_unknown_sender_domain``: the sender's domain is not ours, and has neither MX nor address."""
    return await _address(evaluation, tools, Subject.SENDER, evaluation.facts.sender)


async def reject_unknown_recipient_domain(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``reject_unknown_recipient_domain``: the recipient's domain is not ours, and has neither MX nor address."""
    return await _address(evaluation, tools, Subject.RECIPIENT, evaluation.facts.recipient)


async def _address(evaluation: Evaluation, tools: Tools, subject: Subject, address: str | None) -> Verdict | None:
    if not address or tools.dns is None:
        return None
    way = await evaluation.resolve(address)
    if isinstance(way, TemporaryError):
        return evaluation.try_later(way, address)
    domain = way.recipient.rpartition("@")[2]
    if way.address_class is not AddressClass.DEFAULT or domain.startswith("["):
        return None
    state = await _mail_host(tools.dns, domain)
    if state is _Host.FOUND:
        return None
    sender = subject is Subject.SENDER
    verb = f"reject_unknown_{'sender' if sender else 'recipient'}_domain"
    parameters = evaluation.parameters
    code, dsn, problem = parameters.unknown_address_reject_code, "5.1.8" if sender else "5.1.2", "Domain not found"
    if state is _Host.NULL:
        code, dsn = (550, "5.7.27") if sender else (556, "5.1.10")
        problem = f"Domain {domain} does not accept mail (nullMX)"
    action = parameters.unknown_address_tempfail_action if state is _Host.FAILED else ""
    reason = f"{verb}: {domain}: {problem}"
    return _refuse(evaluation, subject, 450 if action else code, dsn, problem, reason, action)


def _refuse(
    evaluation: Evaluation, subject: Subject, code: int, dsn: str, why: str, reason: str, tempfail_action: str
) -> Verdict | None:
    """A no; or, when the DNS failed, what unknown_*_tempfail_action says: a deferral now or unless refused later."""
    before, evaluation.subject = evaluation.subject, subject
    try:
        verdict = evaluation.rejected(code, dsn, why, reason)
    finally:
        evaluation.subject = before
    if tempfail_action != "defer_if_permit":
        return verdict
    evaluation.unless_refused(verdict)
    return None


class _Host(enum.Enum):
    FOUND = enum.auto()
    MISSING = enum.auto()
    NULL = enum.auto()
    FAILED = enum.auto()


async def _mail_host(dns: Resolver, domain: str) -> _Host:
    """Whether mail could go to a domain (RFC 5321 section 5.1, RFC 7505)."""
    exchangers = await dns.mx(domain)
    if isinstance(exchangers, Records):
        null = len(exchangers.values) == 1 and exchangers.values[0].host in ("", ".")
        return _Host.NULL if null else _Host.FOUND
    addresses = await dns.addresses(domain)
    if isinstance(addresses, Records):
        return _Host.FOUND
    return _Host.FAILED if isinstance(addresses, DnsFailure) or isinstance(exchangers, DnsFailure) else _Host.MISSING


async def reject_unknown_helo_hostname(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``reject_unknown_helo_hostname``: the HELO name has neither MX nor address; an address literal passes."""
    helo = evaluation.facts.helo
    if not helo or tools.dns is None or helo.startswith("["):
        return None
    state = await _mail_host(tools.dns, helo)
    if state in (_Host.FOUND, _Host.NULL):
        return None
    parameters = evaluation.parameters
    action = parameters.unknown_helo_hostname_tempfail_action if state is _Host.FAILED else ""
    code = 450 if action else parameters.unknown_hostname_reject_code
    reason = f"reject_unknown_helo_hostname: {helo}"
    return _refuse(evaluation, Subject.HELO, code, "5.7.1", "Host not found", reason, action)


async def reject_unknown_client_hostname(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``reject_unknown_client_hostname``: the client's address has no name that leads back to it."""
    facts = evaluation.facts
    if facts.client_name != "unknown":
        return None
    code = 450 if facts.name_failed else evaluation.parameters.unknown_client_reject_code
    text = f"Client host rejected: cannot find your hostname, [{facts.client_address}]"
    return evaluation.refuse(code, "5.7.25", text, f"reject_unknown_client_hostname: {facts.client_address}")


async def reject_unknown_reverse_client_hostname(
    evaluation: Evaluation, _tools: Tools, _argument: str
) -> Verdict | None:
    """``reject_unknown_reverse_client_hostname``: the client's address has no name."""
    facts = evaluation.facts
    if facts.reverse_client_name != "unknown":
        return None
    code = 450 if facts.reverse_failed else evaluation.parameters.unknown_client_reject_code
    text = f"Client host rejected: cannot find your reverse hostname, [{facts.client_address}]"
    return evaluation.refuse(code, "5.7.1", text, f"reject_unknown_reverse_client_hostname: {facts.client_address}")
