"""access(5): looking a host or an address up, and doing what the table says.

Results: ``OK`` or a number means yes; ``REJECT`` and ``DEFER`` with an optional status and text; ``4xx text`` and
``5xx text``; ``DUNNO``; ``DISCARD``, ``HOLD``, ``REDIRECT``, ``FILTER``, ``PREPEND`` ask for something to be done with
the message and let the list go on; ``WARN`` and ``INFO`` only log; anything else is a list of restrictions.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from angarium.model.dsn import Dsn
from angarium.model.lookup import NOT_FOUND, Found, Lookup, NotFound, TemporaryError
from angarium.model.verdict import Verdict
from angarium.policy.evaluation import SIDE_ACTIONS, Evaluation, Subject
from angarium.tables.maps import Maps, access_address, host_keys, network_keys
from angarium.tables.opener import TableOpener

_CODE = re.compile(r"[45][0-9]{2}(?![0-9])")
_SIDE = {action.name: action for action in SIDE_ACTIONS}

Nested = Callable[[Evaluation, str, str], Awaitable[Verdict | None]]
"""Evaluates a result that is itself a list of restrictions: evaluation, text, source."""


class AccessTables:
    """The access tables of one service."""

    def __init__(self, opener: TableOpener, delimiters: str, *, bare_parents: bool) -> None:
        self._opener = opener
        self._delimiters = delimiters
        self._bare_parents = bare_parents
        self.nested: Nested | None = None
        self.warn: Callable[[Evaluation, str, str], None] = lambda _evaluation, _verb, _text: None

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
        maps = self._maps(table)
        for position, key in enumerate(network_keys(address)):
            match = await maps.find(key, partial=position > 0)
            if not isinstance(match, NotFound):
                return match
        return NOT_FOUND

    async def address(self, table: str, address: str) -> Lookup:
        """By e-mail address."""
        maps = self._maps(table)
        if address == "<>":
            return await maps.find(address)
        return await access_address(maps, address, self._delimiters, bare_parents=self._bare_parents)

    async def act(self, evaluation: Evaluation, subject: Subject, match: Lookup, verb: str) -> Verdict | None:
        """Do what the table says."""
        if isinstance(match, NotFound):
            return None
        before, evaluation.subject = evaluation.subject, subject
        try:
            if isinstance(match, TemporaryError):
                evaluation.warn(f"{match.source}: table lookup problem: {match.cause}")
                reason = f"{verb}: {match.cause}"
                return evaluation.rejected(451, "4.3.5", "Server configuration error", reason, match.source)
            return await self._act(evaluation, match, verb)
        finally:
            evaluation.subject = before

    async def _act(self, evaluation: Evaluation, match: Found, verb: str) -> Verdict | None:
        word, _, rest = match.value.strip().partition(" ")
        rest = rest.strip()
        keyword = word.upper()
        reason = f"{verb}: {match.value}"
        if keyword == "OK" or (match.value.strip().isdigit()):
            return evaluation.permit(reason, match.source)
        if keyword == "DUNNO":
            return None
        if keyword in ("REJECT", "DEFER"):
            return _refusal(evaluation, keyword, rest, reason, match.source)
        if _CODE.fullmatch(word):
            dsn, text = Dsn.split(rest)
            code = int(word)
            default = f"{code // 100}.7.1"
            return evaluation.rejected(code, str(dsn or default), text or "Access denied", reason, match.source)
        if keyword in _SIDE:
            verdict = Verdict(_SIDE[keyword], reason, match.source, argument=rest)
            if evaluation.side is None or SIDE_ACTIONS[verdict.action] < SIDE_ACTIONS[evaluation.side.action]:
                evaluation.side = verdict
            return None
        if keyword in ("WARN", "INFO"):
            self.warn(evaluation, keyword.lower(), rest)
            return None
        if self.nested is None:
            return evaluation.misconfigured(f"{reason}: unknown action")
        return await self.nested(evaluation, match.value, match.source)


def _refusal(evaluation: Evaluation, keyword: str, rest: str, reason: str, source: str) -> Verdict:
    parameters = evaluation.parameters
    code = parameters.access_map_reject_code if keyword == "REJECT" else parameters.access_map_defer_code
    dsn, text = Dsn.split(rest)
    return evaluation.rejected(code, str(dsn or "5.7.1"), text or "Access denied", reason, source)
