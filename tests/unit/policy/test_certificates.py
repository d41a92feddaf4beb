"""permit_tls_clientcerts, permit_tls_all_clientcerts and check_ccert_access, and what a policy server is told."""

from __future__ import annotations

import pytest
from tests.unit.policy.test_engine import STRANGER, Server

from angarium.policy.certificates import ccert_search
from angarium.policy.consultation import attributes
from angarium.policy.evaluation import Evaluation
from angarium.policy.parameters import PolicyParameters
from angarium.runtime.tlspeer import PeerCertificate

KNOWN = PeerCertificate("deep + test", "Test CA", "AA:01", "BB:02")
STRAY = PeerCertificate("stray.test", "stray.test", "AA:01", "BB:02", "self-signed certificate")
OTHER = PeerCertificate("other.test", "Test CA", "CC:03", "DD:04")


def permitted(restrictions, certificate, **parameters):
    server = Server(smtpd_relay_restrictions=f"{restrictions}, reject", **parameters)
    return not server.rcpt("o@other.test", STRANGER, certificate=certificate).refused


@pytest.mark.parametrize("entry", ["AA:01", "aa:01", "BB:02"])
@pytest.mark.parametrize("certificate", [KNOWN, STRAY])
def test_a_fingerprint_is_enough(entry, certificate):
    table = f"inline:{{{entry}=x}}"
    assert permitted("permit_tls_clientcerts", certificate, relay_clientcerts=table)
    assert not permitted("permit_tls_clientcerts", OTHER, relay_clientcerts=table)
    assert not permitted("permit_tls_clientcerts", None, relay_clientcerts=table)


def test_without_a_table_nobody_is_known():
    assert not permitted("permit_tls_clientcerts", KNOWN)


def test_a_table_that_cannot_be_asked_defers():
    server = Server(smtpd_relay_restrictions="permit_tls_clientcerts, reject", relay_clientcerts="fail:x")
    verdict = server.rcpt("o@other.test", STRANGER, certificate=KNOWN)
    assert str(verdict.reply) == "451 4.3.0 <AA:01>: Temporary lookup failure"


def test_all_means_all_that_are_trusted():
    assert permitted("permit_tls_all_clientcerts", KNOWN)
    assert not permitted("permit_tls_all_clientcerts", STRAY)
    assert not permitted("permit_tls_all_clientcerts", None)
    assert permitted("permit_tls_all_clientcerts", STRAY, relay_clientcerts="inline:{aa:01=x}")


@pytest.mark.parametrize(
    ("argument", "allowed"),
    [
        ("inline:{aa:01=OK}", True),
        ("inline:{bb:02=OK}", True),
        ("{ inline:{bb:02=OK}, { search_order = cert_fingerprint } }", False),
        ("{ inline:{bb:02=OK} { search_order = pubkey_fingerprint cert_fingerprint } }", True),
        ("inline:{{aa:01=REJECT}, {bb:02=OK}}", False),
        ("{ inline:{{aa:01=REJECT}, {bb:02=OK}}, {search_order=pubkey_fingerprint, cert_fingerprint} }", True),
        ("inline:{client=OK}", False),
    ],
)
def test_access_by_fingerprint(argument, allowed):
    assert permitted(f"check_ccert_access {argument}", KNOWN) is allowed
    assert not permitted(f"check_ccert_access {argument}", None)


def test_the_words_of_a_refusal():
    server = Server(smtpd_relay_restrictions="check_ccert_access inline:{{aa:01=REJECT no thanks}}, reject")
    verdict = server.rcpt("o@other.test", STRANGER, certificate=STRAY)
    assert str(verdict.reply) == "554 5.7.1 <stray.test>: Client certificate rejected: no thanks"


@pytest.mark.parametrize("argument", ["{ t:x, { search_order = subject } }", "{ t:x, { order = cert_fingerprint } }"])
def test_an_order_that_makes_no_sense_makes_mail_wait(argument):
    with pytest.raises(ValueError, match="unknown"):
        ccert_search(argument)
    server = Server(smtpd_relay_restrictions=f"check_ccert_access {argument}, reject")
    verdict = server.rcpt("o@other.test", STRANGER, certificate=KNOWN)
    assert str(verdict.reply) == "451 4.3.5 Server configuration error"
    assert "unknown" in "\n".join(server.log.lines)


def told(certificate):
    facts = STRANGER.__class__("unknown", "203.0.113.9", certificate=certificate)
    request = attributes(Evaluation(facts, PolicyParameters("m.test"), None, None, stage="RCPT"), "")
    return [request[f"ccert_{name}"] for name in ("subject", "issuer", "fingerprint", "pubkey_fingerprint")]


def test_a_policy_server_is_told_names_that_are_vouched_for():
    assert told(KNOWN) == ["deep+20+2B+20test", "Test+20CA", "AA:01", "BB:02"]
    assert told(STRAY) == ["", "", "AA:01", "BB:02"]
    assert told(None) == ["", "", "", ""]
