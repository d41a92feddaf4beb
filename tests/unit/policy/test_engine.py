import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.config.config import Config
from angarium.model.lookup import TemporaryError
from angarium.model.quota import Excess
from angarium.model.verdict import Action, Effect, TrailStep
from angarium.policy.interface import Facts
from angarium.policy.main import make_policy
from angarium.policy.restrictions import NOT_YET, RESTRICTIONS, TABLE_RESTRICTIONS
from angarium.rewrite.main import make_resolver
from angarium.runtime.dns import DnsFailure, Mx, Records, StaticResolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener

BASE = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.test",
    "mydomain": "example.test",
    "mydestination": "local.test",
    "inet_interfaces": "127.0.0.1",
    "mynetworks": "127.0.0.1/32",
    "virtual_mailbox_domains": "vbox.test",
    "virtual_mailbox_maps": "inline:{alice@vbox.test=x}",
    "local_recipient_maps": "inline:{joe=x}",
}
STRANGER = Facts("unknown", "203.0.113.9", helo="client.test", protocol="ESMTP", sender="s@x.test")


class Server:
    def __init__(self, quota=None, base=BASE, dns=None, **changes):
        self.log = MemoryLog()
        log = ServiceLog(self.log, "postfix/smtpd")
        conf = Config.of({**base, **changes})
        opener = TableOpener(log.warning)
        self.resolver = make_resolver(conf, opener)
        self.policy = make_policy(conf, self.resolver, opener, log, quota, dns)

    def rcpt(self, recipient, facts=STRANGER, **changes):
        fields = {name: getattr(facts, name) for name in facts.__slots__} | {"recipient": recipient} | changes
        return asyncio.run(self.policy.rcpt(Facts(**fields)))


@pytest.mark.parametrize("level", ["0", "1", "2", "3.6"])
def test_an_empty_configuration_is_no_open_relay(level):
    verdict = Server(base={}, compatibility_level=level).rcpt("o@other.test")
    assert str(verdict.reply) == "454 4.7.1 <o@other.test>: Relay access denied"


def test_whatever_is_left_out_strangers_do_not_relay():
    names = list(BASE)
    for left_out in itertools.chain.from_iterable(itertools.combinations(names, count) for count in (1, 2, 3)):
        base = {name: value for name, value in BASE.items() if name not in left_out}
        assert Server(base=base).rcpt("o@other.test").refused


@pytest.mark.parametrize(
    "settings",
    [
        {"smtpd_relay_restrictions": ""},
        {"smtpd_relay_restrictions": "", "smtpd_recipient_restrictions": "permit_mynetworks"},
        {"smtpd_relay_restrictions": "", "smtpd_recipient_restrictions": "permit"},
        {"smtpd_relay_restrictions": "warn_if_reject reject_unauth_destination"},
        {"smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destinatoin"},
        {"smtpd_relay_restrictions": "permit"},
        {"smtpd_relay_restrictions": "permit, reject"},
    ],
)
def test_unguarded_lists_serve_nobody(settings):
    server = Server(**settings)
    for recipient in ("o@other.test", "alice@vbox.test"):
        verdict = server.rcpt(recipient)
        assert str(verdict.reply).startswith("451 4.3.5")
    assert any("specify at least one working instance of" in line for line in server.log.lines)


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(sorted({*RESTRICTIONS, *NOT_YET} - {"permit", "permit_auth_destination"})), max_size=6),
    st.sampled_from(
        ["o@other.test", "o%other.test@local.test", "other.test!o@local.test", '"o@other.test"@local.test']
    ),
)
def test_no_list_without_an_explicit_permit_relays_for_strangers(words, recipient):
    verdict = Server(smtpd_relay_restrictions=", ".join(words)).rcpt(recipient)
    assert verdict.refused


def test_a_verdict_has_reason_source_and_trail():
    verdict = Server().rcpt("o@other.test")
    assert (verdict.reason, verdict.source) == (
        "defer_unauth_destination: other.test is not ours",
        "smtpd_relay_restrictions",
    )
    relay = "smtpd_relay_restrictions"
    assert verdict.trail == (
        TrailStep(relay, "permit_mynetworks", "no opinion"),
        TrailStep(relay, "permit_sasl_authenticated", "no opinion"),
        TrailStep(relay, "defer_unauth_destination", "defer", verdict.reason, relay),
    )
    allowed = Server().rcpt("o@other.test", client_address="127.0.0.1")
    assert allowed.action is Action.PERMIT
    assert allowed.reason == "permit_mynetworks: 127.0.0.1 matches 127.0.0.1/32"
    logged_in = Server(smtpd_sasl_auth_enable="yes").rcpt("o@other.test", sasl_username="alice")
    assert logged_in.reason == "permit_sasl_authenticated: alice"


def test_source_of_a_table_is_file_and_line(tmp_path):
    path = tmp_path / "access"
    path.write_text("# who\nx.test REJECT go away\n")
    verdict = Server(smtpd_sender_restrictions=f"check_sender_access hash:{path}").rcpt("alice@vbox.test")
    assert (str(verdict.reply), verdict.source) == (
        "554 5.7.1 <s@x.test>: Sender address rejected: go away",
        f"{path}:2",
    )


def test_an_address_is_resolved_once_a_command(monkeypatch):
    server = Server()
    asked = []
    real = server.resolver.resolve

    async def resolve(sender, recipient):
        asked.append(recipient)
        return await real(sender, recipient)

    monkeypatch.setattr(server.resolver, "resolve", resolve)
    assert not server.rcpt("alice@vbox.test").refused
    assert asked == ["alice@vbox.test"]


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (None, None),
        (Excess.STORAGE, "552 5.2.2 <alice@vbox.test>: Recipient address rejected: Mailbox is full"),
        (Excess.MAIL, "552 5.2.3 <alice@vbox.test>: Recipient address rejected: Message is too large for the mailbox"),
        (TemporaryError("down", "quota"), "451 4.3.0 <alice@vbox.test>: Temporary lookup failure"),
    ],
)
def test_quota_is_asked_at_rcpt(answer, reply):
    asked = []

    async def quota(account, size):
        asked.append((account, size))
        return answer

    verdict = Server(quota).rcpt("alice@vbox.test", size=1234)
    assert (str(verdict.reply) if verdict.refused else None) == reply
    assert asked == [("alice@vbox.test", 1234)]


@pytest.mark.parametrize(
    ("recipient", "maps", "account"),
    [
        ("Alice+ext@VBOX.test", "inline:{alice@vbox.test=alice/}", "alice@vbox.test"),
        ("sales@vbox.test", "inline:{sales@vbox.test=Bob@vbox.test}", "bob@vbox.test"),
        ("any@vbox.test", "inline:{@vbox.test=catch@vbox.test}", "catch@vbox.test"),
    ],
)
def test_quota_is_that_of_the_account(recipient, maps, account):
    asked = []

    async def quota(name, _size):
        asked.append(name)

    server = Server(quota, virtual_mailbox_maps=maps, recipient_delimiter="+")
    assert not server.rcpt(recipient).refused
    assert asked == [account]


@pytest.mark.parametrize(
    ("recipient", "full", "refused"),
    [
        ("one@vbox.test", "bob@vbox.test", True),
        ("one@vbox.test", "alice@vbox.test", False),
        ("several@vbox.test", "bob@vbox.test", False),
        ("alice@vbox.test", "alice@vbox.test", False),  # who has a copy sent elsewhere, too
        ("bob@vbox.test", "bob@vbox.test", True),
        ("away@vbox.test", "x@elsewhere.test", False),
    ],
)
def test_quota_of_what_an_alias_stands_for(recipient, full, refused):
    async def quota(name, _size):
        return Excess.STORAGE if name == full else None

    server = Server(
        quota,
        virtual_mailbox_maps="inline:{alice@vbox.test=alice@vbox.test, bob@vbox.test=bob@vbox.test}",
        virtual_alias_maps="inline:{ {one@vbox.test=Bob@vbox.test}, {several@vbox.test=bob@vbox.test alice@vbox.test},"
        " {alice@vbox.test=alice@vbox.test, x@elsewhere.test}, {bob@vbox.test=bob@vbox.test},"
        " {away@vbox.test=x@elsewhere.test} }",
    )
    assert server.rcpt(recipient).refused is refused


def test_a_full_mailbox_may_be_temporary():
    async def quota(_name, _size):
        return Excess.MESSAGES

    verdict = Server(quota, over_quota_reject_code="452").rcpt("alice@vbox.test")
    assert str(verdict.reply) == "452 4.2.2 <alice@vbox.test>: Recipient address rejected: Mailbox is full"


def test_own_addresses_are_those_of_the_interfaces():
    server = Server(inet_interfaces="192.0.2.7", smtpd_client_restrictions="permit_inet_interfaces, reject")
    assert not server.rcpt("alice@vbox.test", client_address="192.0.2.7").refused
    assert server.rcpt("alice@vbox.test").refused


def test_quota_is_the_mailstores_affair_alone():
    async def quota(_account, _size):
        raise AssertionError

    assert not Server(quota).rcpt("joe@local.test").refused
    assert not Server(quota).rcpt("o@other.test", client_address="127.0.0.1").refused


@pytest.mark.parametrize(
    ("result", "effect", "text", "argument"),
    [
        ("HOLD for now", Effect.HOLD, "<s@x.test>: Sender address for now", ""),
        ("DISCARD", Effect.DISCARD, "<s@x.test>: Sender address triggers DISCARD action", ""),
        ("REDIRECT a@b.test", Effect.REDIRECT, "<s@x.test>: Sender address triggers REDIRECT a@b.test", "a@b.test"),
        ("FILTER smtp:[f]", Effect.FILTER, "<s@x.test>: Sender address triggers FILTER smtp:[f]", "smtp:[f]"),
        ("BCC a@b.test", Effect.BCC, "<s@x.test>: Sender address triggers BCC a@b.test", "a@b.test"),
        ("PREPEND X-A: b", Effect.PREPEND, "<s@x.test>: Sender address triggers PREPEND X-A: b", "X-A: b"),
        ("WARN take care", Effect.WARN, "take care", ""),
    ],
)
def test_what_a_table_asks_for_a_message_that_goes_on(result, effect, text, argument):
    verdict = Server(smtpd_sender_restrictions=f"check_sender_access inline:{{{{x.test = {result}}}}}").rcpt(
        "alice@vbox.test"
    )
    assert not verdict.refused
    (request,) = verdict.requests
    assert (request.effect, request.text, request.argument) == (effect, text, argument)


def test_requests_keep_their_order_and_stand_beside_a_refusal():
    server = Server(
        smtpd_sender_restrictions="check_sender_access inline:{{x.test = PREPEND X-A: b}}, "
        "check_sender_access inline:{x.test=HOLD}, reject"
    )
    verdict = server.rcpt("alice@vbox.test")
    assert verdict.refused
    assert [request.effect for request in verdict.requests] == [Effect.PREPEND, Effect.HOLD]


def test_a_discarded_message_is_not_refused_later():
    server = Server(smtpd_sender_restrictions="check_sender_access inline:{x.test=DISCARD}, reject")
    verdict = server.rcpt("o@other.test")
    assert not verdict.refused
    assert [request.effect for request in verdict.requests] == [Effect.DISCARD]


def test_a_permit_ends_its_list_alone():
    server = Server(smtpd_client_restrictions="permit", smtpd_recipient_restrictions="permit")
    assert server.rcpt("o@other.test").refused


def test_faults_are_said_in_the_log():
    server = Server(
        smtpd_helo_restrictions="check_helo_access",
        smtpd_sender_restrictions="permit_naked_ip_address, check_sender_access noname",
    )
    assert str(server.rcpt("alice@vbox.test").reply) == "451 4.3.5 Server configuration error"
    text = "\n".join(server.log.lines)
    assert "restriction permit_naked_ip_address is not supported and is skipped" in text
    assert 'restriction "check_helo_access" in smtpd_helo_restrictions needs an argument' in text


def test_warn_if_reject_asks_for_a_line_in_the_log_and_goes_on():
    server = Server(smtpd_recipient_restrictions="warn_if_reject reject")
    verdict = server.rcpt("alice@vbox.test")
    assert not verdict.refused
    (request,) = verdict.requests
    assert request.effect is Effect.REJECT_WARNING
    assert request.text == "554 5.7.1 <alice@vbox.test>: Recipient address rejected: Access denied"


@pytest.mark.parametrize(
    ("verb", "user", "sender", "why"),
    [
        ("reject_sender_login_mismatch", "alice", "a@x.test", None),
        ("reject_sender_login_mismatch", "Alice", "a+e@x.test", None),
        ("reject_sender_login_mismatch", "bob", "a@x.test", "not owned by user bob"),
        ("reject_sender_login_mismatch", "bob", "free@x.test", "not owned by user bob"),
        ("reject_sender_login_mismatch", "", "a@x.test", "not logged in"),
        ("reject_sender_login_mismatch", "", "free@x.test", None),
        ("reject_sender_login_mismatch", "bob", "", None),
        ("reject_known_sender_login_mismatch", "bob", "free@x.test", None),
        ("reject_known_sender_login_mismatch", "bob", "a@x.test", "not owned by user bob"),
        ("reject_authenticated_sender_login_mismatch", "", "a@x.test", None),
        ("reject_authenticated_sender_login_mismatch", "bob", "a@x.test", "not owned by user bob"),
        ("reject_unauthenticated_sender_login_mismatch", "bob", "a@x.test", None),
        ("reject_unauthenticated_sender_login_mismatch", "", "a@x.test", "not logged in"),
    ],
)
def test_who_may_use_a_senders_address(verb, user, sender, why):
    server = Server(
        smtpd_sender_restrictions=verb,
        smtpd_sasl_auth_enable="yes",
        smtpd_sender_login_maps="inline:{{a@x.test = alice, carol}}",
        recipient_delimiter="+",
    )
    verdict = server.rcpt("alice@vbox.test", sasl_username=user, sender=sender)
    expected = None if why is None else f"553 5.7.1 <{sender}>: Sender address rejected: {why}"
    assert (str(verdict.reply) if verdict.refused else None) == expected


DNS = StaticResolver(
    exchangers={
        "mx.test": Records((Mx(10, "a.mx.test"),)),
        "null.test": Records((Mx(0, ""),)),
        "down.test": DnsFailure("timed out"),
    },
    hosts={"a.test": Records(("192.0.2.5",)), "down.test": DnsFailure("timed out")},
)


@pytest.mark.parametrize(
    ("domain", "sender", "recipient"),
    [
        ("mx.test", None, None),
        ("a.test", None, None),
        ("vbox.test", None, None),
        ("[192.0.2.1]", None, None),
        (
            "gone.test",
            "450 4.1.8 <x@gone.test>: Sender address rejected: Domain not found",
            "450 4.1.2 <x@gone.test>: Recipient address rejected: Domain not found",
        ),
        (
            "down.test",
            "450 4.1.8 <x@down.test>: Sender address rejected: Domain not found",
            "450 4.1.2 <x@down.test>: Recipient address rejected: Domain not found",
        ),
        (
            "null.test",
            "550 5.7.27 <x@null.test>: Sender address rejected: Domain null.test does not accept mail (nullMX)",
            "556 5.1.10 <x@null.test>: Recipient address rejected: Domain null.test does not accept mail (nullMX)",
        ),
    ],
)
def test_domains_that_take_no_mail(domain, sender, recipient):
    def refusal(verdict):
        return str(verdict.reply) if verdict.refused else None

    address = f"x@{domain}"
    server = Server(dns=DNS, smtpd_sender_restrictions="reject_unknown_sender_domain")
    assert refusal(server.rcpt("alice@vbox.test", sender=address)) == sender
    server = Server(
        dns=DNS,
        smtpd_recipient_restrictions="reject_unknown_recipient_domain",
        virtual_mailbox_maps="static:all",
    )
    assert refusal(server.rcpt(address, client_address="127.0.0.1")) == recipient
    assert refusal(Server(smtpd_sender_restrictions="reject_unknown_sender_domain").rcpt("alice@vbox.test")) is None


def test_clients_and_helo_names_that_nobody_knows():
    server = Server(dns=DNS, smtpd_helo_restrictions="reject_unknown_helo_hostname")
    assert str(server.rcpt("alice@vbox.test").reply) == "450 4.7.1 <client.test>: Helo command rejected: Host not found"
    for helo in ("a.test", "mx.test", "null.test", "[192.0.2.1]"):
        assert not server.rcpt("alice@vbox.test", helo=helo).refused
    server = Server(smtpd_client_restrictions="reject_unknown_client_hostname", unknown_client_reject_code="550")
    reply = "550 5.7.25 Client host rejected: cannot find your hostname, [203.0.113.9]"
    assert str(server.rcpt("alice@vbox.test").reply) == reply
    assert not server.rcpt("alice@vbox.test", client_name="c.test").refused


def test_what_is_down_is_said_in_the_log():
    server = Server(virtual_mailbox_maps="fail:down", smtpd_sender_restrictions="check_sender_access fail:too")
    server.rcpt("alice@vbox.test")
    assert server.log.lines[-1] == "postfix/smtpd: warning: fail:too: table lookup problem: too"
    server = Server(virtual_mailbox_maps="fail:down", mynetworks="192.0.2.1/24")
    server.rcpt("alice@vbox.test")
    assert server.log.lines[-1] == (
        'postfix/smtpd: warning: mynetworks lookup error for "alice@vbox.test": non-null host address bits in '
        '"192.0.2.1/24", perhaps you should use "192.0.2.0/24" instead'
    )


def test_what_follows_an_unconditional_word_is_ignored():
    server = Server(smtpd_recipient_restrictions="permit, reject")
    assert not server.rcpt("alice@vbox.test").refused
    assert server.log.lines == ["postfix/smtpd: warning: restriction `reject' after `permit' is ignored"]


def test_classes_that_name_each_other_end():
    server = Server(
        smtpd_restriction_classes="a, b", a="b", b="a", smtpd_recipient_restrictions="a, reject_unauth_destination"
    )
    assert str(server.rcpt("alice@vbox.test").reply) == "451 4.3.5 Server configuration error"


def test_etrn_and_vrfy():
    server = Server(smtpd_etrn_restrictions="permit_mynetworks, reject")
    verdict = asyncio.run(server.policy.etrn(Facts("unknown", "203.0.113.9", helo="c.test", recipient="x.test")))
    assert str(verdict.reply) == "554 5.7.1 <x.test>: Etrn command rejected: Access denied"
    assert asyncio.run(server.policy.vrfy(Facts("unknown", "203.0.113.9", recipient="zed@vbox.test"))).refused


def test_the_table_of_restrictions_has_functions_of_those_names():
    assert all(callable(each) for each in (*RESTRICTIONS.values(), *TABLE_RESTRICTIONS.values()))
    assert not set(NOT_YET) & ({*RESTRICTIONS} | {*TABLE_RESTRICTIONS})


def test_stages_without_restrictions_are_silent():
    begin, data, end = {"CONNECT", "HELO", "EHLO"}, {"DATA", "BDAT"}, {"END-OF-MESSAGE"}
    assert Server().policy.silent == begin | data | end
    assert Server(smtpd_data_restrictions="reject_unauth_pipelining").policy.silent == begin | end
    assert Server(smtpd_end_of_data_restrictions="permit").policy.silent == begin | data
    assert Server(smtpd_delay_reject="no").policy.silent == data | end
