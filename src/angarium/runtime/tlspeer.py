"""The other end of a TLS session: its certificate, the names in it, its fingerprints; and the session in words.

Names and fingerprints are as Postfix logs them and looks them up: the common names of subject and issuer, and digests
in upper case with colons, of the certificate and of its public key (TLS_README, smtpd_tls_fingerprint_digest).

What a peer put into its certificate is shown only as far as it is printable.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from angarium.runtime.openssl import reach
from angarium.runtime.tlssettings import TlsError

if TYPE_CHECKING:
    from cryptography import x509

_NAME_LIMIT = 256
"""The longest common name that is believed."""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """A peer's certificate.

    Attributes:
        subject: the common name; empty when there is none.
        issuer: the issuer's common name, or its organization.
        fingerprint: of the certificate, ``AB:CD:…``.
        key_fingerprint: of the public key.
        fault: why it is not to be trusted; empty: its chain ends at an authority that we know.
    """

    subject: str
    issuer: str
    fingerprint: str
    key_fingerprint: str
    fault: str = ""

    @property
    def trusted(self) -> bool:
        """An authority that we know has vouched for it."""
        return not self.fault


def read_certificate(der: bytes, digest: str, fault: str) -> PeerCertificate:
    """What is in a certificate.

    Raises:
        TlsError: an unknown digest, or no certificate.
    """
    from cryptography import x509  # late: few need it, and it takes its time to load

    try:
        certificate = x509.load_der_x509_certificate(der)
        oids = x509.NameOID
        subject = _attribute(certificate.subject, (oids.COMMON_NAME,))
        issuer = _attribute(certificate.issuer, (oids.COMMON_NAME, oids.ORGANIZATION_NAME))
    except ValueError as error:
        msg = f"no certificate: {error}"
        raise TlsError(msg) from error
    of_certificate, of_key = fingerprints(der, digest)
    return PeerCertificate(subject, issuer, of_certificate.upper(), of_key.upper(), fault)


def _attribute(name: x509.Name, oids: Sequence[x509.ObjectIdentifier]) -> str:
    """The last value of the first kind of attribute that is there; empty when it is not fit to be shown."""
    for oid in oids:
        values = name.get_attributes_for_oid(oid)
        if values:
            value = str(values[-1].value)
            return value if len(value) <= _NAME_LIMIT and "\0" not in value else ""
    return ""


def describe_session(tls: ssl.SSLObject | ssl.SSLSocket) -> str:
    """``TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 …``, as the log and Received say.

    What comes behind the bits is there for TLS 1.3, where the interpreter is known (``openssl.reach``).
    """
    cipher = tls.cipher()
    if cipher is None:
        return ""
    name, _, used = cipher
    version = tls.version() or ""
    openssl = reach() if isinstance(tls, ssl.SSLObject) else None
    details = openssl.details(tls) if openssl is not None and isinstance(tls, ssl.SSLObject) else ""
    return f"{version} with cipher {name} ({used}/{_algorithm_bits(name, used)} bits){details}"


def fingerprints(certificate: bytes, digest: str) -> tuple[str, str]:
    """The fingerprints of a certificate (DER) and of its public key, as ``ab:cd:…`` in lower case.

    Raises:
        TlsError: an unknown digest, or no certificate.
    """
    from cryptography import x509  # late: few need it, and it takes its time to load
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        texts = [hashlib.new(digest, data, usedforsecurity=False).hexdigest() for data in (certificate, spki)]
    except (ValueError, UnsupportedAlgorithm) as error:
        msg = f"no fingerprint: {error}"
        raise TlsError(msg) from error
    first, second = (":".join(text[at : at + 2] for at in range(0, len(text), 2)) for text in texts)
    return first, second


def matches_certificate(
    certificate: Mapping[str, object] | None, names: Iterable[str], *, many_labels: bool = False
) -> bool:
    """Does a verified certificate (``getpeercert()``) bear one of ``names``?

    A name that starts with a dot stands for every host below it (``dot-nexthop`` of smtp_tls_secure_cert_match). A
    certificate's ``*`` stands for exactly one leftmost label (RFC 6125 section 6.4.3), or with ``many_labels``
    (tls_wildcard_matches_multiple_labels) for one or more. The common name counts only when there is no DNS name
    (section 6.4.4).
    """
    if not certificate:
        return False
    borne = _certificate_names(certificate)
    wanted = [name.lower().rstrip(".") for name in names]
    return any(_name_matches(pattern, name, many_labels=many_labels) for name in wanted for pattern in borne)


def _certificate_names(certificate: Mapping[str, object]) -> Sequence[str]:
    alternative = certificate.get("subjectAltName", ())
    assert isinstance(alternative, tuple)
    names = [value.lower() for kind, value in alternative if kind in ("DNS", "IP Address")]
    if names:
        return names
    subject = certificate.get("subject", ())
    assert isinstance(subject, tuple)
    return [value.lower() for entry in subject for key, value in entry if key == "commonName"]


def _name_matches(pattern: str, name: str, *, many_labels: bool) -> bool:
    if name.startswith("."):
        return pattern.endswith(name) and len(pattern) > len(name)
    if pattern.startswith("*."):
        if many_labels:
            return len(name) > len(pattern) - 1 and name.endswith(pattern[1:])
        _, dot, rest = name.partition(".")
        return bool(dot) and rest == pattern[2:]
    return pattern == name


def _algorithm_bits(name: str, used: int) -> int:
    """The key length of a cipher's algorithm; it differs from the strength only for historical ones."""
    if "3DES" in name or "DES-CBC3" in name:
        return 168
    if "CCM8" in name:
        return used
    return 256 if used > 128 else max(used, 128)


def bears_name(der: bytes, names: Iterable[str], *, many_labels: bool) -> bool:
    """As ``matches_certificate``, for a certificate that OpenSSL has not looked at."""
    from cryptography import x509  # late, as above

    try:
        certificate = x509.load_der_x509_certificate(der)
        alternative: list[tuple[str, str]] = []
        try:
            value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            alternative = [("DNS", name) for name in value.get_values_for_type(x509.DNSName)]
            alternative += [("IP Address", str(each)) for each in value.get_values_for_type(x509.IPAddress)]
        except x509.ExtensionNotFound:
            pass
        common = tuple(
            (("commonName", str(each.value)),)
            for each in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        )
    except ValueError:
        return False
    return matches_certificate(
        {"subjectAltName": tuple(alternative), "subject": common}, names, many_labels=many_labels
    )


def shown_chain(tls: ssl.SSLObject) -> list[bytes]:
    """The certificates that a server has shown, in DER, its own first; nobody has verified them."""
    ask = getattr(tls, "get_unverified_chain", None)  # of Python 3.13
    if ask is not None:
        return list(ask())
    inner = tls._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - what 3.13 has made public
    chain = inner.get_unverified_chain() or ()
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in chain]
