"""access(5): looking a host or an address up, and doing what the table says.

Results: ``OK`` or a number means yes; ``REJECT`` and ``DEFER`` with an optional status and text; ``4xx text`` and
``5xx text``; ``DEFER_IF_PERMIT`` and ``DEFER_IF_REJECT`` defer what would be accepted or refused later; ``DUNNO``;
``HOLD``, ``REDIRECT``, ``FILTER``, ``BCC``, ``PREPEND`` ask for something to be done with the message and let the list
go on, ``DISCARD`` does and ends all lists; ``WARN`` and ``INFO`` only log; anything else is a list of restrictions. A
request that makes no sense is said in the log and passed over, as Postfix does it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from angarium.model.dsn import Dsn
from angarium.model.lookup import NOT_FOUND, Found, Lookup, NotFound, TemporaryError
from angarium.model.verdict import Effect, Request, Verdict
from angarium.policy.evaluation import Evaluation, Subject
from angarium.tables.maps import Maps, access_address, host_keys, network_keys
from angarium.tables.opener import TableOpener

_CODE = re.compile(r"[45][0-9]{2}(?![0-9])")
_HEADER = re.compile(r"[!-9;-~]+[ \t]*:")
_NOTES = {effect.name: effect for effect in (Effect.WARN, Effect.INFO)}
_REQUESTS = {
    effect.name: effect
    for effect in (Effect.HOLD, Effect.DISCARD, Effect.REDIRECT, Effect.FILTER, Effect.BCC, Effect.PREPEND)
}

Nested = Callable[[Evaluation, str, str], Awaitable[Verdict | None]]
"""Evaluates a result that is itself a list of restrictions: evaluation, text, source."""


class AccessTables:
    """The access tables of one service."""

    def __init__(self, opener: TableOpener, delimiters: str, *, bare_parents: bool, null_key: str = "<>") -> None:
        self._null_key = null_key
        self._opener = opener
        self._delimiters = delimiters
        self._bare_parents = bare_parents
        self.nested: Nested | None = None

    def _maps(self, name: str) -> Maps:
        return Maps("access", (self._opener.open(name),))

    async def host(self, table: str, name: str) -> Lookup:
        """By host name and its parents."""
        maps = self._maps(table)
        for position, key in enumerate(host_keys(name.lower(), bare=self._bare_parents)):
            match = await maps.find(key, partial=position > 0)
            if not isinstance(match, NotFound):
                return match
        return NOT_FOUND

    async def client(self, table: str, name: str, address: str) -> Lookup:
        """By host name and its parents, then by address and its networks."""
        if name != "unknown":
            match = await self.host(table, name)
            if not isinstance(match, NotFound):
                return match
        return await self.network(table, address)

    async def network(self, table: str, address: str) -> Lookup:
        """By an address and its networks."""
        maps = self._maps(table)
        for position, key in enumerate(network_keys(address)):
            match = await maps.find(key, partial=position > 0)
            if not isinstance(match, NotFound):
                return match
        return NOT_FOUND

    async def word(self, table: str, key: str) -> Lookup:
        """By a whole key."""
        return await self._maps(table).find(key) if key else NOT_FOUND

    async def address(self, table: str, address: str) -> Lookup:
        """By e-mail address; the null sender has a key of its own (smtpd_null_access_lookup_key)."""
        maps = self._maps(table)
        if not address:
            return await maps.find(self._null_key)
        return await access_address(maps, address, self._delimiters, bare_parents=self._bare_parents)

    async def obey(self, evaluation: Evaluation, action: str, verb: str, server: str) -> Verdict | None:
        """Do what a policy server says: any result of an access table."""
        return await self._act(evaluation, Found(action, server), verb, server)

    async def act(
        self, evaluation: Evaluation, subject: Subject, match: Lookup, verb: str, table: str
    ) -> Verdict | None:
        """Do what the table says. ``verb`` is the restriction, ``table`` its argument."""
        if isinstance(match, NotFound):
            return None
        before, evaluation.subject = evaluation.subject, subject
        try:
            if isinstance(match, TemporaryError):
                evaluation.warn(f"{match.source}: table lookup problem: {match.cause}")
                reason = f"{verb} {table}: {match.cause}"
                return evaluation.rejected(451, "4.3.5", "Server configuration error", reason, match.source)
            return await self._act(evaluation, match, f"{verb} {table}", table)
        finally:
            evaluation.subject = before

    async def _act(self, evaluation: Evaluation, match: Found, verb: str, table: str) -> Verdict | None:
        word, _, rest = match.value.strip().partition(" ")
        rest = rest.strip()
        keyword = word.upper()
        reason = f"{verb}: {match.value}"
        if keyword == "OK" or (match.value.strip().isdigit()):
            return await _yes(evaluation, keyword, table, evaluation.permit(reason, match.source))
        if keyword == "DUNNO":
            return None
        if keyword in ("REJECT", "DEFER"):
            return _refusal(evaluation, keyword, rest, reason, match.source)
        if keyword in ("DEFER_IF_PERMIT", "DEFER_IF_REJECT"):
            dsn, text = Dsn.split(rest)
            code = evaluation.parameters.access_map_defer_code
            later = evaluation.rejected(code, str(dsn or "4.7.1"), text or "Service unavailable", reason, match.source)
            if keyword == "DEFER_IF_PERMIT":
                evaluation.unless_refused(later)
            else:
                evaluation.defer_if_reject = evaluation.defer_if_reject or later
            return None
        if _CODE.fullmatch(word):
            dsn, text = Dsn.split(rest)
            code = int(word)
            default = f"{code // 100}.7.1"
            return evaluation.rejected(code, str(dsn or default), text or "Access denied", reason, match.source)
        if keyword in _REQUESTS:
            yes = evaluation.permit(reason, match.source)
            return await _granted(
                evaluation, _request(evaluation, _REQUESTS[keyword], rest, table, match.source), table, yes
            )
        if keyword in _NOTES:
            evaluation.requests.append(Request(_NOTES[keyword], rest, "", match.source))
            return None
        if ":" in match.value:  # it would be opened by whoever can write to the table
            evaluation.warn(f"access table {table} has entry with lookup table: {match.value}")
            evaluation.warn("do not specify lookup tables inside SMTPD access maps")
            evaluation.warn("define a restriction class and specify its name instead.")
            return evaluation.misconfigured(f"{reason}: a table inside of a table")
        if self.nested is None:
            return evaluation.misconfigured(f"{reason}: unknown action")
        return await self.nested(evaluation, match.value, match.source)


async def _yes(evaluation: Evaluation, keyword: str, table: str, verdict: Verdict) -> Verdict:
    if evaluation.logged_permits is not None:
        await evaluation.log_permit(keyword, table)
    return verdict


async def _granted(evaluation: Evaluation, request: Request | None, table: str, yes: Verdict) -> Verdict | None:
    """Something is asked for: the list goes on, but for DISCARD."""
    if request is None:
        return None
    evaluation.requests.append(request)
    return await _yes(evaluation, "DISCARD", table, yes) if request.effect is Effect.DISCARD else None


def _refusal(evaluation: Evaluation, keyword: str, rest: str, reason: str, source: str) -> Verdict:
    parameters = evaluation.parameters
    code = parameters.access_map_reject_code if keyword == "REJECT" else parameters.access_map_defer_code
    dsn, text = Dsn.split(rest)
    return evaluation.rejected(code, str(dsn or "5.7.1"), text or "Access denied", reason, source)


def _request(evaluation: Evaluation, effect: Effect, operand: str, table: str, source: str) -> Request | None:
    """What the table asks for; None, and said in the log, when it cannot be had."""
    fault = _misplaced(evaluation, effect) or _malformed(evaluation, effect, operand)
    if fault:
        evaluation.warn(f"access table {table}{fault}")
        return None
    about = f"<{evaluation.name}>: {evaluation.subject.value}"
    if effect in (Effect.HOLD, Effect.DISCARD):
        return Request(effect, f"{about} {operand or f'triggers {effect.name} action'}", "", source)
    return Request(effect, f"{about} triggers {effect.name} {operand}", operand, source)


def _misplaced(evaluation: Evaluation, effect: Effect) -> str:
    """What is wrong with asking for it now."""
    if evaluation.parameters.smtpd_proxy_filter and effect is not Effect.PREPEND:
        return f": with smtpd_proxy_filter specified, action {effect.name} is unavailable"
    if evaluation.domain:
        return f": action {effect.name} is unavailable in smtpd_etrn_restrictions"
    if evaluation.facts.sender is None:  # the message is not there yet, and this is not asked again for it
        return (
            f": with smtpd_delay_reject=no, action {effect.name} is always skipped in "
            f"{Subject.CLIENT.value} or {Subject.HELO.value} restrictions"
        )
    if effect is Effect.PREPEND and evaluation.list_name == "smtpd_end_of_data_restrictions":
        return ": action PREPEND must be used before smtpd_end_of_data_restrictions"
    return ""


def _malformed(evaluation: Evaluation, effect: Effect, operand: str) -> str:
    """What is wrong with its operand."""
    entry = f' entry "{evaluation.name}"'
    if effect is Effect.FILTER and not operand:
        return f"{entry} has FILTER entry without value"
    if effect is Effect.FILTER and ":" not in operand:
        return f"{entry} requires transport:destination"
    if effect in (Effect.REDIRECT, Effect.BCC) and "@" not in operand:
        return f"{entry} requires user@domain target"
    if effect is Effect.PREPEND and not _HEADER.match(operand):
        return f"{entry} requires header: text"
    return ""
