"""virtual(5): one address becomes those that its alias stands for.

Guarantees: ends for every table. The limits are Postfix's: an expansion of more than virtual_alias_expansion_limit
addresses, a nesting deeper than virtual_alias_recursion_limit or an address longer than
virtual_alias_address_length_limit refuses the message for now, ``451 4.6.0``: the tables may be put right. An address
may expand into itself once, which ends its expansion.
"""

from __future__ import annotations

from angarium.cleanup.mapping import AddressMap
from angarium.cleanup.parameters import CleanupParameters
from angarium.model.error import MailError
from angarium.model.reply import Reply


class AliasExpander:
    """The virtual aliases of one configuration.

    Args:
        table: virtual_alias_maps.
        parameters: the limits.
    """

    def __init__(self, table: AddressMap, parameters: CleanupParameters) -> None:
        self._table = table
        self._parameters = parameters

    async def expand(self, address: str, queue_id: str = "") -> list[str]:
        """The addresses that ``address`` stands for; itself when there is no alias. ``queue_id`` is for the details.

        The first address of a result takes the alias's place, the others go to the end, as Postfix has it.

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
            while (current := addresses[position]).lower() not in finished:
                if nesting >= parameters.virtual_alias_recursion_limit:
                    raise _unexpandable(f"unreasonable virtual_alias_maps map nesting for {address}")
                results = await self._table.find(current, queue_id)
                if not results:
                    break
                for result in results:
                    if len(result.encode("utf-8", "surrogateescape")) > parameters.virtual_alias_address_length_limit:
                        raise _unexpandable(f"unreasonable virtual_alias_maps result {result[:300]}...")
                    if result.lower() == current.lower():
                        finished.add(current.lower())
                addresses[position] = results[0]
                addresses += results[1:]
                nesting += 1
            position += 1
        return addresses


def _unexpandable(cause: str) -> MailError:
    return MailError(
        Reply.of(451, "4.6.0", "Alias expansion error"), f"{cause} -- message not accepted, try again later"
    )
