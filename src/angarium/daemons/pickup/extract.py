"""``sendmail -t``: the recipients that a message's headers name.

To, Cc and Bcc; when the message has any of these with Resent-, those alone (RFC 5322 section 3.6.6).
"""

from __future__ import annotations

from collections.abc import Iterator

from angarium.cleanup.headers import HeaderBlock
from angarium.model.content import Content
from angarium.rewrite.addresslist import parse_list

_NAMES = (b"to", b"cc", b"bcc")


def header_recipients(content: Content) -> tuple[str, ...]:
    """The addresses in the order of the headers, bare names as they stand."""
    header = HeaderBlock.read(content)
    prefix = b"resent-" if any(header.find(b"resent-" + name) >= 0 for name in _NAMES) else b""
    spans = sorted(span for name in _NAMES for span in _spans(header, prefix + name))
    found: list[str] = []
    for start, stop in spans:
        line = header.raw[start:stop]
        found.extend(addresses(line[line.index(b":") + 1 :].replace(b"\r\n", b"")))
    return tuple(dict.fromkeys(found))


def _spans(header: HeaderBlock, name: bytes) -> Iterator[tuple[int, int]]:
    at = header.find(name)
    while at >= 0:
        yield header.span(at)
        at = header.find(name, at + 1)


def addresses(value: bytes) -> Iterator[str]:
    """The addresses of a list, in internal form."""
    for address in parse_list(value).addresses:
        if address.text:
            yield address.text


def argument_addresses(text: str) -> tuple[str, ...]:
    """The addresses of one word of the command line: mostly one, but it may be a list, with names and comments."""
    if not any(char in ',<>"(;: \\\n\r\t' for char in text):
        return (text,)
    text = text.replace("\n", " ").replace("\r", " ").replace("\t", " ")
    return tuple(addresses(text.encode("utf-8", "surrogateescape"))) or (text,)


def bare(sender: str) -> str:
    """The address of ``-f``, which may come with a name or in brackets."""
    text = sender.strip()
    if text in ("", "<>"):
        return ""
    return argument_addresses(text)[0]
