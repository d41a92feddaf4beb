"""TLS contexts for servers and clients, from Postfix-shaped parameters.

Owns the translation of key files, security levels and what ``tlssettings`` reads to ``ssl.SSLContext``, and nothing
else: who negotiates, and when, is the business of the daemons and agents. ``tlschains`` loads keys, ``tlspeer`` looks
at the other end, ``tlsnames`` chooses by the name that a client asks for, ``openssl`` does what Python's module does
not pass on.

Guarantees: a file that is missing, unreadable or no certificate is reported with its name as ``TlsError`` before any
peer is spoken to. At security level ``may`` nothing is verified, as an unauthenticated session is still better than
a plain one (RFC 7435); at ``verify`` and ``secure`` the chain is verified in the handshake and the name after it,
by ``matches_certificate``.

A server that asks its clients for certificates takes whatever they show; how good it was is found out afterwards, by
``shown_certificate`` (ADR 0031).
"""

from __future__ import annotations

import contextlib
import enum
import os
import ssl
import warnings
from dataclasses import dataclass

from angarium.runtime.openssl import reach
from angarium.runtime.tlschains import load_chains, load_pair, read_pem
from angarium.runtime.tlspeer import (
    PeerCertificate,
    describe_session,
    fingerprints,
    matches_certificate,
    read_certificate,
)
from angarium.runtime.tlsresume import ResumingContext
from angarium.runtime.tlssettings import DEFAULT_LIBRARY, TlsError, TlsLibrary, protocol_range

__all__ = [
    "LONGEST_SESSION",
    "SHORTEST_SESSION",
    "ClientTls",
    "SecurityLevel",
    "ServerTls",
    "TlsError",
    "TlsLibrary",
    "client_context",
    "describe_session",
    "fingerprints",
    "is_trusted",
    "matches_certificate",
    "protocol_range",
    "server_context",
    "shown_certificate",
]


class SecurityLevel(enum.Enum):
    """smtp_tls_security_level and smtpd_tls_security_level.

    ``DANE`` and ``DANE_ONLY`` are what is wanted of a destination; what a host gets depends on its TLSA records, and a
    session at the level ``DANE`` has some.
    """

    NONE = "none"
    MAY = "may"
    ENCRYPT = "encrypt"
    FINGERPRINT = "fingerprint"
    DANE = "dane"
    DANE_ONLY = "dane-only"
    VERIFY = "verify"
    SECURE = "secure"

    @property
    def mandatory(self) -> bool:
        """No mail without TLS."""
        return self not in (SecurityLevel.NONE, SecurityLevel.MAY)

    @property
    def verifies(self) -> bool:
        """The peer's certificate must be trusted and bear its name."""
        return self in (SecurityLevel.VERIFY, SecurityLevel.SECURE)


SHORTEST_SESSION, LONGEST_SESSION = 120, 8_640_000
"""The bounds of smtpd_tls_session_cache_timeout and its like, in seconds."""

KeyPair = tuple[str, str]
"""A certificate file, and a key file or nothing."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a server context is made of.

    Attributes:
        cert_file: PEM certificate, with its chain after it; empty when ``chain_files`` is used.
        key_file: PEM private key; empty: it is in ``cert_file``.
        more_pairs: certificates and keys for other algorithms (smtpd_tls_eccert_file, smtpd_tls_dcert_file).
        chain_files: PEM files that hold keys and chains (smtpd_tls_chain_files); they win over ``cert_file``.
        chain_text: the same, as text out of a table; it wins over both. ``chain_source`` is what messages call it.
        protocols: Postfix's list: ``>=TLSv1.2``, ``!SSLv2, !TLSv1``.
        ciphers: grade: ``high``, ``medium``, ``null`` …
        exclude_ciphers: OpenSSL cipher names or classes that are never used.
        session_tickets: let clients resume by ticket (RFC 5077).
        session_lifetime: seconds for which they may; None: OpenSSL's two hours.
        ask_certificate: clients are asked for one, and may have none, or one that nobody vouches for.
        require_certificate: a session shall not go on without a trusted one: the service ends it after the handshake.
        ca_file: certificates of authorities for client certificates; ``ca_path`` a directory of them.
        verify_depth: of chains; see ``OpenSsl.limit_depth``.
        prefer_server_ciphers: tls_preempt_cipherlist.
        dh_file: parameters for DHE; empty: none, so that DHE is not used; ``auto``: those of RFC 7919.
        library: the tls_* parameters.
    """

    cert_file: str = ""
    key_file: str = ""
    more_pairs: tuple[KeyPair, ...] = ()
    chain_files: tuple[str, ...] = ()
    chain_text: str = ""
    chain_source: str = ""
    protocols: str = ">=TLSv1.2"
    ciphers: str = "medium"
    exclude_ciphers: tuple[str, ...] = ()
    session_tickets: bool = True
    session_lifetime: int | None = None
    ask_certificate: bool = False
    require_certificate: bool = False
    ca_file: str = ""
    ca_path: str = ""
    verify_depth: int = 9
    prefer_server_ciphers: bool = False
    dh_file: str = ""
    library: TlsLibrary = DEFAULT_LIBRARY

    @property
    def configured(self) -> bool:
        """True when there is a certificate to offer."""
        return bool(self.cert_file or self.more_pairs or self.chain_files or self.chain_text)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """What a client context is made of.

    ``ca_file`` and ``ca_path`` empty mean the system's trusted authorities. The key files are those of ``ServerTls``;
    ``verify_depth`` too. With ``trust_anchors`` (smtp_tls_trust_anchor_file) no authority is trusted: the caller looks
    at the chain after the handshake. ``session_lifetime`` above 0 makes a ``ResumingContext``.
    """

    level: SecurityLevel = SecurityLevel.MAY
    protocols: str = ">=TLSv1"
    ciphers: str = "medium"
    exclude_ciphers: tuple[str, ...] = ()
    ca_file: str = ""
    ca_path: str = ""
    cert_file: str = ""
    key_file: str = ""
    more_pairs: tuple[KeyPair, ...] = ()
    chain_files: tuple[str, ...] = ()
    verify_depth: int = 9
    trust_anchors: tuple[str, ...] = ()
    session_lifetime: float = 0.0
    library: TlsLibrary = DEFAULT_LIBRARY


def server_context(parameters: ServerTls) -> ssl.SSLContext:
    """A context to accept TLS with.

    Raises:
        TlsError: no certificate, or a file, protocol list or cipher list that cannot be used.
    """
    if not parameters.configured:
        msg = "TLS needs a certificate, but none is configured"
        raise TlsError(msg)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asks = parameters.ask_certificate or parameters.require_certificate
    _set_policy(
        context,
        parameters.protocols,
        parameters.library.ciphers(parameters.ciphers, parameters.exclude_ciphers, identified=asks),
        parameters.library,
    )
    _load_keys(context, parameters)
    if parameters.dh_file:
        _load_dh(context, parameters.dh_file)
    if not parameters.session_tickets:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    elif parameters.session_lifetime is not None and (openssl := reach()) is not None:
        openssl.limit_sessions(context, parameters.session_lifetime)
    if parameters.prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if asks:
        _ask_clients(context, parameters)
    return context


def _ask_clients(context: ssl.SSLContext, parameters: ServerTls) -> None:
    if parameters.ca_file or parameters.ca_path:
        _load_authorities(context, parameters.ca_file, parameters.ca_path)
        if parameters.library.append_default_ca:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    openssl = reach()
    if openssl is None:
        # Only what is trusted could get through the handshake: better that mail comes without a certificate.
        context.verify_mode = ssl.CERT_REQUIRED if parameters.require_certificate else ssl.CERT_NONE
        return
    context.verify_mode = ssl.CERT_OPTIONAL
    openssl.accept_any_certificate(context)
    openssl.limit_depth(context, parameters.verify_depth)
    if parameters.ca_file:
        openssl.name_authorities(context, parameters.ca_file)


def shown_certificate(tls: ssl.SSLObject, digest: str) -> PeerCertificate | None:
    """The certificate that a client has shown; None when it has none, or was not asked.

    Raises:
        TlsError: it cannot be read, or ``digest`` is none.
    """
    der = tls.getpeercert(binary_form=True)
    if not der:
        return None
    openssl = reach()
    return read_certificate(der, digest, "" if openssl is None else openssl.fault(tls))


def client_context(parameters: ClientTls) -> ssl.SSLContext:
    """A context to start TLS with, for any level but ``none``.

    Raises:
        TlsError: a file, protocol list or cipher list that cannot be used.
    """
    lifetime = parameters.session_lifetime
    context = ResumingContext.make(lifetime) if lifetime > 0 else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The name is checked after the handshake: Postfix's match lists may name more than one (matches_certificate).
    context.check_hostname = False
    verifies = parameters.level.verifies and not parameters.trust_anchors
    context.verify_mode = ssl.CERT_REQUIRED if verifies else ssl.CERT_NONE
    identified = parameters.level not in (SecurityLevel.MAY, SecurityLevel.ENCRYPT)
    _set_policy(
        context,
        parameters.protocols,
        parameters.library.ciphers(parameters.ciphers, parameters.exclude_ciphers, identified=identified),
        parameters.library,
    )
    if verifies:
        configured = bool(parameters.ca_file or parameters.ca_path)
        if configured:
            _load_authorities(context, parameters.ca_file, parameters.ca_path)
        if not configured or parameters.library.append_default_ca:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        openssl = reach()
        if openssl is not None:
            openssl.limit_depth(context, parameters.verify_depth)
    elif not identified and (parameters.ca_file or parameters.ca_path):
        # Nothing depends on what OpenSSL then finds out, but the word in the log (``is_trusted``).
        with contextlib.suppress(TlsError):
            _load_authorities(context, parameters.ca_file, parameters.ca_path)
    _load_keys(context, parameters)
    return context


def is_trusted(tls: ssl.SSLObject) -> bool:
    """OpenSSL found the peer's chain good, whether or not that was asked for."""
    openssl = reach()
    return openssl is not None and tls.getpeercert(binary_form=True) is not None and not openssl.fault(tls)


def _set_policy(context: ssl.SSLContext, protocols: str, ciphers: str, library: TlsLibrary) -> None:
    low, high = protocol_range(protocols)
    if library.workarounds is not None:
        context.options = (context.options & ~ssl.OP_ALL) | library.workarounds
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | library.options
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError as error:
        msg = f"TLS cipher list {ciphers!r}: {error.reason or error}"
        raise TlsError(msg) from error
    with warnings.catch_warnings():
        # Python warns of versions below 1.2 each time; the administrator who asks for them knows from postconf(5).
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = low
        context.maximum_version = high
    if library.curves:
        _set_curves(context, library.curves)


def _set_curves(context: ssl.SSLContext, names: tuple[str, ...]) -> None:
    openssl = reach()
    if openssl is not None:
        if not openssl.set_groups(context, names):
            msg = f"tls_eecdh_auto_curves: none of {' '.join(names)} is known"
            raise TlsError(msg)
        return
    for name in names:  # Python passes one name on: the first that is known is better than none of them
        try:
            context.set_ecdh_curve(name)
        except (ssl.SSLError, ValueError):
            continue
        return


def _load_keys(context: ssl.SSLContext, parameters: ServerTls | ClientTls) -> None:
    if isinstance(parameters, ServerTls) and parameters.chain_text:
        load_chains(context, parameters.chain_text, parameters.chain_source)
    elif parameters.chain_files:
        load_chains(context, read_pem(parameters.chain_files), ", ".join(parameters.chain_files))
    else:
        for cert_file, key_file in ((parameters.cert_file, parameters.key_file), *parameters.more_pairs):
            if cert_file:
                load_pair(context, cert_file, key_file)


_FFDHE2048 = b"""\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""
"""The group ffdhe2048 (RFC 7919 appendix A.1)."""


def _load_dh(context: ssl.SSLContext, name: str) -> None:
    if name == "auto":
        descriptor = os.memfd_create("dh", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, _FFDHE2048)
            context.load_dh_params(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return
    try:
        context.load_dh_params(name)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        msg = f"cannot use DH parameters {name}: {reason}"
        raise TlsError(msg) from error


def _load_authorities(context: ssl.SSLContext, ca_file: str, ca_path: str) -> None:
    try:
        context.load_verify_locations(ca_file or None, ca_path or None)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        msg = f"cannot use TLS CA certificates {ca_file or ca_path}: {reason}"
        raise TlsError(msg) from error
