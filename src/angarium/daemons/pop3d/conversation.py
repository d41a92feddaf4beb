"""``Conversation``: what the commands of one session work on, without a socket.

A command's handler answers bytes, or a coroutine of bytes when it has to wait. What it cannot do itself it asks of the
connection: ``closing`` ends the session after the reply, ``tls_wanted`` starts TLS after it, ``send`` writes a part of
a long reply and waits while the client is slow.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from angarium.auth.interface import Authenticator
from angarium.auth.penalty import LoginPenalty, Networks
from angarium.auth.sessions import UserSessions
from angarium.daemons.pop3d import lines
from angarium.daemons.pop3d.maildrop import Maildrop
from angarium.daemons.pop3d.parameters import Pop3dParameters
from angarium.mailstore.interface import MailStore
from angarium.protocols.pop3.session import Pop3Session
from angarium.protocols.sasl.session import SaslExchange
from angarium.runtime.log import ServiceLog


@dataclass(frozen=True, slots=True)
class Collaborators:
    """What all sessions of a service share.

    Attributes:
        parameters: the service's.
        store: where the mail is.
        authenticator: checks passwords.
        log: a sink; the tag is set for each line.
        clock: seconds, growing.
        sessions: sessions by account and address, shared by the services of a process.
        penalty: what wrong passwords cost an address, shared likewise, with imapd too.
        exempt: addresses that do not wait after a wrong password.
        secure: addresses that may send passwords without TLS.
    """

    parameters: Pop3dParameters
    store: MailStore
    authenticator: Authenticator
    log: ServiceLog
    clock: Callable[[], float]
    sessions: UserSessions
    penalty: LoginPenalty
    exempt: Networks
    secure: Networks


class Conversation:
    """One session.

    Attributes:
        shared: what all sessions share.
        session: the protocol's state.
        peer: both ends.
        tls: TLS is on.
        tls_possible: there is a certificate.
        user: what USER named, or the SASL exchange; for PASS and for the log.
        awaits_password: USER came, and PASS has not followed yet.
        method: the mechanism of the last attempt, for the log.
        refused: log-ins refused so far.
        disallowed: a password was sent, or was about to be, without TLS.
        exchange: a SASL exchange in progress.
        account: the canonical name after the log-in.
        maildrop: open after the log-in.
        traffic: for the last log line.
        removed: messages removed by QUIT.
        closing: the reason to end the session after this reply; empty: go on.
        tls_wanted: start TLS after this reply.
        updating: QUIT is at work: losing the connection must not stop it.
        send: writes a part of a reply; waits while the client is slow.
    """

    def __init__(
        self, shared: Collaborators, peer: lines.Peer, *, tls_possible: bool, send: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self.shared = shared
        self.session = Pop3Session()
        self.peer = peer
        self.tls = False
        self.tls_possible = tls_possible
        self.user = ""
        self.awaits_password = False
        self.method = ""
        self.refused = 0
        self.disallowed = False
        self.exchange: SaslExchange | None = None
        self.account = ""
        self.maildrop: Maildrop | None = None
        self.traffic = lines.Traffic()
        self.removed = 0
        self.closing = ""
        self.tls_wanted = False
        self.updating = False
        self.send = send
        self.started = shared.clock()

    @property
    def parameters(self) -> Pop3dParameters:
        """The service's."""
        return self.shared.parameters

    @property
    def secure(self) -> bool:
        """Nobody can listen: TLS, or the client is on this host or in a network that we trust."""
        return self.tls or self.peer.same_host or self.peer.remote in self.shared.secure

    @property
    def passwords_allowed(self) -> bool:
        """A password may be sent now."""
        if self.parameters.security_level == "encrypt" and not self.tls:
            return False
        return self.secure or not self.parameters.tls_auth_only

    @property
    def tls_offered(self) -> bool:
        """STLS may be given now."""
        return self.tls_possible and not self.tls and self.parameters.security_level != "none"

    @property
    def security(self) -> str:
        """``TLS``, ``secured`` or nothing, for the log."""
        return "TLS" if self.tls else "secured" if self.secure else ""

    @property
    def drop(self) -> Maildrop:
        """The maildrop, in a command that the state table allows after the log-in alone."""
        assert self.maildrop is not None
        return self.maildrop

    def log_login(self) -> None:
        """The line of a successful log-in."""
        text = lines.login(self.account, self.method, self.peer, os.getpid(), self.security)
        self.shared.log.child(lines.LOGIN_TAG).info(text, user=self.account, client_address=self.peer.remote)

    def log_end(self, reason: str) -> None:
        """The last line of the session; ``closing`` knows better than how the connection ended."""
        reason = self.closing or reason
        if self.maildrop is None:
            seconds = self.shared.clock() - self.started
            detail = lines.detail(reason, self.refused, seconds, disallowed=self.disallowed)
            text = lines.no_login(reason, detail, self.user, self.method, self.peer, self.security)
            log = self.shared.log.child(lines.LOGIN_TAG)
            log.info(text, user=self.user, client_address=self.peer.remote)
            return
        log = self.shared.log.child(lines.session_tag(self.account, os.getpid(), self.peer.session))
        drop = self.maildrop
        text = lines.logged_out(reason, self.traffic, self.removed, len(drop.sizes), drop.total_size)
        log.info(text, user=self.account, client_address=self.peer.remote, retrieved=self.traffic.retr_count)

    def log_error(self, text: str) -> None:
        """A failure of ours."""
        tag = lines.session_tag(self.account, os.getpid(), self.peer.session) if self.account else lines.LOGIN_TAG
        self.shared.log.child(tag).error(text, user=self.account or self.user)
