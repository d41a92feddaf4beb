"""The commands of POP3: the table of handlers, and one module a family."""

from __future__ import annotations

from angarium.daemons.pop3d.commands import changes, listing, login, retrieval
from angarium.daemons.pop3d.commands.types import Handler
from angarium.protocols.pop3.types import Verb

HANDLERS: dict[Verb, Handler] = {
    Verb.APOP: login.apop,
    Verb.AUTH: login.auth,
    Verb.CAPA: listing.capa,
    Verb.DELE: changes.dele,
    Verb.LIST: listing.listing,
    Verb.NOOP: listing.noop,
    Verb.PASS: login.password,
    Verb.QUIT: changes.quit_,
    Verb.RETR: retrieval.retr,
    Verb.RSET: changes.rset,
    Verb.STAT: listing.stat,
    Verb.STLS: login.stls,
    Verb.TOP: retrieval.top_,
    Verb.UIDL: listing.uidl,
    Verb.USER: login.user,
}
"""Which commands are allowed when is the protocol's table, ``protocols.pop3.states``."""
