"""Checks of TLS keys and certificates: there, readable by us and by nobody else, a pair, and in their time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation, Place
from angarium.config.config import Config
from angarium.config.error import ConfigError

UNREADABLE = Rule(
    "tls-file-unreadable",
    Severity.ERROR,
    "{parameter}: cannot read {path}: {reason}",
    "the service does not offer TLS: correct the path or the rights",
)
EXPOSED = Rule(
    "tls-key-exposed",
    Severity.WARNING,
    "{parameter}: everyone may read or write {path}",
    "run: chmod o-rwx {path}",
)
MISMATCH = Rule(
    "tls-key-mismatch",
    Severity.ERROR,
    "{parameter}: the key in {path} does not belong to the certificate in {certificate}",
    "give both files of the same issue",
)
EXPIRED = Rule(
    "tls-certificate-expired",
    Severity.ERROR,
    "{parameter}: the certificate in {path} expired on {date}",
    "have it renewed, then run: postfix reload",
)
EXPIRING = Rule(
    "tls-certificate-expiring",
    Severity.WARNING,
    "{parameter}: the certificate in {path} expires on {date}",
    "have it renewed, then run: postfix reload",
)
WRONG_NAME = Rule(
    "tls-certificate-name",
    Severity.NOTE,
    "{parameter}: the certificate in {path} is not for {name}",
    "clients that connect to {name} and verify names refuse it; its names: {names}",
)

RULES = (UNREADABLE, EXPOSED, MISMATCH, EXPIRED, EXPIRING, WRONG_NAME)

_PAIRS = (
    ("smtpd_tls_cert_file", "smtpd_tls_key_file"),
    ("smtpd_tls_eccert_file", "smtpd_tls_eckey_file"),
    ("smtpd_tls_dcert_file", "smtpd_tls_dkey_file"),
    ("imapd_tls_cert_file", "imapd_tls_key_file"),
    ("pop3d_tls_cert_file", "pop3d_tls_key_file"),
    ("smtp_tls_cert_file", "smtp_tls_key_file"),
    ("smtp_tls_eccert_file", "smtp_tls_eckey_file"),
    ("smtp_tls_dcert_file", "smtp_tls_dkey_file"),
)
_CHAINS = ("smtpd_tls_chain_files", "smtp_tls_chain_files")
_SOON = dt.timedelta(days=14)
_LIMIT = 1 << 20
"""Bytes of a key or certificate file that are read."""


def check(site: Installation) -> Iterator[Finding]:
    """Find keys and certificates that cannot be used, or that others can."""
    seen: set[tuple[str, str]] = set()
    for view, _entry in site.views:
        for certificate, key in _PAIRS:
            pair = (_file(site, view, certificate), _file(site, view, key))
            if pair[0] and pair not in seen:
                seen.add(pair)
                yield from _pair(site, view, certificate, key, *pair)
        for parameter in _CHAINS:
            for path in _paths(view, parameter):
                if (path, path) not in seen:
                    seen.add((path, path))
                    yield from _pair(site, view, parameter, parameter, path, path)


def _file(site: Installation, view: Config, parameter: str) -> str:
    value = site.text(view, parameter)
    return "" if value == "none" else value


def _paths(view: Config, parameter: str) -> list[str]:
    try:
        return view.names(parameter)
    except ConfigError:
        return []


def _pair(
    site: Installation, view: Config, certificate: str, key: str, certificate_path: str, key_path: str
) -> Iterator[Finding]:
    key_path = key_path or certificate_path
    where = site.place(view, certificate, certificate_path)
    key_where = site.place(view, key, key_path)
    key_where = key_where if key_where.file else where
    data = _read(certificate_path)
    if isinstance(data, str):
        yield Finding(UNREADABLE, *where, {"parameter": certificate, "path": certificate_path, "reason": data})
        data = b""
    secret = _read(key_path)
    if isinstance(secret, str):
        if key_path != certificate_path:
            yield Finding(UNREADABLE, *key_where, {"parameter": key, "path": key_path, "reason": secret})
        secret = b""
    elif Path(key_path).stat().st_mode & 0o007:
        yield Finding(EXPOSED, *key_where, {"parameter": key, "path": key_path})
    found = _certificate(data)
    if found is None:
        if data and certificate_path != key_path:
            values = {"parameter": certificate, "path": certificate_path, "reason": "no certificate in it"}
            yield Finding(UNREADABLE, *where, values)
        return
    if secret and not _belong(found, secret):
        yield Finding(MISMATCH, *key_where, {"parameter": key, "path": key_path, "certificate": certificate_path})
    yield from _in_time(found, certificate, certificate_path, where)
    if not certificate.startswith("smtp_"):
        yield from _named(site, found, certificate, certificate_path, where)


def _read(path: str) -> bytes | str:
    """A file's bytes, or why it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(_LIMIT)
    except OSError as error:
        return error.strerror or str(error)


def _certificate(data: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError:
        return None


def _belong(certificate: x509.Certificate, secret: bytes) -> bool:
    """Whether the key is the certificate's; an encrypted or unknown key is not held against anybody."""
    try:
        key = load_pem_private_key(secret, None)
    except (TypeError, UnsupportedAlgorithm):
        return True
    except ValueError:
        return False
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form) == certificate.public_key().public_bytes(*form)


def _in_time(certificate: x509.Certificate, parameter: str, path: str, where: Place) -> Iterator[Finding]:
    end = certificate.not_valid_after_utc
    now = dt.datetime.now(dt.UTC)
    rule = EXPIRED if end <= now else EXPIRING if end - now < _SOON else None
    if rule is not None:
        yield Finding(rule, *where, {"parameter": parameter, "path": path, "date": f"{end:%Y-%m-%d}"})


def _named(
    site: Installation, certificate: x509.Certificate, parameter: str, path: str, where: Place
) -> Iterator[Finding]:
    name = site.text(site.conf, "myhostname").lower()
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = [each.lower() for each in extension.value.get_values_for_type(x509.DNSName)]
    except (x509.ExtensionNotFound, ValueError):
        names = []
    wildcard = f"*.{name.partition('.')[2]}"
    if name and name not in names and wildcard not in names:
        values = {"parameter": parameter, "path": path, "name": name, "names": ", ".join(names) or "none"}
        yield Finding(WRONG_NAME, *where, values)
