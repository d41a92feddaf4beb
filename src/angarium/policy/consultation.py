"""``check_policy_service``: what a policy server is told, and doing what it says (SMTPD_POLICY_README).

The answer is any result of an access(5) table. A server that does not answer counts as its default action.
"""

from __future__ import annotations

import os

from angarium.model.verdict import Verdict
from angarium.policy.evaluation import Evaluation
from angarium.policy.tools import Tools
from angarium.protocols.smtp.path import encode_xtext


async def check_policy_service(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``check_policy_service server``: ask it, and obey."""
    try:
        settings = tools.service.of(argument)
    except ValueError as error:
        evaluation.warn(f"check_policy_service {argument}: {error}")
        return evaluation.misconfigured(f"check_policy_service {argument}: {error}")
    action = await tools.services.ask(settings, attributes(evaluation, settings.policy_context))
    evaluation.note(f"check_policy_service {settings.server}", "answer", f"action={action}", settings.server)
    return await tools.access.obey(evaluation, action, f"check_policy_service {settings.server}", settings.server)


def attributes(evaluation: Evaluation, context: str) -> dict[str, str]:
    """The request, with the names and the order of Postfix 3.7."""
    facts = evaluation.facts
    several = evaluation.stage in ("DATA", "END-OF-MESSAGE")
    protocol, cipher, bits = facts.cipher
    certificate = facts.certificate
    trusted = certificate is not None and certificate.trusted
    return {
        "request": "smtpd_access_policy",
        "protocol_state": evaluation.stage,
        "protocol_name": facts.protocol,
        "client_address": facts.client_address,
        "client_name": facts.client_name,
        "client_port": str(facts.client_port),
        "reverse_client_name": facts.reverse_client_name,
        "server_address": facts.server_address,
        "server_port": str(facts.server_port),
        "helo_name": facts.helo,
        "sender": facts.sender or "",
        "recipient": facts.recipient or "",
        "recipient_count": str(facts.recipient_count if several else 0),
        "queue_id": facts.queue_id,
        "instance": f"{os.getpid():x}.{facts.instance[0]:x}.{facts.instance[1]:x}.0",
        "size": str(facts.size),
        "etrn_domain": evaluation.domain,
        "stress": evaluation.parameters.stress,
        "sasl_method": facts.sasl_method,
        "sasl_username": facts.sasl_username,
        "sasl_sender": facts.sasl_sender,
        # Names are another's word, to be believed when an authority of ours has checked them; a fingerprint is a fact.
        "ccert_subject": encode_xtext(certificate.subject) if certificate is not None and trusted else "",
        "ccert_issuer": encode_xtext(certificate.issuer) if certificate is not None and trusted else "",
        "ccert_fingerprint": certificate.fingerprint if certificate is not None else "",
        "ccert_pubkey_fingerprint": certificate.key_fingerprint if certificate is not None else "",
        "encryption_protocol": protocol,
        "encryption_cipher": cipher,
        "encryption_keysize": str(bits),
        "policy_context": context,
    }
