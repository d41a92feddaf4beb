from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import ssl

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.certificates import make

from angarium.runtime.dane import Judgement, anchors, digest_order, judge, usable
from angarium.runtime.dns import Tlsa
from angarium.runtime.tls import ServerTls, TlsError, server_context
from angarium.runtime.tlspeer import shown_chain

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
ROOT = make("Root", authority=True)
MIDDLE = make("Middle", ROOT, authority=True)
LEAF = make("mx.test", MIDDLE, names=("mx.test",))
STRANGE = make("Root", authority=True)
CHAIN = (LEAF.der, MIDDLE.der)


def spki(holder):
    return holder.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def record(usage, selector, matching, holder):
    data = holder.der if selector == 0 else spki(holder)
    hashes = {0: lambda x: x, 1: lambda x: hashlib.sha256(x).digest(), 2: lambda x: hashlib.sha512(x).digest()}
    return Tlsa(usage, selector, matching, hashes[matching](data))


def judged(chain, *records, names=("mx.test",), now=NOW):
    return judge(chain, usable(records), names, many_labels=True, now=now)


YES, NO = Judgement(trusted=True, matched=True), Judgement(trusted=False, matched=False)
OTHER_NAME = Judgement(trusted=True, matched=False)


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_every_kind_of_record(selector, matching):
    assert judged(CHAIN, record(3, selector, matching, LEAF)) == YES
    assert judged(CHAIN, record(2, selector, matching, MIDDLE)) == YES
    assert judged((*CHAIN, ROOT.der), record(2, selector, matching, ROOT)) == YES
    assert judged(CHAIN, record(3, selector, matching, MIDDLE)) == NO
    # OpenSSL takes a whole certificate for an anchor wherever it stands; its names count then.
    assert judged(CHAIN, record(2, selector, matching, LEAF)) == (YES if (selector, matching) == (0, 0) else NO)
    assert judged((*CHAIN, STRANGE.der), record(2, selector, matching, STRANGE)) == NO


@pytest.mark.parametrize("selector", [0, 1])
def test_an_anchor_that_is_whole_need_not_be_shown(selector):
    assert judged(CHAIN, record(2, selector, 0, ROOT)) == YES
    assert judged((LEAF.der,), record(2, selector, 0, MIDDLE)) == YES
    assert judged((LEAF.der,), record(2, selector, 0, ROOT)) == NO
    assert judged(CHAIN, record(2, selector, 1, ROOT)) == NO


def test_names_matter_below_an_authority_alone():
    assert judged(CHAIN, record(2, 1, 1, MIDDLE), names=("other.test",)) == OTHER_NAME
    assert judged(CHAIN, record(3, 1, 1, LEAF), names=("other.test",)) == YES


def test_dates_matter_below_an_authority_alone():
    late = NOW + dt.timedelta(days=40000)
    assert judged(CHAIN, record(2, 1, 1, MIDDLE), now=late) == NO
    assert judged(CHAIN, record(3, 1, 1, LEAF), now=late) == YES
    passed = make("Short", ROOT, authority=True, days=10)
    below = make("mx.test", passed, names=("mx.test",))
    assert judged((below.der, passed.der), record(2, 1, 1, passed)) == YES  # the anchor's own date does not
    assert judged((below.der, passed.der, ROOT.der), record(2, 1, 1, ROOT)) == NO


def test_who_is_no_authority_signs_nothing():
    pretender = make("Pretender", ROOT)
    below = make("mx.test", pretender, names=("mx.test",))
    assert judged((below.der, pretender.der), record(2, 1, 1, pretender)) == NO
    assert judged((below.der, pretender.der, ROOT.der), record(2, 1, 1, ROOT)) == NO


def test_a_certificate_for_something_else_is_not_fit():
    client = make("mx.test", MIDDLE, names=("mx.test",), server_only=True)
    assert judged((client.der, MIDDLE.der), record(2, 1, 1, MIDDLE)) == YES
    tight = make("Tight", ROOT, authority=True, path_length=0)
    more = make("More", tight, authority=True)
    below = make("mx.test", more, names=("mx.test",))
    assert judged((below.der, more.der, tight.der), record(2, 1, 1, tight)) == NO
    assert judged((below.der, more.der, tight.der), record(2, 1, 1, more)) == YES


def test_an_rsa_key_may_be_the_anchor():
    root = make("Old", authority=True, algorithm="rsa")
    below = make("mx.test", root, names=("mx.test",))
    assert judged((below.der,), record(2, 1, 0, root)) == YES
    assert judged((below.der,), record(2, 1, 0, make("Old", authority=True, algorithm="rsa"))) == NO


def test_what_is_unusable_and_which_digest_counts():
    bad = [
        Tlsa(0, 1, 1, bytes(32)),
        Tlsa(1, 1, 1, bytes(32)),
        Tlsa(3, 2, 1, bytes(32)),
        Tlsa(3, 1, 3, bytes(32)),
        Tlsa(3, 1, 1, bytes(31)),
        Tlsa(3, 0, 0, b"no certificate"),
        Tlsa(2, 1, 0, b"no key"),
    ]
    assert usable(bad) == ()
    weak, strong = record(3, 1, 1, LEAF), record(3, 1, 2, STRANGE)
    assert usable([weak, strong]) == (strong,)
    assert usable([weak, strong], (1, 2)) == (weak,)
    assert usable([weak, record(3, 0, 2, LEAF)]) == (weak, record(3, 0, 2, LEAF))
    assert digest_order(["sha512", "sha256"]) == digest_order(["SHA512=2", "sha256=1"]) == (2, 1)
    for words in (["md5"], ["sha256=2"]):
        with pytest.raises(TlsError, match="tls_dane_digests"):
            digest_order(words)


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=40), max_size=3), st.binary(max_size=40), st.integers(0, 3), st.integers(0, 2))
def test_nothing_is_believed_of_rubbish(chain, data, usage, selector):
    assert judge(chain, [Tlsa(usage, selector, 1, data)], [], many_labels=True, now=NOW) == NO


def test_anchors_out_of_files(tmp_path):
    key = MIDDLE.certificate.public_key()
    text = ROOT.pem + key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    (tmp_path / "both").write_text(text)
    assert anchors([str(tmp_path / "both")]) == (record(2, 0, 0, ROOT), record(2, 1, 0, MIDDLE))
    (tmp_path / "none").write_text("nothing")
    for name, words in (("none", "no certificate"), ("absent", "No such file")):
        with pytest.raises(TlsError, match=words):
            anchors([str(tmp_path / name)])


def test_the_chain_of_a_session_is_what_the_server_shows(tmp_path):
    (tmp_path / "chain").write_text(LEAF.key_pem + LEAF.pem + MIDDLE.pem)
    server = server_context(ServerTls(chain_files=(str(tmp_path / "chain"),)))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server)
    for _ in range(4):
        for side in (client_side, server_side):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert tuple(shown_chain(client_side)) == CHAIN
