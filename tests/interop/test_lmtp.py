"""Mail through the real server into a real Dovecot over LMTP, and our words beside those of Postfix's lmtp(8)."""

from __future__ import annotations

import asyncio
import os
import re
import smtplib
import tempfile
import time
from pathlib import Path

import pytest
from tests.interop.lmtppeer import DovecotPeer
from tests.interop.relaypeer import PostfixPeer, refusal
from tests.unit.agents.smtp.fakes import CLOSE, Bench, FakeServer, request

from angarium.model.delivery import DeliveryResult
from angarium.protocols.smtp.dialect import LMTP

pytestmark = pytest.mark.interop

DOMAIN = "store.test"
PROBED = " ".join(
    f"{{{key}=reject_unverified_recipient}}" for key in ("probed.test", "alice@local.test", "ghost@local.test")
)
NAMES = tuple(f"{name}@{DOMAIN}" for name in ("alice", "bob", "cy"))
LOGGED = re.compile(r"lmtp\[\d+\]: \w+: to=<(\w+)@[\w.]+>, (relay=\S+), .*(dsn=\S+), (status=\w+) \((.*)\)")


def wait(server, text, count=1):
    end = time.monotonic() + 30
    while server.log().count(text) < count:
        assert time.monotonic() < end, server.log()
        time.sleep(0.02)
    return server.log()


def send(server, *recipients, sender="someone@elsewhere.example"):
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        return client.sendmail(sender, recipients, "Subject: hello\r\n\r\nover LMTP\r\n")


@pytest.fixture
def short():
    """A directory with a short name, for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="lmtp") as name:
        yield Path(name)


@pytest.fixture
def store(peer, servers):
    server = servers.prepare(
        {
            "mynetworks": "127.0.0.0/8",
            "virtual_mailbox_domains": DOMAIN,
            "virtual_mailbox_maps": "inline:{"
            + " ".join(f"{{{name}=x}}" for name in (*NAMES, f"ghost@{DOMAIN}"))
            + "}",
            "virtual_transport": "lmtp:unix:private/dovecot-lmtp",
            "transport_maps": "inline:{ {inet.test=lmtp:inet:127.0.0.1:PORT} {probed.test=lmtp:inet:127.0.0.1:PORT} }",
            "relay_domains": "inet.test, probed.test",
            "smtpd_recipient_restrictions": "check_recipient_access inline:{ " + PROBED + " }",
            "unverified_recipient_reject_code": "550",
            "mydestination": "local.test",
            "mailbox_transport": "lmtp:unix:private/dovecot-lmtp",
            "notify_classes": "",
        }
    )
    path = server.site.root / "spool" / "private" / "dovecot-lmtp"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    others = ("alice@inet.test", "alice@probed.test", "alice@local.test")
    with DovecotPeer(peer("dovecot"), path, *NAMES, *others) as dovecot:
        master_cf = server.site.configuration / "master.cf"
        master_cf.write_text(master_cf.read_text() + "local unix - n n - - local\n")
        main_cf = server.site.configuration / "main.cf"
        main_cf.write_text(main_cf.read_text().replace("PORT", str(dovecot.port)))
        server.start()
        yield server, dovecot


def test_into_dovecot(store):
    server, dovecot = store
    assert send(server, *NAMES, f"ghost@{DOMAIN}", "alice@inet.test") == {}
    log = wait(server, "lmtp[", 5)
    host = server.site.hostname
    outcome = {f"{m[1]} {m[2]}": m.groups()[2:] for m in LOGGED.finditer(log)}
    unix = f"relay={host}[private/dovecot-lmtp]"
    said = f"host {host}[private/dovecot-lmtp] said: "
    dsn, status, text = outcome[f"alice {unix}"]
    assert (dsn, status) == ("dsn=2.0.0", "status=sent")
    assert re.fullmatch(rf"250 2\.0\.0 <alice@{DOMAIN}> \S+ Saved", text)
    dsn, status, text = outcome[f"bob {unix}"]
    assert (dsn, status) == ("dsn=5.2.2", "status=bounced")
    assert text == (
        f"{said}552 5.2.2 <bob@{DOMAIN}> Quota exceeded (mailbox for user is full) (in reply to end of DATA command)"
    )
    dsn, status, text = outcome[f"ghost {unix}"]
    assert (dsn, status) == ("dsn=5.1.1", "status=bounced")
    assert text == f"{said}550 5.1.1 <ghost@{DOMAIN}> User doesn't exist: ghost@{DOMAIN} (in reply to RCPT TO command)"
    assert outcome[f"cy {unix}"][1] == "status=sent"
    assert outcome[f"alice relay=127.0.0.1[127.0.0.1]:{dovecot.port}"][1] == "status=sent"
    for name in (NAMES[0], NAMES[2], "alice@inet.test"):
        (message,) = dovecot.mail(name)
        assert "Return-Path: <someone@elsewhere.example>" in message
        assert message.endswith("over LMTP\n")
    assert dovecot.mail(NAMES[1]) == []


def test_recipients_are_checked_before_the_store_is_asked(store):
    server, _ = store
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        client.ehlo("client.example")
        client.mail("someone@elsewhere.example")
        code, text = client.rcpt(f"stranger@{DOMAIN}")
    assert code == 550
    assert b"User unknown in virtual mailbox table" in text


def test_mailbox_transport(store):
    server, dovecot = store
    send(server, "alice@local.test", "noone@local.test")
    log = wait(server, ", status=", 2)
    assert re.search(r"postfix/lmtp\[\d+\]: \w+: to=<alice@local.test>, relay=", log)
    assert len(dovecot.mail("alice@local.test")) == 1
    unknown = re.search(r"to=<noone@local.test>, relay=(\S+),.*dsn=5.1.1, status=bounced \((.*)\)", log)
    assert unknown
    assert unknown[1] == f"{server.site.hostname}[private/dovecot-lmtp]"
    assert "User doesn't exist: noone@local.test (in reply to RCPT TO command)" in unknown[2]


def test_a_recipient_is_probed(store):
    server, dovecot = store
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        client.ehlo("client.example")
        client.mail("someone@elsewhere.example")
        assert client.rcpt("alice@local.test")[0] == 250
        code, text = client.rcpt("ghost@local.test")
        assert code == 550, text
        assert b"User doesn't exist: ghost@local.test (in reply to RCPT TO command)" in text
        assert client.rcpt("alice@probed.test")[0] == 250
        code, text = client.rcpt("ghost@probed.test")
    assert code == 550
    assert b"undeliverable address: host 127.0.0.1[127.0.0.1] said: 550 5.1.1 <ghost@probed.test> User doesn't" in text
    assert dovecot.mail("alice@probed.test") == []
    assert dovecot.mail("alice@local.test") == []


def test_a_connection_is_used_again(store):
    server, _ = store
    for number in (1, 2):
        send(server, NAMES[0])
        log = wait(server, "status=sent", number)
    assert "conn_use=2" in log


SCRIPTS = {
    "ok": {},
    "each": {"DOT <b@each.test>": "550 5.2.1 closed", "DOT <c@each.test>": "452-4.2.2 mailbox\r\n452 4.2.2 full"},
    "lost": {"DOT <b@lost.test>": "452 4.2.2 full", "DOT <c@lost.test>": CLOSE},
    "alllost": {"DOT": CLOSE},
    "rcpt": {"RCPT TO:<b@rcpt.test>": "550 5.1.1 no", "DOT <c@rcpt.test>": "552 5.2.2 over"},
    "norcpt": {"RCPT": "550 5.1.1 no"},
    "data": {"DATA": "451 4.3.0 busy"},
    "mail": {"MAIL": "550 5.7.1 go away"},
    "gone": {"DOT <a@gone.test>": "421 4.3.2 going down", "DOT <b@gone.test>": CLOSE},
    "greeting": {"GREETING": CLOSE},
    "greeting5": {"GREETING": "554 5.7.1 no"},
    "lhlo": {"LHLO": "500 5.5.1 what"},
    "lhlo4": {"LHLO": "450 4.5.1 later"},
    "lhlolost": {"LHLO": CLOSE},
    "maillost": {"MAIL": CLOSE},
    "rcptlost": {"RCPT TO:<b@rcptlost.test>": CLOSE},
    "long": {"DOT": "250 2.0.0 " + "x" * 700},
    "plain": {"DOT": "250 saved"},
}
OUTCOME = re.compile(r"to=<(\w)@(\w+)\.test>, (.*), delay=\S+ delays=\S+, dsn=(\S+), status=(\w+) \((.*)\)")


@pytest.mark.parametrize("kind", ["unix", "inet"])
def test_words_are_those_of_postfix(peer, kind, short):
    """Each fault is shown to both clients; what they log of each recipient must be the same."""
    peer("postfix")
    if refusal():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(refusal())

    async def scenario():
        short.chmod(0o777)
        servers = {}
        for name, script in SCRIPTS.items():
            path = str(short / name) if kind == "unix" else ""
            server = servers[name] = FakeServer(script, ehlo=("PIPELINING",), lmtp=True, path=path)
            await server.__aenter__()
            if path:
                (short / name).chmod(0o777)
        ways = {
            name: f"unix:{server.path}" if server.path else f"inet:[127.0.0.1]:{server.port}"
            for name, server in servers.items()
        }
        ways["refused"] = f"unix:{short}/none" if kind == "unix" else "inet:[127.0.0.1]:1"
        routes = " ".join(f"{{{name}.test=lmtp:{way}}}" for name, way in ways.items())
        settings = {"transport_maps": f"inline:{{{routes}}}", "notify_classes": "", "lmtp_host_lookup": "native"}
        with PostfixPeer(settings) as postfix:
            for name in ways:
                people = [f"{person}@{name}.test" for person in "abcd"]
                await asyncio.to_thread(postfix.sendmail, "", people, "Subject: x\n\nhello\n")
            log = await asyncio.to_thread(postfix.wait, ", status=", 4 * len(ways))
        theirs = {(m[2], m[1]): m.groups()[2:] for m in OUTCOME.finditer(log)}
        ours = {}
        for name, way in ways.items():
            parameters = {"dialect": LMTP, "myhostname": "peer.test", "host_lookup": ("native",), "dns_enabled": False}
            async with Bench(**parameters) as bench:
                results = await bench.agent.deliver(
                    request(way, *[f"{person}@{name}.test" for person in "abcd"], sender="")
                )
            for person, result in zip("abcd", results, strict=True):
                ours[name, person] = shown(result)
        for server in servers.values():
            await server.__aexit__()
        return ours, theirs

    ours, theirs = asyncio.run(asyncio.wait_for(scenario(), 90))
    assert ours == theirs


def shown(result: DeliveryResult) -> tuple[str, ...]:
    reused = f", conn_use={result.conn_use}" if result.conn_use > 1 else ""
    return (f"relay={result.relay}{reused}", str(result.dsn), result.status.value, result.text)
