"""Contexts beyond the plain ones: several keys, cipher lists, options, names, client certificates."""

from __future__ import annotations

import base64
import contextlib
import ssl

import pytest
from cryptography.hazmat.primitives import serialization
from tests.fakes.certificates import make

from angarium.model.lookup import NOT_FOUND, Found, TemporaryError
from angarium.runtime import openssl
from angarium.runtime.tls import (
    ClientTls,
    SecurityLevel,
    ServerTls,
    TlsError,
    TlsLibrary,
    client_context,
    describe_session,
    matches_certificate,
    server_context,
    shown_certificate,
)
from angarium.runtime.tlsnames import NamedSession, ServerNames


def shake(server, client, name=None):
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(6):
        for side in (client_side, server_side):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return server_side, client_side


def plain_client(**settings):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in settings.items():
        setattr(context, name, value)
    return context


def old_client(ciphers, **settings):
    context = plain_client(maximum_version=ssl.TLSVersion.TLSv1_2, **settings)
    context.set_ciphers(ciphers + ":@SECLEVEL=0")
    return context


def shown(session):
    return session.getpeercert(binary_form=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    root = make("Test CA", authority=True)
    middle = make("Middle CA", root, authority=True)
    root.write(directory, "ca")
    holders = {
        "server": make("server.test", root),
        "rsa": make("rsa.test", root, algorithm="rsa"),
        "other": make("other.test", root),
        "client": make("client.test", root),
        "deep": make("deep.test", middle),
        "stray": make("stray.test"),
        "old": make("old.test", root, days=-1),
        "serving": make("serving.test", root, server_only=True),
        "edwards": make("edwards.test", root, algorithm="ed25519"),
    }
    for name, holder in holders.items():
        holder.write(directory, name)
    (directory / "deep.pem").write_text(holders["deep"].pem + middle.pem)
    return directory, holders


def serving(world, **settings):
    directory, _ = world
    settings.setdefault("cert_file", str(directory / "server.pem"))
    settings.setdefault("key_file", str(directory / "server.key"))
    return server_context(ServerTls(**settings))


# Several keys


@pytest.mark.parametrize("how", ["chain files", "one file", "key elsewhere", "pairs"])
def test_a_client_gets_the_key_that_it_understands(world, how, tmp_path):
    directory, holders = world
    parts = {
        "chain files": {"chain_files": (str(directory / "server.chain"), str(directory / "rsa.chain"))},
        "key elsewhere": {
            "chain_files": tuple(str(directory / each) for each in ("server.key", "server.pem", "rsa.key", "rsa.pem"))
        },
        "pairs": {
            "cert_file": str(directory / "rsa.pem"),
            "key_file": str(directory / "rsa.key"),
            "more_pairs": ((str(directory / "server.pem"), str(directory / "server.key")),),
        },
    }
    (tmp_path / "all").write_text((directory / "server.chain").read_text() + (directory / "rsa.chain").read_text())
    parts["one file"] = {"chain_files": (str(tmp_path / "all"),)}
    context = server_context(ServerTls(**parts[how]))
    assert shown(shake(context, old_client("ECDHE-ECDSA-AES256-GCM-SHA384"))[1]) == holders["server"].der
    assert shown(shake(context, old_client("ECDHE-RSA-AES256-GCM-SHA384"))[1]) == holders["rsa"].der


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (("server.pem", "server.key"), "key not first"),
        (("server.key",), "has no certificate"),
        (("server.key", "rsa.key", "rsa.pem"), "key at index 1 has no certificate"),
        (("server.key", "rsa.pem"), "error loading chain from .*rsa.pem: "),
        (("empty",), "no private keys"),
    ],
)
def test_chains_in_the_wrong_order_are_refused(world, tmp_path, parts, words):
    directory, _ = world
    (tmp_path / "empty").write_text("nothing\n")
    files = tuple(str((directory if (directory / each).exists() else tmp_path) / each) for each in parts)
    with pytest.raises(TlsError, match=words):
        server_context(ServerTls(chain_files=files))


def test_an_encrypted_key_is_not_asked_about(world, tmp_path):
    _, holders = world
    server = holders["server"]
    locked = server.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    (tmp_path / "locked").write_text(locked.decode() + server.pem)
    with pytest.raises(TlsError, match="locked: the private key is encrypted"):
        server_context(ServerTls(chain_files=(str(tmp_path / "locked"),)))


# Ciphers, options, curves


def library(**settings):
    defaults = {
        "tls_high_cipherlist": "aNULL:-aNULL:HIGH:@STRENGTH",
        "tls_medium_cipherlist": "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH",
        "tls_low_cipherlist": "LOW",
        "tls_export_cipherlist": "EXPORT",
        "tls_null_cipherlist": "eNULL:!aNULL",
        "tls_eecdh_auto_curves": "X25519 X448 prime256v1 secp521r1 secp384r1",
        "tls_ssl_options": "",
        "tls_disable_workarounds": "",
        "tls_append_default_CA": "no",
        "tls_wildcard_matches_multiple_labels": "yes",
    } | settings

    class Conf:
        def text(self, name):
            return defaults[name]

        def names(self, name):
            return defaults[name].split()

        def boolean(self, name):
            return defaults[name] == "yes"

    return TlsLibrary.from_config(Conf())


def test_grades_are_the_lists_of_the_parameters(world):
    made = library(tls_high_cipherlist="ECDHE-ECDSA-AES128-GCM-SHA256")
    context = serving(world, ciphers="high", library=made)
    assert [each["name"] for each in context.get_ciphers() if each["protocol"] != "TLSv1.3"] == [
        "ECDHE-ECDSA-AES128-GCM-SHA256"
    ]
    assert made.ciphers("medium", ["RC4", "aNULL"], identified=False) == (
        "@SECLEVEL=0:aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH:!RC4:!aNULL:!eNULL"
    )


def test_anonymous_ciphers_serve_where_nobody_is_identified(world):
    made = library()
    client = old_client("aNULL", minimum_version=ssl.TLSVersion.TLSv1_2)
    session, _ = shake(serving(world, library=made, dh_file="auto"), client)
    assert session.cipher()[0].startswith(("ADH", "AECDH"))
    for context in (serving(world), serving(world, library=made, ask_certificate=True)):
        with pytest.raises(ssl.SSLError, match=r"(?i)no.shared.cipher"):
            shake(context, client)


def test_the_null_grade_authenticates_without_encryption(world):
    context = serving(world, ciphers="null", library=library())
    session, _ = shake(context, old_client("eNULL"))
    assert "NULL" in session.cipher()[0]


def test_dhe_takes_parameters_of_its_own_or_those_of_the_rfc(world, tmp_path):
    directory, _ = world
    rsa = {"cert_file": str(directory / "rsa.pem"), "key_file": str(directory / "rsa.key")}
    client = old_client("DHE-RSA-AES256-GCM-SHA384")
    session, _ = shake(server_context(ServerTls(**rsa, dh_file="auto")), client)
    assert session.cipher()[0] == "DHE-RSA-AES256-GCM-SHA384"
    with pytest.raises(ssl.SSLError, match=r"(?i)no.shared.cipher"):
        shake(server_context(ServerTls(**rsa)), client)
    (tmp_path / "dh").write_text("none")
    with pytest.raises(TlsError, match="DH parameters"):
        server_context(ServerTls(**rsa, dh_file=str(tmp_path / "dh")))


def test_options_are_names_or_bits(world):
    plain = serving(world, library=library()).options
    context = serving(world, library=library(tls_ssl_options="no_ticket 0x200000"))
    assert not plain & ssl.OP_NO_TICKET
    assert context.options & ssl.OP_NO_TICKET
    assert context.options & (1 << 21)
    assert not serving(world, library=library(tls_disable_workarounds="TLSEXT_PADDING")).options & (1 << 4)
    assert plain & (1 << 4)
    for name in ("tls_ssl_options", "tls_disable_workarounds"):
        with pytest.raises(TlsError, match=f"{name} value 'NO_SUCH'"):
            library(**{name: "NO_SUCH"})


def test_curves(world):
    context = serving(world, library=library(tls_eecdh_auto_curves="secp521r1 nonsense"))
    client = plain_client()
    client.set_ecdh_curve("prime256v1")
    with pytest.raises(ssl.SSLError):
        shake(context, client)
    client.set_ecdh_curve("secp521r1")
    assert shake(context, client)[0].version() == "TLSv1.3"
    with pytest.raises(TlsError, match="tls_eecdh_auto_curves"):
        serving(world, library=library(tls_eecdh_auto_curves="nonsense"))


def test_a_wildcard_may_stand_for_several_labels():
    certificate = {"subjectAltName": (("DNS", "*.example.net"),)}
    for name, several, one in (
        ("a.example.net", True, True),
        ("a.b.example.net", True, False),
        ("example.net", False, False),
        (".example.net", True, True),
        ("badexample.net", False, False),
    ):
        assert matches_certificate(certificate, [name], many_labels=True) is several
        assert matches_certificate(certificate, [name]) is one


# Names


def named(world, entries, **settings):
    directory, _ = world
    warnings = []

    def find(key):
        value = entries.get(key)
        return value if isinstance(value, TemporaryError) else Found(value, "t:x") if value else NOT_FOUND

    parameters = ServerTls(str(directory / "server.pem"), str(directory / "server.key"), **settings)
    context = server_context(parameters)
    ServerNames(parameters, find, warnings.append).install(context)
    return context, warnings


def encoded(path):
    return base64.b64encode(path.read_bytes()).decode()


def test_a_name_chooses_its_key(world):
    directory, holders = world
    entries = {"other.test": encoded(directory / "other.chain"), ".sub.test": str(directory / "rsa.chain")}
    context, warnings = named(world, entries)
    for name, holder, asked, unmatched in (
        ("other.test", "other", "other.test", ""),
        ("OTHER.test", "other", "OTHER.test", ""),
        ("a.sub.test", "rsa", "a.sub.test", ""),
        ("sub.test", "server", "", "sub.test"),
        ("else.test", "server", "", "else.test"),
        (None, "server", "", ""),
    ):
        server_side, client_side = shake(context, plain_client(), name)
        assert shown(client_side) == holders[holder].der, name
        assert isinstance(server_side, NamedSession)
        assert (server_side.asked, server_side.unmatched) == (asked, unmatched)
    assert not warnings


def test_a_name_that_is_none_gets_the_services_own_key(world):
    context, _ = named(world, {})
    server_side, _ = shake(context, plain_client(), "-bad.test")
    assert (server_side.invalid, server_side.unmatched) == ("-bad.test", "")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("???", "malformed BASE64 value"),
        (base64.b64encode(b"nothing").decode(), "no private keys"),
        ("/nowhere/key.pem", "cannot read TLS file /nowhere/key.pem"),
        (TemporaryError("it is broken", "t:x"), "map lookup problem"),
    ],
)
def test_broken_entries_end_the_handshake(world, value, words):
    context, warnings = named(world, {"other.test": value})
    with pytest.raises(ssl.SSLError, match="internal error"):
        shake_client_first(context, "other.test")
    assert words in "\n".join(warnings)


def shake_client_first(server, name):
    """The server's error is let pass so that the client's is seen."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_side = plain_client().wrap_bio(to_client, to_server, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client_side.do_handshake()
    with pytest.raises(ssl.SSLError, match=r"(?i)callback.failed"):
        server_side.do_handshake()
    client_side.do_handshake()


# Client certificates


def asking(world, **settings):
    directory, _ = world
    return serving(world, ask_certificate=True, ca_file=str(directory / "ca.pem"), library=library(), **settings)


def carrying(world, name, **settings):
    directory, _ = world
    client = plain_client(**settings)
    if name:
        client.load_cert_chain(directory / f"{name}.pem", directory / f"{name}.key")
    return client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("client", ""),
        ("deep", ""),
        ("stray", "self-signed certificate"),
        ("old", "certificate has expired"),
        ("serving", "unsuitable certificate purpose"),
    ],
)
def test_any_certificate_is_taken_and_judged(world, name, fault, version):
    _, holders = world
    server_side, client_side = shake(asking(world), carrying(world, name, maximum_version=version))
    certificate = shown_certificate(server_side, "sha256")
    assert (certificate.subject, certificate.fault) == (f"{name}.test", fault)
    assert certificate.trusted is not bool(fault)
    assert certificate.issuer == holders[name].certificate.issuer.rfc4514_string().removeprefix("CN=")
    server_side.write(b"welcome")
    assert client_side.read(100) == b"welcome"


def test_no_certificate_is_no_certificate(world):
    assert shown_certificate(shake(asking(world), carrying(world, ""))[0], "sha256") is None


def test_clients_that_are_not_asked_show_nothing(world):
    assert shown_certificate(shake(serving(world), carrying(world, "client"))[0], "sha256") is None


def test_a_resumed_session_is_as_trusted_as_it_was(world):
    context = asking(world)
    for name, trusted in (("client", True), ("stray", False)):
        client = carrying(world, name, maximum_version=ssl.TLSVersion.TLSv1_2)
        _, first = shake(context, client)
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        server_side = context.wrap_bio(to_server, to_client, server_side=True)
        client_side = client.wrap_bio(to_client, to_server, session=first.session)
        for _ in range(6):
            for side in (client_side, server_side):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        assert server_side.session_reused
        assert shown_certificate(server_side, "sha256").trusted is trusted


def test_with_names_too(world):
    directory, holders = world
    entries = {"other.test": encoded(directory / "other.chain")}
    context, _ = named(world, entries, ask_certificate=True, ca_file=str(directory / "ca.pem"))
    server_side, client_side = shake(context, carrying(world, "client"), "other.test")
    assert shown(client_side) == holders["other"].der
    assert shown_certificate(server_side, "sha256").trusted
    assert shown_certificate(shake(context, carrying(world, "stray"), "other.test")[0], "sha256").fault


def test_an_unknown_interpreter_is_not_reached_into(world, monkeypatch):
    openssl.reach.cache_clear()
    monkeypatch.setattr(openssl, "_KNOWN", frozenset())
    try:
        assert openssl.reach() is None
        # An untrusted certificate cannot be looked at: clients are not asked, so that their mail comes in all the same.
        assert shown_certificate(shake(asking(world), carrying(world, "stray"))[0], "sha256") is None
        required = asking(world, require_certificate=True)
        with pytest.raises(ssl.SSLError, match=r"(?i)verify.failed|alert"):
            shake(required, carrying(world, "stray"))
        assert shown_certificate(shake(required, carrying(world, "client"))[0], "sha256").trusted
    finally:
        openssl.reach.cache_clear()


def test_this_interpreter_is_known():
    assert openssl.reach() is not None


def test_a_client_shows_its_key_of_the_right_kind(world):
    directory, holders = world
    client = client_context(
        ClientTls(
            SecurityLevel.MAY,
            chain_files=(str(directory / "rsa.chain"), str(directory / "client.chain")),
        )
    )
    server_side, _ = shake(asking(world), client)
    assert server_side.getpeercert(binary_form=True) in (holders["client"].der, holders["rsa"].der)


EC, RSA = "ECDSA (prime256v1)", "RSA-PSS (2048 bits)"
DETAILS = {
    ("server", "", "X25519"): f"X25519 server-signature {EC} server-digest SHA256",
    ("rsa", "", "prime256v1"): f"ECDHE (prime256v1) server-signature {RSA} server-digest SHA256",
    ("edwards", "", "X448"): "X448 server-signature ED25519",
    ("server", "client", "X25519"): f"X25519 server-signature {EC} server-digest SHA256 "
    f"client-signature {EC} client-digest SHA256",
    ("edwards", "rsa", "X25519"): f"X25519 server-signature ED25519 client-signature {RSA} client-digest SHA256",
    ("rsa", "edwards", "X25519"): f"X25519 server-signature {RSA} server-digest SHA256 client-signature ED25519",
}


@pytest.mark.parametrize(("server", "client", "group"), DETAILS)
def test_a_session_is_described_as_postfix_does(world, server, client, group):
    directory, _ = world
    files = {"cert_file": str(directory / f"{server}.pem"), "key_file": str(directory / f"{server}.key")}
    context = asking(world, **files) if client else serving(world, **files)
    carried = carrying(world, client)
    carried.set_ecdh_curve(group)
    sides = shake(context, carried)
    words = f"TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange {DETAILS[server, client, group]}"
    assert [describe_session(side) for side in sides] == [words, words]


def test_a_client_that_was_not_asked_has_not_signed(world):
    _, client_side = shake(serving(world), carrying(world, "client"))
    assert "client-signature" not in describe_session(client_side)


def test_older_versions_say_it_in_the_cipher(world):
    sides = shake(serving(world), old_client("ECDHE-ECDSA-AES256-GCM-SHA384"))
    assert {describe_session(side) for side in sides} == {
        "TLSv1.2 with cipher ECDHE-ECDSA-AES256-GCM-SHA384 (256/256 bits)"
    }


@pytest.mark.parametrize("seconds", [120, 86400])
def test_tickets_are_good_for_as_long_as_is_said(world, seconds):
    context = serving(world, session_lifetime=seconds)
    _, client_side = shake(context, plain_client(maximum_version=ssl.TLSVersion.TLSv1_2))
    assert client_side.session.ticket_lifetime_hint == seconds
    _, client_side = shake(serving(world, session_tickets=False), plain_client(maximum_version=ssl.TLSVersion.TLSv1_2))
    assert not client_side.session.has_ticket
