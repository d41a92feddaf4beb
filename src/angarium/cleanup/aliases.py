"""virtual(5): one address becomes those that its alias stands for.

Guarantees: ends for every table. The limits are Postfix's: an expansion of more than virtual_alias_expansion_limit
addresses, a nesting deeper than virtual_alias_recursion_limit or an address longer than
virtual_alias_address_length_limit refuses the message for now, ``451 4.6.0``: the tables may be put right. An address
may expand into itself once, which ends its expansion.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from angarium.cleanup.parameters import CleanupParameters
from angarium.model.error import MailError
from angarium.model.lookup import NotFound, TemporaryError
from angarium.model.reply import Reply
from angarium.tables.maps import AddressMatch, Maps, find_address


class AliasExpander:
    """The virtual aliases of one configuration.

    Args:
        maps: virtual_alias_maps.
        parameters: the limits.
        complete: makes a bare or short address whole.
        is_own: whether bare users may stand for addresses of a domain.
    """

    def __init__(
        self,
        maps: Maps,
        parameters: CleanupParameters,
        complete: Callable[[str], str],
        is_own: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._maps = maps
        self._parameters = parameters
        self._complete = complete
        self._is_own = is_own
        self._propagate = "virtual" in parameters.propagate_unmatched_extensions

    async def expand(self, address: str) -> list[str]:
        """The addresses that ``address`` stands for; itself when there is no alias.

        Raises:
            MailError: a table cannot be asked, or the expansion is beyond a limit.
        """
        parameters = self._parameters
        addresses = [address]
        finished: set[str] = set()
        position = 0
        while position < len(addresses):
            if len(addresses) > parameters.virtual_alias_expansion_limit:
                raise _unexpandable(f"unreasonable virtual_alias_maps map expansion size for {address}")
            nesting = 0
            while True:
                current = addresses[position]
                if current in finished:
                    break
                if nesting >= parameters.virtual_alias_recursion_limit:
                    raise _unexpandable(f"unreasonable virtual_alias_maps map nesting for {address}")
                results = await self._lookup(current)
                if not results:
                    break
                for result in results:
                    if len(result) > parameters.virtual_alias_address_length_limit:
                        raise _unexpandable(f"unreasonable virtual_alias_maps result {result[:300]}...")
                    if result.lower() == current.lower():
                        finished.add(current)
                addresses[position : position + 1] = results
                nesting += 1
            position += 1
        return addresses

    async def _lookup(self, address: str) -> list[str]:
        match = await find_address(self._maps, address, self._parameters.recipient_delimiter, self._is_own)
        if isinstance(match, TemporaryError):
            raise MailError(
                Reply.of(451, "4.3.0", "Error: queue file write error"),
                f"virtual_alias_maps map lookup problem for {address}: {match.cause} "
                "-- message not accepted, try again later",
            )
        if isinstance(match, NotFound):
            return []
        return [self._result(address, text, match) for text in split_addresses(match.found.value)]

    def _result(self, address: str, text: str, match: AddressMatch) -> str:
        """One address of a result: ``@domain`` keeps the user, an extension that no key matched goes along."""
        local, at, domain = text.rpartition("@")
        if at and not local:
            return address.rpartition("@")[0] + text
        if match.extension and self._propagate:
            text = f"{local}{match.extension}@{domain}" if at else text + match.extension
        return self._complete(text)


def split_addresses(text: str) -> list[str]:
    """``a@x, "b c"@x d@x`` -> the addresses, local parts unquoted."""
    addresses: list[str] = []
    current: list[str] = []
    quoted = False
    position = 0
    while position < len(text):
        char = text[position]
        if char == "\\" and position + 1 < len(text):
            position += 1
            current.append(text[position])
        elif char == '"':
            quoted = not quoted
        elif not quoted and char in ", \t\r\n":
            if current:
                addresses.append("".join(current))
                current = []
        else:
            current.append(char)
        position += 1
    if current:
        addresses.append("".join(current))
    return addresses


def _unexpandable(cause: str) -> MailError:
    return MailError(
        Reply.of(451, "4.6.0", "Alias expansion error"), f"{cause} -- message not accepted, try again later"
    )
