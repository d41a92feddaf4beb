"""The log lines of a POP3 session, in the shapes of Dovecot 2.3, which fail2ban and logwatch match."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass

from angarium.auth.log import shown_user

LOGIN_TAG = "dovecot: pop3-login"


@dataclass(frozen=True, slots=True)
class Peer:
    """Both ends of a connection.

    Attributes:
        remote: the client's address.
        local: ours.
        session: the session's id in the log.
    """

    remote: str
    local: str
    session: str

    @classmethod
    def between(cls, remote: object, local: object) -> Peer:
        """A new session between two names of sockets, as ``getpeername`` and ``getsockname`` give them."""
        return cls(_address(remote), _address(local), base64.b64encode(os.urandom(12)).decode())

    @property
    def same_host(self) -> bool:
        """The client is on this host: it came from the address that it went to."""
        return self.remote == self.local


@dataclass(slots=True)
class Traffic:
    """What a session did, for its last line."""

    top_count: int = 0
    top_bytes: int = 0
    retr_count: int = 0
    retr_bytes: int = 0


def _address(name: object) -> str:
    """The address in a socket's name; an IPv4 address in IPv6 clothes without them; nothing for a local socket."""
    if not isinstance(name, tuple) or not name:
        return ""
    text = str(name[0])
    return text.removeprefix("::ffff:") if text.startswith("::ffff:") and "." in text else text.partition("%")[0]


def session_tag(user: str, pid: int, session: str) -> str:
    """``dovecot: pop3(user)<pid><session>``."""
    return f"dovecot: pop3({user})<{pid}><{session}>"


def _ends(peer: Peer, security: str) -> str:
    between = f", {security}" if security else ""
    return f"rip={peer.remote}, lip={peer.local}{between}, session=<{peer.session}>"


def login(user: str, method: str, peer: Peer, pid: int, security: str) -> str:
    """A successful log-in."""
    between = f", {security}" if security else ""
    return (
        f"Login: user=<{user}>, method={method}, rip={peer.remote}, lip={peer.local}, mpid={pid}{between}, "
        f"session=<{peer.session}>"
    )


def no_login(reason: str, detail: str, user: str, method: str, peer: Peer, security: str) -> str:
    """A connection that ended without a log-in: ``Disconnected: reason (detail): user=<…>, …``."""
    how = f"method={method}, " if method else ""
    return f"Disconnected: {reason} ({detail}): user=<{shown_user(user)}>, {how}{_ends(peer, security)}"


HANDSHAKE_DETAIL = "disconnected during TLS handshake"
_HANDSHAKE = "Connection closed: TLS handshaking"


def handshake_failure(error: Exception) -> str:
    """The reason of a session that ends because its TLS handshake failed."""
    return f"{_HANDSHAKE}: {getattr(error, 'reason', None) or str(error) or type(error).__name__}"


def attempts(refused: int, seconds: float) -> str:
    """The detail of ``no_login`` after refused log-ins, or after none."""
    if refused:
        return f"auth failed, {refused} attempts in {int(seconds)} secs"
    return f"no auth attempts in {int(seconds)} secs"


def detail(reason: str, refused: int, seconds: float, *, disallowed: bool) -> str:
    """What stands in parentheses behind the reason of a session that ends without a log-in."""
    if reason.startswith(_HANDSHAKE):
        return HANDSHAKE_DETAIL
    if disallowed and not refused:
        return "tried to use disallowed plaintext auth"
    return attempts(refused, seconds)


def too_many(user: str, limit: int, peer: Peer) -> str:
    """An account that has its sessions from that address already."""
    return (
        "Maximum number of connections from user+IP exceeded "
        f"(pop3d_client_connection_count_limit={limit}): user=<{user}>, rip={peer.remote}, lip={peer.local}"
    )


def logged_out(reason: str, traffic: Traffic, deleted: int, messages: int, size: int) -> str:
    """The end of a session."""
    return (
        f"Disconnected: {reason} top={traffic.top_count}/{traffic.top_bytes}, "
        f"retr={traffic.retr_count}/{traffic.retr_bytes}, del={deleted}/{messages}, size={size}"
    )
