"""The two protocols that one client speaks: SMTP, and LMTP (RFC 2033), as a table of what tells them apart.

==============================  =======================  ==========================================
what                            SMTP                     LMTP
==============================  =======================  ==========================================
the client says hello           EHLO, if refused HELO    LHLO
replies to the final dot        one                      one for each recipient that was accepted
==============================  =======================  ==========================================

Everything else is the same code; a ``Dialect`` is asked in no more places than this table has rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from angarium.protocols.smtp.client_states import Step


@dataclass(frozen=True, slots=True)
class Dialect:
    """See the module.

    Attributes:
        name: ``smtp`` or ``lmtp``: the command of master.cf, and how its parameters begin.
        hello: the first command.
        fallback: what to say to a server that refuses it; None: nothing.
        reply_each: the final dot is answered once for each recipient (RFC 2033 section 4.2).
    """

    name: str
    hello: Step
    fallback: Step | None
    reply_each: bool


SMTP = Dialect("smtp", Step.EHLO, Step.HELO, reply_each=False)
LMTP = Dialect("lmtp", Step.LHLO, None, reply_each=True)

DIALECTS = {dialect.name: dialect for dialect in (SMTP, LMTP)}
"""By the command of master.cf."""
