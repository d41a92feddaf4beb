"""debug_peer_list: the peers whose conversations are logged line by line.

A peer is matched by its name, its address or, for mail that leaves, the nexthop that leads to it. debug_peer_level
has to be above zero; how far above makes no difference, as the conversation is all that there is to tell.

A table that cannot be asked, and a pattern that makes no sense, match nobody: a log is not worth a delivery.
"""

from __future__ import annotations

from angarium.config.config import Config
from angarium.model.lookup import Found
from angarium.tables.interface import OpensTables
from angarium.tables.matchlist import MatchList

_PARAMETER = "debug_peer_list"


class DebugPeers:
    """The list of one service."""

    def __init__(self, peers: MatchList) -> None:
        self._peers = peers

    @classmethod
    def from_config(cls, conf: Config, opener: OpensTables) -> DebugPeers | None:
        """The list; None when nobody is on it."""
        names = conf.names(_PARAMETER)
        if not names or conf.integer("debug_peer_level") < 1:
            return None
        bare = _PARAMETER in conf.names("parent_domain_matches_subdomains")
        return cls(MatchList(_PARAMETER, names, opener, networks=True, bare_parents=bare))

    async def has(self, name: str, address: str, nexthop: str = "") -> bool:
        """Whether a peer is on it."""
        if isinstance(await self._peers.match_client(name, address), Found):
            return True
        return bool(nexthop) and isinstance(await self._peers.match_domain(nexthop), Found)
