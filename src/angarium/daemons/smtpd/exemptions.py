"""What main.cf's lists of clients free a client of, and what they let him do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from angarium.config.config import Config
from angarium.daemons.smtpd.client import Client
from angarium.daemons.smtpd.collaborators import Exemptions, nobody_exempt
from angarium.model.lookup import Found, TemporaryError
from angarium.tables.interface import OpensTables
from angarium.tables.matchlist import MatchList

_LISTS = {
    "limits": "smtpd_client_event_limit_exceptions",
    "bare_newline": "smtpd_forbid_bare_newline_exclusions",
    "sasl": "smtpd_sasl_exceptions_networks",
    "xclient": "smtpd_authorized_xclient_hosts",
    "xforward": "smtpd_authorized_xforward_hosts",
    "verp": "smtpd_authorized_verp_clients",
}
"""Field of ``Exemptions`` -> parameter."""

_KEYWORDS = {"verp": "XVERP", "sasl": "AUTH", "xclient": "XCLIENT", "xforward": "XFORWARD"}
"""Fields that decide over a keyword of EHLO, in the order in which Postfix comes to them."""


def make_exemptions(conf: Config, opener: OpensTables) -> Callable[[Client], Awaitable[Exemptions]]:
    """The exemptions of a service's clients. A table that cannot be asked exempts nobody, and EHLO fails."""
    bare = frozenset(conf.names("parent_domain_matches_subdomains"))
    lists = {
        field: MatchList(name, conf.names(name), opener, networks=True, bare_parents=name in bare)
        for field, name in _LISTS.items()
        if conf.names(name)
    }
    if not lists:
        return nobody_exempt

    async def exemptions(client: Client) -> Exemptions:
        found = {field: await patterns.match_client(client.name, client.address) for field, patterns in lists.items()}
        unsure = tuple(
            (keyword, f"{_LISTS[field]}: {answer.source}: table lookup problem")
            for field, keyword in _KEYWORDS.items()
            if isinstance(answer := found.get(field), TemporaryError)
        )
        return Exemptions(**{field: isinstance(answer, Found) for field, answer in found.items()}, unsure=unsure)

    return exemptions
