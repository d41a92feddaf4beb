"""``postfix tls``: TLS is switched on, and keys and certificates are made.

=============================  ========================================================================================
``all-default-client``         exit 0 when no TLS parameter of the SMTP client is set; ``all-default-server``
``enable-client``              TLS when the other server has it, if nothing else is set yet
``enable-server`` …            the same for the server, with a new key and certificate
``new-server-key`` …           a new key and a certificate signed by itself, for these host names (myhostname)
``new-server-cert`` …          the same: a key is never used twice here
``deploy-server-cert C K``     main.cf uses this certificate and its key
``output-server-csr``          a request to sign a certificate; ``-k FILE``, host names
``output-server-tlsa``         TLSA records of the key (``3 1 1``); ``-h NAME``, key files
=============================  ========================================================================================

``-a rsa|ecdsa`` and ``-b`` bits or curve choose the key: RSA with 2048 bits when nothing is said. Key and certificate
get names with the time in them, in config_directory. Exit status 0 or 1.
"""

from __future__ import annotations

import getopt
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from angarium.commands.command import complain
from angarium.config.config import Config
from angarium.config.edit import replace_file, set_main

USAGE = (
    "usage: postfix tls enable-client (or enable-server, new-server-key, new-server-cert, deploy-server-cert, "
    "output-server-csr, output-server-tlsa, all-default-client, all-default-server)"
)
_YEARS = 100
_CURVES: dict[str, ec.EllipticCurve] = {
    "secp256r1": ec.SECP256R1(),
    "prime256v1": ec.SECP256R1(),
    "secp384r1": ec.SECP384R1(),
    "secp521r1": ec.SECP521R1(),
}
_CLIENT = {"smtp_tls_security_level": "may", "smtp_tls_loglevel": "1"}
_SERVER = {"smtpd_tls_security_level": "may", "smtpd_tls_loglevel": "1", "smtpd_tls_received_header": "yes"}

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class TlsCommandError(Exception):
    """The command cannot do it; the text is for the user."""


class Tls:
    """One run.

    Args:
        conf: main.cf.
        say: for the terminal and the log.
    """

    def __init__(self, conf: Config, say: Callable[[str], None]) -> None:
        self._conf = conf
        self._say = say

    def all_default(self, prefix: str) -> bool:
        """Whether no TLS parameter of a program is set."""
        return not [name for name in self._conf.main.settings if name.startswith(prefix)]

    def enable_client(self) -> None:
        """``enable-client``."""
        self._enable("smtp_tls_", _CLIENT, "client", {})

    def enable_server(self, words: Sequence[str]) -> None:
        """``enable-server``."""
        if not self.all_default("smtpd_tls_"):
            self._enable("smtpd_tls_", _SERVER, "server", {})
            return
        certificate, key = self._make(words)
        self._enable("smtpd_tls_", _SERVER, "server", self._parameters(certificate, key))

    def _enable(self, prefix: str, settings: dict[str, str], side: str, more: dict[str, str]) -> None:
        if not self.all_default(prefix):
            self._say(f"*** Non-default SMTP {side} TLS settings detected, no changes made.")
            self._say(f"For opportunistic TLS in the Postfix SMTP {side}, the below settings are typical:")
            for name, value in settings.items():
                self._say(f"  {name} = {value}")
            return
        self._set({**settings, **more})
        self._say(f'Enabled opportunistic TLS in the Postfix SMTP {side}. Run "postfix reload" for it to take effect.')

    def _set(self, settings: dict[str, str]) -> None:
        path = self._conf.directory / "main.cf"
        text, _ = set_main(path.read_text(encoding="utf-8", errors="surrogateescape"), settings)
        replace_file(path, text)

    # -- keys

    def new_server_key(self, words: Sequence[str]) -> None:
        """``new-server-key`` and ``new-server-cert``."""
        certificate, key = self._make(words)
        self._say("New private key and self-signed certificate created. To deploy run:")
        self._say(f"  # postfix tls deploy-server-cert {certificate} {key}")

    def _make(self, words: Sequence[str]) -> tuple[Path, Path]:
        options, names = getopt.getopt(list(words), "a:b:")
        algorithm = dict(options).get("-a", "rsa")
        private = _private_key(algorithm, dict(options).get("-b", ""))
        hosts = names or [self._conf.text("myhostname")]
        prefix = "ec" if algorithm == "ecdsa" else ""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        certificate = self._conf.directory / f"{prefix}cert-{stamp}.pem"
        key = self._conf.directory / f"{prefix}key-{stamp}.pem"
        pem, text = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        _write(key, private.private_bytes(pem, text, serialization.NoEncryption()), 0o600)
        _write(certificate, _self_signed(private, hosts).public_bytes(pem), 0o644)
        return certificate, key

    def deploy_server_cert(self, words: Sequence[str]) -> None:
        """``deploy-server-cert``."""
        if len(words) != 2:
            raise TlsCommandError("usage: postfix tls deploy-server-cert certfile keyfile")
        certificate, key = (self._conf.directory / word for word in words)
        private = _load(key)
        try:
            found = x509.load_pem_x509_certificate(certificate.read_bytes())
        except (OSError, ValueError) as error:
            raise TlsCommandError(f"no certificate found in file: {certificate}") from error
        if _public(private.public_key()) != _public(found.public_key()):
            raise TlsCommandError(f"the key in {key} is not that of the certificate in {certificate}")
        self._set(self._parameters(certificate, key))
        self._say(
            f'TLS private key and certificate deployed: {certificate}. Run "postfix reload" for them to take effect.'
        )

    @staticmethod
    def _parameters(certificate: Path, key: Path) -> dict[str, str]:
        kind = "ec" if isinstance(_load(key), ec.EllipticCurvePrivateKey) else ""
        return {f"smtpd_tls_{kind}cert_file": str(certificate), f"smtpd_tls_{kind}key_file": str(key)}

    def _keys(self, given: Sequence[str]) -> list[Path]:
        if given:
            return [self._conf.directory / name for name in given]
        names = ("smtpd_tls_eckey_file", "smtpd_tls_key_file")
        values = [self._conf.text(name) for name in names if self._conf.setting(name) is not None]
        return [Path(value) for value in values if value and value != "none"]

    def output_server_csr(self, words: Sequence[str]) -> str:
        """``output-server-csr``."""
        options, names = getopt.getopt(list(words), "k:")
        keys = self._keys([value for _, value in options])
        if not keys:
            raise TlsCommandError("No usable keyfile specified or configured")
        hosts = names or [self._conf.text("myhostname")]
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        for extension in _extensions(hosts):
            request = request.add_extension(extension, critical=False)
        signed = request.sign(_load(keys[0]), hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def output_server_tlsa(self, words: Sequence[str]) -> str:
        """``output-server-tlsa``."""
        options, names = getopt.getopt(list(words), "h:")
        keys = self._keys(names)
        if not keys:
            raise TlsCommandError("No usable keyfiles specified or configured")
        host = dict(options).get("-h") or self._conf.text("myhostname")
        lines = []
        for key in keys:
            digest = hashlib.sha256(_public(_load(key).public_key())).hexdigest()
            lines.append(f"; {key}\n_25._tcp.{host.rstrip('.')}. IN TLSA 3 1 1 {digest}\n")
        return "".join(lines)


def _private_key(algorithm: str, size: str) -> PrivateKey:
    try:
        if algorithm == "rsa":
            return rsa.generate_private_key(65537, int(size or 2048))
        if algorithm == "ecdsa":
            return ec.generate_private_key(_CURVES[size or "secp256r1"])
    except (ValueError, KeyError) as error:
        raise TlsCommandError(f"error generating new {algorithm} {size} private key") from error
    raise TlsCommandError(f"bad key algorithm: {algorithm}; specify rsa or ecdsa")


def _extensions(hosts: Sequence[str]) -> list[x509.ExtensionType]:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    return [usage, x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])]


def _self_signed(private: PrivateKey, hosts: Sequence[str]) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
    )
    for extension in _extensions(hosts):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(private, hashes.SHA256())


def _public(key: object) -> bytes:
    encoded = getattr(key, "public_bytes")  # noqa: B009 - of whatever kind of key a certificate may hold
    found: bytes = encoded(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return found


def _load(path: Path) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise TlsCommandError(f"no private key found in file: {path}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TlsCommandError(f"neither an RSA nor an EC key: {path}")
    return key


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def run(conf: Config, words: Sequence[str], say: Callable[[str], None]) -> int:
    """Run the command; the exit status."""
    tls = Tls(conf, say)
    verb, rest = (words[0] if words else ""), list(words[1:])
    actions: dict[str, Callable[[], None]] = {
        "enable-client": tls.enable_client,
        "enable-server": lambda: tls.enable_server(rest),
        "new-server-key": lambda: tls.new_server_key(rest),
        "new-server-cert": lambda: tls.new_server_key(rest),
        "deploy-server-cert": lambda: tls.deploy_server_cert(rest),
        "output-server-csr": lambda: print(tls.output_server_csr(rest), end=""),
        "output-server-tlsa": lambda: print(tls.output_server_tlsa(rest), end=""),
    }
    try:
        if verb in ("all-default-client", "all-default-server"):
            return int(not tls.all_default("smtp_tls_" if verb.endswith("client") else "smtpd_tls_"))
        if verb not in actions:
            raise TlsCommandError(f"unknown tls command: '{verb}'. {USAGE}" if verb else USAGE)
        actions[verb]()
    except (TlsCommandError, getopt.GetoptError, OSError) as error:
        complain("postfix/postfix-tls-script", error)
        return 1
    return 0
