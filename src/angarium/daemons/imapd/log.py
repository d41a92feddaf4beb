"""The log lines of imapd, in the shapes of Dovecot 2.3, which fail2ban, logwatch and exporters match.

Before log-in the tag is ``dovecot: imap-login``, after it ``dovecot: imap(user)<pid><session>``.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from angarium.auth.interface import Refused
from angarium.auth.log import AUTH_TAG, refusal_line, shown_user
from angarium.runtime.log import ServiceLog

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection

LOGIN_TAG = "dovecot: imap-login"


class ImapLog:
    """Writes them."""

    def __init__(self, log: ServiceLog) -> None:
        self._log = log.child(LOGIN_TAG)

    def logged_in(self, connection: ImapConnection) -> None:
        """``Login: user=<…>``."""
        self._log.info(
            f"Login: {_client(connection, connection.account, pid=True)}",
            event="imap_login",
            user=connection.account,
            method=connection.statistics.method,
            rip=connection.peer,
            session=connection.session_id,
        )

    def refused(self, connection: ImapConnection, user: str, refusal: Refused) -> None:
        """Why a log-in was refused, when ``auth_verbose`` asks for it."""
        line = refusal_line(user, connection.peer, connection.session_id, refusal)
        self._log.child(AUTH_TAG).info(line, event="auth_refused", user=user, rip=connection.peer)

    def unavailable(self, connection: ImapConnection, cause: str) -> None:
        """Nobody can tell whether a password is right."""
        self._log.error(f"Temporary authentication failure: {cause}", rip=connection.peer)

    def too_many(self, connection: ImapConnection, account: str, limit: int) -> None:
        """The user has too many connections from there."""
        self._log.child(f"dovecot: imap({account})").info(
            "Maximum number of connections from user+IP exceeded "
            f"(mail_max_userip_connections={limit}): user=<{account}>, rip={connection.peer}, "
            f"lip={connection.server_address}",
            event="imap_too_many_connections",
            user=account,
            rip=connection.peer,
        )

    def identified(self, connection: ImapConnection, fields: str) -> None:
        """What the client says about itself."""
        self._tagged(connection).info(f"ID sent: {fields}", event="imap_id")

    def fault(self, connection: ImapConnection, error: BaseException) -> None:
        """An exception that no one expected."""
        self._tagged(connection).panic(f"{type(error).__name__}: {error}", event="imap_fault")

    def closed(self, connection: ImapConnection, reason: str, seconds: float) -> None:
        """The end of a connection."""
        statistics = connection.statistics
        if connection.account:
            self._tagged(connection).info(
                f"Disconnected: {reason} {statistics.line()}",
                event="imap_disconnect",
                user=connection.account,
                reason=reason,
                bytes_in=statistics.bytes_in,
                bytes_out=statistics.bytes_out,
            )
            return
        attempts = statistics.auth_attempts
        secs = int(seconds)
        tried = f"auth failed, {attempts} attempts in {secs} secs" if attempts else f"no auth attempts in {secs} secs"
        if connection.plaintext_refused:
            tried = "tried to use disallowed plaintext auth"
        words = "Aborted login" if reason in ("Connection closed", "Logged out") else f"Disconnected: {reason}"
        self._log.info(
            f"{words} ({tried}): {_client(connection, statistics.user)}",
            event="imap_login_failed" if attempts else "imap_no_login",
            user=statistics.user,
            rip=connection.peer,
        )

    def no_handshake(self, client: socket.socket, error: Exception, session: str) -> None:
        """A connection that ended in its TLS handshake, and never became one of ours."""
        try:
            remote, local = client.getpeername()[0], client.getsockname()[0]
        except OSError:  # it has gone, and its name with it
            remote = local = ""
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        self._log.info(
            f"Disconnected: Connection closed: TLS handshaking: {reason} (disconnected during TLS handshake): "
            f"user=<>, rip={remote}, lip={local}, session=<{session}>",
            event="imap_no_login",
            user="",
            rip=remote,
        )

    def _tagged(self, connection: ImapConnection) -> ServiceLog:
        if not connection.account:
            return self._log
        return self._log.child(f"dovecot: imap({connection.account})<{os.getpid()}><{connection.session_id}>")


def _client(connection: ImapConnection, user: str, *, pid: bool = False) -> str:
    method = f", method={connection.statistics.method}" if connection.statistics.method else ""
    mpid = f", mpid={os.getpid()}" if pid else ""
    security = ", TLS" if connection.tls else ", secured" if connection.secure else ""
    return (
        f"user=<{shown_user(user)}>{method}, rip={connection.peer}, lip={connection.server_address}{mpid}{security}, "
        f"session=<{connection.session_id}>"
    )
