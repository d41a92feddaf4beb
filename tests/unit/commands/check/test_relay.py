"""Who may relay: restriction lists over sets of clients."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.commands.check import relay
from angarium.commands.check.installation import Installation, Place
from angarium.commands.check.relay import EFFECTS, EVERYBODY, GRANTS, Condition, Effect, Trust, intersection, union
from angarium.commands.check.verbs import all_verbs
from angarium.config import Config
from angarium.policy.interface import Facts
from angarium.policy.main import make_policy
from angarium.policy.restrictions import RESTRICTIONS
from angarium.rewrite.main import make_resolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener


def test_every_restriction_of_the_engine_has_its_effect():
    assert set(EFFECTS) == all_verbs(), "a restriction that the policy engine knows needs its effect on strangers"


def test_every_grant_says_to_whom():
    assert {verb for verb, effect in EFFECTS.items() if effect is Effect.GRANT} == set(GRANTS)


def findings(tmp_path, main, master="smtp inet n - n - - smtpd\n"):
    (tmp_path / "main.cf").write_text(main)
    (tmp_path / "master.cf").write_text(master)
    conf = Config.load(tmp_path)
    return [(f.rule.id, f.line, f.text) for f in relay.check(Installation(conf, conf.master.services))]


def ids(tmp_path, main, master="smtp inet n - n - - smtpd\n"):
    return [each[0] for each in findings(tmp_path, main, master)]


CLOSED = {
    "nothing set": "compatibility_level = 3.6\n",
    "nothing set, old level": "",
    "safe": "smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination\n"
    "smtpd_sasl_auth_enable = yes\n",
    "in the recipient list": "smtpd_relay_restrictions =\n"
    "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, permit\n",
    "one list of two": "smtpd_relay_restrictions = permit\nsmtpd_recipient_restrictions = permit_mynetworks, reject\n",
    "by an earlier list": "smtpd_client_restrictions = permit_mynetworks, reject\nsmtpd_relay_restrictions = permit\n"
    "smtpd_recipient_restrictions = defer_unauth_destination, permit\n",
    "in a class": "smtpd_restriction_classes = ours\nours = permit_mynetworks, reject_unauth_destination\n"
    "smtpd_relay_restrictions = ours, permit\n",
    "listed clients": "smtpd_relay_restrictions = check_client_access inline:{192.0.2.1=OK}, reject\n",
    "a table that refuses": "smtpd_relay_restrictions = check_sender_access inline:{a@b.test=REJECT}, reject\n",
    "our own domains": "smtpd_relay_restrictions = permit_auth_destination, reject\n",
    "exchangers never permit": "smtpd_relay_restrictions = check_sender_mx_access static:OK, reject\n",
    "a fault stops": "smtpd_relay_restrictions = nonsense, permit\nsmtpd_recipient_restrictions = reject\n",
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSED)
def test_proved_to_be_closed(tmp_path, name):
    assert findings(tmp_path, CLOSED[name]) == []


OPEN = {
    "a table for all": "smtpd_relay_restrictions = check_client_access static:OK, reject_unauth_destination\n",
    "a network of all": "mynetworks = 0.0.0.0/0\nsmtpd_relay_restrictions = permit_mynetworks, reject\n",
    "a network for everybody": "mynetworks = static:all\n"
    "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n",
    "a class that permits": "smtpd_restriction_classes = ours\nours = permit\n"
    "smtpd_relay_restrictions = ours, reject_unauth_destination\n",
    "guards in lists that do not meet": "smtpd_delay_reject = no\n"
    "smtpd_client_restrictions = reject_unauth_destination\n"
    "smtpd_relay_restrictions = check_client_access static:OK, reject\n",
    "regexp for all": "smtpd_relay_restrictions = check_sender_access regexp:TABLE, reject_unauth_destination\n",
}  # fmt: skip


@pytest.mark.parametrize("name", OPEN)
def test_open_for_everybody(tmp_path, name):
    table = tmp_path / "table"
    table.write_text("/^nobody/ REJECT\n/.*/ OK\n")
    assert ids(tmp_path, OPEN[name].replace("TABLE", str(table))) == ["open-relay"]


def test_the_line_of_what_permits(tmp_path):
    main = (
        "biff = no\nsmtpd_relay_restrictions =\n  reject_unknown_sender_domain\n# why not\n"
        "  check_helo_access static:OK,\n  reject\n"
    )
    ((rule, line, text),) = findings(tmp_path, main)
    assert (rule, line) == ("open-relay", 5)
    assert text.startswith("service smtp relays mail for everybody")


def test_claims_and_their_clients(tmp_path):
    main = (
        "smtpd_relay_restrictions = permit_mynetworks, check_sender_access inline:{boss@a.test=OK},\n"
        "  check_helo_access inline:{x=permit_mynetworks}, permit_naked_ip_address, reject_unauth_destination\n"
    )
    found = findings(tmp_path, main)
    assert sorted(each[:2] for each in found) == [("relay-by-claim", 1), ("relay-by-claim", 2)]
    assert "clients that give a sender that inline:{boss@a.test=OK} permits" in min(found, key=lambda each: each[1])[2]


def test_the_place_is_that_of_the_claim(tmp_path):
    main = (
        "smtpd_recipient_restrictions = permit\nsmtpd_relay_restrictions =\n"
        "  permit_mynetworks\n  check_sender_access inline:{boss@a.test=OK}\n  reject\n"
    )
    assert [each[:2] for each in findings(tmp_path, main)] == [("relay-by-claim", 4)]


def test_both_lists_have_to_agree(tmp_path):
    main = (
        "smtpd_relay_restrictions = check_sender_access inline:{boss@a.test=OK}, reject_unauth_destination\n"
        "smtpd_recipient_restrictions = permit_mynetworks, check_helo_access inline:{x=OK}, reject\n"
    )
    ((rule, _line, text),) = findings(tmp_path, main)
    assert rule == "relay-by-claim"
    assert " and at once " in text


def test_what_others_decide_is_a_note(tmp_path):
    main = "smtpd_relay_restrictions = check_policy_service unix:private/p, reject_unauth_destination\n"
    assert ids(tmp_path, main) == ["relay-unproved"]
    assert ids(tmp_path, main.replace("check_policy_service unix:private/p", "check_sender_access mysql:db")) == [
        "relay-unproved"
    ]


def test_logins_count_where_there_are_some(tmp_path):
    main = "smtpd_relay_restrictions = permit_tls_all_clientcerts, permit_sasl_authenticated, reject\n"
    assert ids(tmp_path, main) == ["relay-by-claim"]


def test_each_service_by_its_own_settings(tmp_path):
    master = (
        "smtp inet n - n - - smtpd\n"
        "10025 inet n - n - - smtpd\n"
        "  -o smtpd_relay_restrictions=permit\n"
        "  -o { smtpd_recipient_restrictions=check_client_access static:OK, reject }\n"
    )
    ((rule, line, text),) = findings(tmp_path, "smtpd_relay_restrictions = reject_unauth_destination\n", master)
    assert (rule, line) == ("open-relay", 4)
    assert text.startswith("service 10025 ")


@pytest.mark.parametrize(
    "words", ["permit_mynetworks", "permit, reject_unauth_destination", "warn_if_reject reject_unauth_destination"]
)
def test_no_guard_at_all(tmp_path, words):
    assert ids(tmp_path, f"smtpd_relay_restrictions = {words}\n") == ["relay-unguarded"]


def test_a_table_that_answers_with_itself(tmp_path):
    table = tmp_path / "table"
    table.write_text(f"a@b.test check_sender_access texthash:{table}\n")
    assert findings(tmp_path, f"smtpd_relay_restrictions = check_sender_access texthash:{table}, reject\n") == []


def test_services_that_differ_in_a_class(tmp_path):
    master = "smtp inet n - n - - smtpd\n2525 inet n - n - - smtpd -o ours=permit\n26 inet n - n - - smtpd -o biff=no\n"
    main = (
        "smtpd_restriction_classes = ours\nours = permit_mynetworks\n"
        "smtpd_relay_restrictions = ours, reject_unauth_destination\n"
    )
    ((rule, _line, text),) = findings(tmp_path, main, master)
    assert rule == "open-relay"
    assert text.startswith("service 2525 ")


def test_the_algebra_of_sets():
    one, two = (frozenset({Condition(text, Trust.KNOWN)}) for text in "ab")
    place = Place("", 0)
    everybody = {EVERYBODY: place}
    assert union({one: place}, everybody) == everybody
    assert intersection({one: place}, everybody).keys() == {one}
    assert intersection({one: place, two: place}, {one: place}).keys() == {one}
    assert intersection({one: place}, {}) == {}


WORDS = (
    *sorted(verb for verb in RESTRICTIONS if "unknown" not in verb and verb != "permit_mx_backup"),
    "warn_if_reject",
    "ours",
    "check_sender_access inline:{s@x.test=OK}",
    "check_sender_access inline:{s@x.test=permit_mynetworks,reject}",
    "check_sender_access inline:{s@x.test=ours}",
    "check_helo_access inline:{client.test=OK}",
    "check_helo_access inline:{client.test=DUNNO}",
    "check_client_access static:OK",
    "check_client_access static:REJECT",
    "check_client_access",
    "nonsense",
)
LISTS = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)


@settings(max_examples=100, deadline=None)
@given(LISTS, LISTS, LISTS, LISTS, st.sampled_from(["yes", "no"]))
def test_whoever_the_engine_lets_relay_is_found(client, sender, relay_list, recipient, delay):
    """The engine itself is asked for one stranger; what it permits has to be in the set."""
    conf = Config.of(
        {
            "compatibility_level": "3.6",
            "myhostname": "mail.example.test",
            "mynetworks": "127.0.0.1",
            "inet_interfaces": "127.0.0.1",
            "mydestination": "local.test",
            "smtpd_restriction_classes": "ours",
            "ours": "permit_mynetworks, check_helo_access inline:{client.test=OK}, reject",
            "smtpd_delay_reject": delay,
            "smtpd_client_restrictions": client,
            "smtpd_sender_restrictions": sender,
            "smtpd_relay_restrictions": relay_list,
            "smtpd_recipient_restrictions": recipient,
        }
    )
    log = ServiceLog(MemoryLog(), "postfix/smtpd")
    opener = TableOpener(log.warning)
    policy = make_policy(conf, make_resolver(conf, opener), opener, log)
    facts = Facts("unknown", "203.0.113.9", helo="client.test", protocol="ESMTP", sender="s@x.test")

    async def refused():
        later = None
        for stage, recipient in (
            (policy.connect, ""),
            (policy.helo, ""),
            (policy.mail, ""),
            (policy.rcpt, "o@other.test"),
        ):
            verdict = await stage(msgspec.structs.replace(facts, recipient=recipient, later=later))
            if verdict.refused:
                return True
            later = verdict.later or later
        return False

    found = {finding.rule.id for finding in relay.check(Installation(conf, []))}
    if not asyncio.run(refused()):
        assert found & {"open-relay", "relay-by-claim"}
