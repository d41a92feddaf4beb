"""Restrictions that ask who a client is by its TLS certificate (TLS_README; smtpd_tls_ask_ccert must be on).

A fingerprint names one certificate or one key, so that it does not matter who has vouched for it.
"""

from __future__ import annotations

from functools import lru_cache

from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.model.verdict import Verdict
from angarium.policy.evaluation import Evaluation, Subject
from angarium.policy.tools import Tools

_ORDER = ("cert_fingerprint", "pubkey_fingerprint")


async def permit_tls_clientcerts(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``permit_tls_clientcerts``: the fingerprint of the certificate or of its key is in $relay_clientcerts."""
    return await _by_fingerprint(evaluation, tools, "permit_tls_clientcerts")


async def _by_fingerprint(evaluation: Evaluation, tools: Tools, verb: str) -> Verdict | None:
    certificate = evaluation.facts.certificate
    if certificate is None:
        return None
    for fingerprint in (certificate.fingerprint, certificate.key_fingerprint):
        match = await tools.client_certificates.find(fingerprint)
        if isinstance(match, Found):
            return evaluation.permit(f"{verb}: {fingerprint}", match.source)
        if isinstance(match, TemporaryError):
            return evaluation.try_later(match, fingerprint)
    return None


async def permit_tls_all_clientcerts(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``permit_tls_all_clientcerts``: an authority of smtpd_tls_CAfile or _CApath has vouched for the client.

    Those of $relay_clientcerts are permitted, too, as in Postfix.
    """
    certificate = evaluation.facts.certificate
    if certificate is not None and certificate.trusted:
        return evaluation.permit(f"permit_tls_all_clientcerts: {certificate.subject}")
    return await _by_fingerprint(evaluation, tools, "permit_tls_all_clientcerts")


async def check_ccert_access(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``check_ccert_access``: access(5) by fingerprint, of the certificate and then of its key."""
    try:
        table, order = ccert_search(argument)
    except ValueError as error:
        evaluation.warn(str(error))
        return evaluation.misconfigured(f"check_ccert_access {argument}: {error}")
    certificate = evaluation.facts.certificate
    if certificate is None:
        return None
    keys = {"cert_fingerprint": certificate.fingerprint, "pubkey_fingerprint": certificate.key_fingerprint}
    match: Lookup = NOT_FOUND
    for what in order:
        match = await tools.access.word(table, keys[what])
        if match is not NOT_FOUND:
            break
    return await tools.access.act(evaluation, Subject.CERTIFICATE, match, "check_ccert_access", table)


@lru_cache(maxsize=64)
def ccert_search(argument: str) -> tuple[str, tuple[str, ...]]:
    """The table and what to ask it for: ``type:table``, or ``{ type:table, { search_order = … } }``.

    Raises:
        ValueError: it is neither.
    """
    if not argument.startswith("{"):
        return argument, _ORDER
    table, brace, rest = argument[1:-1].strip().rpartition("{")
    if not brace:
        return argument[1:-1].strip(" ,\t"), _ORDER
    name, equals, value = rest.strip(" ,\t}").partition("=")
    if name.strip() != "search_order" or not equals:
        raise ValueError(f"unknown attribute '{name.strip()}' in '{argument}'")
    order = tuple(value.replace(",", " ").split())
    for word in order:
        if word not in _ORDER:
            raise ValueError(f"unknown search type '{word}' in '{argument}'")
    return table.strip(" ,\t"), order
