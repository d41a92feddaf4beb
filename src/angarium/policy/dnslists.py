"""DNS lists: reject_rbl_client, reject_rhsbl_*, permit_dnswl_client, permit_rhswl_client (postconf(5)).

An argument is ``domain`` or ``domain=d.d.d.d``, where ``d`` is a number or ``[1..3;7]``. A list is asked for the
reversed client address, or for a host or mail domain, followed by the list's domain. Any address that matches means
listed. What the reply says is ``rbl_reply_maps`` or ``default_rbl_reply``, with one level of ``$name`` substitution.

Failures: a list of bad clients that cannot be asked has nothing against anyone; a list of good ones that cannot be
asked turns a later refusal into a deferral. Answers of the DNS are data: nothing in them is expanded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from angarium.config.error import ConfigError
from angarium.config.expansion import Expander
from angarium.model.dsn import Dsn
from angarium.model.lookup import Found, TemporaryError
from angarium.model.verdict import Verdict
from angarium.policy.evaluation import Evaluation, Subject
from angarium.policy.expansion import filtered
from angarium.policy.tools import Tools
from angarium.rewrite.hostname import is_address, valid_hostname
from angarium.rewrite.interface import AddressClass
from angarium.runtime.dns import DnsFailure, Records

_OCTET = re.compile(r"[0-9]{1,3}|\[[0-9.;]{1,100}\]")
_REPLY = re.compile(r"([2-5][0-9]{2})[ \t]+(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ListName:
    """A DNS list and the addresses that count: for each octet the numbers, or None for all addresses."""

    text: str
    domain: str
    octets: tuple[frozenset[int], ...] | None = None

    def matches(self, address: str) -> bool:
        """Whether an answer of the list counts."""
        if self.octets is None:
            return True
        parts = address.split(".")
        return len(parts) == 4 and all(int(part) in allowed for part, allowed in zip(parts, self.octets, strict=True))


@lru_cache(maxsize=256)
def parse_list(argument: str) -> ListName:
    """``domain[=pattern]``. Raises ValueError."""
    domain, equals, pattern = argument.partition("=")
    if not valid_hostname(domain):
        msg = f"no domain: {argument}"
        raise ValueError(msg)
    if not equals:
        return ListName(argument, domain)
    octets = _OCTET.findall(pattern)
    if len(octets) != 4 or ".".join(octets) != pattern:
        msg = f"bad pattern of addresses: {argument}"
        raise ValueError(msg)
    return ListName(argument, domain, tuple(_numbers(octet) for octet in octets))


def _numbers(octet: str) -> frozenset[int]:
    if not octet.startswith("["):
        return frozenset({int(octet)})
    numbers: set[int] = set()
    for part in octet[1:-1].split(";"):
        low, dots, high = part.partition("..")
        if not low.isdigit() or (dots and not high.isdigit()):
            msg = f"bad range of numbers: {octet}"
            raise ValueError(msg)
        numbers.update(range(int(low), min(int(high if dots else low), 255) + 1))
    return frozenset(numbers)


def reversed_address(address: str) -> str:
    """``127.0.0.3`` -> ``3.0.0.127``; IPv6 by nibbles."""
    return ip_address(address).reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


async def _listed(evaluation: Evaluation, tools: Tools, wanted: ListName, key: str) -> str | DnsFailure | None:
    """The address that says that ``key`` is listed; None: it is not."""
    assert tools.dns is not None
    name = f"{key}.{wanted.domain}"
    answer = await tools.dns.addresses(name, (4,), ("dns",))
    if isinstance(answer, DnsFailure):
        evaluation.warn(f"{name}: RBL lookup error: {answer.cause}")
        return answer
    if not isinstance(answer, Records):
        return None
    return next((address for address in answer.values if wanted.matches(address)), None)


async def _refuse(
    evaluation: Evaluation, tools: Tools, argument: str, key: str, what: str, kind: str, verb: str
) -> Verdict | None:
    if tools.dns is None or not key:
        return None
    try:
        wanted = parse_list(argument)
    except ValueError as error:
        evaluation.warn(f"{verb}: {error}")
        return evaluation.misconfigured(f"{verb}: {error}")
    address = await _listed(evaluation, tools, wanted, key)
    if not isinstance(address, str):
        return None
    texts = await tools.dns.txt(f"{key}.{wanted.domain}")
    reason = " ".join(texts.values[0].split()) if isinstance(texts, Records) else ""
    parameters = evaluation.parameters
    template, source = parameters.default_rbl_reply, "default_rbl_reply"
    found = await tools.rbl_replies.find(wanted.text)
    if isinstance(found, TemporaryError):
        return evaluation.try_later(found)
    if isinstance(found, Found):
        template, source = found.value, found.source
    facts = evaluation.facts
    names = {
        "client": f"{facts.client_name}[{facts.client_address}]",
        "client_address": facts.client_address,
        "client_name": facts.client_name,
        "reverse_client_name": facts.reverse_client_name,
        "helo_name": facts.helo,
        "rbl_class": kind,
        "rbl_code": str(parameters.maps_rbl_reject_code),
        "rbl_domain": wanted.domain,
        "rbl_reason": reason,
        "rbl_txt": reason,
        "rbl_what": what,
        "recipient": facts.recipient or "",
        "sender": facts.sender or "",
        "recipient_domain": (facts.recipient or "").rpartition("@")[2],
        "recipient_name": (facts.recipient or "").rpartition("@")[0],
        "sender_domain": (facts.sender or "").rpartition("@")[2],
        "sender_name": (facts.sender or "").rpartition("@")[0],
    }
    try:
        allowed = parameters.smtpd_expansion_filter
        text = Expander(lambda name: filtered(names.get(name, ""), allowed).replace("$", "$$")).expand(template)
    except ConfigError as error:
        return evaluation.misconfigured(f"{source}: {error}")
    return _reply(evaluation, " ".join(text.split()), f"{verb} {argument}: {what} is {address}", source)


def _reply(evaluation: Evaluation, text: str, reason: str, source: str) -> Verdict:
    """The expanded template: a code, perhaps an enhanced status, a text."""
    parts = _REPLY.match(text)
    if parts is None or parts[1][0] not in "45":
        return evaluation.misconfigured(f"{source}: the reply has no code")
    dsn, words = Dsn.split(parts[2])
    # The texts of DNS lists speak for themselves, so the status stays as it is written.
    return evaluation.refuse(int(parts[1]), str(dsn or "5.7.1"), words, reason, source)


async def reject_rbl_client(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``reject_rbl_client list``: the client's address is listed."""
    address = evaluation.facts.client_address
    key = reversed_address(address) if is_address(address) else ""
    return await _refuse(evaluation, tools, argument, key, address, Subject.CLIENT.value, "reject_rbl_client")


async def reject_maps_rbl(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``reject_maps_rbl``: reject_rbl_client for each of maps_rbl_domains, as before Postfix 2.0."""
    for domain in evaluation.parameters.maps_rbl_domains:
        verdict = await reject_rbl_client(evaluation, tools, domain)
        if verdict is not None:
            return verdict
    return None


async def reject_rhsbl_client(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``reject_rhsbl_client list``: the client's verified name is listed."""
    name = evaluation.facts.client_name
    key = "" if name == "unknown" else name
    return await _refuse(evaluation, tools, argument, key, name, Subject.CLIENT.value, "reject_rhsbl_client")


async def reject_rhsbl_reverse_client(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``reject_rhsbl_reverse_client list``: the name that the client's address has is listed."""
    name = evaluation.facts.reverse_client_name
    key = "" if name == "unknown" else name
    return await _refuse(
        evaluation, tools, argument, key, name, Subject.REVERSE_CLIENT.value, "reject_rhsbl_reverse_client"
    )


async def reject_rhsbl_helo(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``reject_rhsbl_helo list``: the HELO name is listed."""
    helo = evaluation.facts.helo
    key = helo if valid_hostname(helo) else ""
    return await _refuse(evaluation, tools, argument, key, helo, Subject.HELO.value, "reject_rhsbl_helo")


async def reject_rhsbl_sender(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``reject_rhsbl_sender list``: the sender's domain is listed."""
    return await _of_address(evaluation, tools, argument, Subject.SENDER, evaluation.facts.sender)


async def reject_rhsbl_recipient(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``reject_rhsbl_recipient list``: the recipient's domain is listed."""
    return await _of_address(evaluation, tools, argument, Subject.RECIPIENT, evaluation.facts.recipient)


async def _of_address(
    evaluation: Evaluation, tools: Tools, argument: str, subject: Subject, address: str | None
) -> Verdict | None:
    domain = (address or "").rpartition("@")[2] if "@" in (address or "") else ""
    key = domain if valid_hostname(domain) else ""
    verb = "reject_rhsbl_sender" if subject is Subject.SENDER else "reject_rhsbl_recipient"
    return await _refuse(evaluation, tools, argument, key, address or "", subject.value, verb)


async def permit_dnswl_client(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``permit_dnswl_client list``: the client's address is on a list of good ones."""
    address = evaluation.facts.client_address
    key = reversed_address(address) if is_address(address) else ""
    return await _permit(evaluation, tools, argument, key, "permit_dnswl_client")


async def permit_rhswl_client(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``permit_rhswl_client list``: the client's verified name is on a list of good ones."""
    name = evaluation.facts.client_name
    return await _permit(evaluation, tools, argument, "" if name == "unknown" else name, "permit_rhswl_client")


async def _permit(evaluation: Evaluation, tools: Tools, argument: str, key: str, verb: str) -> Verdict | None:
    """A yes, but never one that would let a stranger relay."""
    if tools.dns is None or not key:
        return None
    facts = evaluation.facts
    if facts.recipient is not None and evaluation.subject is Subject.RECIPIENT:
        way = await evaluation.resolve(facts.recipient)
        if isinstance(way, TemporaryError):
            return evaluation.try_later(way, facts.recipient)
        if way.address_class is AddressClass.DEFAULT or way.routed:
            return None
    try:
        wanted = parse_list(argument)
    except ValueError as error:
        return evaluation.misconfigured(f"{verb}: {error}")
    listed = await _listed(evaluation, tools, wanted, key)
    if isinstance(listed, DnsFailure):
        text = f"<{key}>: {Subject.CLIENT.value} rejected: Service unavailable"
        if verb == "permit_dnswl_client":
            text = text.replace(key, facts.client_address, 1)
        later = evaluation.refuse(450, "4.7.1", text, f"{verb} {argument}: {listed}")
        evaluation.defer_if_reject = evaluation.defer_if_reject or later
        return None
    return evaluation.permit(f"{verb} {argument}: {listed}") if listed else None
