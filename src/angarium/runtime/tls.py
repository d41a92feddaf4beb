"""TLS: contexts for servers and clients from Postfix-shaped parameters, and the words for an established session.

Owns the translation of Postfix's TLS parameters (protocol lists, cipher grades, exclusions, key files, security
levels; postconf(5), TLS_README) to ``ssl.SSLContext``, and nothing else: who negotiates, and when, is the business
of the daemons and agents.

Guarantees: a file that is missing, unreadable or no certificate is reported with its name as ``TlsError`` before any
peer is spoken to. At security level ``may`` nothing is verified, as an unauthenticated session is still better than
a plain one (RFC 7435); at ``verify`` and ``secure`` the chain is verified in the handshake and the name after it,
by ``matches_certificate``.
"""

from __future__ import annotations

import enum
import hashlib
import re
import ssl
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class TlsError(Exception):
    """A TLS parameter or file that cannot be used; the text names it."""


class SecurityLevel(enum.Enum):
    """smtp_tls_security_level and smtpd_tls_security_level; DANE is not here yet."""

    NONE = "none"
    MAY = "may"
    ENCRYPT = "encrypt"
    FINGERPRINT = "fingerprint"
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


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a server context is made of.

    Attributes:
        cert_file: PEM certificate, with its chain after it; empty when ``chain_files`` is used.
        key_file: PEM private key; empty: it is in ``cert_file``.
        chain_files: PEM files that hold key and chain together (smtpd_tls_chain_files); they win over ``cert_file``.
        protocols: Postfix's list: ``>=TLSv1.2``, ``!SSLv2, !TLSv1``.
        ciphers: grade: ``high``, ``medium`` (and the historical ``low``, ``export``, ``null``, taken as ``medium``).
        exclude_ciphers: OpenSSL cipher names or classes that are never used.
        session_tickets: let clients resume by ticket (RFC 5077).
        ca_file: certificates of CAs for client certificates; empty: none are asked for.
        prefer_server_ciphers: tls_preempt_cipherlist.
    """

    cert_file: str = ""
    key_file: str = ""
    chain_files: tuple[str, ...] = ()
    protocols: str = ">=TLSv1.2"
    ciphers: str = "medium"
    exclude_ciphers: tuple[str, ...] = ()
    session_tickets: bool = True
    ca_file: str = ""
    prefer_server_ciphers: bool = False

    @property
    def configured(self) -> bool:
        """True when there is a certificate to offer."""
        return bool(self.cert_file or self.chain_files)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """What a client context is made of; ``ca_file`` and ``ca_path`` empty mean the system's trusted CAs."""

    level: SecurityLevel = SecurityLevel.MAY
    protocols: str = ">=TLSv1"
    ciphers: str = "medium"
    exclude_ciphers: tuple[str, ...] = ()
    ca_file: str = ""
    ca_path: str = ""
    cert_file: str = ""
    key_file: str = ""


_VERSIONS: Mapping[str, ssl.TLSVersion | None] = {
    # None: OpenSSL 3 has no SSLv2 at all and Python forbids SSLv3, so that naming them changes nothing.
    "sslv2": None,
    "sslv3": None,
    "tlsv1": ssl.TLSVersion.TLSv1,
    "tlsv1.0": ssl.TLSVersion.TLSv1,
    "tlsv1.1": ssl.TLSVersion.TLSv1_1,
    "tlsv1.2": ssl.TLSVersion.TLSv1_2,
    "tlsv1.3": ssl.TLSVersion.TLSv1_3,
    "0300": None,
    "0301": ssl.TLSVersion.TLSv1,
    "0302": ssl.TLSVersion.TLSv1_1,
    "0303": ssl.TLSVersion.TLSv1_2,
    "0304": ssl.TLSVersion.TLSv1_3,
}
_ORDER = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
_SEPARATORS = re.compile(r"[\s,:]+")
_GRADES: Mapping[str, str] = {
    "high": "HIGH:@STRENGTH",
    "medium": "HIGH:MEDIUM:+RC4:@STRENGTH",
    "low": "HIGH:MEDIUM:+RC4:@STRENGTH",
    "export": "HIGH:MEDIUM:+RC4:@STRENGTH",
    "null": "HIGH:MEDIUM:+RC4:@STRENGTH",
}


def protocol_range(text: str) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
    """The lowest and highest version that a protocol list of postconf(5) allows.

    Raises:
        TlsError: an unknown name, or a list that leaves no version or a gap in the middle.
    """
    allowed = set(_ORDER)
    named: set[ssl.TLSVersion] = set()
    positive = False
    for word in filter(None, _SEPARATORS.split(text)):
        operator = next((op for op in (">=", "<=", "!") if word.startswith(op)), "")
        name = word[len(operator) :].lower()
        if name not in _VERSIONS:
            msg = f"unknown TLS protocol {word!r} in {text!r}"
            raise TlsError(msg)
        version = _VERSIONS[name]
        if operator == "!":
            allowed.discard(version)
        elif operator == ">=":
            allowed = {v for v in allowed if version is None or v >= version}
        elif operator == "<=":
            allowed = {v for v in allowed if version is not None and v <= version}
        else:
            positive = True
            if version is not None:
                named.add(version)
    if positive:
        allowed &= named
    if not allowed:
        msg = f"no TLS protocol is left by {text!r}"
        raise TlsError(msg)
    low, high = min(allowed), max(allowed)
    if any(low < version < high and version not in allowed for version in _ORDER):
        msg = f"the TLS protocols of {text!r} have a gap, which OpenSSL cannot do"
        raise TlsError(msg)
    return low, high


def cipher_list(grade: str, exclude: Iterable[str], *, weak_allowed: bool) -> str:
    """OpenSSL's cipher string for a grade and its exclusions.

    ``weak_allowed`` lowers OpenSSL's security level, without which it refuses TLSv1 and short keys whatever else is
    set; Postfix does so too, for opportunistic TLS is no worse than none.

    Raises:
        TlsError: an unknown grade.
    """
    base = _GRADES.get(grade.lower())
    if base is None:
        msg = f"unknown TLS cipher grade {grade!r}"
        raise TlsError(msg)
    excluded = "".join(f":!{name}" for name in exclude if name)
    return f"{base}:!aNULL:!eNULL{excluded}" + (":@SECLEVEL=0" if weak_allowed else "")


def server_context(parameters: ServerTls) -> ssl.SSLContext:
    """A context to accept TLS with.

    Raises:
        TlsError: no certificate, or a file, protocol list or cipher list that cannot be used.
    """
    if not parameters.configured:
        msg = "TLS needs a certificate, but none is configured"
        raise TlsError(msg)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _set_policy(context, parameters.protocols, parameters.ciphers, parameters.exclude_ciphers)
    if parameters.chain_files:
        for chain in parameters.chain_files:
            _load_key(context, chain, "")
    else:
        _load_key(context, parameters.cert_file, parameters.key_file)
    if not parameters.session_tickets:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    if parameters.prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if parameters.ca_file:
        _load_authorities(context, parameters.ca_file, "")
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(parameters: ClientTls) -> ssl.SSLContext:
    """A context to start TLS with, for any level but ``none``.

    Raises:
        TlsError: a file, protocol list or cipher list that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The name is checked after the handshake: Postfix's match lists may name more than one (matches_certificate).
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if parameters.level.verifies else ssl.CERT_NONE
    _set_policy(context, parameters.protocols, parameters.ciphers, parameters.exclude_ciphers)
    if parameters.level.verifies:
        if parameters.ca_file or parameters.ca_path:
            _load_authorities(context, parameters.ca_file, parameters.ca_path)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if parameters.cert_file:
        _load_key(context, parameters.cert_file, parameters.key_file)
    return context


def describe_session(tls: ssl.SSLObject | ssl.SSLSocket) -> str:
    """``TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)``: how the log and Received name a session."""
    cipher = tls.cipher()
    if cipher is None:
        return ""
    name, _, used = cipher
    version = tls.version() or ""
    return f"{version} with cipher {name} ({used}/{_algorithm_bits(name, used)} bits)"


def fingerprints(certificate: bytes, digest: str) -> tuple[str, str]:
    """The fingerprints of a certificate (DER) and of its public key, as ``ab:cd:…`` in lower case.

    Raises:
        TlsError: an unknown digest, or no certificate.
    """
    from cryptography import x509  # late: few need it, and it takes its time to load
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        texts = [hashlib.new(digest, data, usedforsecurity=False).hexdigest() for data in (certificate, spki)]
    except ValueError as error:
        msg = f"no fingerprint: {error}"
        raise TlsError(msg) from error
    first, second = (":".join(text[at : at + 2] for at in range(0, len(text), 2)) for text in texts)
    return first, second


def matches_certificate(certificate: Mapping[str, object] | None, names: Iterable[str]) -> bool:
    """Does a verified certificate (``getpeercert()``) bear one of ``names``?

    A name that starts with a dot stands for every host below it (``dot-nexthop`` of smtp_tls_secure_cert_match). A
    certificate's ``*`` stands for exactly one leftmost label (RFC 6125 section 6.4.3). The common name counts only when
    there is no DNS name (section 6.4.4).
    """
    if not certificate:
        return False
    borne = _certificate_names(certificate)
    return any(_name_matches(pattern, name.lower().rstrip(".")) for name in names for pattern in borne)


def _certificate_names(certificate: Mapping[str, object]) -> Sequence[str]:
    alternative = certificate.get("subjectAltName", ())
    assert isinstance(alternative, tuple)
    names = [value.lower() for kind, value in alternative if kind in ("DNS", "IP Address")]
    if names:
        return names
    subject = certificate.get("subject", ())
    assert isinstance(subject, tuple)
    return [value.lower() for entry in subject for key, value in entry if key == "commonName"]


def _name_matches(pattern: str, name: str) -> bool:
    if name.startswith("."):
        return pattern.endswith(name) and len(pattern) > len(name)
    if pattern.startswith("*."):
        _, dot, rest = name.partition(".")
        return bool(dot) and rest == pattern[2:]
    return pattern == name


def _set_policy(context: ssl.SSLContext, protocols: str, grade: str, exclude: Iterable[str]) -> None:
    low, high = protocol_range(protocols)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    weak = low < ssl.TLSVersion.TLSv1_2
    ciphers = cipher_list(grade, exclude, weak_allowed=weak)
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


def _load_key(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    for name in filter(None, (cert_file, key_file)):
        try:
            with Path(name).open("rb") as file:
                file.read(1)
        except OSError as error:
            msg = f"cannot read TLS file {name}: {error.strerror}"
            raise TlsError(msg) from error
    try:
        # A password callback that refuses: without it OpenSSL asks on the terminal.
        context.load_cert_chain(cert_file, key_file or None, password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as error:
        both = f"{cert_file} and {key_file}" if key_file and key_file != cert_file else cert_file
        reason = getattr(error, "reason", None) or str(error) or "not a PEM certificate and key"
        msg = f"cannot use TLS certificate and key {both}: {str(reason).replace('_', ' ').lower()}"
        raise TlsError(msg) from error


def _no_password() -> str:
    msg = "the private key is encrypted"
    raise ValueError(msg)


def _load_authorities(context: ssl.SSLContext, ca_file: str, ca_path: str) -> None:
    try:
        context.load_verify_locations(ca_file or None, ca_path or None)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        msg = f"cannot use TLS CA certificates {ca_file or ca_path}: {reason}"
        raise TlsError(msg) from error


def _algorithm_bits(name: str, used: int) -> int:
    """The key length of a cipher's algorithm; it differs from the strength only for historical ones."""
    if "3DES" in name or "DES-CBC3" in name:
        return 168
    if "CCM8" in name:
        return used
    return 256 if used > 128 else max(used, 128)
