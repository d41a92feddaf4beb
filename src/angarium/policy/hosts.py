"""Access by the hosts behind a name: check_*_mx_access, check_*_ns_access, check_*_a_access (postconf(5)).

The hosts of a name are its mail exchangers (or itself, when it has none), the name servers of its nearest domain that
has any, or itself. Each host's name and then each of its addresses is looked up in an access(5) table; the first that
the table knows decides. ``OK`` there is a fault, since strangers could make it say so: mail waits (451 4.3.5).

Failures: what the DNS cannot say now is passed over, as Postfix does it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from angarium.model.lookup import NOT_FOUND, Found, Lookup, NotFound
from angarium.model.verdict import Action, Verdict
from angarium.policy.evaluation import Evaluation, Subject
from angarium.policy.tools import Restriction, Tools
from angarium.rewrite.hostname import is_literal
from angarium.runtime.dns import NoRecords, Records, Resolver

_Hosts = Callable[[Resolver, str], Awaitable[list[str]]]


async def _exchangers(dns: Resolver, name: str) -> list[str]:
    answer = await dns.mx(name)
    if isinstance(answer, Records):
        return [exchanger.host for exchanger in answer.values]
    return [name] if isinstance(answer, NoRecords) and answer.name_exists else []


async def _name_servers(dns: Resolver, name: str) -> list[str]:
    while True:
        answer = await dns.ns(name)
        if isinstance(answer, Records):
            return list(answer.values)
        parent = name.partition(".")[2]
        if not isinstance(answer, NoRecords) or "." not in parent:
            return []
        name = parent


async def _itself(_dns: Resolver, name: str) -> list[str]:
    return [name]


_KINDS: dict[str, _Hosts] = {"mx": _exchangers, "ns": _name_servers, "a": _itself}


async def _find(tools: Tools, table: str, hosts: _Hosts, name: str) -> Lookup:
    assert tools.dns is not None
    if name.startswith("["):
        literal = name.strip("[]").removeprefix("IPv6:")
        asked = hosts is not _name_servers and is_literal(name)
        return await tools.access.network(table, literal) if asked else NOT_FOUND
    for host in await hosts(tools.dns, name):
        match = await tools.access.host(table, host)
        if not isinstance(match, NotFound):
            return match
        addresses = await tools.dns.addresses(host)
        for address in addresses.values if isinstance(addresses, Records) else ():
            match = await tools.access.network(table, address)
            if not isinstance(match, NotFound):
                return match
    return NOT_FOUND


async def _name(evaluation: Evaluation, subject: Subject, *, reverse: bool) -> str:
    facts = evaluation.facts
    if subject in (Subject.CLIENT, Subject.REVERSE_CLIENT):
        name = facts.reverse_client_name if reverse else facts.client_name
        return "" if name == "unknown" else name
    if subject is Subject.HELO:
        return facts.helo
    address = (facts.sender if subject is Subject.SENDER else facts.recipient) or ""
    return address.rpartition("@")[2] if "@" in address else ""


def _restriction(verb: str, subject: Subject, kind: str, *, reverse: bool = False) -> Restriction:
    async def check(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
        if tools.dns is None:
            return None
        name = await _name(evaluation, subject, reverse=reverse)
        if not name:
            return None
        match = await _find(tools, argument, _KINDS[kind], name.removesuffix("."))
        verdict = await tools.access.act(evaluation, subject, match, verb, argument)
        if (
            verdict is not None
            and verdict.action is Action.PERMIT
            and isinstance(match, Found)
            and not evaluation.discarded
        ):
            evaluation.warn(f"{verb} {argument}: {name}: specifying OK here is not safe")
            return evaluation.misconfigured(f"{verb} {argument}: OK is not allowed here")
        return verdict

    check.__name__ = verb
    check.__doc__ = f"``{verb} table``: access(5) by the {kind} hosts of the {subject.value.lower()}."
    return check


_SUBJECTS = (
    ("client", Subject.CLIENT, False),
    ("reverse_client_hostname", Subject.REVERSE_CLIENT, True),
    ("helo", Subject.HELO, False),
    ("sender", Subject.SENDER, False),
    ("recipient", Subject.RECIPIENT, False),
)

HOST_RESTRICTIONS: dict[str, Restriction] = {
    verb: _restriction(verb, subject, kind, reverse=reverse)
    for label, subject, reverse in _SUBJECTS
    for kind in _KINDS
    for verb in (f"check_{label}_{kind}_access",)
}
"""By name."""
