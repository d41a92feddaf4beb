from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from angarium.runtime import tls


def make_certificate(directory: Path, name: str = "mx.example.test") -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=36500))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "cert.pem", directory / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server, server_hostname="mx.example.test")
    for _ in range(6):
        for side in (client_side, server_side):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return server_side, client_side


V = ssl.TLSVersion


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (V.TLSv1, V.TLSv1_3)),
        (">=TLSv1.2", (V.TLSv1_2, V.TLSv1_3)),
        (">=TLSv1.2, <=TLSv1.2", (V.TLSv1_2, V.TLSv1_2)),
        ("!SSLv2, !SSLv3", (V.TLSv1, V.TLSv1_3)),
        ("!SSLv2, !SSLv3, !TLSv1, !TLSv1.1", (V.TLSv1_2, V.TLSv1_3)),
        ("!TLSv1.3", (V.TLSv1, V.TLSv1_2)),
        ("TLSv1.2 TLSv1.3", (V.TLSv1_2, V.TLSv1_3)),
        (">=0303", (V.TLSv1_2, V.TLSv1_3)),
        ("TLSv1.3:TLSv1.2", (V.TLSv1_2, V.TLSv1_3)),
    ],
)
def test_protocol_range(text, expected):
    assert tls.protocol_range(text) == expected


@pytest.mark.parametrize("text", ["TLSv9", "SSLv3", "TLSv1, TLSv1.3", "<=SSLv3", ">=TLSv1.3, !TLSv1.3"])
def test_protocol_range_refuses(text):
    with pytest.raises(tls.TlsError, match=text.partition(",")[0].strip("!<>=")):
        tls.protocol_range(text)


def test_session_is_described_as_postfix_does(tmp_path):
    cert_file, key_file = make_certificate(tmp_path)
    server = tls.server_context(tls.ServerTls(str(cert_file), str(key_file)))
    client = tls.client_context(tls.ClientTls())
    server_side, client_side = handshake(server, client)
    assert tls.describe_session(server_side) == (
        "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) "
        "key-exchange X25519 server-signature ECDSA (prime256v1) server-digest SHA256"
    )
    assert tls.describe_session(client_side) == tls.describe_session(server_side)


def test_old_protocols_only_when_asked_for(tmp_path):
    cert_file, key_file = make_certificate(tmp_path)
    old = tls.client_context(tls.ClientTls(protocols="<=TLSv1.1"))
    with pytest.raises(ssl.SSLError):
        handshake(tls.server_context(tls.ServerTls(str(cert_file), str(key_file))), old)
    server = tls.server_context(tls.ServerTls(str(cert_file), str(key_file), protocols=">=TLSv1"))
    assert tls.describe_session(handshake(server, old)[0]).startswith("TLSv1.1 with cipher ")


def test_chain_file_holds_key_and_certificate(tmp_path):
    cert_file, key_file = make_certificate(tmp_path)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(key_file.read_bytes() + cert_file.read_bytes())
    context = tls.server_context(tls.ServerTls(chain_files=(str(chain),)))
    assert handshake(context, tls.client_context(tls.ClientTls()))[1].version() == "TLSv1.3"


def test_errors_name_the_file(tmp_path):
    cert_file, key_file = make_certificate(tmp_path)
    broken = tmp_path / "broken.pem"
    broken.write_text("not a certificate")
    for parameters, words in (
        (tls.ServerTls(str(tmp_path / "absent.pem"), str(key_file)), "absent.pem: No such file"),
        (tls.ServerTls(str(cert_file), str(tmp_path / "gone.pem")), "gone.pem: No such file"),
        (tls.ServerTls(str(broken), str(key_file)), "broken.pem"),
        (tls.ServerTls(str(cert_file), str(broken)), "broken.pem"),
        (tls.ServerTls(str(cert_file)), "cert.pem"),
        (tls.ServerTls(str(cert_file), str(key_file), ask_certificate=True, ca_file=str(broken)), "broken.pem"),
        (tls.ServerTls(), "none is configured"),
        (tls.ServerTls(str(cert_file), str(key_file), ciphers="strongest"), "strongest"),
    ):
        with pytest.raises(tls.TlsError, match=words):
            tls.server_context(parameters)


def test_encrypted_key_is_an_error_and_does_not_ask(tmp_path):
    cert_file, key_file = make_certificate(tmp_path)
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(tls.TlsError, match="encrypted"):
        tls.server_context(tls.ServerTls(str(cert_file), str(key_file)))


def test_verify_wants_a_trusted_chain(tmp_path):
    cert_file, key_file = make_certificate(tmp_path)
    server = tls.server_context(tls.ServerTls(str(cert_file), str(key_file)))
    trusting = tls.client_context(tls.ClientTls(tls.SecurityLevel.VERIFY, ca_file=str(cert_file)))
    certificate = handshake(server, trusting)[1].getpeercert()
    assert tls.matches_certificate(certificate, ["mx.example.test"])
    assert not tls.matches_certificate(certificate, ["mx.other.test"])
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, tls.client_context(tls.ClientTls(tls.SecurityLevel.VERIFY)))


@pytest.mark.parametrize(
    ("certificate", "name", "expected"),
    [
        ({"subjectAltName": (("DNS", "mx.example.org"),)}, "MX.example.org.", True),
        ({"subjectAltName": (("DNS", "*.example.org"),)}, "mx.example.org", True),
        ({"subjectAltName": (("DNS", "*.example.org"),)}, "a.mx.example.org", False),
        ({"subjectAltName": (("DNS", "*.example.org"),)}, "example.org", False),
        ({"subjectAltName": (("DNS", "mx.example.org"),)}, ".example.org", True),
        ({"subjectAltName": (("DNS", "example.org"),)}, ".example.org", False),
        ({"subject": ((("commonName", "mx.example.org"),),)}, "mx.example.org", True),
        (
            {"subject": ((("commonName", "mx.example.org"),),), "subjectAltName": (("DNS", "b.org"),)},
            "mx.example.org",
            False,
        ),
        ({}, "mx.example.org", False),
        (None, "mx.example.org", False),
    ],
)
def test_certificate_names(certificate, name, expected):
    assert tls.matches_certificate(certificate, [name]) is expected
