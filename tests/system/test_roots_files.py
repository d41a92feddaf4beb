"""Passwords and keys that root alone may read, in a server of root's whose processes are somebody else."""

from __future__ import annotations

import os
import pwd
import smtplib
import ssl
import time

import pytest
from tests.fakes.certificates import make

OWNER = "nobody"


def _closed(directory):
    for file in directory.rglob("*"):
        file.chmod(0o700 if file.is_dir() else 0o600)
    directory.chmod(0o700)


@pytest.fixture
def world(servers, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root gives itself up")
    owner = pwd.getpwnam(OWNER)
    root = make("Test CA", authority=True)
    for name in ("other", "client"):
        make(f"{name}.test", root).write(tmp_path, name)
    root.write(tmp_path, "ca")
    for parent in (tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    (tmp_path / "sni").write_text(f"other.test {tmp_path / 'other.chain'}\n")

    def start(parameters, **tables):
        server = servers.prepare({"mail_owner": OWNER, **parameters})
        server.site.administer("postmap", "-F", f"hash:{tmp_path / 'sni'}")
        for name, text in tables.items():
            (tmp_path / name).write_text(text)
            server.site.administer("postmap", f"hash:{tmp_path / name}")
        _closed(tmp_path)
        server.site.root.chmod(0o755)
        for place in ("mail", "lib", "spool", "log"):
            for file in (server.site.root / place, *(server.site.root / place).rglob("*")):
                os.chown(file, owner.pw_uid, owner.pw_gid)
        server.start()
        return server

    return start, tmp_path


def shown(server, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20) as client:
        client._host = name
        client.ehlo("client.example")
        client.starttls(context=context)
        return client.sock.getpeercert(binary_form=True)


def test_keys_of_names(world):
    start, directory = world
    server = start({"tls_server_sni_maps": f"hash:{directory / 'sni'}"})
    other = ssl.PEM_cert_to_DER_cert((directory / "other.pem").read_text())
    assert shown(server, "other.test") == other
    time.sleep(1.1)  # tables look at their files once a second
    assert shown(server, "other.test") == other


def test_passwords_and_the_clients_key(world, servers):
    start, directory = world
    # The relay is a server of ours that asks for both.
    relay = servers.start(
        {
            "smtpd_tls_ask_ccert": "yes",
            "smtpd_tls_CAfile": str(directory / "ca.pem"),
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_relay_restrictions": "permit_tls_all_clientcerts, reject_unauth_destination",
            "smtpd_recipient_restrictions": "permit_sasl_authenticated, reject",
        }
    )
    place = f"[{relay.site.host}]:{relay.site.ports.smtp}"
    user, password = next(iter(relay.passwords.items()))
    server = start(
        {
            "relayhost": place,
            "smtp_sasl_auth_enable": "yes",
            "smtp_sasl_security_options": "",
            "smtp_sasl_password_maps": f"hash:{directory / 'sasl'}",
            "smtp_tls_security_level": "encrypt",
            "smtp_tls_cert_file": str(directory / "client.pem"),
            "smtp_tls_key_file": str(directory / "client.key"),
            "mynetworks": "127.0.0.0/8",
            "virtual_mailbox_domains": "",
        },
        sasl=f"{place} {user}:{password}\n",
    )
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20) as client:
        client.sendmail("a@elsewhere.example", ["alice@example.test"], "Subject: hello\n\nbody\n")
    end = time.monotonic() + 30
    while "status=" not in server.log():
        assert time.monotonic() < end, server.log()
        time.sleep(0.05)
    assert "status=sent" in server.log()
    assert "Trusted TLS connection established from" in relay.log()
    assert f"sasl_username={user}" in relay.log()


def test_a_renewed_certificate_and_a_table_are_taken_up(world):
    start, directory = world
    server = start({"tls_server_sni_maps": f"hash:{directory / 'sni'}", "file_check_interval": "1s"})
    place = server.site.root / "tls"
    renewed = make("renewed.test")
    renewed.write(place, "server")
    (directory / "sni").write_text(f"new.test {directory / 'client.chain'}\n")
    server.site.administer("postmap", "-F", f"hash:{directory / 'sni'}")
    client = ssl.PEM_cert_to_DER_cert((directory / "client.pem").read_text())
    end = time.monotonic() + 30
    while shown(server, "else.test") != renewed.der or shown(server, "new.test") != client:
        assert time.monotonic() < end, server.log()
        time.sleep(0.2)
    assert " has changed -- restarting" in server.log()
