"""From a target to a session that is ready for mail: connect, greeting, EHLO, STARTTLS, AUTH.

TLS by smtp_tls_security_level: at ``may`` a server that does not offer it, refuses it or fails at it is spoken to in
the clear, in the last case on a new connection; at ``encrypt`` and above it gets no mail. Whether a certificate is
verified is the affair of the level, too (RFC 7435, TLS_README).

Fails with ``TroubleError``; each of its texts and codes is smtp(8)'s.
"""

from __future__ import annotations

import base64
import datetime as dt
import errno
import functools
import hashlib
import os
import ssl
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from angarium.agents.smtp.connection import Connection, TimeLimits
from angarium.agents.smtp.debugpeer import DebugPeerSession
from angarium.agents.smtp.destination import Destination
from angarium.agents.smtp.dialing import dial
from angarium.agents.smtp.hosts import Target, loops
from angarium.agents.smtp.parameters import SmtpParameters
from angarium.agents.smtp.pool import ConnectionPool
from angarium.agents.smtp.replyfilter import FilteredConnection, ReplyFilter
from angarium.agents.smtp.tlspolicy import TlsPolicies, TlsPolicy
from angarium.agents.smtp.trouble import NotConnectedError, TroubleError, refused
from angarium.model.address import Address
from angarium.model.delivery import DeliveryRequest
from angarium.model.dsn import Dsn
from angarium.model.lookup import Found, Lookup, TemporaryError
from angarium.protocols.smtp.client import ClientSession
from angarium.protocols.smtp.client_reply import ClientReply
from angarium.runtime.dane import judge
from angarium.runtime.log import ServiceLog
from angarium.runtime.tls import (
    ClientTls,
    SecurityLevel,
    TlsError,
    describe_session,
    fingerprints,
    is_trusted,
    matches_certificate,
)
from angarium.runtime.tlspeer import shown_chain
from angarium.runtime.tlsresume import ResumingContext
from angarium.tables.debugpeers import DebugPeers

PasswordLookup = Callable[[str], Awaitable[Lookup]]
"""smtp_sasl_password_maps: host name, nexthop or sender -> ``user:password``."""


_IN_THE_CLEAR = TlsPolicy(ClientTls(SecurityLevel.NONE))


_REFUSED_LOGINS = 1000
"""How many are remembered."""

_KEYWORDS = (
    *("8BITMIME", "AUTH", "ETRN", "PIPELINING", "SIZE", "VRFY", "XCLIENT", "XFORWARD", "STARTTLS", "DSN"),
    *("ENHANCEDSTATUSCODES", "SMTPUTF8", "CHUNKING"),
)
"""In the order in which the log names them."""

PIX_WORKAROUNDS = frozenset({"disable_esmtp", "delay_dotcrlf"})
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tables:
    """Look-ups by a server's address, and the filter of its replies; None: there are none.

    Attributes:
        discarded_keywords: smtp_discard_ehlo_keyword_address_maps.
        pix: smtp_pix_workaround_maps.
        replies: smtp_reply_filter.
    """

    discarded_keywords: PasswordLookup | None = None
    pix: PasswordLookup | None = None
    replies: PasswordLookup | None = None


NO_TABLES = Tables()


class _PlaintextNextError(Exception):
    """TLS failed at level ``may``: connect again and do without."""


class Connector:
    """Makes connections for one smtp service."""

    def __init__(
        self,
        parameters: SmtpParameters,
        log: ServiceLog,
        pool: ConnectionPool,
        passwords: PasswordLookup | None,
        policies: TlsPolicies,
        debug: DebugPeers | None = None,
        tables: Tables = NO_TABLES,
    ) -> None:
        self._parameters = parameters
        self._log = log
        self._pool = pool
        self._passwords = passwords
        self._limits = TimeLimits(parameters.timeouts.by_step(), parameters.request_rate)
        self._tables = tables
        self._refused_logins: OrderedDict[bytes, tuple[float, ClientReply]] = OrderedDict()
        self._policies = policies
        self._debug = debug

    async def policy(self, destination: Destination) -> TlsPolicy:
        """How much TLS a destination gets. Raises TroubleError."""
        return await self._policies.of(destination)

    async def connect(
        self, target: Target, destination: Destination, request: DeliveryRequest, policy: TlsPolicy
    ) -> Connection:
        """A connection on which MAIL FROM may be sent. Raises TroubleError."""
        policy = await self._policies.at_host(policy, target, destination)
        try:
            return await self._attempt(target, destination, request, policy)
        except _PlaintextNextError:
            return await self._attempt(target, destination, request, _IN_THE_CLEAR)

    async def _attempt(
        self, target: Target, destination: Destination, request: DeliveryRequest, policy: TlsPolicy
    ) -> Connection:
        connection = await self._open(target, destination)
        try:
            await self._negotiate(connection, destination, request, policy)
            if connection.settled is not None:
                connection.settled()
        except BaseException:
            connection.quit()
            raise
        return connection

    async def _session(self, target: Target, destination: Destination) -> ClientSession:
        parameters = self._parameters
        make: Callable[..., ClientSession] = ClientSession
        discarded: Sequence[str] = parameters.discard_ehlo_keywords
        if self._tables.discarded_keywords is not None:
            found = await self._tables.discarded_keywords(target.address)
            if isinstance(found, TemporaryError):
                self._log.warning(f"{found.source}: {found.cause}")
                raise TroubleError("4.3.0", f"local data error while talking to {target.peer}", broken=False)
            if isinstance(found, Found):
                discarded = found.value.replace(",", " ").split()
        if self._debug is not None and await self._debug.has(target.host, target.address, destination.host):
            make = functools.partial(DebugPeerSession, target.relay, self._log.info)
        return make(
            discard_keywords=discarded,
            line_limit=parameters.line_length_limit,
            dialect=parameters.dialect,
            style=parameters.style,
        )

    async def _open(self, target: Target, destination: Destination) -> Connection:
        parameters = self._parameters
        session = await self._session(target, destination)
        if self._tables.replies is None:
            connection = Connection(target, session, self._limits)
        else:
            replies = ReplyFilter(self._tables.replies, target, self._log)
            connection = FilteredConnection(target, session, self._limits, replies)
        try:
            await dial(connection, parameters, self._log)
        except OSError as error:
            raise self._not_connected(target, error) from None
        self._pool.watch(connection)
        return connection

    def _not_connected(self, target: Target, error: OSError) -> TroubleError:
        """Asyncio words its errors itself, so that the words come from the number."""
        number = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno
        reason = os.strerror(number) if number else str(error)
        trouble = NotConnectedError(target.relay, reason)
        self._log.info(trouble.text)
        return trouble

    async def _negotiate(
        self, connection: Connection, destination: Destination, request: DeliveryRequest, policy: TlsPolicy
    ) -> None:
        level = policy.level
        if self._parameters.tls_wrappermode and level is not SecurityLevel.NONE:
            await self._start_tls(connection, destination, policy)
        greeting = await connection.reply()
        self._check_greeting(connection, destination, greeting)
        workarounds = await self._workarounds(connection, request) if is_hidden(greeting) else NONE
        await self._hello(connection, greeting, destination, extended="disable_esmtp" not in workarounds)
        session = connection.session
        if level is SecurityLevel.NONE and self._parameters.tls_note_starttls_offer and session.offers("STARTTLS"):
            self._log.info(f"Host offered STARTTLS: [{connection.target.host}]")
        if level is not SecurityLevel.NONE and not connection.tls:
            if session.offers("STARTTLS"):
                await self._upgrade(connection, destination, policy)
            elif level.mandatory:
                text = f"TLS is required, but was not offered by host {connection.target.peer}"
                raise TroubleError("4.7.4", text)
        if self._parameters.authentication.enabled and self._passwords is not None:
            await self._authenticate(connection, destination, request.envelope.sender, self._passwords)

    def _check_greeting(self, connection: Connection, destination: Destination, greeting: ClientReply) -> None:
        target = connection.target
        if not greeting.positive:
            trouble = refused(target.peer, greeting)
            raise trouble.softened() if self._parameters.skip_5xx_greeting else trouble
        words = greeting.lines[0][4:].split(None, 1)
        if words and words[0].lower() == self._parameters.myhostname.lower() and target.port == 25:
            self._log.warning(f"host {target.relay} greeted me with my own hostname {self._parameters.myhostname}")
            raise loops(destination)

    async def _workarounds(self, connection: Connection, request: DeliveryRequest) -> frozenset[str]:
        """smtp_pix_workarounds, for a firewall that has made asterisks of the greeting. Raises TroubleError."""
        parameters = self._parameters
        target = connection.target
        words = parameters.pix_workarounds
        if self._tables.pix is not None:
            found = await self._tables.pix(target.address)
            if isinstance(found, Found):
                words = frozenset(found.value.lower().replace(",", " ").split())
        words &= PIX_WORKAROUNDS
        if words:
            if time.time() - request.envelope.arrival < parameters.pix_workaround_threshold:
                words -= {"delay_dotcrlf"}
            shown = " ".join(sorted(words, reverse=True))
            self._log.info(f"{request.queue_id}: enabling PIX workarounds: {shown} for {target.relay}")
        if "delay_dotcrlf" in words:
            connection.dot_delay = parameters.pix_workaround_delay
        return words

    async def _hello(
        self, connection: Connection, greeting: ClientReply, destination: Destination, *, extended: bool = True
    ) -> None:
        parameters = self._parameters
        session = connection.session
        esmtp = parameters.always_send_ehlo or any("ESMTP" in line for line in greeting.lines)
        only = session.dialect.fallback is None
        if only or (extended and esmtp and not parameters.never_send_ehlo):
            session.hello(parameters.helo_name)
            reply = await connection.reply()
            if reply.positive:
                self._check_own_name(connection, destination, reply)
                if session.discarded and "SILENT-DISCARD" not in session.discarded:
                    shown = " ".join(word for word in _KEYWORDS if word in session.discarded)
                    self._log.info(f"discarding EHLO keywords: {shown}")
                if session.implied:
                    self._log.info(f"host {connection.target.peer} offers SMTPUTF8 support, but not 8BITMIME")
                return
            if only or not session.usable:
                raise refused(connection.target.peer, reply)
        session.hello(parameters.helo_name, extended=False)
        reply = await connection.reply()
        if not reply.positive:
            raise refused(connection.target.peer, reply)  # not softened: smtp_skip_5xx_greeting is of greetings

    def _check_own_name(self, connection: Connection, destination: Destination, reply: ClientReply) -> None:
        """A server that says hello in our name is ourselves. Raises TroubleError."""
        target = connection.target
        name = reply.lines[0][4:].split(None, 1)
        if target.port == 25 and name and name[0].lower() == self._parameters.myhostname.lower():
            own = self._parameters.myhostname
            self._log.warning(f"host {target.relay} replied to HELO/EHLO with my own hostname {own}")
            raise loops(destination)

    async def _upgrade(self, connection: Connection, destination: Destination, policy: TlsPolicy) -> None:
        session = connection.session
        session.starttls()
        reply = await connection.reply()
        if reply.positive:
            await self._start_tls(connection, destination, policy)
            # What was said before TLS is void: ask again (RFC 3207 section 4.2).
            session.tls_established()
            session.hello(self._parameters.helo_name)
            reply = await connection.reply()
            if not reply.positive:
                raise refused(connection.target.peer, reply).softened()
        elif policy.level.mandatory:
            text = f"TLS is required, but host {connection.target.peer} refused to start TLS: {reply.text}"
            raise TroubleError(reply.dsn.with_class(4), text, reply.text)
        elif not session.usable:
            raise refused(connection.target.peer, reply).softened()

    async def _start_tls(self, connection: Connection, destination: Destination, policy: TlsPolicy) -> None:
        target = connection.target
        context = self._policies.context(policy)
        server_name = policy.indication(target.host, destination.host)
        place = f"{target.relay} {server_name or ''}"
        memory = context if isinstance(context, ResumingContext) and policy.resumable else None
        if memory is not None:
            memory.aim(place)
        try:
            tls = await connection.start_tls(context, server_name, self._parameters.timeouts.starttls)
        except ssl.SSLCertVerificationError as error:
            self._log_unverified(target, error.verify_code, error.verify_message)
            raise TroubleError("4.7.5", "Server certificate not verified") from None
        except (ssl.SSLError, OSError) as error:
            reason = getattr(error, "reason", None) or error
            self._log.info(f"SSL_connect error to {target.relay}: {reason}")
            if not policy.level.mandatory:
                raise _PlaintextNextError from None
            raise TroubleError("4.7.5", "Cannot start TLS: handshake failure") from None
        connection.tls = describe_session(tls)
        if memory is not None:
            connection.settled = functools.partial(memory.remember, place, tls)
        trust = "Verified"
        if policy.anchors:
            self._check_anchors(tls, policy, target, destination)
            trust = "Trusted" if policy.forged else "Verified"
        elif policy.level.verifies:
            names = policy.names(target.host, destination.host)
            many = policy.tls.library.many_labels
            if not matches_certificate(connection.peer_certificate, names, many_labels=many):
                self._log_unverified(target, 62, "hostname mismatch")
                raise TroubleError("4.7.5", "Server certificate not verified")
        elif policy.level is SecurityLevel.FINGERPRINT:
            self._check_fingerprint(tls, policy)
        elif self._parameters.tls_loglevel > 0:
            trust = _trust(tls)
        proved = policy.level.verifies or policy.level is SecurityLevel.FINGERPRINT or bool(policy.anchors)
        connection.verified = proved and not policy.forged
        if self._parameters.tls_loglevel > 0:
            self._log.info(f"{trust} TLS connection established to {target.relay}: {connection.tls}")

    def _check_anchors(self, tls: ssl.SSLObject, policy: TlsPolicy, target: Target, destination: Destination) -> None:
        """The chain leads to one of the policy's anchors. Raises TroubleError."""
        names = policy.names(target.host, destination.host)
        now = dt.datetime.now(dt.UTC)
        found = judge(shown_chain(tls), policy.anchors, names, many_labels=policy.tls.library.many_labels, now=now)
        if not found.trusted:
            self._log_unverified(target, 65, "no matching DANE TLSA records")
        elif not found.matched:
            self._log_unverified(target, 62, "hostname mismatch")
        if not found.matched:
            raise TroubleError("4.7.5", "Server certificate not verified")

    def _log_unverified(self, target: Target, number: int, words: str) -> None:
        """Say why a certificate is not good enough, with OpenSSL's number for it."""
        self._log.info(f"server certificate verification failed for {target.relay}: num={number}:{words}")

    def _check_fingerprint(self, tls: ssl.SSLObject, policy: TlsPolicy) -> None:
        """The certificate, or its key, is the one that the administrator knows. Raises TroubleError."""
        certificate = tls.getpeercert(binary_form=True)
        try:
            found = fingerprints(certificate or b"", self._parameters.tls_fingerprint_digest)
        except TlsError as error:
            self._log.warning(f"TLS: {error}")
            found = ("", "")
        if not set(found) & set(policy.match):
            raise TroubleError("4.7.5", "Server certificate not verified")

    async def _authenticate(
        self, connection: Connection, destination: Destination, sender: str, passwords: PasswordLookup
    ) -> None:
        found = await self._password(connection.target, destination, sender, passwords)
        if found is None:
            return
        authentication = self._parameters.authentication
        user, _, password = found.partition(authentication.delimiter)
        peer = connection.target.peer
        mechanisms = connection.session.auth_mechanisms
        if not mechanisms:
            if connection.session.offers("AUTH"):
                raise TroubleError("4.7.0", f"{peer} offered null AUTH mechanism list")
            return  # as smtp(8): a server that takes mail without a log-in gets it without
        options = authentication.options(tls=bool(connection.tls), verified=connection.verified)
        usable = [
            mechanism
            for mechanism in ("PLAIN", "LOGIN")
            if mechanism in mechanisms
            and "noplaintext" not in options
            and (not authentication.mechanisms or mechanism in authentication.mechanisms)
        ]
        if not usable:
            text = (
                f"SASL authentication failed: server {peer} offered no compatible authentication mechanisms for this "
                "type of connection security"
            )
            raise TroubleError("4.7.0", text)
        known = self._refused_login(connection.target, user, password)
        reply = known or await self._log_in(connection, usable[0], user, password)
        if reply.code // 100 != 2:
            self._remember(connection.target, user, password, reply)
            cached = "[CACHED] " if known else ""
            text = f"SASL {cached}authentication failed; server {peer} said: {reply.text}"
            dsn = reply.dsn if reply.dsn.klass != 2 else Dsn(4, 7, 0)
            trouble = TroubleError(dsn, text, reply.text)
            raise trouble.softened() if authentication.soft_bounce else trouble

    def _refused_login(self, target: Target, user: str, password: str) -> ClientReply | None:
        """What the server said when this log-in was refused, if that is not long ago (smtp_sasl_auth_cache_name)."""
        if not self._parameters.authentication.cache_time:
            return None
        known = self._refused_logins.get(_login_key(target, user, password))
        return known[1] if known is not None and known[0] > time.monotonic() else None

    def _remember(self, target: Target, user: str, password: str, reply: ClientReply) -> None:
        limit = self._parameters.authentication.cache_time
        if not limit or reply.code != 535 or self._refused_login(target, user, password) is not None:
            return
        self._refused_logins[_login_key(target, user, password)] = (time.monotonic() + limit, reply)
        if len(self._refused_logins) > _REFUSED_LOGINS:
            self._refused_logins.popitem(last=False)

    async def _password(
        self, target: Target, destination: Destination, sender: str, passwords: PasswordLookup
    ) -> str | None:
        by_sender = self._parameters.authentication.by_sender and sender
        senders = sender_keys(sender, self._parameters.recipient_delimiter) if by_sender else ()
        for key in (*senders, target.host, destination.text):
            result = await passwords(key)
            if isinstance(result, TemporaryError):
                raise TroubleError("4.3.0", "local data error while looking up the SASL password", broken=False)
            if isinstance(result, Found):
                return result.value
        return None

    async def _log_in(self, connection: Connection, mechanism: str, user: str, password: str) -> ClientReply:
        """PLAIN in one go (RFC 4616), or LOGIN's two answers."""
        session = connection.session
        if mechanism == "PLAIN":
            session.auth("PLAIN", _encoded(f"\0{user}\0{password}"))
            return await connection.reply()
        session.auth("LOGIN")
        reply = await connection.reply()
        for answer in (user, password):
            if reply.code != 334:
                return reply
            session.auth_response(_encoded(answer))
            reply = await connection.reply()
        if reply.code == 334:
            text = f"SASL authentication failed; authentication protocol loop with server {connection.target.peer}"
            raise TroubleError("4.7.0", text)
        return reply


def _trust(tls: ssl.SSLObject) -> str:
    """The word for a session in which nobody has to prove anything."""
    if tls.getpeercert(binary_form=True) is None:
        return "Anonymous"
    return "Trusted" if is_trusted(tls) else "Untrusted"


def is_hidden(greeting: ClientReply) -> bool:
    """Nothing is left of the greeting but its code and asterisks: a firewall wants to know better."""
    return not greeting.lines[-1][4:].strip("20 *\t")


def _login_key(target: Target, user: str, password: str) -> bytes:
    return hashlib.sha256(f"{target.host}\0{user}\0{password}".encode("utf-8", "surrogateescape")).digest()


def sender_keys(sender: str, delimiters: str) -> list[str]:
    """The keys of a sender in smtp_sasl_password_maps: ``user+ext@domain``, ``user@domain``, ``@domain``."""
    parts = Address.split(sender)
    user, extension = parts.extension(delimiters) if delimiters else (parts.local, "")
    keys = [sender]
    if extension:
        keys.append(str(Address(user, parts.domain)))
    if parts.domain:
        keys.append(f"@{parts.domain}")
    return keys


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode("ascii")
