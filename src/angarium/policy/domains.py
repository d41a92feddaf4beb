"""Restrictions that ask the DNS whether a name could receive mail, or be a client at all.

Each answers 450 by default (unknown_address_reject_code and its like): a name server that is down looks like a name
that is not there to people, and mail should wait for either. Null MX (RFC 7505) is final: 550 5.7.27 for a sender,
556 5.1.10 for a recipient. Without a resolver (``Tools.dns``) these have no opinion.
"""

from __future__ import annotations

from angarium.model.lookup import TemporaryError
from angarium.model.verdict import Verdict
from angarium.policy.evaluation import Evaluation, Subject
from angarium.policy.tools import Tools
from angarium.rewrite.interface import AddressClass
from angarium.runtime.dns import Records, Resolver


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
    problem = await _mail_host(tools.dns, domain)
    if problem is None:
        return None
    sender = subject is Subject.SENDER
    verb = f"reject_unknown_{'sender' if sender else 'recipient'}_domain"
    code, dsn = evaluation.parameters.unknown_address_reject_code, "5.1.8" if sender else "5.1.2"
    if problem == _NULL_MX:
        code, dsn = (550, "5.7.27") if sender else (556, "5.1.10")
        problem = f"Domain {domain} does not accept mail (nullMX)"
    before, evaluation.subject = evaluation.subject, subject
    try:
        return evaluation.rejected(code, dsn, problem, f"{verb}: {domain}: {problem}")
    finally:
        evaluation.subject = before


_NULL_MX = "nullMX"


async def _mail_host(dns: Resolver, domain: str) -> str | None:
    """Why mail could not go to a domain; None: it could (RFC 5321 section 5.1)."""
    exchangers = await dns.mx(domain)
    if isinstance(exchangers, Records):
        null = len(exchangers.values) == 1 and exchangers.values[0].host in ("", ".")
        return _NULL_MX if null else None
    return None if isinstance(await dns.addresses(domain), Records) else "Domain not found"


async def reject_unknown_helo_hostname(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``reject_unknown_helo_hostname``: the HELO name has neither MX nor address; an address literal passes."""
    helo = evaluation.facts.helo
    if not helo or tools.dns is None or helo.startswith("["):
        return None
    if await _mail_host(tools.dns, helo) != "Domain not found":
        return None
    before, evaluation.subject = evaluation.subject, Subject.HELO
    try:
        code = evaluation.parameters.unknown_hostname_reject_code
        return evaluation.rejected(code, "5.7.1", "Host not found", f"reject_unknown_helo_hostname: {helo}")
    finally:
        evaluation.subject = before


async def reject_unknown_client_hostname(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``reject_unknown_client_hostname``: the client's address has no name that leads back to it."""
    facts = evaluation.facts
    if facts.client_name != "unknown":
        return None
    code = evaluation.parameters.unknown_client_reject_code
    text = f"Client host rejected: cannot find your hostname, [{facts.client_address}]"
    return evaluation.refuse(code, "5.7.1", text, f"reject_unknown_client_hostname: {facts.client_address}")
