"""What a local user may do: submit mail, as whom, see the queue, flush it.

authorized_submit_users, local_login_sender_maps, authorized_mailq_users and authorized_flush_users, by the login name
that the kernel's user id has. Root and the mail system's own user may always see and flush. The texts are Postfix's. A
table that cannot be asked gives a temporary refusal.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from angarium.config.config import Config
from angarium.model.lookup import Found, TemporaryError
from angarium.model.reply import Reply
from angarium.rewrite.parameters import RewriteParameters
from angarium.tables.maps import Maps
from angarium.tables.matchlist import MatchList
from angarium.tables.opener import TableOpener

_UNKNOWN = Reply.of(451, "4.3.0", "Temporary lookup failure")


@dataclass(frozen=True, slots=True)
class User:
    """Who it is.

    Attributes:
        uid: by the kernel.
        name: the login name, ``unknown`` when the system has none.
        full_name: of the password file.
    """

    uid: int
    name: str
    full_name: str

    @classmethod
    def of(cls, uid: int) -> User:
        """The user of a uid."""
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return cls(uid, "unknown", "")
        capital = entry.pw_name[:1].upper() + entry.pw_name[1:]
        return cls(uid, entry.pw_name, entry.pw_gecos.partition(",")[0].replace("&", capital))


class Access:
    """The rules of a configuration.

    Args:
        conf: main.cf.
        opener: opens the tables.
    """

    def __init__(self, conf: Config, opener: TableOpener) -> None:
        self._submitters = MatchList("authorized_submit_users", conf.names("authorized_submit_users"), opener)
        self._readers = MatchList("authorized_mailq_users", conf.names("authorized_mailq_users"), opener)
        self._flushers = MatchList("authorized_flush_users", conf.names("authorized_flush_users"), opener)
        senders = conf.names("local_login_sender_maps")
        self._senders = None if senders == ["static:*"] else Maps.open("local_login_sender_maps", senders, opener)
        self._empty = conf.text("empty_address_local_login_sender_maps_lookup_key")
        self._delimiters = RewriteParameters.from_config(conf).recipient_delimiter

    async def to_submit(self, name: str, uid: int) -> Reply | None:
        """The refusal of a submission; None when it is allowed."""
        return await _refusal(self._submitters, name, uid, "submit mail")

    async def to_list(self, uid: int, name: str) -> Reply | None:
        """The refusal of a listing of the queue; None when it is allowed."""
        if uid in (0, os.geteuid()):
            return None
        return await _refusal(self._readers, name, uid, "view the mail queue")

    async def permits_listing(self, uid: int) -> bool:
        """Whether the user of that id may see the queue."""
        return await self.to_list(uid, User.of(uid).name) is None

    async def to_flush(self, uid: int, name: str) -> Reply | None:
        """The refusal of a flush; None when it is allowed."""
        if uid in (0, os.geteuid()):
            return None
        return await _refusal(self._flushers, name, uid, "flush the mail queue")

    async def to_send_as(self, name: str, uid: int, sender: str) -> Reply | None:
        """The refusal of an envelope sender (local_login_sender_maps); None when it is allowed."""
        if self._senders is None:
            return None
        answer = await self._senders.find(name if name != "unknown" else f"uid:{uid}")
        if isinstance(answer, TemporaryError):
            return _UNKNOWN
        patterns = answer.value.replace(",", " ").lower().split() if isinstance(answer, Found) else []
        if self._fits(sender.lower(), patterns):
            return None
        return Reply.of(550, "5.7.1", f"not authorized to use sender='{sender}'")

    def _fits(self, sender: str, patterns: list[str]) -> bool:
        local, at, domain = sender.rpartition("@") if "@" in sender else (sender, "", "")
        for delimiter in self._delimiters:
            local = local[:1] + local[1:].partition(delimiter)[0]
        wanted = {"*", f"{local}{at}{domain}", f"@{domain}" if domain else ""}
        if not sender:
            wanted = {"*", self._empty.lower()}
        return not wanted.isdisjoint(patterns)


async def _refusal(users: MatchList, name: str, uid: int, what: str) -> Reply | None:
    match = await users.match_string(name)
    if isinstance(match, Found):
        return None
    if isinstance(match, TemporaryError):
        return _UNKNOWN
    return Reply.of(550, "5.7.1", f"User {name}({uid}) is not allowed to {what}")
