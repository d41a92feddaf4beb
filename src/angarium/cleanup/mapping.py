"""One address becomes another, or several, by a table: what canonical(5), virtual(5) and generic(5) have in common.

``AddressMap`` is one look-up: the keys in the order of those pages, ``@domain`` results that keep the user, and the
extension that no key matched going along when propagate_unmatched_extensions says so. ``Canonical`` repeats it as
cleanup(8) does, ten times at most. ``Masquerade`` cuts host names off domains (ADDRESS_REWRITING_README).

Failures: a table that cannot be asked is a ``MailError``, 451 4.3.0, with the text of the log as its cause.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from angarium.model.error import MailError
from angarium.model.lookup import Found, NotFound, TemporaryError
from angarium.model.reply import Reply
from angarium.protocols.smtp.path import quote_address
from angarium.rewrite.addresslist import ListedAddress, listed
from angarium.runtime.log import ServiceLog
from angarium.tables.maps import AddressMatch, Maps, find_address
from angarium.tables.matchlist import MatchList

Step = Callable[[str, str], Awaitable[str]]
"""Maps an address in internal form; the queue id is for the log. Raises MailError."""

_CANONICAL_DEPTH = 10
_SHOWN = 20
_NOT_ACCEPTED = "message not accepted, try again later"


def map_error(problem: str, error: TemporaryError) -> MailError:
    """What Postfix answers when a table fails while it writes the queue file; ``problem`` names parameter and key."""
    cause = f"{problem} -- {_NOT_ACCEPTED} ({error.source}: {error.cause})"
    return MailError(Reply.of(451, "4.3.0", "Error: queue file write error"), cause)


class AddressMap:
    """The tables of one parameter.

    Args:
        maps: of the parameter.
        delimiters: recipient_delimiter.
        propagate: whether the extension that no key matched goes along.
        complete: makes a bare or short address of a result whole.
        is_own: whether bare users may stand for addresses of a domain.
        log: learns of results without an address, and the details, if it keeps any.
    """

    def __init__(
        self,
        maps: Maps,
        delimiters: str,
        complete: Callable[[ListedAddress], str],
        is_own: Callable[[str], Awaitable[bool]],
        *,
        propagate: bool,
        log: ServiceLog | None = None,
    ) -> None:
        self.maps = maps
        self._log = log if log is not None and log.detailed else None
        self._warn = log.warning if log is not None else None
        self._delimiters = delimiters
        self._propagate = propagate
        self._complete = complete
        self._is_own = is_own

    async def find(self, address: str, queue_id: str = "") -> list[str]:
        """The addresses that the tables give for ``address``, whole; none when there is no entry. Raises MailError."""
        match = await find_address(self.maps, address, self._delimiters, self._is_own)
        if isinstance(match, NotFound):
            return []
        if isinstance(match, TemporaryError):
            raise map_error(f"{self.maps.parameter} map lookup problem for {address}", match)
        results = self._results(address, match)
        if not results:
            raise self._no_address(address, match.found)
        if self._log is not None and queue_id:
            text = f"{queue_id}: {self.maps.parameter}: {address} -> {', '.join(results[:_SHOWN])}"
            self._log.detail(text, queue_id=queue_id, source=match.found.source, results=len(results))
        return results

    def _results(self, address: str, match: AddressMatch) -> list[str]:
        extension = match.extension if self._propagate else ""
        text = match.found.value
        if text.startswith("@"):
            local, at, _ = address.rpartition("@")
            user = local if at else address
            text = quote_address(user.removesuffix(extension) + text)
        results = [self._complete(each) for each in listed(text)]
        if extension:
            results = [_extended(each, extension) if each else each for each in results]
        return results

    def _no_address(self, address: str, found: Found) -> MailError:
        """What Postfix answers, and logs, when a result has no address in it."""
        parameter = self.maps.parameter
        cause = f'{parameter} lookup of {address} returns non-address result "{found.value}"'
        problem = f"{parameter} map lookup problem for {address}"
        if self._warn is None:
            return map_error(problem, TemporaryError(cause, found.source))
        self._warn(cause)
        return MailError(Reply.of(451, "4.3.0", "Error: queue file write error"), f"{problem} -- {_NOT_ACCEPTED}")


def _extended(address: str, extension: str) -> str:
    local, at, domain = address.rpartition("@")
    return f"{local}{extension}@{domain}" if at else address + extension


class Canonical:
    """One of canonical_maps, sender_canonical_maps and recipient_canonical_maps."""

    def __init__(self, table: AddressMap, log: ServiceLog) -> None:
        self._table = table
        self._log = log

    async def __call__(self, address: str, queue_id: str) -> str:
        """Map until the tables have no more to say, or say the address itself. Raises MailError."""
        title = self._table.maps.parameter
        for _ in range(_CANONICAL_DEPTH):
            results = await self._table.find(address, queue_id)
            if not results:
                return address
            if len(results) > 1:
                self._log.warning(f"{queue_id}: multi-valued {title} entry for {address}")
            before, address = address, results[0]
            if before.casefold() == address.casefold():
                return address
        self._log.warning(f"{queue_id}: unreasonable {title} map nesting for {address} -- {_NOT_ACCEPTED}")
        return address


class Masquerade:
    """masquerade_domains, and masquerade_exceptions."""

    def __init__(self, domains: Sequence[str], exceptions: MatchList) -> None:
        self._domains = tuple((each.lstrip("!").lower(), _is_cut(each)) for each in domains if each.strip("!"))
        self._exceptions = exceptions

    async def __call__(self, address: str, _queue_id: str) -> str:
        """The first domain of the list that is the address's, or a parent of it, decides. Raises MailError."""
        local, at, domain = address.rpartition("@")
        if not at:
            return address
        folded = domain.lower()
        for parent, cut in self._domains:
            if folded == parent:
                return address
            if folded.endswith("." + parent):
                return f"{local}@{parent}" if cut and not await self._is_excepted(local) else address
        return address

    async def _is_excepted(self, local: str) -> bool:
        if not self._exceptions:
            return False
        match = await self._exceptions.match_string(local)
        if isinstance(match, TemporaryError):
            raise map_error("masquerade_exceptions map lookup problem", match)
        return isinstance(match, Found)


def _is_cut(word: str) -> bool:
    return (len(word) - len(word.lstrip("!"))) % 2 == 0
