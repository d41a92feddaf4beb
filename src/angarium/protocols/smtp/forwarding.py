"""XCLIENT and XFORWARD: what a trusted proxy or content filter says of the client behind it.

Postfix's XCLIENT_README and XFORWARD_README say what they are. Both commands are a list of ``NAME=value``, the value
in xtext. ``[UNAVAILABLE]`` is "not known", which is not the same as an attribute that was not sent. What a header or a
log line must not hold becomes ``?``.

Fails with CommandError, whose reply is the one that Postfix gives; nothing of a command with a fault counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from angarium.model.reply import Reply
from angarium.protocols.smtp.path import decode_xtext
from angarium.protocols.smtp.types import CommandError

XCLIENT_KEYWORD = "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT"
XFORWARD_KEYWORD = "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"
_XCLIENT = frozenset(XCLIENT_KEYWORD.split()[1:])
_XFORWARD = frozenset(XFORWARD_KEYWORD.split()[1:])

UNAVAILABLE = "[UNAVAILABLE]"
TEMPORARILY_UNAVAILABLE = "[TEMPUNAVAIL]"
CLIENT = frozenset({"NAME", "ADDR", "PORT", "PROTO", "HELO"})
"""The attributes of XFORWARD that say that the message is another client's."""

_VALUE_LIMIT = 255
_PROTOCOL_LIMIT = 64
_SPECIAL = frozenset(' <>()\\";@')
_WORDS = frozenset({UNAVAILABLE, TEMPORARILY_UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Families:
    """The kinds of addresses that this server knows (inet_protocols)."""

    ipv4: bool = True
    ipv6: bool = True


EVERY_FAMILY = Families()


def parse_attributes(text: str, families: Families = EVERY_FAMILY) -> dict[str, str]:
    """The attributes of an XCLIENT or XFORWARD line, the names in upper case.

    ``[UNAVAILABLE]`` and ``[TEMPUNAVAIL]`` are in upper case, addresses as the log has them, PROTO of XCLIENT and
    SOURCE in upper case.

    Raises:
        CommandError: with the reply for the client.
    """
    words = text.split()
    verb = words[0].upper()
    known = _XCLIENT if verb == "XCLIENT" else _XFORWARD
    found: dict[str, str] = {}
    for word in words[1:]:
        name, equals, encoded = word.partition("=")
        name = name.upper()
        if not equals or not encoded:
            raise _refused("Error: attribute=value expected")
        if len(encoded) > _VALUE_LIMIT:
            raise _refused("Error: attribute value too long")
        try:
            value = decode_xtext(encoded)
        except ValueError:
            value = encoded  # as Postfix before 2.3 sent them
        if name not in known:
            raise _refused(f"Bad {verb} attribute name: {neutered(name)}")
        value = neutered(value)
        if value.upper() in _WORDS:
            value = value.upper()
        read = _read(verb, name, value, families)
        if read is None:
            raise _refused(f"Bad {name} syntax: {value}")
        found[name] = read
    return found


def _refused(text: str) -> CommandError:
    return CommandError(Reply.of(501, "5.5.4", text))


def neutered(text: str) -> str:
    """Text of a stranger that has no way to mean something in a header or a log line."""
    return "".join("?" if char in _SPECIAL or not " " <= char < "\x7f" else char for char in text)


def _read(verb: str, name: str, value: str, families: Families) -> str | None:
    """The value, or None when it is none."""
    if name in ("NAME", "REVERSE_NAME"):
        good = value == UNAVAILABLE or (verb == "XCLIENT" and value == TEMPORARILY_UNAVAILABLE) or _is_host(value)
        return value if good else None
    if verb == "XCLIENT" and name == "PROTO":
        return value.upper() if value.upper() in ("SMTP", "ESMTP") else None
    if value == UNAVAILABLE:
        return value
    if name in ("ADDR", "DESTADDR"):
        return _address(value, families)
    if name in ("PORT", "DESTPORT"):
        return value if value.isascii() and value.isdigit() else None
    if name == "PROTO":
        return value if len(value) <= _PROTOCOL_LIMIT else None
    if name == "SOURCE":
        return value.upper() if value.upper() in ("LOCAL", "REMOTE") else None
    return value  # HELO, IDENT, LOGIN


def _is_host(text: str) -> bool:
    """A name, of labels with letters, digits, ``-`` and ``_``; and no address."""
    labels = text.split(".")
    if all(label.isdigit() for label in labels):
        return False
    return all(_is_label(label) for label in labels)


def _is_label(label: str) -> bool:
    word = label.replace("_", "").replace("-", "")
    return 0 < len(label) < 64 and label[0] != "-" and label[-1] != "-" and (not word or word.isalnum())


def _address(text: str, families: Families) -> str | None:
    """An IPv4 address, or an IPv6 one behind ``IPV6:``; IPv4 inside of IPv6 is IPv4."""
    labelled = text[:5].upper() == "IPV6:"
    if "%" in text:  # a zone may be any text, and there is none of another machine's
        return None
    try:
        address = ip_address(text[5:] if labelled else text)
    except ValueError:
        return None
    if labelled is not isinstance(address, IPv6Address) or not (families.ipv6 if labelled else families.ipv4):
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
