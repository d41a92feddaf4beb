"""TLS of a running server: client certificates, names with keys of their own, and what is logged of both."""

from __future__ import annotations

import contextlib
import smtplib
import ssl
import subprocess
import time

import pytest
from tests.fakes.certificates import make

from angarium.runtime.tlspeer import read_certificate


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    directory = tmp_path_factory.mktemp("keys")
    root = make("Test CA", authority=True)
    root.write(directory, "ca")
    for name, issuer in (("client", root), ("other", root), ("stray", None)):
        make(f"{name}.test", issuer).write(directory, name)
    return directory


def fingerprint(keys, name):
    der = ssl.PEM_cert_to_DER_cert((keys / f"{name}.pem").read_text())
    return read_certificate(der, "sha256", "").fingerprint


@contextlib.contextmanager
def session(server, keys, name="", server_name=""):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if name:
        context.load_cert_chain(keys / f"{name}.pem", keys / f"{name}.key")
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20, source_address=("127.0.0.2", 0)) as client:
        if server_name:
            client._host = server_name
        client.ehlo("client.example")
        client.starttls(context=context)
        yield client


def logged(server, text):
    """The server writes its lines when it gets to it: wait for one."""
    end = time.monotonic() + 20
    while text not in server.log():
        assert time.monotonic() < end, f"{text!r} is not in\n{server.log()}"
        time.sleep(0.02)


def relays(client):
    client.ehlo("client.example")
    client.mail("a@elsewhere.example")
    return client.rcpt("b@elsewhere.example")[0] == 250


def test_certificates_open_the_door(servers, keys):
    server = servers.start(
        {
            "smtpd_tls_ask_ccert": "yes",
            "smtpd_tls_CAfile": str(keys / "ca.pem"),
            "smtpd_tls_loglevel": "2",
            "relay_clientcerts": f"inline:{{{fingerprint(keys, 'stray')}=x}}",
            "smtpd_relay_restrictions": "permit_tls_all_clientcerts, permit_tls_clientcerts, reject_unauth_destination",
        }
    )
    for name, expected in (("client", True), ("stray", True), ("", False)):
        with session(server, keys, name) as client:
            assert relays(client) is expected, name
    for name in ("client", "stray", ""):
        with session(server, keys, name) as client:
            client.sendmail("a@elsewhere.example", ["alice@example.test"], "Subject: from {name}\n\nhello\n")
    log = server.log()
    assert "Trusted TLS connection established from unknown[127.0.0.2]: TLSv1.3 with cipher " in log
    assert "Untrusted TLS connection established from unknown[127.0.0.2]: " in log
    assert "Anonymous TLS connection established from unknown[127.0.0.2]: " in log
    assert f": subject_CN=client.test, issuer=Test CA, fingerprint={fingerprint(keys, 'client')}, pkey_" in log
    stored = b"".join(path.read_bytes() for path in server.site.root.glob("mail/**/*") if path.is_file())
    for line in (
        (
            b"\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n"
            b"\t key-exchange X25519 server-signature ECDSA (prime256v1) server-digest SHA256\r\n"
            b"\t client-signature ECDSA (prime256v1) client-digest SHA256)\r\n"
            b'\t(Client CN "client.test", Issuer "Test CA" (verified OK))\r\n'
        ),
        b'\t(Client CN "stray.test", Issuer "stray.test" (not verified))\r\n',
        b"\t(Client did not present a certificate)\r\n",
    ):
        assert line in stored


def test_a_required_certificate_must_be_trusted(servers, keys):
    server = servers.start(
        {
            "smtpd_tls_security_level": "encrypt",
            "smtpd_tls_req_ccert": "yes",
            "smtpd_tls_CAfile": str(keys / "ca.pem"),
        }
    )
    with session(server, keys, "client") as client:
        assert client.ehlo("client.example")[0] == 250
    for name, why in (("stray", "Client certificate not trusted"), ("", "No client certificate presented")):
        with session(server, keys, name) as client:
            code, text = client.ehlo("client.example")
            assert (code, text) == (421, f"4.7.1 {server.site.hostname} Error: {why}".encode())
        logged(server, f"NOQUEUE: abort: TLS from unknown[127.0.0.2]: {why}")
    assert "certificate verification failed for unknown[127.0.0.2]: self-signed certificate" in server.log()


def test_requiring_a_certificate_without_requiring_tls_is_warned_of(servers, keys):
    server = servers.start({"smtpd_tls_req_ccert": "yes", "smtpd_tls_CAfile": str(keys / "ca.pem")})
    assert "warning: Can't require client certs unless TLS is required" in server.log()
    with session(server, keys, "stray") as client:
        assert client.ehlo("client.example")[0] == 250


def test_names_choose_keys_made_by_postmap(servers, keys, tmp_path):
    table = tmp_path / "sni"
    table.write_text(
        f"other.test {keys / 'other.chain'}\n.sub.test {keys / 'client.chain'}\nbad.test {keys / 'ca.pem'}\n"
    )
    server = servers.prepare({"tls_server_sni_maps": f"hash:{table}"})
    server.site.administer("postmap", "-F", f"hash:{table}")
    server.start()
    default = ssl.PEM_cert_to_DER_cert((server.site.root / "tls" / "server.pem").read_text())
    for name, expected in (("other.test", "other"), ("OTHER.test", "other"), ("a.sub.test", "client"), ("x.test", "")):
        with session(server, keys, server_name=name) as client:
            certificate = client.sock.getpeercert(binary_form=True)
        own = ssl.PEM_cert_to_DER_cert((keys / f"{expected}.pem").read_text()) if expected else default
        assert certificate == own, name
    with pytest.raises(ssl.SSLError), session(server, keys, server_name="bad.test"):
        pass
    logged(server, "SSL_accept error from unknown[127.0.0.2]: -1")
    log = server.log()
    assert "Anonymous TLS connection established from unknown[127.0.0.2] to other.test: TLSv1.3 " in log
    assert "TLS SNI x.test from unknown[127.0.0.2] not matched, using default chain" in log
    assert "aborting TLS handshake" in log


def test_imap_knows_the_names_too(servers, keys, tmp_path, peer):
    chain = keys / "other.chain"
    server = servers.start({"tls_server_sni_maps": f"inline:{{other.test={chain}}}"})
    done = subprocess.run(
        [peer("openssl"), "s_client", "-connect", f"{server.site.host}:{server.site.ports.imaps}", "-servername",
         "other.test"],
        input=b"a logout\r\n", capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    assert (keys / "other.pem").read_bytes().strip() in done.stdout
