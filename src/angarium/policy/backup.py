"""``permit_mx_backup``: accepting mail for domains whose DNS names us as a backup mail exchanger (postconf(5)).

Yes when the domain is ours or relayed for, or when we are among its exchangers and not the best of them; with
permit_mx_backup_networks the best ones must have an address there. A sender's own route is never accepted. What the
DNS cannot say now defers what would be refused.
"""

from __future__ import annotations

from angarium.model.lookup import Found, TemporaryError
from angarium.model.verdict import Verdict
from angarium.policy.evaluation import Evaluation, Subject
from angarium.policy.tools import Tools
from angarium.rewrite.interface import AddressClass
from angarium.runtime.dns import DnsFailure, Mx, NoRecords, Records, Resolver

_Addresses = dict[str, tuple[str, ...]]


async def permit_mx_backup(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``permit_mx_backup``: see the module."""
    recipient = evaluation.facts.recipient
    if recipient is None:
        return None
    way = await evaluation.resolve(recipient)
    if isinstance(way, TemporaryError):
        return evaluation.try_later(way, recipient)
    if way.routed:
        return None
    if way.address_class is not AddressClass.DEFAULT:
        return evaluation.permit(f"permit_mx_backup: {way.reason}", way.source)
    domain = way.recipient.rpartition("@")[2]
    if tools.dns is None or domain.startswith("["):
        return None
    answer = await tools.dns.mx(domain)
    if isinstance(answer, DnsFailure):
        _defer(evaluation, f"Unable to look up mail exchanger information: {answer}")
        return None
    if not isinstance(answer, Records):
        return None
    return await _among(evaluation, tools, answer.values, domain)


async def _among(evaluation: Evaluation, tools: Tools, exchangers: tuple[Mx, ...], domain: str) -> Verdict | None:
    """Whether we are among the exchangers, and the best ones are in the networks."""
    assert tools.dns is not None
    addresses = await _addresses(tools.dns, exchangers)
    if isinstance(addresses, str):
        _defer(evaluation, f"Unable to look up mail exchanger host {addresses}")
        return None
    own = [mx.preference for mx in exchangers if _is_own(evaluation, tools, mx, addresses)]
    best = min(mx.preference for mx in exchangers)
    if not own or min(own) == best:
        return None
    if tools.backup_networks:
        for mx in exchangers:
            if mx.preference == best and not await _in_networks(tools, addresses[mx.host]):
                return None
    return evaluation.permit(f"permit_mx_backup: we are a mail exchanger of {domain}", "permit_mx_backup")


async def _addresses(dns: Resolver, exchangers: tuple[Mx, ...]) -> _Addresses | str:
    """Of all exchangers; the one without any, and why, in words."""
    found: _Addresses = {}
    for exchanger in exchangers:
        answer = await dns.addresses(exchanger.host)
        if isinstance(answer, Records):
            found[exchanger.host] = answer.values
        else:
            why = (
                "Name or service not known" if isinstance(answer, NoRecords) else "Temporary failure in name resolution"
            )
            return f"{exchanger.host}: {why}"
    return found


def _is_own(evaluation: Evaluation, tools: Tools, mx: Mx, addresses: _Addresses) -> bool:
    if mx.host.lower() == evaluation.parameters.myhostname.lower():
        return True
    return not tools.own_addresses.isdisjoint(addresses[mx.host])


async def _in_networks(tools: Tools, addresses: tuple[str, ...]) -> bool:
    for address in addresses:
        if isinstance(await tools.backup_networks.match_client("unknown", address), Found):
            return True
    return False


def _defer(evaluation: Evaluation, why: str) -> None:
    before, evaluation.subject = evaluation.subject, Subject.RECIPIENT
    later = evaluation.rejected(450, "4.4.4", why, f"permit_mx_backup: {why}")
    evaluation.defer_if_reject = evaluation.defer_if_reject or later
    evaluation.subject = before
