"""BODY and BODYSTRUCTURE (RFC 9051 section 7.5.2) from the tree of a message's parts, in wire form."""

from __future__ import annotations

from angarium.protocols.mime.content import Parameters, parse_disposition
from angarium.protocols.mime.envelope import AddressRoom, envelope
from angarium.protocols.mime.header import fields, unfold
from angarium.protocols.mime.lexer import skip_blanks, token
from angarium.protocols.mime.types import MAX_ENCLOSED_ADDRESS_TEXT, Part
from angarium.protocols.mime.wire import nstring, string

_EMPTY = b'"text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0'
"""What a multipart without parts contains."""


def structures(data: bytes, root: Part) -> tuple[bytes, bytes]:
    """BODY and BODYSTRUCTURE of the message ``data`` with the tree ``root``."""
    return _render(data, root, AddressRoom(MAX_ENCLOSED_ADDRESS_TEXT))


def _render(data: bytes, part: Part, room: AddressRoom) -> tuple[bytes, bytes]:
    # recursion is bounded by MAX_NESTING
    if part.multipart:
        return _multipart(data, part, room)
    basic = _basic(part)
    extension = _extension(part)
    if part.message:
        child = part.children[0]
        head = data[child.start : child.body]
        enveloped = envelope([(name, value) for name, value, _start, _end in fields(head)], room)
        body, full = _render(data, child, room)
        short = b"%b %b %b %d" % (basic, enveloped, body, part.lines)
        return b"(%b)" % short, b"(%b %b %b %d%b)" % (basic, enveloped, full, part.lines, extension)
    if part.media.type.lower() == b"text":
        basic = b"%b %d" % (basic, part.lines)
    return b"(%b)" % basic, b"(%b%b)" % (basic, extension)


def _multipart(data: bytes, part: Part, room: AddressRoom) -> tuple[bytes, bytes]:
    rendered = [_render(data, child, room) for child in part.children]
    subtype = string(part.media.subtype or b"x-unknown")
    bodies = b"".join([body for body, _full in rendered]) or b"(%b)" % _EMPTY
    fulls = b"".join([full for _body, full in rendered]) or b"(%b NIL NIL NIL NIL)" % _EMPTY
    return (
        b"(%b %b)" % (bodies, subtype),
        b"(%b %b %b%b)" % (fulls, subtype, _parameters(part.media.parameters), _tail(part)),
    )


def _basic(part: Part) -> bytes:
    media = part.media
    parameters = media.parameters
    if media.type.lower() == b"text" and media.parameter(b"charset") is None:
        parameters = (*parameters, (b"charset", b"us-ascii"))
    found = part.fields
    if _is_plain(found):
        return b'%b %b %b NIL NIL "7bit" %d' % (
            string(media.type), string(media.subtype), _parameters(parameters), part.end - part.body
        )  # fmt: skip
    encoding = found.get(b"transfer-encoding")
    identity = found.get(b"id")
    description = found.get(b"description")
    return b"%b %b %b %b %b %b %d" % (
        string(media.type),
        string(media.subtype),
        _parameters(parameters),
        nstring(None if identity is None else unfold(identity)),
        nstring(None if description is None else unfold(description)),
        string(encoding) if encoding is not None else b'"7bit"',
        part.end - part.body,
    )


def _is_plain(found: dict[bytes, bytes]) -> bool:
    """Whether there is nothing to say beyond the Content-Type."""
    return not found or (len(found) == 1 and b"type" in found)


def _parameters(parameters: Parameters) -> bytes:
    if not parameters:
        return b"NIL"
    return b"(%b)" % b" ".join([b"%b %b" % (string(name), string(value)) for name, value in parameters])


def _extension(part: Part) -> bytes:
    """The extension data of a single part, with its leading blank."""
    if _is_plain(part.fields):
        return b" NIL NIL NIL NIL"
    md5 = part.fields.get(b"md5")
    return b" %b%b" % (nstring(None if md5 is None else unfold(md5)), _tail(part))


def _tail(part: Part) -> bytes:
    """Disposition, language and location, with their leading blank."""
    found = part.fields
    if _is_plain(found):
        return b" NIL NIL NIL"
    disposition = found.get(b"disposition")
    parsed = parse_disposition(disposition) if disposition is not None else None
    location = found.get(b"location")
    return b" %b %b %b" % (
        b"NIL" if parsed is None else b"(%b %b)" % (string(parsed[0]), _parameters(parsed[1])),
        _language(found.get(b"language")),
        nstring(None if location is None else unfold(location)),
    )


def _language(value: bytes | None) -> bytes:
    if value is None:
        return b"NIL"
    value = unfold(value)
    tags: list[bytes] = []
    at = skip_blanks(value, 0)
    while at < len(value):
        tag, behind = token(value, at)
        if tag:
            tags.append(string(tag))
        behind = skip_blanks(value, behind)
        if value[behind : behind + 1] != b",":
            break
        at = skip_blanks(value, behind + 1)
    return b"(%b)" % b" ".join(tags) if tags else b"NIL"
