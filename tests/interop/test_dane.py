"""DANE beside Postfix's smtp(8): the same destinations, the same DNS, the same end.

Postfix's client runs chrooted, where a resolv.conf of the test's own names a server with a script that vouches for its
answers; ours asks the same server.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.fakes.certificates import make
from tests.fakes.dns_server import SERVFAIL, FakeDnsServer
from tests.interop import relaypeer
from tests.interop.relaypeer import PostfixPeer, refusal
from tests.unit.agents.smtp.fakes import request

from angarium.agents.smtp.main import SmtpAgent
from angarium.agents.smtp.parameters import SmtpParameters
from angarium.config.config import Config
from angarium.runtime.dns import DnsResolver
from angarium.runtime.log import MemoryLog, ServiceLog

pytestmark = [pytest.mark.interop, pytest.mark.slow]

NAME_SERVER = f"127.68.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
"""Of this process alone: Postfix asks port 53 and no other."""
ROOT = make("Test CA", authority=True)
SERVER = make("mx.anchored.test", ROOT, names=("mx.anchored.test",))


def digest(holder):
    key = holder.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).hexdigest()


GOOD, WRONG, ANCHOR = f"3 1 1 {digest(SERVER)}", "3 1 1 " + "00" * 32, f"2 1 1 {digest(ROOT)}"
RECORDS = {
    "good": [GOOD],
    "wrong": [WRONG],
    "either": [WRONG, GOOD],
    "none": [],
    "unusable": ["1 1 1 " + "00" * 32],
    "partly": ["1 1 1 " + "00" * 32, GOOD],
    "anchored": [ANCHOR],
    "misnamed": [ANCHOR],
    "strong": [f"3 1 2 {'00' * 64}", GOOD],
    "failing": SERVFAIL,
    "insecure": [WRONG],
}
UNSIGNED = ("insecure",)
LEVELS = ("dane", "dane-only", "may", "encrypt")


def zone(port):
    records = {}
    for name, answer in RECORDS.items():
        records[f"{name}.test", "MX"] = [f"10 mx.{name}.test."]
        records[f"mx.{name}.test", "A"] = ["127.0.0.1"]
        if answer:
            records[f"_{port}._tcp.mx.{name}.test", "TLSA"] = answer
    records["forged.test", "MX"] = ["10 mx.good.test."]
    records["alias.test", "MX"] = ["10 mx.alias.test."]
    records["mx.alias.test", "CNAME"] = ["mx.good.test."]
    records["bare.good.test", "A"] = ["127.0.0.1"]
    records[f"_{port}._tcp.bare.good.test", "TLSA"] = [WRONG]
    return records, [f"{name}.test" for name in RECORDS if name not in UNSIGNED] + ["alias.test"]


DESTINATIONS = [*RECORDS, "forged", "bare.good"]
_STATUS = re.compile(r"to=<u@(\S+)\.test>, relay=(\S+?), .*dsn=(\S+), status=(\w+) \((.*)\)$")
_TRUST = re.compile(r"(\w+) TLS connection established to (\S+?)\[")


def outcome(relay, dsn, status, text):
    return relay, dsn, status, re.sub(r"queued as \w+", "queued", text)


def of_postfix(level, port, conf_extra, tmp_path):
    ways = ", ".join(f"{{{name}.test=smtp:{name}.test:{port}}}" for name in DESTINATIONS)
    settings = {
        "transport_maps": f"inline:{{{ways}}}",
        "smtp_tls_security_level": level,
        "smtp_dns_support_level": "dnssec",
        "smtp_host_lookup": "dns",
        "disable_dns_lookups": "no",
        "smtp_tls_loglevel": "1",
        **conf_extra,
    }
    with PostfixPeer(settings) as postfix:
        etc = postfix.root / "spool" / "etc"
        etc.mkdir(exist_ok=True)
        (etc / "resolv.conf").write_text(f"nameserver {NAME_SERVER}\noptions trust-ad timeout:1 attempts:1\n")
        (etc / "nsswitch.conf").write_text("hosts: files dns\n")
        (etc / "hosts").write_text("127.0.0.1 localhost\n")
        (etc / "services").write_text("smtp 25/tcp\n")
        for name in DESTINATIONS:
            postfix.sendmail("a@x.test", f"u@{name}.test", "Subject: x\n\nhi\n")
        log = postfix.wait("status=", len(DESTINATIONS))
        trust = dict(reversed(each) for each in _TRUST.findall(log))
        ends = {match[1]: outcome(*match.groups()[1:]) for match in map(_STATUS.search, log.splitlines()) if match}
    return ends, trust


async def of_ours(level, port, conf_extra):
    conf = Config.of(
        {
            "smtp_tls_security_level": level,
            "smtp_dns_support_level": "dnssec",
            "smtp_host_lookup": "dns",
            "smtp_tls_loglevel": "1",
            "myhostname": "peer.test",
            "inet_protocols": "ipv4",
            "inet_interfaces": "127.68.9.1",
            **conf_extra,
        }
    )
    log = MemoryLog()
    resolver = DnsResolver([(NAME_SERVER, 53)], dnssec=True)
    agent = SmtpAgent(SmtpParameters.from_config(conf), ServiceLog(log, "postfix/smtp"), resolver)
    ends = {}
    for name in DESTINATIONS:
        (result,) = await agent.deliver(request(f"{name}.test:{port}", f"u@{name}.test"))
        ends[name] = outcome(result.relay, str(result.dsn), result.status.value, result.text)
    await agent.close()
    return ends, dict(reversed(each) for each in _TRUST.findall("\n".join(log.lines)))


@pytest.fixture
def chrooted(monkeypatch, peer):
    peer("postfix")
    if refusal():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(refusal())
    client = "smtp unix - - n - - smtp\n"
    monkeypatch.setattr(relaypeer, "_SERVICES", relaypeer._SERVICES.replace(client, client.replace(" n ", " y ", 1)))


# what is done with an exchanger whose MX is not vouched for concerns the level dane alone
@pytest.mark.parametrize(
    ("level", "insecure"), [*((level, "dane") for level in LEVELS), ("dane", "may"), ("dane", "encrypt")]
)
def test_each_destination_ends_alike(chrooted, tmp_path, level, insecure):
    tmp_path.chmod(0o755)
    chain = tmp_path / "chain"
    chain.write_text(SERVER.key_pem + SERVER.pem + ROOT.pem)
    served = {
        "smtpd_tls_chain_files": str(chain),
        "smtpd_tls_security_level": "may",
        "default_transport": "discard:",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
    }
    extra = {"smtp_tls_dane_insecure_mx_policy": insecure}
    with PostfixPeer(served) as server:
        records, signed = zone(server.port)
        with FakeDnsServer(records, NAME_SERVER, 53, signed=signed):
            theirs, their_trust = of_postfix(level, server.port, extra, tmp_path)
            ours, our_trust = asyncio.run(of_ours(level, server.port, extra))
    assert ours == theirs
    delivered = {f"mx.{name}.test" for name, end in theirs.items() if end[2] == "sent"}
    assert {host: word for host, word in our_trust.items() if host in delivered} == {
        host: word for host, word in their_trust.items() if host in delivered
    }
