"""Who may relay: restriction lists over sets of clients."""

from __future__ import annotations

import pytest

from angarium.commands.check import relay
from angarium.commands.check.installation import Installation, Place
from angarium.commands.check.relay import EFFECTS, EVERYBODY, GRANTS, Condition, Effect, Trust, intersection, union
from angarium.commands.check.verbs import all_verbs
from angarium.config import Config


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
    "permit first": "smtpd_relay_restrictions = permit, reject_unauth_destination\n",
    "a table for all": "smtpd_relay_restrictions = check_client_access static:OK, reject_unauth_destination\n",
    "a network of all": "mynetworks = 0.0.0.0/0\nsmtpd_relay_restrictions = permit_mynetworks, reject\n",
    "a network for everybody": "mynetworks = static:all\n"
    "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n",
    "a guard that only warns": "smtpd_relay_restrictions = warn_if_reject reject_unauth_destination\n"
    "smtpd_recipient_restrictions = permit\n",
    "a guard in a class behind permit": "smtpd_restriction_classes = ours\nours = permit, reject_unauth_destination\n"
    "smtpd_relay_restrictions = ours\n",
    "a guard before there is a recipient": "smtpd_delay_reject = no\nsmtpd_relay_restrictions = permit\n"
    "smtpd_client_restrictions = reject_unauth_destination\nsmtpd_recipient_restrictions = permit, reject\n",
    "regexp for all": "smtpd_relay_restrictions = check_sender_access regexp:TABLE, reject_unauth_destination\n",
}  # fmt: skip


@pytest.mark.parametrize("name", OPEN)
def test_open_for_everybody(tmp_path, name):
    table = tmp_path / "table"
    table.write_text("/^nobody/ REJECT\n/.*/ OK\n")
    assert ids(tmp_path, OPEN[name].replace("TABLE", str(table))) == ["open-relay"]


def test_the_line_of_what_permits(tmp_path):
    main = "biff = no\nsmtpd_relay_restrictions =\n  reject_unknown_sender_domain\n# why not\n  permit,\n  reject\n"
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
        "  -o smtpd_relay_restrictions=permit -o smtpd_recipient_restrictions=permit,reject\n"
    )
    ((rule, line, text),) = findings(tmp_path, "smtpd_relay_restrictions = reject_unauth_destination\n", master)
    assert (rule, line) == ("open-relay", 3)
    assert text.startswith("service 10025 ")


def test_no_guard_at_all(tmp_path):
    assert ids(tmp_path, "smtpd_relay_restrictions = permit_mynetworks\n") == ["relay-unguarded"]


def test_the_algebra_of_sets():
    one, two = (frozenset({Condition(text, Trust.KNOWN)}) for text in "ab")
    place = Place("", 0)
    everybody = {EVERYBODY: place}
    assert union({one: place}, everybody) == everybody
    assert intersection({one: place}, everybody).keys() == {one}
    assert intersection({one: place, two: place}, {one: place}).keys() == {one}
    assert intersection({one: place}, {}) == {}
