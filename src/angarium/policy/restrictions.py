"""The restrictions of postconf(5), one named function each, and the table that names them.

A restriction answers with a ``Verdict``, or None: it has no opinion and the next one is asked. Functions take the
evaluation and their own argument. The table says which take one; a name that is not in it is a configuration fault
unless it is in ``NOT_YET``: those are Postfix's, are skipped, and the service says so when it starts.
"""

from __future__ import annotations

from angarium.model.lookup import Found, NotFound, TemporaryError
from angarium.model.verdict import Verdict
from angarium.policy.backup import permit_mx_backup
from angarium.policy.certificates import check_ccert_access, permit_tls_all_clientcerts, permit_tls_clientcerts
from angarium.policy.consultation import check_policy_service
from angarium.policy.dnslists import (
    permit_dnswl_client,
    permit_rhswl_client,
    reject_maps_rbl,
    reject_rbl_client,
    reject_rhsbl_client,
    reject_rhsbl_helo,
    reject_rhsbl_recipient,
    reject_rhsbl_reverse_client,
    reject_rhsbl_sender,
)
from angarium.policy.domains import (
    reject_unknown_client_hostname,
    reject_unknown_helo_hostname,
    reject_unknown_recipient_domain,
    reject_unknown_reverse_client_hostname,
    reject_unknown_sender_domain,
)
from angarium.policy.evaluation import Evaluation, Subject
from angarium.policy.hosts import HOST_RESTRICTIONS
from angarium.policy.sessions import (
    check_sasl_access,
    defer_if_permit,
    defer_if_reject,
    has_sasl,
    reject_multi_recipient_bounce,
    reject_plaintext_session,
    sleep,
)
from angarium.policy.tools import Restriction, Tools
from angarium.policy.verification import reject_unverified_recipient, reject_unverified_sender
from angarium.rewrite.hostname import is_literal, valid_hostname
from angarium.rewrite.interface import AddressClass, Resolution
from angarium.tables.maps import find_address


async def permit(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``permit``: end the list with a yes."""
    return evaluation.permit("permit")


async def reject(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``reject``: end with a no (reject_code)."""
    return evaluation.rejected(evaluation.parameters.reject_code, "5.7.1", "Access denied", "reject")


async def defer(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``defer``: end with a "not now" (defer_code)."""
    return evaluation.rejected(evaluation.parameters.defer_code, "4.3.2", "Try again later", "defer")


async def permit_mynetworks(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``permit_mynetworks``: the client's address is in $mynetworks."""
    facts = evaluation.facts
    match = await evaluation.mynetworks.match_client(facts.client_name, facts.client_address)
    if isinstance(match, Found):
        return evaluation.permit(f"permit_mynetworks: {facts.client_address} matches {match.value}", match.source)
    if isinstance(match, TemporaryError):
        return evaluation.try_later(match)
    return None


async def permit_sasl_authenticated(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``permit_sasl_authenticated``: the client has logged in."""
    user = evaluation.facts.sasl_username  # there may be one without SASL here: of XCLIENT
    active = evaluation.parameters.smtpd_sasl_auth_enable
    return evaluation.permit(f"permit_sasl_authenticated: {user}") if user and active else None


async def permit_inet_interfaces(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``permit_inet_interfaces``: the client's address is one of ours."""
    address = evaluation.facts.client_address
    if address in tools.own_addresses:
        return evaluation.permit(f"permit_inet_interfaces: {address}")
    return None


def _is_ours(way: Resolution) -> bool:
    return way.address_class is not AddressClass.DEFAULT and not way.routed


async def permit_auth_destination(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``permit_auth_destination``: we are the final destination, or relay for the domain."""
    recipient = evaluation.facts.recipient
    if recipient is None:
        return None
    way = await evaluation.resolve(recipient)
    if isinstance(way, TemporaryError):
        return evaluation.try_later(way, recipient)
    if _is_ours(way):
        return evaluation.permit(f"permit_auth_destination: {way.reason}", way.source)
    return None


async def _unauth_destination(evaluation: Evaluation, code: int, dsn: str, verb: str) -> Verdict | None:
    recipient = evaluation.facts.recipient
    if recipient is None:
        return None
    way = await evaluation.resolve(recipient)
    if isinstance(way, TemporaryError):
        return evaluation.try_later(way, recipient)
    if _is_ours(way):
        return None
    domain = way.recipient.rpartition("@")[2]
    why = "is a sender-specified route" if way.routed else f"{domain} is not ours"
    return evaluation.refuse(code, dsn, f"<{recipient}>: Relay access denied", f"{verb}: {why}")


async def reject_unauth_destination(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``reject_unauth_destination``: neither ours nor relayed for (relay_domains_reject_code)."""
    code = evaluation.parameters.relay_domains_reject_code
    return await _unauth_destination(evaluation, code, "5.7.1", "reject_unauth_destination")


async def defer_unauth_destination(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``defer_unauth_destination``: as reject_unauth_destination, with 454."""
    return await _unauth_destination(evaluation, 454, "4.7.1", "defer_unauth_destination")


async def reject_unlisted_recipient(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``reject_unlisted_recipient``: the domain is ours and has no such address."""
    recipient = evaluation.facts.recipient
    if recipient is None:
        return None
    return await _about(evaluation, Subject.RECIPIENT, recipient, tools, "reject_unlisted_recipient")


async def reject_unlisted_sender(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``reject_unlisted_sender``: the sender claims a domain of ours that has no such address."""
    sender = evaluation.facts.sender
    if not sender:
        return None
    return await _about(evaluation, Subject.SENDER, sender, tools, "reject_unlisted_sender")


async def _about(evaluation: Evaluation, subject: Subject, address: str, tools: Tools, verb: str) -> Verdict | None:
    before, evaluation.subject = evaluation.subject, subject
    try:
        return await tools.recipients.check(evaluation, address, verb=verb)
    finally:
        evaluation.subject = before


def _non_fqdn(domain: str) -> bool:
    if domain.startswith("["):
        return not domain.endswith("]")
    return "." not in domain.rstrip(".") or not valid_hostname(domain.rstrip("."))


def _address_refusal(evaluation: Evaluation, subject: Subject, address: str | None, verb: str) -> Verdict | None:
    if not address:
        return None
    _, at, domain = address.rpartition("@")
    if (at and not _non_fqdn(domain)) or (subject is Subject.RECIPIENT and address.lower() == "postmaster"):
        return None
    before, evaluation.subject = evaluation.subject, subject
    try:
        code = evaluation.parameters.non_fqdn_reject_code
        return evaluation.rejected(code, "5.5.2", "need fully-qualified address", f"{verb}: {address}")
    finally:
        evaluation.subject = before


async def reject_non_fqdn_sender(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``reject_non_fqdn_sender``: MAIL FROM without a full domain."""
    return _address_refusal(evaluation, Subject.SENDER, evaluation.facts.sender, "reject_non_fqdn_sender")


async def reject_non_fqdn_recipient(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``reject_non_fqdn_recipient``: RCPT TO without a full domain; a bare postmaster passes (RFC 5321 2.3.5)."""
    return _address_refusal(evaluation, Subject.RECIPIENT, evaluation.facts.recipient, "reject_non_fqdn_recipient")


def _literal_refusal(evaluation: Evaluation, verb: str) -> Verdict | None:
    if is_literal(evaluation.facts.helo):
        return None
    return _helo_refusal(evaluation, evaluation.parameters.invalid_hostname_reject_code, "invalid ip address", verb)


def _helo_refusal(evaluation: Evaluation, code: int, why: str, verb: str) -> Verdict:
    before, evaluation.subject = evaluation.subject, Subject.HELO
    try:
        return evaluation.rejected(code, "5.5.2", why, f"{verb}: {evaluation.facts.helo}")
    finally:
        evaluation.subject = before


async def reject_non_fqdn_helo_hostname(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``reject_non_fqdn_helo_hostname``: HELO without a full domain name or ``[address]`` (RFC 5321 4.1.1.1)."""
    helo = evaluation.facts.helo
    if helo.startswith("["):
        return _literal_refusal(evaluation, "reject_non_fqdn_helo_hostname")
    if not helo or ("." in helo.rstrip(".") and valid_hostname(helo.rstrip("."))):
        return None
    code = evaluation.parameters.non_fqdn_reject_code
    return _helo_refusal(evaluation, code, "need fully-qualified hostname", "reject_non_fqdn_helo_hostname")


async def reject_invalid_helo_hostname(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``reject_invalid_helo_hostname``: HELO that is neither a host name nor an address."""
    helo = evaluation.facts.helo
    if helo.startswith("["):
        return _literal_refusal(evaluation, "reject_invalid_helo_hostname")
    if not helo or valid_hostname(helo.rstrip(".")) or _is_ipv4(helo):
        return None
    code = evaluation.parameters.invalid_hostname_reject_code
    return _helo_refusal(evaluation, code, "Invalid name", "reject_invalid_helo_hostname")


def _is_ipv4(text: str) -> bool:
    parts = text.split(".")
    return len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts)


async def _owners(evaluation: Evaluation, tools: Tools, sender: str) -> frozenset[str] | Verdict:
    """Who may send as ``sender``, in lower case; empty: the address has no owner."""
    way = await evaluation.resolve(sender)
    if isinstance(way, TemporaryError):
        return evaluation.try_later(way, sender)
    match = await find_address(tools.logins, way.recipient, evaluation.parameters.recipient_delimiter, tools.is_own)
    if isinstance(match, TemporaryError):
        return evaluation.try_later(match, sender)
    if isinstance(match, NotFound):
        return frozenset()
    return frozenset(match.found.value.lower().replace(",", " ").split())


def _login_refusal(evaluation: Evaluation, why: str, verb: str) -> Verdict:
    before, evaluation.subject = evaluation.subject, Subject.SENDER
    try:
        return evaluation.rejected(553, "5.7.1", why, f"{verb}: {why}", "smtpd_sender_login_maps")
    finally:
        evaluation.subject = before


async def _login_mismatch(
    evaluation: Evaluation, tools: Tools, verb: str, *, logged_in: bool, known_only: bool = False
) -> Verdict | None:
    """A client that has logged in must own the sender; one that has not must not use an owned one."""
    sender, user = evaluation.facts.sender, evaluation.facts.sasl_username
    if not sender or not tools.logins or bool(user) != logged_in:
        return None
    owners = await _owners(evaluation, tools, sender)
    if isinstance(owners, Verdict):
        return owners
    if not logged_in:
        return _login_refusal(evaluation, "not logged in", verb) if owners else None
    if user.lower() in owners or (known_only and not owners):
        return None
    return _login_refusal(evaluation, f"not owned by user {user}", verb)


_AUTHENTICATED = "reject_authenticated_sender_login_mismatch"
_UNAUTHENTICATED = "reject_unauthenticated_sender_login_mismatch"


async def reject_sender_login_mismatch(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``reject_sender_login_mismatch``: the two below together."""
    verb, logged_in = "reject_sender_login_mismatch", bool(evaluation.facts.sasl_username)
    if not has_sasl(evaluation, _AUTHENTICATED, _UNAUTHENTICATED):
        return None
    return await _login_mismatch(evaluation, tools, verb, logged_in=logged_in)


async def reject_authenticated_sender_login_mismatch(
    evaluation: Evaluation, tools: Tools, _argument: str
) -> Verdict | None:
    """``reject_authenticated_sender_login_mismatch``: logged in, and does not own the sender's address."""
    if not has_sasl(evaluation, _AUTHENTICATED):
        return None
    return await _login_mismatch(evaluation, tools, _AUTHENTICATED, logged_in=True)


async def reject_unauthenticated_sender_login_mismatch(
    evaluation: Evaluation, tools: Tools, _argument: str
) -> Verdict | None:
    """``reject_unauthenticated_sender_login_mismatch``: not logged in, and the sender's address has an owner."""
    if not has_sasl(evaluation, _UNAUTHENTICATED):
        return None
    return await _login_mismatch(evaluation, tools, _UNAUTHENTICATED, logged_in=False)


async def reject_known_sender_login_mismatch(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``reject_known_sender_login_mismatch``: as reject_sender_login_mismatch, for addresses with an owner alone."""
    verb, logged_in = "reject_known_sender_login_mismatch", bool(evaluation.facts.sasl_username)
    if not has_sasl(evaluation, verb):
        return None
    return await _login_mismatch(evaluation, tools, verb, logged_in=logged_in, known_only=True)


async def reject_unauth_pipelining(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``reject_unauth_pipelining``: commands came too early, and smtpd_forbid_unauth_pipelining has not ended that."""
    if not evaluation.facts.talked_early:
        return None
    return evaluation.rejected(503, "5.5.0", "Improper use of SMTP command pipelining", "reject_unauth_pipelining")


async def check_client_access(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``check_client_access``: access(5) by the client's name and address."""
    facts = evaluation.facts
    match = await tools.access.client(argument, facts.client_name, facts.client_address)
    return await tools.access.act(evaluation, Subject.CLIENT, match, "check_client_access", argument)


async def check_reverse_client_hostname_access(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``check_reverse_client_hostname_access``: access(5) by the name of the client's address, verified or not."""
    match = await tools.access.host(argument, evaluation.facts.reverse_client_name)
    verb = "check_reverse_client_hostname_access"
    return await tools.access.act(evaluation, Subject.REVERSE_CLIENT, match, verb, argument)


async def check_helo_access(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``check_helo_access``: access(5) by the HELO name."""
    helo = evaluation.facts.helo
    if not helo:
        return None
    match = await tools.access.host(argument, helo)
    return await tools.access.act(evaluation, Subject.HELO, match, "check_helo_access", argument)


async def check_sender_access(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``check_sender_access``: access(5) by the sender."""
    sender = evaluation.facts.sender
    if sender is None:
        return None
    match = await tools.access.address(argument, sender)
    return await tools.access.act(evaluation, Subject.SENDER, match, "check_sender_access", argument)


async def check_recipient_access(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``check_recipient_access``: access(5) by the recipient."""
    recipient = evaluation.facts.recipient
    if not recipient:
        return None
    match = await tools.access.address(argument, recipient)
    return await tools.access.act(evaluation, Subject.RECIPIENT, match, "check_recipient_access", argument)


async def check_etrn_access(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``check_etrn_access``: access(5) by the domain of an ETRN command."""
    domain = evaluation.domain
    if not domain:
        return None
    match = await tools.access.host(argument, domain)
    return await tools.access.act(evaluation, Subject.ETRN, match, "check_etrn_access", argument)


def _table() -> dict[str, Restriction]:
    named = (
        permit,
        reject,
        defer,
        permit_mynetworks,
        permit_sasl_authenticated,
        permit_inet_interfaces,
        permit_auth_destination,
        reject_unauth_destination,
        defer_unauth_destination,
        reject_unlisted_recipient,
        reject_unlisted_sender,
        reject_non_fqdn_sender,
        reject_non_fqdn_recipient,
        reject_non_fqdn_helo_hostname,
        reject_invalid_helo_hostname,
        reject_sender_login_mismatch,
        reject_authenticated_sender_login_mismatch,
        reject_unauthenticated_sender_login_mismatch,
        reject_known_sender_login_mismatch,
        reject_unknown_sender_domain,
        reject_unknown_recipient_domain,
        reject_unknown_helo_hostname,
        reject_unknown_client_hostname,
        reject_unauth_pipelining,
        reject_unknown_reverse_client_hostname,
        reject_unverified_sender,
        reject_unverified_recipient,
        reject_plaintext_session,
        reject_multi_recipient_bounce,
        permit_mx_backup,
        permit_tls_clientcerts,
        permit_tls_all_clientcerts,
        defer_if_permit,
        defer_if_reject,
    )
    table: dict[str, Restriction] = {each.__name__: each for each in named}
    table["check_relay_domains"] = reject_unauth_destination
    table["reject_maps_rbl"] = reject_maps_rbl
    table["reject_non_fqdn_hostname"] = reject_non_fqdn_helo_hostname
    table["reject_invalid_hostname"] = reject_invalid_helo_hostname
    table["check_recipient_maps"] = reject_unlisted_recipient
    table["reject_unknown_address"] = reject_unknown_sender_domain
    table["reject_unknown_hostname"] = reject_unknown_helo_hostname
    table["reject_unknown_client"] = reject_unknown_client_hostname
    return table


RESTRICTIONS = _table()
"""Restrictions without an argument, by name; the last eight are names from before Postfix 2.3."""

TABLE_RESTRICTIONS: dict[str, Restriction] = {
    each.__name__: each
    for each in (
        check_client_access,
        check_reverse_client_hostname_access,
        check_helo_access,
        check_sender_access,
        check_recipient_access,
        check_etrn_access,
        check_sasl_access,
    )
} | HOST_RESTRICTIONS
"""Restrictions whose argument is ``type:table``."""

ARGUMENT_RESTRICTIONS: dict[str, Restriction] = {
    each.__name__: each
    for each in (
        check_policy_service,
        check_ccert_access,
        reject_rbl_client,
        reject_rhsbl_client,
        reject_rhsbl_reverse_client,
        reject_rhsbl_helo,
        reject_rhsbl_sender,
        reject_rhsbl_recipient,
        permit_dnswl_client,
        permit_rhswl_client,
        sleep,
    )
}
"""Restrictions with another argument."""

GUARDS = frozenset(
    {
        "reject",
        "defer",
        "defer_if_permit",
        "reject_unauth_destination",
        "defer_unauth_destination",
        "check_relay_domains",
    }
)
"""One of these must stand in the relay or recipient restrictions, or nothing keeps strangers from relaying."""

NOT_YET: dict[str, int] = {
    "permit_naked_ip_address": 0,
}
"""Postfix's restrictions that this engine does not know yet, with the number of their arguments."""


async def skipped(_evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """What stands in the place of a restriction of ``NOT_YET``."""
    return None
