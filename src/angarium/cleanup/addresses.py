"""The addresses in headers, rewritten where they stand (cleanup(8), generic(5)).

``To: joe`` of a local user becomes ``To: joe@$myorigin``, and what canonical and masquerade make of that. Only an
address that changes, or that is not written as it is read (quotes are missing), is replaced; names, comments, folding
and everything else stay byte for byte, and a header whose addresses stay is not touched. Postfix lays a header out
anew when one of its addresses changes; signatures over it would not survive that any better, but people's eyes do.

Two words with nothing between them are two addresses: when one of them is rewritten, the comma between them that is
missing is put in. Of a list with more than header_address_token_limit tokens the rest is cut off when it is rewritten.

Linear in the size of the header.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator

from angarium.cleanup.headers import HeaderBlock
from angarium.cleanup.mapping import Step
from angarium.rewrite.addresslist import AddressList, ListedAddress, external, is_as_meant, parse_list

SENDERS = (
    *(b"from", b"sender", b"reply-to"),
    *(b"resent-from", b"resent-sender", b"resent-reply-to"),
    *(b"errors-to", b"return-receipt-to", b"disposition-notification-to", b"mail-followup-to"),
)
"""The headers whose addresses are of senders, as Postfix has them."""

RECIPIENTS = (b"to", b"cc", b"resent-to", b"resent-cc", b"apparently-to")
"""The headers whose addresses are of recipients; ``bcc`` is taken out anyway."""

NAMES = (*SENDERS, *RECIPIENTS)

_ATOM = rb"[A-Za-z0-9#$&'*+/=?^_`{|}~\x80-\xff-]+"
_WHOLE = re.compile(_ATOM + rb"(?:\." + _ATOM + rb")*@(?:[^]@\s.[]+\.[^]@\s[]*[^]@\s.[]|\[[^]@\s[]+\])")

_TURN = 200
"""How many addresses are looked up before others have their turn."""

Edit = tuple[int, int, bytes]
"""Bytes ``start`` to ``stop`` of the header block, and what stands there instead."""

Complete = Callable[[ListedAddress], str]
"""Completes an address of a list."""


def address_edits(header: HeaderBlock, complete: Complete, limit: int = 0) -> list[Edit]:
    """What completing the addresses of a header block changes."""
    edits: list[Edit] = []
    for _, value, stop in _values(header, NAMES):
        if not _all_whole(header.raw[value:stop]):
            found = parse_list(header.raw, value, stop, limit)
            edits.extend(_edits(header.raw, found, [complete(each) for each in found.addresses], stop, mend=True))
    return edits


async def mapped_edits(
    queue_id: str,
    header: HeaderBlock,
    complete: Complete,
    senders: Step | None,
    recipients: Step | None,
    limit: int = 0,
    *,
    mend: bool = True,
) -> list[Edit]:
    """What completing and then mapping changes; None: these headers are completed alone.

    ``mend``: addresses that lack quotes are given them, too. Raises what a step raises.
    """
    edits: list[Edit] = []
    known: dict[tuple[Step, str], str] = {}
    for name, value, stop in _values(header, NAMES):
        step = senders if name in SENDERS else recipients
        if step is None and _all_whole(header.raw[value:stop]):
            continue
        found = parse_list(header.raw, value, stop, limit)
        texts = []
        for each in found.addresses:
            text = complete(each)
            if step is not None:
                key = step, text
                if key not in known:
                    known[key] = await step(text, queue_id)
                    if len(known) % _TURN == 0:
                        await asyncio.sleep(0)
                text = known[key]
            texts.append(text)
        edits.extend(_edits(header.raw, found, texts, stop, mend=mend))
    return edits


def _values(header: HeaderBlock, names: tuple[bytes, ...]) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and stop of the value of each header of these names."""
    for name in names:
        if name not in header.folded:
            continue
        at = header.find(name)
        while at >= 0:
            start, stop = header.span(at)
            if header.raw.endswith(b"\r\n", start, stop):
                stop -= 2
            yield name, header.raw.index(b":", start) + 1, stop
            at = header.find(name, at + 1)


def _all_whole(value: bytes) -> bool:
    """Whether a list of common form needs no work: what nearly every mail program writes."""
    if b'"' in value or b"(" in value or b":" in value:
        return False
    for part in value.split(b","):
        opening = part.find(b"<")
        address = part[opening + 1 : part.find(b">", opening)] if opening >= 0 else part.strip()
        if _WHOLE.fullmatch(address) is None:
            return False
    return True


def _edits(raw: bytes, found: AddressList, texts: list[str], stop: int, *, mend: bool) -> Iterator[Edit]:
    """The changes of one header."""
    changed = False
    unclosed: list[int] = []
    for each, text in zip(found.addresses, texts, strict=True):
        if text != each.text or (mend and not is_as_meant(raw, each)):
            changed = True
            data = external(text).encode("utf-8", "surrogateescape")
            yield each.start, each.stop, b" ".join((data, *each.comments))
        elif text.endswith("]") and raw[each.stop - 1 : each.stop] != b"]":
            unclosed.append(each.stop)
    if not changed:
        return
    for place in unclosed:
        yield place, place, b"]"
    for each in found.addresses:
        if each.comma >= 0:
            yield each.comma, each.comma, b","
    if found.stop < stop:
        end = len(raw[:stop].rstrip(b"\r\n"))
        yield len(raw[: found.stop].rstrip(b" \t\r\n")), end, b""
