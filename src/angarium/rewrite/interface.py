"""What policy, cleanup and the queue manager ask about an address: where it goes, and why.

``Resolver`` is trivial-rewrite(8): it completes an address and finds its class, transport and nexthop. A lookup that
cannot be done now is a ``TemporaryError`` value: mail waits, it never bounces.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from angarium.model.lookup import TemporaryError


class AddressClass(enum.Enum):
    """The address classes of ADDRESS_CLASS_README, in the order in which Postfix asks."""

    LOCAL = "local"
    VIRTUAL_ALIAS = "virtual alias"
    VIRTUAL_MAILBOX = "virtual mailbox"
    RELAY = "relay"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where one recipient goes.

    Attributes:
        transport: the service name of master.cf: ``virtual``, ``smtp``, ``local``, ``error``, ``retry``, ``discard`` …
        nexthop: domain, ``[host]:port``, or the argument of the transport (the text of ``error`` and ``retry``).
        recipient: the address in full: bare names and short domains completed, routing removed.
        address_class: of the recipient's domain.
        reason: why, for people: ``transport_maps: example.org``, ``relayhost``.
        source: where that stands: ``main.cf: relayhost``, ``/etc/postfix/transport:3``.
        routed: the local part names a further hop (``user%host@relayed``); such mail is never relayed for strangers,
            unless allow_untrusted_routing says so.
        malformed: the address cannot be one: its domain is no host name, or it begins with ``-``. The transport is
            ``error`` then, and smtpd answers 501.
    """

    transport: str
    nexthop: str
    recipient: str
    address_class: AddressClass
    reason: str
    source: str
    routed: bool = False
    malformed: bool = False


class Resolver(Protocol):
    """Finds the way of a recipient."""

    async def resolve(self, sender: str, recipient: str) -> Resolution | TemporaryError:
        """Resolve ``recipient`` (internal form) of a message from ``sender`` (internal form; empty is the null sender).

        The null recipient resolves as ``$empty_address_recipient@$myhostname``.
        """
        ...

    def rewrite(self, address: str) -> str:
        """Complete an envelope address as ``$myorigin`` and ``$mydomain`` want it; the null address stays."""
        ...
