"""The macros in a command's arguments: ``${recipient}``, ``$user``, ``$(nexthop)`` (pipe(8)).

An argument that holds a macro about a recipient becomes as many arguments as there are recipients. ``$$`` is a dollar
sign. Values are taken as they are: what is in one is no macro again, and no shell sees it.

==========================================================  =============================  =========================
macro                                                       folded by                      quoted by ``q``
==========================================================  =============================  =========================
recipient original_recipient                                ``u`` (user), ``h`` (domain)   yes
user extension mailbox                                      ``u``
domain                                                      ``h``
nexthop                                                     ``h``
sender                                                                                     yes, unless it is empty
client_* queue_id sasl_* size
==========================================================  =============================  =========================

Fails with MacroError for a macro that is unknown or malformed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from angarium.model.address import Address
from angarium.model.delivery import DeliveryRequest
from angarium.model.envelope import Recipient
from angarium.protocols.smtp.path import quote_address

_MACRO = re.compile(r"\$(?:\$|\{([^{}]*)\}|\(([^()]*)\)|(\w+)|)", re.ASCII)
_OF_RECIPIENTS = frozenset({"recipient", "original_recipient", "user", "extension", "mailbox", "domain"})
_LEAVES_OUT = frozenset({"user", "mailbox"})
"""An argument for a recipient who has no such thing is left out; an extension may be empty."""


class MacroError(Exception):
    """An argument that cannot be expanded."""


@dataclass(frozen=True, slots=True)
class MacroRules:
    """How macros are filled in.

    Attributes:
        flags: of the service; ``h``, ``q`` and ``u`` count.
        null_sender: what stands for an empty sender.
        recipient_delimiter: of main.cf.
    """

    flags: frozenset[str]
    null_sender: str
    recipient_delimiter: str


@dataclass(frozen=True, slots=True)
class _Word:
    """An argument of master.cf, taken apart: text and macros in turn."""

    texts: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, word: str) -> _Word:
        texts, names, text, at = [], [], "", 0
        for match in _MACRO.finditer(word):
            text += word[at : match.start()]
            at = match.end()
            if match[0] == "$$":
                text += "$"
                continue
            name = next((group for group in match.groups() if group is not None), "")
            if not name:
                raise MacroError(f'malformed macro in "{word}"')
            texts.append(text)
            names.append(name)
            text = ""
        return cls((*texts, text + word[at:]), tuple(names))

    def fill(self, values: Callable[[str], str]) -> str:
        parts = [self.texts[0]]
        for name, text in zip(self.names, self.texts[1:], strict=True):
            parts += (values(name), text)
        return "".join(parts)


def expand(words: Sequence[str], request: DeliveryRequest, size: int, rules: MacroRules) -> list[str]:
    """The arguments for a delivery.

    Args:
        words: of master.cf.
        request: the delivery; its recipients are those of the arguments.
        size: of the message, bytes.
        rules: how.

    Raises:
        MacroError: an unknown macro, or a malformed one.
    """
    general = _general(request, size, rules)
    people = [_personal(queued.recipient, rules) for queued in request.recipients]
    arguments: list[str] = []
    for word in map(_Word.parse, words):
        for name in word.names:
            if name not in general and name not in _OF_RECIPIENTS:
                raise MacroError(f'unknown macro name: "{name}"')
        if _OF_RECIPIENTS.isdisjoint(word.names):
            arguments.append(word.fill(general.__getitem__))
            continue
        needed = _LEAVES_OUT.intersection(word.names)
        arguments += [
            word.fill({**general, **person}.__getitem__) for person in people if all(person[name] for name in needed)
        ]
    return arguments


def _general(request: DeliveryRequest, size: int, rules: MacroRules) -> dict[str, str]:
    envelope = request.envelope
    origin = envelope.origin
    client = origin.logged
    unsaid = "" if origin.forwarded is None else "unknown"
    sender = envelope.sender or rules.null_sender
    return {
        "client_address": client.address or unsaid,
        "client_helo": client.helo,
        "client_hostname": client.name,
        "client_port": str(client.port or unsaid),
        "client_protocol": client.protocol or unsaid,
        "nexthop": request.nexthop.lower() if "h" in rules.flags else request.nexthop,
        "queue_id": request.queue_id,
        "sasl_method": origin.sasl_method,
        "sasl_sender": origin.sasl_sender,
        "sasl_username": origin.sasl_username,
        "sender": quote_address(sender) if "q" in rules.flags else sender,
        "size": str(size),
    }


def _personal(recipient: Recipient, rules: MacroRules) -> dict[str, str]:
    address = _folded(recipient.address, rules.flags)
    original = _folded(recipient.original or recipient.address, rules.flags)
    parts = Address.split(address)
    user, extension = parts.extension(rules.recipient_delimiter)
    quotes = "q" in rules.flags
    return {
        "recipient": quote_address(address) if quotes else address,
        "original_recipient": quote_address(original) if quotes else original,
        "user": user,
        "extension": extension[1:],
        "mailbox": parts.local,
        "domain": parts.domain,
    }


def _folded(address: str, flags: frozenset[str]) -> str:
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
    return (local.lower() if "u" in flags else local) + at + (domain.lower() if "h" in flags else domain)
