"""Completing an address: trivial-rewrite(8), ADDRESS REWRITING.

In this order: ``site!user`` becomes ``user@site`` (swap_bangpath), ``user%domain`` becomes ``user@domain``
(allow_percent_hack), ``user`` becomes ``user@$myorigin`` (append_at_myorigin), ``user@host`` becomes
``user@host.$mydomain`` (append_dot_mydomain), a trailing dot goes. A source route ``@a,@b:user@c`` keeps its last
hop alone (RFC 5321 appendix C). The null address and what ends in ``@`` stay. Addresses are in internal form.
"""

from __future__ import annotations

from dataclasses import replace

from angarium.protocols.smtp.path import quote_address
from angarium.rewrite.addresslist import ListedAddress, unmasked
from angarium.rewrite.parameters import RewriteParameters


def strip_route(address: str) -> str:
    """``@hop,@hop:user@domain`` -> ``user@domain``."""
    if address.startswith("@"):
        colon = address.find(":")
        if 0 < colon < len(address) - 1:
            return address[colon + 1 :]
    return address


def remote(parameters: RewriteParameters, domain: str) -> RewriteParameters:
    """The parameters for headers of strangers: remote_header_rewrite_domain stands for our own domains."""
    return replace(parameters, myorigin=domain, mydomain=domain)


def complete_listed(address: ListedAddress, parameters: RewriteParameters) -> str:
    """The address of a list in full: there, unlike in the internal form, it is seen what is in quotes."""
    if address.masked is address.text:
        return complete(address.text, parameters, operators=True)
    return unmasked(complete(address.masked, parameters, operators=True))


def complete(address: str, parameters: RewriteParameters, *, operators: bool = False) -> str:
    """The address in full.

    Args:
        address: internal form.
        parameters: main.cf.
        operators: ``!`` and ``%`` are operators; otherwise they are none when the address needs quotes, which the
            internal form does not show.
    """
    if not address or address == "@":
        return ""
    address = strip_route(address)
    local, at, domain = address.rpartition("@")
    if not at:
        local, at, domain = _by_operator(address, parameters, operators)
    if at and not domain:
        return f"{local}@"
    if not domain:
        if not parameters.append_at_myorigin or not parameters.myorigin:
            return _without_dot(local)
        domain = parameters.myorigin
    if "[" in domain:
        return f"{local}@{domain}"
    if "." not in domain and parameters.append_dot_mydomain and parameters.mydomain:
        domain = f"{domain}.{parameters.mydomain}"
    return f"{local}@{_without_dot(domain)}"


def _by_operator(address: str, parameters: RewriteParameters, operators: bool) -> tuple[str, str, str]:
    """A bare address taken apart at ``!`` or ``%``, as ``rpartition`` does it."""
    swap = parameters.swap_bangpath and "!" in address
    if not swap and not (parameters.allow_percent_hack and "%" in address):
        return address, "", ""
    if not operators and quote_address(address) != address:
        return address, "", ""
    if swap:
        site, _, user = address.partition("!")
        return user, "@", site
    local, _, domain = address.rpartition("%")
    return local, "@", domain


def _without_dot(domain: str) -> str:
    """A name without its trailing dot, unless that stands alone or after another."""
    return domain[:-1] if domain.endswith(".") and len(domain) > 1 and domain[-2] != "." else domain
