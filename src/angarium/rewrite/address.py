"""Completing an address: trivial-rewrite(8), ADDRESS REWRITING.

In this order: ``site!user`` becomes ``user@site`` (swap_bangpath), ``user%domain`` becomes ``user@domain``
(allow_percent_hack), ``user`` becomes ``user@$myorigin`` (append_at_myorigin), ``user@host`` becomes
``user@host.$mydomain`` (append_dot_mydomain), a trailing dot goes. A source route ``@a,@b:user@c`` keeps its last
hop alone (RFC 5321 appendix C). The null address stays. Addresses are in internal form.
"""

from __future__ import annotations

from angarium.rewrite.parameters import RewriteParameters


def strip_route(address: str) -> str:
    """``@hop,@hop:user@domain`` -> ``user@domain``."""
    if address.startswith("@"):
        colon = address.find(":")
        if colon > 0:
            return address[colon + 1 :]
    return address


def complete(address: str, parameters: RewriteParameters) -> str:
    """The address in full."""
    if not address:
        return address
    address = strip_route(address)
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
        if parameters.swap_bangpath and "!" in local:
            site, _, user = local.partition("!")
            local, domain = user, site
        elif parameters.allow_percent_hack and "%" in local:
            local, _, domain = local.rpartition("%")
    if not domain:
        if not parameters.append_at_myorigin:
            return local
        return f"{local}@{parameters.myorigin}"
    if domain[0] == "[":
        return f"{local}@{domain}"
    if "." not in domain:
        if parameters.append_dot_mydomain and parameters.mydomain:
            domain = f"{domain}.{parameters.mydomain}"
    elif domain.endswith(".") and len(domain) > 1:
        domain = domain[:-1]
    return f"{local}@{domain}"
