"""Restrictions that judge the session itself: TLS, log-ins, recipients of a bounce; and those that wait.

``defer_if_permit`` and ``defer_if_reject`` change what a later restriction's answer becomes. ``sleep`` holds the
client up, at most ``_LONGEST`` seconds.
"""

from __future__ import annotations

import asyncio

from angarium.model.verdict import Verdict
from angarium.policy.evaluation import Evaluation, Subject
from angarium.policy.tools import Tools

_LONGEST = 600.0


def has_sasl(evaluation: Evaluation, *verbs: str) -> bool:
    """Whether clients may log in here; restrictions that need it are passed over without, and the log says so."""
    if evaluation.parameters.smtpd_sasl_auth_enable:
        return True
    for verb in verbs:
        evaluation.warn(f"restriction `{verb}' ignored: no SASL support")
    return False


async def reject_plaintext_session(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``reject_plaintext_session``: TLS is off (plaintext_reject_code)."""
    if evaluation.facts.tls:
        return None
    code = evaluation.parameters.plaintext_reject_code
    return evaluation.refuse(code, "5.7.1", "Session encryption is required", "reject_plaintext_session: no TLS")


async def reject_multi_recipient_bounce(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``reject_multi_recipient_bounce``: the null sender, and more than one recipient: no report has them."""
    facts = evaluation.facts
    count = facts.recipient_count + (evaluation.stage == "RCPT")
    if facts.sender != "" or count < 2:
        return None
    code = evaluation.parameters.multi_recipient_bounce_reject_code
    reason = f"reject_multi_recipient_bounce: {count} recipients"
    return evaluation.rejected(code, "5.5.3", "Multi-recipient bounce", reason)


async def check_sasl_access(evaluation: Evaluation, tools: Tools, argument: str) -> Verdict | None:
    """``check_sasl_access``: access(5) by the name that the client has logged in with."""
    if not has_sasl(evaluation, "check_sasl_access"):
        return None
    match = await tools.access.word(argument, evaluation.facts.sasl_username)
    return await tools.access.act(evaluation, Subject.LOGIN, match, "check_sasl_access", argument)


async def defer_if_permit(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``defer_if_permit``: what would be accepted is deferred."""
    verb = "defer_if_permit"
    evaluation.unless_refused(evaluation.rejected(450, "4.7.0", f"{verb} requested", verb))
    return None


async def defer_if_reject(evaluation: Evaluation, _tools: Tools, _argument: str) -> Verdict | None:
    """``defer_if_reject``: what a later restriction of the same list would refuse is deferred."""
    verb = "defer_if_reject"
    later = evaluation.rejected(450, "4.7.0", f"{verb} requested", verb)
    evaluation.defer_if_reject = evaluation.defer_if_reject or later
    return None


async def sleep(evaluation: Evaluation, _tools: Tools, argument: str) -> Verdict | None:
    """``sleep seconds``: pause."""
    if not argument.isdigit():
        return evaluation.misconfigured(f"sleep {argument}: not a number of seconds")
    if not evaluation.dry_run:
        await asyncio.sleep(min(float(argument), _LONGEST))
    return None
