"""DANE (RFC 7672) and trust anchors: what a host gets, and what its certificate has to be."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.fakes.certificates import make
from tests.unit.agents.smtp.fakes import Bench, FakeServer

from angarium.agents.smtp.parameters import SmtpParameters
from angarium.agents.smtp.tlspolicy import DaneParameters
from angarium.config.config import Config
from angarium.model.delivery import Status
from angarium.model.lookup import NOT_FOUND, Found
from angarium.runtime.dns import DnsFailure, Mx, NoRecords, Records, Tlsa
from angarium.runtime.tls import ClientTls, SecurityLevel, ServerTls, server_context

ROOT = make("Test CA", authority=True)
SERVER = make("mx.example.org", ROOT, names=("mx.example.org",))
POSSIBLE = DaneParameters(obstacle="")


def digest(holder):
    return hashlib.sha256(
        holder.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).digest()


GOOD = Tlsa(3, 1, 1, digest(SERVER))
WRONG = Tlsa(3, 1, 1, bytes(32))
ANCHOR = Tlsa(2, 1, 1, digest(ROOT))
UNUSABLE = Tlsa(1, 1, 1, bytes(32))


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    directory = tmp_path_factory.mktemp("keys")
    SERVER.write(directory, "server")
    ROOT.write(directory, "root")
    make("Test CA", authority=True).write(directory, "stray")
    (directory / "server.chain").write_text(SERVER.key_pem + SERVER.pem + ROOT.pem)
    return directory


def attempt(
    keys, answer, *, level=SecurityLevel.DANE, mx=True, host=True, tls=True, canonical="", dane=POSSIBLE, policies=None
):
    """Deliver to example.org: the result, the server's commands, the log."""

    async def scenario():
        async with FakeServer() as server:
            if tls:
                server.ehlo.append("STARTTLS")
                server.context = server_context(ServerTls(chain_files=(str(keys / "server.chain"),)))
            async with Bench(
                tls_level=level, tls_loglevel=1, tcp_port=server.port, dane=dane, policies=policies
            ) as bench:
                bench.resolver.exchangers["example.org"] = Records((Mx(10, "mx.example.org"),), secure=mx)
                bench.resolver.hosts["mx.example.org"] = Records(("127.0.0.1",), 0.0, host, canonical)
                name = f"_{server.port}._tcp.{canonical or 'mx.example.org'}"
                bench.resolver.anchors[name] = answer
                result = await bench.one("example.org")
                return result, server.commands, "\n".join(bench.log.lines)

    return asyncio.run(asyncio.wait_for(scenario(), 20))


def records(*values, secure=True):
    return Records(values, secure=secure)


@pytest.mark.parametrize("level", [SecurityLevel.DANE, SecurityLevel.DANE_ONLY])
@pytest.mark.parametrize("answer", [records(GOOD), records(ANCHOR), records(WRONG, GOOD), records(UNUSABLE, GOOD)])
def test_a_certificate_of_the_records_is_verified(keys, level, answer):
    result, _, log = attempt(keys, answer, level=level)
    assert result.status is Status.SENT
    assert "Verified TLS connection established to mx.example.org[127.0.0.1]" in log


@pytest.mark.parametrize("level", [SecurityLevel.DANE, SecurityLevel.DANE_ONLY])
def test_another_certificate_gets_no_mail(keys, level):
    result, commands, log = attempt(keys, records(WRONG), level=level)
    assert (result.status, str(result.dsn), result.text) == (
        Status.DEFERRED,
        "4.7.5",
        "Server certificate not verified",
    )
    assert not any(command.startswith("MAIL") for command in commands)
    assert "server certificate verification failed for mx.example.org[127.0.0.1]:" in log
    assert "num=65:no matching DANE TLSA records" in log
    assert result.relay.startswith("mx.example.org[127.0.0.1]:")


def test_no_tls_no_mail(keys):
    result, _, _ = attempt(keys, records(GOOD), tls=False)
    assert "TLS is required, but was not offered by host mx.example.org[127.0.0.1]" in result.text


@pytest.mark.parametrize(
    ("answer", "options", "why"),
    [
        (NoRecords(secure=True), {}, "no TLSA records found"),
        (records(GOOD, secure=False), {}, "no TLSA records found"),
        (records(WRONG), {"host": False}, "non DNSSEC destination"),
        (records(WRONG), {"mx": False, "host": False}, "non DNSSEC destination"),
        (records(WRONG), {"dane": DaneParameters("x is off")}, "DANE is not available"),
    ],
)
def test_without_secure_records_dane_is_may_and_dane_only_is_nothing(keys, answer, options, why):
    for tls in (True, False):
        assert attempt(keys, answer, tls=tls, **options)[0].status is Status.SENT
    result, commands, log = attempt(keys, answer, level=SecurityLevel.DANE_ONLY, **options)
    assert (result.status, result.text, result.relay) == (Status.DEFERRED, why, "none")
    assert not commands
    assert f"TLS policy lookup for example.org/mx.example.org: {why}" in log


def test_unusable_records_mean_tls_without_names(keys):
    answer = records(UNUSABLE)
    result, _, log = attempt(keys, answer)
    assert result.status is Status.SENT
    assert "Untrusted TLS connection" in log
    assert attempt(keys, answer, tls=False)[0].status is Status.DEFERRED
    assert attempt(keys, answer, level=SecurityLevel.DANE_ONLY)[0].text == "TLSA records unusable"


def test_a_failed_look_up_makes_mail_wait(keys):
    result, commands, log = attempt(keys, DnsFailure("SERVFAIL"))
    assert result.status is Status.DEFERRED
    assert result.text.startswith("TLSA lookup error for mx.example.org:")
    assert not commands
    assert "SERVFAIL" in log


@pytest.mark.parametrize(
    ("policy", "right", "wrong", "words"),
    [
        ("dane", Status.SENT, Status.DEFERRED, "Trusted TLS connection"),
        ("encrypt", Status.SENT, Status.SENT, "Untrusted TLS connection"),
        ("may", Status.SENT, Status.SENT, "Untrusted TLS connection"),
    ],
)
def test_an_exchanger_that_may_be_forged(keys, policy, right, wrong, words):
    dane = DaneParameters("", policy)
    result, _, log = attempt(keys, records(GOOD), mx=False, dane=dane)
    assert result.status is right
    assert words in log
    assert attempt(keys, records(WRONG), mx=False, dane=dane)[0].status is wrong
    plain = attempt(keys, records(WRONG), mx=False, dane=dane, tls=False)[0].status
    assert plain is (Status.SENT if policy == "may" else Status.DEFERRED)
    only = attempt(keys, records(GOOD), mx=False, dane=dane, level=SecurityLevel.DANE_ONLY)[0]
    assert only.text == "non DNSSEC destination"


def test_the_records_of_an_alias_are_its_targets(keys):
    assert attempt(keys, records(GOOD), canonical="real.example.net")[0].status is Status.SENT
    assert attempt(keys, records(WRONG), canonical="real.example.net")[0].status is Status.DEFERRED


def test_a_table_asks_for_dane(keys):
    async def lookup(key):
        return Found("dane-only ciphers=high", "t:x") if key == "example.org" else NOT_FOUND

    result, _, log = attempt(keys, records(GOOD), level=SecurityLevel.NONE, policies=lookup)
    assert result.status is Status.SENT
    assert "Verified TLS connection" in log


@pytest.mark.parametrize(("file", "text"), [("root.pem", ""), ("stray.pem", "Server certificate not verified")])
@pytest.mark.parametrize("how", ["parameter", "table"])
def test_trust_anchors_out_of_files(keys, file, text, how):
    async def lookup(key):
        assert key == "example.org"
        return Found(f"verify tafile={keys / file}", "t:x")

    async def scenario():
        async with FakeServer() as server:
            server.ehlo.append("STARTTLS")
            server.context = server_context(ServerTls(chain_files=(str(keys / "server.chain"),)))
            tls = ClientTls(SecurityLevel.VERIFY, trust_anchors=(str(keys / file),))
            settings = {"tls_level": SecurityLevel.VERIFY, "tls": tls} if how == "parameter" else {"policies": lookup}
            async with Bench(tls_loglevel=1, tcp_port=server.port, **settings) as bench:
                bench.resolver.exchangers["example.org"] = Records((Mx(10, "mx.example.org"),))
                bench.resolver.hosts["mx.example.org"] = Records(("127.0.0.1",))
                return await bench.one("example.org")

    result = asyncio.run(asyncio.wait_for(scenario(), 20))
    assert result.text == text or (not text and result.status is Status.SENT)


def test_main_cf():
    conf = Config.of({"smtp_tls_security_level": "dane", "smtp_dns_support_level": "dnssec"})
    parameters = SmtpParameters.from_config(conf)
    assert parameters.tls_level is SecurityLevel.DANE
    assert parameters.dane == DaneParameters("", "dane", insecure_host=False, digests=(2, 1))
    for changes, obstacle in (
        ({"smtp_dns_support_level": "enabled"}, "smtp_dns_support_level is not dnssec"),
        ({"smtp_host_lookup": "native"}, "smtp_host_lookup has no dns"),
        ({"tls_dane_digests": "md5"}, "tls_dane_digests: unusable digest 'md5'"),
    ):
        settings = {"smtp_dns_support_level": "dnssec", "smtp_host_lookup": "dns"} | changes
        assert SmtpParameters.from_config(Config.of(settings)).dane.obstacle == obstacle
