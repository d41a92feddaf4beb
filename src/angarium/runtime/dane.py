"""DANE for SMTP: is the chain that a server has shown the one that its domain's TLSA records speak of?

RFC 6698, RFC 7671 and RFC 7672: usages 3 (this certificate or key, whatever its names and dates say) and 2 (an
authority above it, which need not be known to anybody else; or, whole, the certificate itself); 0 and 1 are unusable
for mail. Of digests of the same thing the one that tls_dane_digests puts first counts (RFC 7671 section 9). Trust
anchors out of files are usage 2 with the whole certificate or key (``anchors``).

The chain is checked here and not by OpenSSL, after a handshake that accepts anything: signatures, dates, who may sign,
how long a path may be, what a key is for. An extension that is critical and that is not understood here (name
constraints among them) makes a certificate unfit, so that what is not checked is not trusted.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from angarium.runtime.dns import Tlsa
from angarium.runtime.tlspeer import bears_name
from angarium.runtime.tlssettings import TlsError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

_TA, _EE = 2, 3
_CERTIFICATE, _KEY = 0, 1
_WHOLE = 0
DIGESTS = {"sha256": 1, "sha512": 2}
"""The matching types of RFC 6698 section 2.1.3 that are known."""

_LENGTHS = {1: 32, 2: 64}
_NAMES = {number: name for name, number in DIGESTS.items()}
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found out about a chain.

    Attributes:
        trusted: a record speaks of it.
        matched: and it bears one of the names, or need not.
    """

    trusted: bool
    matched: bool


def digest_order(words: Iterable[str]) -> tuple[int, ...]:
    """tls_dane_digests: ``sha512 sha256``, or with their numbers, ``sha512=2``; best first.

    Raises:
        TlsError: an unknown digest, or a number that is not its own.
    """
    order = []
    for word in words:
        name, equals, number = word.lower().partition("=")
        known = DIGESTS.get(name)
        if known is None or (equals and number != str(known)):
            msg = f"tls_dane_digests: unusable digest {word!r}"
            raise TlsError(msg)
        order.append(known)
    return tuple(order)


def usable(records: Iterable[Tlsa], order: Sequence[int] = (2, 1)) -> tuple[Tlsa, ...]:
    """The records that mail can use; of several digests of one kind the best."""
    good = [record for record in dict.fromkeys(records) if _is_usable(record, order)]
    best: dict[tuple[int, int], int] = {}
    for record in good:
        if record.matching != _WHOLE:
            kind = (record.usage, record.selector)
            best[kind] = min(best.get(kind, len(order)), order.index(record.matching))
    return tuple(
        record
        for record in good
        if record.matching == _WHOLE or order.index(record.matching) == best[record.usage, record.selector]
    )


def _is_usable(record: Tlsa, order: Collection[int]) -> bool:
    if record.usage not in (_TA, _EE) or record.selector not in (_CERTIFICATE, _KEY):
        return False
    if record.matching != _WHOLE:
        return record.matching in order and len(record.data) == _LENGTHS[record.matching]
    return _read(record) is not None


def anchors(files: Iterable[str]) -> tuple[Tlsa, ...]:
    """smtp_tls_trust_anchor_file: certificates and public keys, in PEM, as records of usage 2.

    Raises:
        TlsError: a file that cannot be read or has neither.
    """
    from cryptography import x509  # late: few need it
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    found: list[Tlsa] = []
    for name in files:
        try:
            text = Path(name).read_bytes()
        except OSError as error:
            msg = f"cannot read trust anchors {name}: {error.strerror}"
            raise TlsError(msg) from error
        before = len(found)
        for block in text.split(b"-----BEGIN ")[1:]:
            pem = b"-----BEGIN " + block
            try:
                if block.startswith(b"CERTIFICATE"):
                    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
                    found.append(Tlsa(_TA, _CERTIFICATE, _WHOLE, der))
                elif block.startswith(b"PUBLIC KEY"):
                    key = load_pem_public_key(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                    found.append(Tlsa(_TA, _KEY, _WHOLE, key))
            except ValueError as error:
                msg = f"trust anchors {name}: {error}"
                raise TlsError(msg) from error
        if len(found) == before:
            msg = f"trust anchors {name}: no certificate or public key in it"
            raise TlsError(msg)
    return tuple(found)


def judge(
    chain: Sequence[bytes], records: Collection[Tlsa], names: Iterable[str], *, many_labels: bool, now: dt.datetime
) -> Judgement:
    """Look at a chain, in DER, the server's own certificate first.

    Args:
        chain: as the server has shown it.
        records: usable ones.
        names: what the certificate may be called; a leading dot stands for all below.
        many_labels: the ``*`` of a certificate may stand for several labels.
        now: with its time zone.
    """
    if not chain:
        return Judgement(trusted=False, matched=False)
    if any(record.usage == _EE and _matches(record, chain[0]) for record in records):
        return Judgement(trusted=True, matched=True)
    above = [record for record in records if record.usage == _TA]
    if not above or not _anchored(chain, above, now):
        return Judgement(trusted=False, matched=False)
    return Judgement(trusted=True, matched=bears_name(chain[0], names, many_labels=many_labels))


def _matches(record: Tlsa, der: bytes) -> bool:
    data = der if record.selector == _CERTIFICATE else _public_key(der)
    if record.matching == _WHOLE:
        return record.data == data
    return hashlib.new(_NAMES[record.matching], data).digest() == record.data


def _public_key(der: bytes) -> bytes:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return b""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read(record: Tlsa) -> x509.Certificate | CertificateIssuerPublicKeyTypes | None:
    """The certificate or the key of a record that holds it whole."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        if record.selector == _CERTIFICATE:
            return x509.load_der_x509_certificate(record.data)
        return load_der_public_key(record.data)  # type: ignore[return-value]  # one that cannot sign signs nothing
    except (ValueError, UnsupportedAlgorithm):
        return None


def _anchored(chain: Sequence[bytes], records: Sequence[Tlsa], now: dt.datetime) -> bool:
    """Does a path lead from the server's certificate to what a record of usage 2 speaks of?"""
    from cryptography import x509

    try:
        shown = [x509.load_der_x509_certificate(der) for der in chain[:_DEEPEST]]
    except ValueError:
        return False
    whole = [_read(record) for record in records if record.matching == _WHOLE]
    keys = [each for each in whole if each is not None and not isinstance(each, x509.Certificate)]
    leaf = chain[0]
    if any(record.selector == _CERTIFICATE and record.matching == _WHOLE and record.data == leaf for record in records):
        return True
    candidates = shown[1:] + [each for each in whole if isinstance(each, x509.Certificate)]
    current = shown[0]
    for depth in range(_DEEPEST):
        if not _is_current(current, now) or not _fit(current, depth):
            return False
        if any(_signed_by_key(current, key) for key in keys):
            return True
        issuer = next((each for each in candidates if _signed_by(current, each)), None)
        if issuer is None or issuer == current:
            return False
        der = _der(issuer)
        if not _may_sign(issuer, depth):
            return False
        if any(_matches(record, der) for record in records):
            return True
        current = issuer
    return False


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def _is_current(certificate: x509.Certificate, now: dt.datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _signed_by_key(certificate: x509.Certificate, key: CertificateIssuerPublicKeyTypes) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    try:
        algorithm = certificate.signature_hash_algorithm
        parameters = certificate.signature_algorithm_parameters
        if isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            if not isinstance(parameters, padding.PKCS1v15 | padding.PSS):
                return False
            key.verify(signature, signed, parameters, algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(signature, signed, ec.ECDSA(algorithm))
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, signed)
        else:
            return False
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _fit(certificate: x509.Certificate, depth: int) -> bool:
    """It may be what it is used for, and everything that it says of itself with emphasis is understood."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    known = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
    try:
        extensions = certificate.extensions
    except ValueError:
        return False
    for extension in extensions:
        if extension.critical and not isinstance(extension.value, known):
            return False
        if isinstance(extension.value, x509.ExtendedKeyUsage) and depth == 0:
            allowed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
            if not allowed & set(extension.value):
                return False
    return True


def _may_sign(issuer: x509.Certificate, below: int) -> bool:
    """It is an authority's, for paths with ``below`` authorities under it (RFC 5280 section 4.2.1.9)."""
    from cryptography import x509

    try:
        extensions = issuer.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    if not constraints.ca or (constraints.path_length is not None and constraints.path_length < below):
        return False
    for extension in extensions:
        if isinstance(extension.value, x509.KeyUsage) and not extension.value.key_cert_sign:
            return False
    return True
