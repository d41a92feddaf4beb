"""The quotas of one process: what holds for an account, by the directory, mailstore_quota_maps and main.cf.

An account that the directory does not know (its maps are files, SQL, LDAP) is looked up in ``mailstore_quota_maps``.
What is not found there either, or would be asked of a directory that is not there, has the limits of main.cf. A
directory or a table that cannot be read, or whose answer has no sense, is a temporary error: mail waits, it is neither
refused nor taken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from angarium.directory.interface import Directory, QuotaEntry
from angarium.mailstore.interface import MailstoreUnavailableError
from angarium.model.lookup import Found, Lookup, TemporaryError
from angarium.model.quota import QuotaLimit, QuotaPlan, parse_limit, parse_rules

_MOST_KEPT = 1024
"""Plans that are kept, by the directory's answer: it gives the same object for the same settings."""


class Quotas:
    """What is in force.

    Args:
        directory: is asked once for each message; it answers from memory.
        usual: main.cf's.
        locate: mailstore_quota_maps; None when it is empty.
    """

    def __init__(
        self, directory: Directory, usual: QuotaPlan, locate: Callable[[str], Awaitable[Lookup]] | None = None
    ) -> None:
        self._directory = directory
        self._usual = usual
        self._locate = locate
        self._plans: dict[int, tuple[QuotaEntry, QuotaPlan]] = {}

    async def of(self, account: str) -> QuotaPlan | TemporaryError:
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
        if isinstance(entry, TemporaryError):
            return entry
        return self._usual if self._locate is None else await self._listed(account, self._locate)

    async def _listed(self, account: str, locate: Callable[[str], Awaitable[Lookup]]) -> QuotaPlan | TemporaryError:
        """The plan of an account by mailstore_quota_maps."""
        found = await locate(account)
        if not isinstance(found, Found):
            return found if isinstance(found, TemporaryError) else self._usual
        try:
            limit = parse_limit(found.value)
        except ValueError as error:
            return TemporaryError(f"{account}: {error}", found.source)
        return replace(self._usual, limit=limit)

    async def plan(self, account: str) -> QuotaPlan:
        """The same for the mailstore. Raises MailstoreUnavailableError."""
        plan = await self.of(account)
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
