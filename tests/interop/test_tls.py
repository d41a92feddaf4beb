"""TLS beside a real Postfix: the same sessions at both servers, and each as the other's client."""

from __future__ import annotations

import contextlib
import os
import re
import smtplib
import ssl
import subprocess
import time

import pytest
from tests.fakes.certificates import make
from tests.interop.relaypeer import PostfixPeer, refusal

from angarium.runtime.tlspeer import read_certificate

pytestmark = pytest.mark.interop


@pytest.fixture(autouse=True)
def root(peer):
    peer("postfix")
    if refusal():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(refusal())


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    directory = tmp_path_factory.mktemp("keys")
    directory.chmod(0o755)
    for parent in (directory.parent, directory.parent.parent):
        parent.chmod(0o755)
    root = make("Test CA", authority=True)
    root.write(directory, "ca")
    for name, issuer in (("server", root), ("client", root), ("other", root), ("stray", None)):
        make(f"{name}.test", issuer, names=(f"{name}.test",)).write(directory, name)
    return directory


def fingerprint(keys, name):
    return read_certificate(der(keys, name), "sha256", "").fingerprint


def der(keys, name):
    return ssl.PEM_cert_to_DER_cert((keys / f"{name}.pem").read_text())


def client_context(keys, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if name:
        context.load_cert_chain(keys / f"{name}.pem", keys / f"{name}.key")
    return context


def converse(host, port, keys, certificate, server_name):
    """EHLO, STARTTLS, EHLO, MAIL, RCPT, QUIT: the replies, and the server's certificate."""
    replies = []
    with smtplib.SMTP(host, port, timeout=20, source_address=("127.0.0.1", 0)) as client:
        client._host = server_name or host
        client.ehlo("client.example")
        try:
            client.starttls(context=client_context(keys, certificate))
        except (ssl.SSLError, ConnectionError, smtplib.SMTPServerDisconnected):
            return ["no TLS"], b""
        shown = client.sock.getpeercert(binary_form=True)
        for command in ("EHLO client.example", "MAIL FROM:<a@elsewhere.example>", "RCPT TO:<b@elsewhere.example>"):
            with contextlib.suppress(smtplib.SMTPServerDisconnected):
                code, text = client.docmd(command)
                replies.append(str(code) if code == 250 else f"{code} {text.decode()}")
    return replies, shown


_LIBRARY = re.compile(r"error:.*routines::.*")
_HEAD = re.compile(r"^.*?(?:/smtpd)\[\d+\]: ")
_INTERESTING = ("TLS", "certificate", "SNI", "SSL_accept", "reject", "fingerprint")


def told(log):
    """What a server's log says of TLS, without what differs from run to run or is OpenSSL's."""
    lines = [_HEAD.sub("", line) for line in log.splitlines() if "/smtpd[" in line]
    kept = [_LIBRARY.sub("error", line) for line in lines if any(word in line for word in _INTERESTING)]
    kept = [re.sub(r"^(?:unknown|localhost)", "unknown", line.replace("localhost[", "unknown[")) for line in kept]
    chatter = ("SSL_accept:", "setting up TLS", "initializing", "Issuing", "TLS cipher list", "subject=", "issuer=")
    return [line for line in kept if not any(word in line for word in chatter)]


CASES = {
    "asked": {},
    "asked, told in full": {"smtpd_tls_loglevel": "2"},
    "any trusted": {"smtpd_relay_restrictions": "permit_tls_all_clientcerts, reject"},
    "required": {"smtpd_tls_req_ccert": "yes", "smtpd_tls_security_level": "encrypt"},
    "required in vain": {"smtpd_tls_req_ccert": "yes"},
    "by access": {"smtpd_relay_restrictions": "check_ccert_access inline:{{FP=REJECT no, thanks}}, reject"},
    "by key alone": {
        "smtpd_relay_restrictions": "check_ccert_access { inline:{FP=OK}, {search_order=pubkey_fingerprint} }, reject"
    },
    "a weak list": {
        "tls_medium_cipherlist": "ECDHE-ECDSA-AES128-SHA256",
        "smtpd_tls_protocols": "TLSv1.2",
    },
    "no tickets": {"tls_ssl_options": "NO_TICKET, NO_RENEGOTIATION", "tls_preempt_cipherlist": "yes"},
    "names": {"tls_server_sni_maps": "hash:SNI"},
    "a table that is not there": {"tls_server_sni_maps": "hash:KEYS/nothing"},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_same_sessions(servers, keys, tmp_path, case, peer):
    peer("postconf")
    table = keys / "sni"
    table.write_text(
        f"other.test {keys / 'other.chain'}\n.sub.test {keys / 'other.chain'}\nbad.test {keys / 'ca.pem'}\n"
    )
    subprocess.run(["postmap", "-F", f"hash:{table}"], check=True)
    settings = {
        "smtpd_tls_chain_files": str(keys / "server.chain"),
        "smtpd_tls_cert_file": "",
        "smtpd_tls_key_file": "",
        "smtpd_tls_security_level": "may",
        "smtpd_tls_loglevel": "1",
        "smtpd_tls_ask_ccert": "yes",
        "smtpd_tls_CAfile": str(keys / "ca.pem"),
        "relay_clientcerts": f"inline:{{{fingerprint(keys, 'stray')}=x}}",
        "smtpd_relay_restrictions": "permit_tls_clientcerts, reject",
        "smtpd_recipient_restrictions": "",
        "smtpd_client_restrictions": "",
        "default_transport": "discard:",
        "smtpd_peername_lookup": "no",
        "compatibility_level": "3.6",
    } | {
        name: value.replace("FP", fingerprint(keys, "client")).replace("SNI", str(table)).replace("KEYS", str(keys))
        for name, value in CASES[case].items()
    }
    sessions = [(name, "") for name in ("", "client", "stray")]
    if "sni" in str(settings.get("tls_server_sni_maps", "")):
        sessions = [("client", name) for name in ("other.test", "Other.Test", "a.sub.test", "x.test", "bad.test", "")]
    elif "tls_server_sni_maps" in settings:
        sessions = [("", "other.test"), ("", "")]
    server = servers.start(settings)
    ours = [converse(server.site.host, server.site.ports.smtp, keys, *session) for session in sessions]
    with PostfixPeer(settings) as postfix:
        theirs = [converse("127.0.0.1", postfix.port, keys, *session) for session in sessions]
        postfix.wait("disconnect from", len(sessions))
        expected = told(postfix.log)
    end = time.monotonic() + 20
    while server.log().count("disconnect from") < len(sessions):
        assert time.monotonic() < end
        time.sleep(0.02)
    hosts = {server.site.hostname: "HOST", "peer.test": "HOST"}
    assert rename(ours, hosts) == rename(theirs, hosts)
    assert once(told(server.log())) == once(expected)


def once(lines):
    """Postfix warns of its configuration in each process that it happens to start."""
    return [line for at, line in enumerate(lines) if not (line.startswith("warning: ") and line in lines[:at])]


def rename(outcomes, hosts):
    text = repr(outcomes)
    for name, stands_for in hosts.items():
        text = text.replace(name, stands_for)
    return text


def test_postfix_shows_us_its_certificate(servers, keys):
    server = servers.start(
        {
            "smtpd_tls_ask_ccert": "yes",
            "smtpd_tls_CAfile": str(keys / "ca.pem"),
            "smtpd_relay_restrictions": "permit_tls_all_clientcerts, reject_unauth_destination",
            "default_transport": "discard:",
            "mynetworks": "192.0.2.1",
        }
    )
    relay = f"[{server.site.host}]:{server.site.ports.smtp}"
    settings = {
        "relayhost": relay,
        "smtp_tls_security_level": "encrypt",
        "smtp_tls_chain_files": str(keys / "client.chain"),
    }
    with PostfixPeer(settings) as postfix:
        postfix.sendmail("a@elsewhere.example", "b@elsewhere.example", "Subject: hello\n\nbody\n")
        assert "status=sent" in postfix.wait("status=")
    assert "Trusted TLS connection established from " in server.log()


def test_we_show_postfix_ours(servers, keys):
    settings = {
        "smtpd_tls_chain_files": str(keys / "server.chain"),
        "smtpd_tls_security_level": "may",
        "smtpd_tls_loglevel": "1",
        "smtpd_tls_ask_ccert": "yes",
        "smtpd_tls_CAfile": str(keys / "ca.pem"),
        "smtpd_relay_restrictions": "permit_tls_all_clientcerts, reject",
        "default_transport": "discard:",
    }
    with PostfixPeer(settings) as postfix:
        server = servers.start(
            {
                "smtp_tls_eccert_file": str(keys / "client.pem"),
                "smtp_tls_eckey_file": str(keys / "client.key"),
                "smtp_tls_CAfile": str(keys / "ca.pem"),
                "smtp_tls_loglevel": "1",
                "smtp_tls_policy_maps": f"inline:{{{{[127.0.0.1]:{postfix.port} = verify match=server.test}}}}",
                "transport_maps": f"inline:{{{{elsewhere.example=smtp:[127.0.0.1]:{postfix.port}}}}}",
                "mynetworks": "127.0.0.0/8",
            }
        )
        with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20) as client:
            client.sendmail("a@elsewhere.example", ["b@elsewhere.example"], "Subject: hello\n\nbody\n")
        assert "Trusted TLS connection established from " in postfix.wait("queued as", 0) or postfix.wait(
            "TLS connection"
        )
        end = time.monotonic() + 20
        while "status=" not in server.log():
            assert time.monotonic() < end
            time.sleep(0.02)
    assert "status=sent" in server.log()
    assert "Verified TLS connection established to 127.0.0.1[127.0.0.1]" in server.log()


def test_posttls_finger_sees_the_key_of_the_name(servers, keys, tmp_path, peer):
    finger = peer("posttls-finger")
    table = tmp_path / "sni"
    table.write_text(f"other.test {keys / 'other.chain'}\n")
    subprocess.run(["postmap", "-F", f"hash:{table}"], check=True)
    server = servers.start({"tls_server_sni_maps": f"hash:{table}"})
    place = f"[{server.site.host}]:{server.site.ports.smtp}"
    command = [finger, "-c", "-l", "may", "-d", "sha256", "-s", "other.test", place]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert f"fingerprint={fingerprint(keys, 'other')}" in said.stdout + said.stderr
