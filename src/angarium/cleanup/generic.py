"""generic(5): addresses of our inside become addresses of the outside when a message leaves by SMTP.

What smtp_generic_maps (lmtp_generic_maps) does to envelope and headers; the smtp agent calls it for each message that
it sends. One look-up, not repeated. The null address stays. Failures: a table that cannot be asked is a ``MailError``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from angarium.cleanup.addresses import Edit, mapped_edits
from angarium.cleanup.beyond import rewritten
from angarium.cleanup.headers import HeaderBlock
from angarium.cleanup.mapping import AddressMap
from angarium.cleanup.splice import SplicedContent, spliced
from angarium.model.content import Content
from angarium.rewrite.addresslist import ListedAddress
from angarium.tables.maps import Maps
from angarium.tables.opener import TableOpener


class GenericMap:
    """The table of one smtp service.

    Args:
        maps: smtp_generic_maps.
        delimiters: recipient_delimiter.
        complete: makes a bare or short address whole.
        is_own: whether bare users may stand for addresses of a domain.
        propagate: whether propagate_unmatched_extensions has ``generic``.
        token_limit: header_address_token_limit; 0 is none.
    """

    def __init__(
        self,
        maps: Maps,
        delimiters: str,
        complete: Callable[[ListedAddress], str],
        is_own: Callable[[str], Awaitable[bool]],
        *,
        propagate: bool = False,
        token_limit: int = 10240,
    ) -> None:
        self._table = AddressMap(maps, delimiters, complete, is_own, propagate=propagate)
        self._token_limit = token_limit

    async def address(self, address: str, _queue_id: str = "") -> str:
        """What an envelope address (internal form) becomes. Raises MailError."""
        if not address:
            return address
        results = await self._table.find(address)
        return results[0] if results else address

    async def content(self, prefix: bytes, content: Content) -> Content:
        """The message with the addresses in its headers mapped: ``prefix`` and ``content`` in one. Raises MailError.

        The body is passed on by reference.
        """
        pieces = SplicedContent([prefix, *spliced(content, [])]) if prefix else content
        header = HeaderBlock.read(pieces)
        if not header.whole:  # what changes of the rest is held in memory: only a stranger to all mail programs has it
            pieces, _ = await rewritten(pieces, len(header.raw), self._edits, None)
        edits = await self._edits(header)
        return SplicedContent(spliced(pieces, edits)) if edits else pieces

    async def _edits(self, header: HeaderBlock) -> list[Edit]:
        return await mapped_edits("", header, _as_it_is, self.address, self.address, self._token_limit, mend=False)


def make_generic(
    parameter: str,
    names: Sequence[str],
    opener: TableOpener,
    complete: Callable[[ListedAddress], str],
    is_own: Callable[[str], Awaitable[bool]],
    *,
    delimiters: str,
    propagate: bool,
    token_limit: int,
) -> GenericMap | None:
    """The map that ``parameter`` (smtp_generic_maps, lmtp_generic_maps) configures; None: it is empty."""
    maps = Maps.open(parameter, names, opener)
    if not maps:
        return None
    return GenericMap(maps, delimiters, complete, is_own, propagate=propagate, token_limit=token_limit)


def _as_it_is(address: ListedAddress) -> str:
    return address.text
