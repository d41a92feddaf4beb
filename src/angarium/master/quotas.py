"""The quotas of one process: what holds for an account, by the directory and main.cf, and whether mail has room.

An account that the directory does not know (its maps are files, SQL, LDAP), and a directory that is not there, have the
limits of main.cf. A directory that cannot be read is a temporary error: mail waits, it is neither refused nor taken.
"""

from __future__ import annotations

from dataclasses import replace

from angarium.directory.interface import Directory, QuotaEntry
from angarium.mailstore.interface import MailstoreUnavailableError
from angarium.model.lookup import TemporaryError
from angarium.model.quota import QuotaLimit, QuotaPlan, parse_rules

_MOST_KEPT = 1024
"""Plans that are kept, by the directory's answer: it gives the same object for the same settings."""


class Quotas:
    """What is in force.

    Args:
        directory: is asked once for each message; it answers from memory.
        usual: main.cf's.
    """

    def __init__(self, directory: Directory, usual: QuotaPlan) -> None:
        self._directory = directory
        self._usual = usual
        self._plans: dict[int, tuple[QuotaEntry, QuotaPlan]] = {}

    def of(self, account: str) -> QuotaPlan | TemporaryError:
        """The plan of an account."""
        entry = self._directory.quota(account)
        if isinstance(entry, QuotaEntry):
            known = self._plans.get(id(entry))
            if known is not None and known[0] is entry:
                return known[1]
            if len(self._plans) >= _MOST_KEPT:
                self._plans.clear()
            plan = plan_of(entry, self._usual)
            self._plans[id(entry)] = entry, plan
            return plan
        return entry if isinstance(entry, TemporaryError) else self._usual

    async def plan(self, account: str) -> QuotaPlan:
        """The same for the mailstore. Raises MailstoreUnavailableError."""
        plan = self.of(account)
        if isinstance(plan, TemporaryError):
            raise MailstoreUnavailableError(f"the quota of {account} cannot be looked up: {plan.cause}")
        return plan


def plan_of(entry: QuotaEntry, usual: QuotaPlan) -> QuotaPlan:
    """What the directory says, completed from main.cf. Rules without sense are none: 'angarium quota' takes none in."""
    own = entry.settings
    rules = usual.rules
    if own.rules is not None:
        try:
            rules = parse_rules(own.rules)
        except ValueError:
            rules = ()
    return replace(
        usual,
        limit=QuotaLimit(
            usual.limit.bytes if own.bytes is None else own.bytes,
            usual.limit.messages if own.messages is None else own.messages,
        ),
        mail=usual.mail if own.mail is None else own.mail,
        rules=rules,
        domain=entry.domain,
    )
