import asyncio

import pytest

from angarium.config.config import Config
from angarium.model.lookup import TemporaryError
from angarium.rewrite.interface import AddressClass, Resolution
from angarium.rewrite.main import make_resolver
from angarium.tables.opener import TableOpener

SETTINGS = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.test",
    "mydomain": "example.test",
    "myorigin": "origin.test",
    "mydestination": "$myhostname, local.test",
    "inet_interfaces": "192.0.2.7",
    "virtual_alias_domains": "valias.test",
    "virtual_alias_maps": "",
    "virtual_mailbox_domains": "vbox.test",
    "virtual_mailbox_maps": "",
    "relay_domains": "relay.test",
    "recipient_delimiter": "+",
}


UNKNOWN = "5.1.1 User unknown in virtual alias table"
SLOW = {"transport_maps": "inline:{other.test=slow:}", "relayhost": "r.test"}
RELAYHOSTS = {"sender_dependent_relayhost_maps": "inline:{@x.test=[sd.test], @y.test=DUNNO}", "relayhost": "r"}


def resolver(**settings):
    return make_resolver(Config.of({**SETTINGS, **settings}), TableOpener(lambda _text: None))


def way(recipient, sender="s@x.test", **settings):
    result = asyncio.run(resolver(**settings).resolve(sender, recipient))
    assert isinstance(result, Resolution), result
    return result.transport, result.nexthop, result.recipient


@pytest.mark.parametrize(
    ("recipient", "expected", "address_class"),
    [
        ("joe@local.test", ("local", "mail.example.test", "joe@local.test"), AddressClass.LOCAL),
        ("joe@[192.0.2.7]", ("local", "mail.example.test", "joe@[192.0.2.7]"), AddressClass.LOCAL),
        ("a@vbox.test", ("virtual", "vbox.test", "a@vbox.test"), AddressClass.VIRTUAL_MAILBOX),
        (
            "a@valias.test",
            ("error", UNKNOWN, "a@valias.test"),
            AddressClass.VIRTUAL_ALIAS,
        ),
        ("a@relay.test", ("relay", "relay.test", "a@relay.test"), AddressClass.RELAY),
        ("a@sub.relay.test", ("relay", "sub.relay.test", "a@sub.relay.test"), AddressClass.RELAY),
        ("a@Other.test", ("smtp", "Other.test", "a@Other.test"), AddressClass.DEFAULT),
        ("a@[192.0.2.9]", ("smtp", "[192.0.2.9]", "a@[192.0.2.9]"), AddressClass.DEFAULT),
        ("joe", ("smtp", "origin.test", "joe@origin.test"), AddressClass.DEFAULT),
        ("", ("local", "mail.example.test", "MAILER-DAEMON@mail.example.test"), AddressClass.LOCAL),
        ("a%other.test@local.test", ("smtp", "other.test", "a@other.test"), AddressClass.DEFAULT),
        ("other.test!a@local.test", ("smtp", "other.test", "a@other.test"), AddressClass.DEFAULT),
        ("a%b.test%c.test@local.test", ("smtp", "c.test", "a%b.test@c.test"), AddressClass.DEFAULT),
    ],
)
def test_classes(recipient, expected, address_class):
    assert way(recipient) == expected
    assert asyncio.run(resolver().resolve("s@x.test", recipient)).address_class is address_class


def test_a_route_in_the_local_part_is_marked():
    assert asyncio.run(resolver().resolve("", "a%b.test@relay.test")).routed
    assert not asyncio.run(resolver().resolve("", "a%vbox.test@local.test")).routed


@pytest.mark.parametrize(
    ("settings", "recipient", "expected"),
    [
        ({"relayhost": "[smart.test]:587"}, "a@other.test", ("smtp", "[smart.test]:587")),
        ({"relayhost": "[smart.test]:587"}, "a@relay.test", ("relay", "[smart.test]:587")),
        ({"relayhost": "[smart.test]"}, "a@vbox.test", ("virtual", "vbox.test")),
        ({"relayhost": "smart.test", "default_transport": "smtp:[d.test]"}, "a@other.test", ("smtp", "[d.test]")),
        ({"virtual_transport": "lmtp:unix:private/dovecot-lmtp"}, "a@vbox.test", ("lmtp", "unix:private/dovecot-lmtp")),
        ({"local_transport": "virtual"}, "joe@local.test", ("virtual", "local.test")),
        ({"default_transport": "error:no mail leaves"}, "a@other.test", ("error", "no mail leaves")),
        (
            {"transport_maps": "inline:{other.test=slow:}", "relayhost": "r.test"},
            "a@other.test",
            ("slow", "other.test"),
        ),
        ({"transport_maps": "inline:{other.test=:[h.test]}"}, "a@other.test", ("smtp", "[h.test]")),
        ({"transport_maps": "inline:{other.test=:}", "relayhost": "r.test"}, "a@other.test", ("smtp", "r.test")),
        ({"transport_maps": "inline:{a@other.test=x:y, other.test=z:}"}, "a@other.test", ("x", "y")),
        ({"transport_maps": "inline:{a@other.test=x:y, other.test=z:}"}, "a+e@other.test", ("x", "y")),
        ({"transport_maps": "inline:{.other.test=z:y}"}, "a@sub.other.test", ("z", "y")),
        ({"transport_maps": "inline:{other.test=z:y}"}, "a@sub.other.test", ("smtp", "sub.other.test")),
        ({"transport_maps": "inline:{*=z:y}"}, "a@other.test", ("z", "y")),
        ({"transport_maps": "inline:{*=z:y}"}, "joe@local.test", ("z", "y")),
        ({"transport_maps": "inline:{*=z:y}"}, "a@valias.test", ("error", UNKNOWN)),
        (
            {"sender_dependent_relayhost_maps": "inline:{@x.test=[sd.test]}", "relayhost": "r"},
            "a@o.test",
            ("smtp", "[sd.test]"),
        ),
        (
            {"sender_dependent_relayhost_maps": "inline:{@x.test=DUNNO}", "relayhost": "r"},
            "a@o.test",
            ("smtp", "r"),
        ),
        ({"sender_dependent_default_transport_maps": "inline:{s@x.test=q:[n.test]}"}, "a@o.test", ("q", "[n.test]")),
    ],
)
def test_transports_and_nexthops(settings, recipient, expected):
    assert way(recipient, **settings)[:2] == expected


def test_dunno_leaves_a_sender_to_the_relayhost():
    assert way("a@o.test", "s@y.test", **RELAYHOSTS)[:2] == ("smtp", "r")
    assert way("a@o.test", "", **RELAYHOSTS)[:2] == ("smtp", "r")


@pytest.mark.parametrize("name", ["virtual_mailbox_domains", "mydestination", "relay_domains", "transport_maps"])
def test_a_table_that_is_down_is_a_temporary_error(name):
    result = asyncio.run(resolver(**{name: "fail:down"}).resolve("s@x.test", "a@other.test"))
    assert isinstance(result, TemporaryError)


@pytest.mark.parametrize(
    ("address", "settings", "expected"),
    [
        ("joe", {}, "joe@origin.test"),
        ("joe", {"append_at_myorigin": "no"}, "joe"),
        ("joe@host", {}, "joe@host"),
        ("joe@host", {"append_dot_mydomain": "yes"}, "joe@host.example.test"),
        ("joe@host.", {"append_dot_mydomain": "yes"}, "joe@host"),
        ("joe@x.test.", {}, "joe@x.test"),
        ("host!joe", {}, "joe@host"),
        ("host!joe", {"swap_bangpath": "no"}, "host!joe@origin.test"),
        ("joe%host", {}, "joe@host"),
        ("joe%host", {"allow_percent_hack": "no"}, "joe%host@origin.test"),
        ("a!b!joe", {}, "b!joe@a"),
        ("@hop.test,@hop2.test:joe@x.test", {}, "joe@x.test"),
        ("joe@[192.0.2.1]", {"append_dot_mydomain": "yes"}, "joe@[192.0.2.1]"),
        ("", {}, ""),
    ],
)
def test_rewriting(address, settings, expected):
    assert resolver(**settings).rewrite(address) == expected
