"""TLS levels and SASL, against a server that does both."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.unit.agents.smtp.fakes import Bench, FakeServer

from angarium.agents.smtp.destination import destinations
from angarium.agents.smtp.parameters import Authentication, SmtpParameters
from angarium.agents.smtp.tlspolicy import TlsPolicies
from angarium.model.delivery import Status
from angarium.model.lookup import NOT_FOUND, Found, TemporaryError
from angarium.runtime.dns import Mx, Records
from angarium.runtime.tls import ClientTls, SecurityLevel, ServerTls, fingerprints, server_context


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.example.org")])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("mx.example.org")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return path


def secured(server: FakeServer, certificate: Path) -> FakeServer:
    server.ehlo.append("STARTTLS")
    server.context = server_context(ServerTls(chain_files=(str(certificate),)))
    return server


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), 20))


def test_may_takes_tls_where_offered(certificate):
    async def scenario():
        async with FakeServer() as server, Bench(tls_level=SecurityLevel.MAY, tls_loglevel=1) as bench:
            secured(server, certificate)
            return await bench.one(f"[127.0.0.1]:{server.port}"), server, bench.log.lines

    result, server, lines = run(scenario)
    assert result.status is Status.SENT
    assert server.commands[:4] == [
        "EHLO client.test",
        "STARTTLS",
        "EHLO client.test",
        "MAIL FROM:<a@example.org> SIZE=39",
    ]
    head = f"postfix/smtp: Untrusted TLS connection established to 127.0.0.1[127.0.0.1]:{server.port}: "
    session = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519"
    assert lines == [f"{head}{session} server-signature ECDSA (prime256v1) server-digest SHA256"]


def test_may_goes_on_in_the_clear_when_refused():
    async def scenario():
        async with (
            FakeServer({"STARTTLS": "454 no"}, ["STARTTLS"]) as server,
            Bench(tls_level=SecurityLevel.MAY) as bench,
        ):
            return (await bench.one(f"[127.0.0.1]:{server.port}")).status, server.connections

    assert run(scenario) == (Status.SENT, 1)


def test_may_connects_again_in_the_clear_when_the_handshake_fails():
    async def scenario():
        async with FakeServer(ehlo=["STARTTLS"]) as server, Bench(tls_level=SecurityLevel.MAY) as bench:
            return (await bench.one(f"[127.0.0.1]:{server.port}")).status, server.connections

    assert run(scenario) == (Status.SENT, 2)


@pytest.mark.parametrize(
    ("script", "ehlo", "dsn", "words"),
    [
        ({}, [], "4.7.4", "TLS is required, but was not offered by host 127.0.0.1[127.0.0.1]"),
        ({"STARTTLS": "454 4.7.0 no"}, ["STARTTLS"], "4.7.0", "refused to start TLS: 454 4.7.0 no"),
        ({}, ["STARTTLS"], "4.7.5", "Cannot start TLS: handshake failure"),
    ],
)
def test_encrypt_sends_nothing_in_the_clear(script, ehlo, dsn, words):
    async def scenario():
        async with FakeServer(script, ehlo) as server, Bench(tls_level=SecurityLevel.ENCRYPT) as bench:
            return await bench.one(f"[127.0.0.1]:{server.port}"), server

    result, server = run(scenario)
    assert (result.status, str(result.dsn)) == (Status.DEFERRED, dsn)
    assert words in result.text
    assert not server.messages


@pytest.mark.parametrize(
    ("level", "host", "outcome"),
    [
        (SecurityLevel.VERIFY, "mx.example.org", "sent"),
        (SecurityLevel.VERIFY, "other.example.org", "Server certificate not verified"),
        (SecurityLevel.SECURE, "mx.example.org", "sent"),
    ],
)
def test_names_are_verified(certificate, level, host, outcome):
    async def scenario():
        tls = ClientTls(level, ca_file=str(certificate))
        async with FakeServer() as server, Bench(tls_level=level, tls=tls, tcp_port=server.port) as bench:
            secured(server, certificate)
            bench.resolver.exchangers["example.org"] = Records((Mx(10, host),))
            bench.resolver.hosts[host] = Records(("127.0.0.1",))
            return await bench.one("example.org")

    result = run(scenario)
    assert result.text == outcome if outcome != "sent" else result.status is Status.SENT


def test_untrusted_certificate(certificate):
    async def scenario():
        tls = ClientTls(SecurityLevel.VERIFY)
        async with FakeServer() as server, Bench(tls_level=SecurityLevel.VERIFY, tls=tls) as bench:
            secured(server, certificate)
            return await bench.one(f"[127.0.0.1]:{server.port}")

    result = run(scenario)
    assert (result.text, str(result.dsn)) == ("Server certificate not verified", "4.7.5")


def test_tls_connections_are_reused_only_on_request(certificate):
    async def scenario():
        counts = []
        for reuse in (False, True):
            async with (
                FakeServer() as server,
                Bench(tls_level=SecurityLevel.MAY, tls_connection_reuse=reuse) as bench,
            ):
                secured(server, certificate)
                for _ in range(2):
                    await bench.one(f"[127.0.0.1]:{server.port}")
                counts.append(server.connections)
        return counts

    assert run(scenario) == [2, 1]


def passwords(table: dict[str, str], asked: list[str] | None = None):
    async def lookup(key: str):
        if asked is not None:
            asked.append(key)
        if key == "broken":
            return TemporaryError("no such file", "hash:x")
        return Found(table[key], "hash:x") if key in table else NOT_FOUND

    return lookup


LOGIN_SCRIPT = {"AUTH": "334 VXNlcm5hbWU6", "dXNlcg==": "334 UGFzc3dvcmQ6", "cGFzczp3b3Jk": "235 2.7.0 ok"}
OPEN = Authentication(enabled=True, plain_options=frozenset({"noanonymous"}), tls_options=frozenset({"noanonymous"}))


@pytest.mark.parametrize(
    ("offer", "script", "expected"),
    [
        ("AUTH PLAIN LOGIN", {}, ["AUTH PLAIN " + base64.b64encode(b"\0user\0pass:word").decode()]),
        ("AUTH CRAM-MD5 LOGIN", LOGIN_SCRIPT, ["AUTH LOGIN", "dXNlcg==", "cGFzczp3b3Jk"]),
    ],
)
def test_log_in(offer, script, expected):
    async def scenario():
        async with FakeServer(script, [offer]) as server:
            lookup = passwords({f"[127.0.0.1]:{server.port}": "user:pass:word"})
            async with Bench(lookup, authentication=OPEN) as bench:
                return await bench.one(f"[127.0.0.1]:{server.port}"), server

    result, server = run(scenario)
    assert result.status is Status.SENT
    assert server.commands[1 : 1 + len(expected)] == expected


INCOMPATIBLE = (
    "SASL authentication failed: server 127.0.0.1[127.0.0.1] offered no compatible authentication mechanisms for this "
    "type of connection security"
)


def test_order_of_password_keys():
    async def scenario():
        asked: list[str] = []
        authentication = Authentication(enabled=True, by_sender=True)
        async with (
            FakeServer(ehlo=["AUTH PLAIN"]) as server,
            Bench(passwords({}, asked), authentication=authentication) as bench,
        ):
            result = await bench.one(f"[127.0.0.1]:{server.port}")
            return asked, server.port, result.status

    asked, port, status = run(scenario)
    assert asked == ["a@example.org", "@example.org", "127.0.0.1", f"[127.0.0.1]:{port}"]
    assert status is Status.SENT


@pytest.mark.parametrize(
    ("offer", "script", "authentication", "status", "words"),
    [
        (
            "AUTH PLAIN",
            {},
            Authentication(enabled=True),
            Status.DEFERRED,
            INCOMPATIBLE,
        ),
        ("AUTH", {}, OPEN, Status.DEFERRED, "127.0.0.1[127.0.0.1] offered null AUTH mechanism list"),
        (
            "AUTH PLAIN",
            {"AUTH": "535 5.7.8 wrong"},
            OPEN,
            Status.DEFERRED,
            "SASL authentication failed; server 127.0.0.1[127.0.0.1] said: 535 5.7.8 wrong",
        ),
        (
            "AUTH PLAIN",
            {"AUTH": "535 5.7.8 wrong"},
            Authentication(True, frozenset(), frozenset(), soft_bounce=False),
            Status.BOUNCED,
            "SASL authentication failed; server 127.0.0.1[127.0.0.1] said: 535 5.7.8 wrong",
        ),
        (
            "AUTH LOGIN",
            {"AUTH": "334 a", "dXNlcg==": "334 b", "cA==": "334 c"},
            OPEN,
            Status.DEFERRED,
            "SASL authentication failed; authentication protocol loop with server 127.0.0.1[127.0.0.1]",
        ),
    ],
)
def test_log_in_fails(offer, script, authentication, status, words):
    async def scenario():
        async with (
            FakeServer(script, [offer]) as server,
            Bench(passwords({"127.0.0.1": "user:p"}), authentication=authentication) as bench,
        ):
            return await bench.one(f"[127.0.0.1]:{server.port}"), server

    result, server = run(scenario)
    assert (result.status, result.text) == (status, words)
    assert not server.messages


def test_password_table_that_cannot_be_asked_defers():
    async def scenario():
        authentication = Authentication(enabled=True, by_sender=True)
        async with (
            FakeServer(ehlo=["AUTH PLAIN"]) as server,
            Bench(passwords({}), authentication=authentication) as bench,
        ):
            return await bench.one(f"[127.0.0.1]:{server.port}", sender="broken")

    result = run(scenario)
    assert (result.status, str(result.dsn)) == (Status.DEFERRED, "4.3.0")


def test_implicit_tls(certificate):
    async def scenario():
        context = server_context(ServerTls(chain_files=(str(certificate),)))
        fake = FakeServer()
        server = await asyncio.start_server(fake._session, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        async with Bench(tls_level=SecurityLevel.ENCRYPT, tls_wrappermode=True) as bench:
            result = await bench.one(f"[127.0.0.1]:{port}")
        server.close()
        await asyncio.gather(*fake._tasks, return_exceptions=True)
        return result

    assert run(scenario).status is Status.SENT


def fingerprint_of(certificate: Path, digest: str) -> tuple[str, str]:
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    return fingerprints(loaded.public_bytes(serialization.Encoding.DER), digest)


@pytest.mark.parametrize("which", [0, 1])
def test_a_fingerprint_is_as_good_as_a_name(certificate, which):
    known = fingerprint_of(certificate, "sha256")[which].upper()

    async def scenario():
        defaults = {"tls_level": SecurityLevel.FINGERPRINT, "tls": ClientTls(SecurityLevel.FINGERPRINT)}
        async with (
            FakeServer() as server,
            Bench(**defaults, tls_fingerprint_match=(known.lower(),)) as bench,
            Bench(**defaults, tls_fingerprint_match=("ab:cd",)) as other,
        ):
            secured(server, certificate)
            place = f"[127.0.0.1]:{server.port}"
            return await bench.one(place), await other.one(place)

    good, bad = run(scenario)
    assert good.status is Status.SENT
    assert (bad.status, bad.text) == (Status.DEFERRED, "Server certificate not verified")


@pytest.mark.parametrize(
    ("entry", "offer", "outcome"),
    [
        ("none", True, "clear"),
        ("may", True, "tls"),
        ("may", False, "clear"),
        ("encrypt", True, "tls"),
        ("encrypt", False, "TLS is required, but was not offered by host 127.0.0.1[127.0.0.1]"),
        ("encrypt protocols=>=TLSv1.2 ciphers=high exclude=RC4:DES", True, "tls"),
        ("dane", True, "tls"),
        ("fingerprint match={}", True, "tls"),
        ("fingerprint match=11:22|{}", True, "tls"),
        ("fingerprint match=11:22", True, "Server certificate not verified"),
        ("verify", True, "Server certificate not verified"),
        ("nonsense", True, "client TLS configuration problem"),
        ("encrypt match=x", True, "client TLS configuration problem"),
        ("encrypt protocols=nonsense", True, "client TLS configuration problem"),
        ("fingerprint", True, "client TLS configuration problem"),
        (" ", True, "client TLS configuration problem"),
        (None, True, "client TLS configuration problem"),
    ],
)
def test_policies_by_nexthop(certificate, entry, offer, outcome):
    known = fingerprint_of(certificate, "sha256")[0]

    async def scenario():
        async with FakeServer() as server:
            place = f"[127.0.0.1]:{server.port}"

            async def lookup(key):
                if entry is None:
                    return TemporaryError("down", "test")
                return Found(entry.format(known), "test") if key == place else NOT_FOUND

            async with Bench(policies=lookup, tls_level=SecurityLevel.NONE) as bench:
                if offer:
                    secured(server, certificate)
                return await bench.one(place), "STARTTLS" in server.commands

    result, encrypted = run(scenario)
    if outcome in ("clear", "tls"):
        assert result.status is Status.SENT
        assert encrypted == (outcome == "tls")
    else:
        assert (result.status, result.text) == (Status.DEFERRED, outcome)


@pytest.mark.parametrize(
    ("nexthop", "keys"),
    [
        ("a.example.org", ["a.example.org", ".example.org", ".org"]),
        ("A.org:587", ["a.org:587"]),
        ("[a.example.org]", ["[a.example.org]"]),
    ],
)
def test_keys_of_the_policy_table(nexthop, keys):
    asked = []

    async def lookup(key):
        asked.append(key)
        return NOT_FOUND

    policies = TlsPolicies(SmtpParameters().tls_defaults, None, lookup)
    asyncio.run(policies.of(destinations(nexthop, 25)[0]))
    assert asked == keys


def test_an_offer_of_tls_is_noted():
    async def scenario():
        async with FakeServer(ehlo=["STARTTLS"]) as server, Bench(tls_note_starttls_offer=True) as bench:
            await bench.one(f"[127.0.0.1]:{server.port}")
            return bench.log.lines

    assert run(scenario) == ["postfix/smtp: Host offered STARTTLS: [127.0.0.1]"]


def test_a_refused_log_in_is_not_tried_again():
    async def scenario():
        authentication = Authentication(True, frozenset(), frozenset(), cache_time=60.0)
        table = {"127.0.0.1": "user:p"}
        async with (
            FakeServer({"AUTH": "535 5.7.8 wrong"}, ["AUTH PLAIN"]) as server,
            Bench(passwords(table), authentication=authentication) as bench,
        ):
            nexthop = f"[127.0.0.1]:{server.port}"
            results = [await bench.one(nexthop), await bench.one(nexthop)]
            table["127.0.0.1"] = "user:corrected"
            results.append(await bench.one(nexthop))
            return [result.text for result in results], sum(line.startswith("AUTH") for line in server.commands)

    texts, attempts = run(scenario)
    said = "authentication failed; server 127.0.0.1[127.0.0.1] said: 535 5.7.8 wrong"
    assert texts == [f"SASL {said}", f"SASL [CACHED] {said}", f"SASL {said}"]
    assert attempts == 2
