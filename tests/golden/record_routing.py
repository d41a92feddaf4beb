"""Records where the Postfix on this machine sends addresses: ``python tests/golden/record_routing.py``.

One Postfix in a temporary directory (it wants root), with one trivial-rewrite and one smtpd service for each case, so
that a case is the parameters that its services override. A script in ``routing/`` is such a case: the overrides, and
one line an address: sender, recipient, then what trivial-rewrite resolves them to (flags, transport, nexthop,
recipient) and what smtpd says to RCPT.
"""

from __future__ import annotations

import re
import runpy
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent / "routing"
RANDOM = runpy.run_path(str(Path(__file__).parent / "random_headers.py"))
POLICY = runpy.run_path(str(Path(__file__).parent / "record_policy.py"))

BASE = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.test",
    "mydomain": "example.test",
    "myorigin": "example.test",
    "mydestination": "$myhostname, local.test",
    "mynetworks": "127.0.0.2/32",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "proxy_interfaces": "192.0.2.80",
    "smtpd_peername_lookup": "no",
    "smtpd_error_sleep_time": "0",
    "in_flow_delay": "0",
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    "virtual_mailbox_domains": "vbox.test",
    "virtual_mailbox_maps": "inline:{alice@vbox.test=a/, bob@vbox.test=b/}",
    "virtual_alias_domains": "valias.test",
    "virtual_alias_maps": "inline:{info@valias.test=alice@vbox.test}",
    "relay_domains": "relay.test",
    "relay_recipient_maps": "inline:{r@relay.test=x}",
    "local_recipient_maps": "inline:{root=x, joe=x, full@local.test=x}",
    "alias_maps": "",
    "recipient_delimiter": "+",
    "append_dot_mydomain": "no",
}
OURS = "127.0.0.2 "

EVERYWHERE = [
    "s@x.test joe@local.test",
    "s@x.test joe@mail.example.test",
    "s@x.test joe@[127.0.0.1]",
    "s@x.test joe@[192.0.2.80]",
    "s@x.test alice@vbox.test",
    "s@x.test alice+ext@vbox.test",
    "s@x.test info@valias.test",
    "s@x.test nobody@valias.test",
    "s@x.test r@relay.test",
    "s@x.test z@relay.test",
    "s@x.test u@other.test",
    "s@x.test u@sub.other.test",
    "s@x.test u@[192.0.2.1]",
    "<> u@other.test",
]
ODD = [
    "s@x.test Joe@LOCAL.Test",
    "s@x.test u@Other.Test",
    "s@x.test u@other.test.",
    "s@x.test u@other",
    "s@x.test joe",
    "s@x.test postmaster",
    "s@x.test u%other.test@local.test",
    "s@x.test u%other.test@other2.test",
    "s@x.test other.test!u@local.test",
    "s@x.test other.test!u@other2.test",
    "s@x.test other.test!u",
    "s@x.test u%other.test",
    "s@x.test u%b.test%c.test@local.test",
    "s@x.test @hop.test:u@other.test",
    "s@x.test @a.test,@b.test:joe@local.test",
    's@x.test "u@other.test"@local.test',
    's@x.test "u@other.test"@other2.test',
    's@x.test "a,b"@local.test',
    "s@x.test u@192.0.2.1",
    "s@x.test u@127.0.0.1",
    "s@x.test u@[192.0.2]",
    "s@x.test u@[IPv6:2001:db8::1]",
    "s@x.test u@[other.test]",
    "s@x.test -u@other.test",
    "s@x.test u@-other.test",
    "s@x.test u@other..test",
    "s@x.test u@a_b.test",
    "s@x.test u@b.c.d.e.other.test",
    "s@x.test u+e@other.test",
    "s@x.test +e@other.test",
    "s@x.test u++e@other.test",
    "s@x.test !u@local.test",
    "s@x.test u!@local.test",
    "s@x.test %u@local.test",
    "s@x.test u%@local.test",
]
TRANSPORT_KEYS = [
    "s@x.test u@d.test",
    "s@x.test u@sub.d.test",
    "s@x.test u@a.sub.d.test",
    "s@x.test u@dot.test",
    "s@x.test u@sub.dot.test",
    "s@x.test u@a.sub.dot.test",
    "s@x.test u@both.test",
    "s@x.test u@sub.both.test",
    "s@x.test user@d.test",
    "s@x.test user+ext@d.test",
    "s@x.test user+other@d.test",
    "s@x.test USER@D.TEST",
    "s@x.test joe@local.test",
    "s@x.test alice@vbox.test",
    "s@x.test r@relay.test",
    "s@x.test info@valias.test",
    "s@x.test u@elsewhere.test",
    "s@x.test u@[192.0.2.1]",
    "s@x.test u@[192.0.2.9]",
]
TRANSPORT_TABLE = (
    "{d.test = smtp:[d]}, {.dot.test = smtp:[dot]}, {both.test = smtp:[bare]}, {.both.test = smtp:[dotted]}, "
    "{user@d.test = slow:[u]}, {user+ext@d.test = slow:[ue]}, {[192.0.2.1] = smtp:[lit]}"
)
RESULTS = (
    "{t.test = slow}, {tc.test = slow:}, {n.test = :[n.test]}, {np.test = :[n.test]:2525}, {c.test = :}, "
    "{tn.test = slow:hop.test}, {tnp.test = smtp:[hop.test]:587}, {lm.test = lmtp:unix:/run/lmtp}, "
    "{li.test = lmtp:inet:host:24}, {er.test = error:no such place}, {ed.test = error:5.7.1 go away}, "
    "{et.test = error:4.7.1 soft}, {e4.test = error:450 x}, {e0.test = error:}, {e.test = error}, "
    "{rt.test = retry:later}, {rd.test = retry:4.3.2 later on}, {r5.test = retry:5.3.2 hard}, {r0.test = retry:}, "
    "{di.test = discard:quietly}, {sp.test = smtp:[a], [b]}, {up.test = SMTP:[A.Test]}, {lo.test = local:}, "
    "{vi.test = virtual:}, {alice@vbox.test = slow:[v]}, {bob@vbox.test = :[b]}, {r@relay.test = :[rr]}, "
    "{z@relay.test = error:5.1.1 unknown here}, {joe@local.test = :[l]}, {root@local.test = error:closed}, "
    "{info@valias.test = slow:[al]}, {valias.test = slow:[al]}"
)
RESULT_DOMAINS = [
    *("t", "tc", "n", "np", "c", "tn", "tnp", "lm", "li", "er", "ed", "et", "e4", "e0", "e"),
    *("rt", "rd", "r5", "r0", "di", "sp", "up", "lo", "vi"),
]
OTHERS = ["alice@vbox.test", "bob@vbox.test", "r@relay.test", "z@relay.test", "joe@local.test", "root@local.test"]
RESULT_LINES = [
    *(f"{OURS}s@x.test u@{domain}.test" for domain in RESULT_DOMAINS),
    *(f"s@x.test {address}" for address in (*OTHERS, "info@valias.test", "nobody@valias.test")),
]

SENDERS = [
    "s@x.test u@other.test",
    "t@x.test u@other.test",
    "s+e@x.test u@other.test",
    "S@X.TEST u@other.test",
    "s@y.test u@other.test",
    "s@z.test u@other.test",
    "s@w.test u@other.test",
    "s@sub.w.test u@other.test",
    "<> u@other.test",
    "bare u@other.test",
    "s@x.test r@relay.test",
    "s@x.test alice@vbox.test",
    "s@x.test joe@local.test",
    "s@x.test u@mapped.test",
    "s@x.test u@hop.test",
]

DOWN = ["s@x.test joe@local.test", "s@x.test alice@vbox.test", "s@x.test u@other.test"]

CASES: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "classes": ("The five classes.", {}, EVERYWHERE),
    "odd": ("Odd addresses.", {}, ODD),
    "odd_strict": (
        "Odd addresses without swap_bangpath and allow_percent_hack.",
        {"swap_bangpath": "no", "allow_percent_hack": "no"},
        ODD,
    ),
    "odd_untrusted": ("allow_untrusted_routing.", {"allow_untrusted_routing": "yes"}, ODD),
    "odd_min_user": ("allow_min_user.", {"allow_min_user": "yes"}, [line for line in ODD if "-" in line]),
    "numeric": (
        "resolve_numeric_domain.",
        {"resolve_numeric_domain": "yes"},
        [line for line in [*ODD, *EVERYWHERE] if "1" in line],
    ),
    "null_domain": (
        "resolve_null_domain.",
        {"resolve_null_domain": "yes"},
        ["s@x.test joe@", "s@x.test u@other.test", "s@x.test joe"],
    ),
    "no_null_domain": ("A domain that is empty.", {}, ["s@x.test joe@", 's@x.test "joe@"@local.test']),
    "not_dequoted": (
        "resolve_dequoted_address = no.",
        {"resolve_dequoted_address": "no"},
        [
            's@x.test "u@other.test"@local.test',
            's@x.test "a,b"@local.test',
            "s@x.test u%other.test@local.test",
            "s@x.test joe@local.test",
        ],
    ),
    "empty_address": (
        "empty_address_recipient.",
        {"empty_address_recipient": "joe"},
        ["s@x.test joe@local.test"],
    ),
    "dot_mydomain": (
        "append_dot_mydomain.",
        {"append_dot_mydomain": "yes"},
        ["s@x.test u@other", "s@x.test joe@mail", "s@x.test u@other.test"],
    ),
    "relayhost": ("relayhost: a host in brackets.", {"relayhost": "[smart.test]"}, EVERYWHERE),
    "relayhost_port": ("relayhost with a port.", {"relayhost": "[smart.test]:587"}, EVERYWHERE),
    "relayhost_domain": ("relayhost: a domain.", {"relayhost": "smart.test"}, EVERYWHERE),
    "relayhost_list": ("relayhost: a list.", {"relayhost": "[one.test]:587, two.test"}, EVERYWHERE),
    "transports": (
        "The transports of the classes.",
        {
            "local_transport": "lmtp:unix:/run/lmtp",
            "virtual_transport": "lmtp:inet:[127.0.0.1]:24",
            "relay_transport": "relay:[inner.test]",
            "default_transport": "smtp:[outer.test]",
        },
        EVERYWHERE,
    ),
    "transports_bare": (
        "The transports of the classes, without a nexthop.",
        {
            "local_transport": "lmtp",
            "virtual_transport": "mailbox:",
            "relay_transport": "inner:",
            "default_transport": "outer",
            "relayhost": "[smart.test]",
        },
        EVERYWHERE,
    ),
    "transports_error": (
        "Classes that are closed.",
        {
            "local_transport": "error:5.1.1 no local mail here",
            "virtual_transport": "retry:moving",
            "relay_transport": "error:gone",
            "default_transport": "error:no mail to the outside",
        },
        EVERYWHERE,
    ),
    "transport_keys": (
        "transport_maps: keys.",
        {"transport_maps": f"inline:{{{TRANSPORT_TABLE}}}", "relay_domains": "relay.test"},
        TRANSPORT_KEYS,
    ),
    "transport_parents": (
        "transport_maps: keys, parent_domain_matches_subdomains with transport_maps.",
        {
            "transport_maps": f"inline:{{{TRANSPORT_TABLE}}}",
            "parent_domain_matches_subdomains": "transport_maps, relay_domains",
        },
        TRANSPORT_KEYS,
    ),
    "transport_star": (
        "transport_maps: the wild card.",
        {"transport_maps": f"inline:{{{TRANSPORT_TABLE}, {{* = slow:[star]}}}}"},
        TRANSPORT_KEYS,
    ),
    "transport_star_relayhost": (
        "transport_maps: the wild card that changes nothing, with a relayhost.",
        {"transport_maps": "inline:{{* = :}, {d.test = :}, {.dot.test = smtp:}}", "relayhost": "[smart.test]"},
        TRANSPORT_KEYS,
    ),
    "transport_regexp": (
        "transport_maps: patterns see whole addresses alone.",
        {
            "transport_maps": "regexp:{{/^u@sub\\./ slow:[addr]}, "
            "{/^other\\.test$$/ slow:[dom]}, {/^\\*$$/ slow:[star]}}"
        },
        TRANSPORT_KEYS,
    ),
    "transport_results": (
        "transport_maps: results.",
        {"transport_maps": f"inline:{{{RESULTS}}}"},
        RESULT_LINES,
    ),
    "transport_results_relayhost": (
        "transport_maps: results, with a relayhost.",
        {"transport_maps": f"inline:{{{RESULTS}}}", "relayhost": "[smart.test]"},
        RESULT_LINES,
    ),
    "transport_fail": (
        "transport_maps that are down.",
        {"transport_maps": "fail:down"},
        DOWN,
    ),
    "transport_two": (
        "transport_maps: two tables; the first that knows a key.",
        {
            "transport_maps": "inline:{{d.test = one:}, {u@d.test = one:[u]}} "
            "inline:{{sub.d.test = two:}, {d.test = two:}}"
        },
        ["s@x.test u@d.test", "s@x.test v@d.test", "s@x.test u@sub.d.test", "s@x.test u@o.test"],
    ),
    "transport_null": (
        "transport_maps: the null address.",
        {"transport_maps": "inline:{{MAILER-DAEMON@mail.example.test = slow:[null]}, {<> = slow:[n2]}}"},
        ["s@x.test mailer-daemon@mail.example.test", "s@x.test joe@local.test"],
    ),
    "sender_relayhost": (
        "sender_dependent_relayhost_maps.",
        {
            "sender_dependent_relayhost_maps": "inline:{{s@x.test = [sx]:587}, {@y.test = [y], [y2]}, "
            "{@z.test = DUNNO}, {w.test = [w]}, {<> = [null]}}",
            "relayhost": "[smart.test]",
            "transport_maps": "inline:{{mapped.test = slow:}, {hop.test = :[hop]}}",
        },
        SENDERS,
    ),
    "sender_relayhost_alone": (
        "sender_dependent_relayhost_maps without a relayhost, and with a default transport that has a nexthop.",
        {
            "sender_dependent_relayhost_maps": "inline:{{s@x.test = [sx]:587}, {@y.test = [y]}, {@z.test = DUNNO}}",
            "default_transport": "smtp:[outer]",
            "empty_address_relayhost_maps_lookup_key": "s@x.test",
        },
        SENDERS,
    ),
    "sender_relayhost_null": (
        "empty_address_relayhost_maps_lookup_key.",
        {
            "sender_dependent_relayhost_maps": "inline:{{@nobody.test = [null]}}",
            "empty_address_relayhost_maps_lookup_key": "nobody@nobody.test",
        },
        SENDERS,
    ),
    "sender_relayhost_fail": (
        "sender_dependent_relayhost_maps that are down.",
        {"sender_dependent_relayhost_maps": "fail:down"},
        DOWN,
    ),
    "sender_transport": (
        "sender_dependent_default_transport_maps.",
        {
            "sender_dependent_default_transport_maps": "inline:{{s@x.test = slow:[sx]}, {@y.test = slow:},"
            " {@z.test = DUNNO}, {t@x.test = slow}, {<> = slow:[null]}, {bare@example.test = error:5.7.1 no}}",
            "relayhost": "[smart.test]",
            "transport_maps": "inline:{{mapped.test = other:}, {hop.test = :[hop]}}",
        },
        SENDERS,
    ),
    "sender_transport_no_relayhost": (
        "sender_dependent_default_transport_maps without a relayhost.",
        {
            "sender_dependent_default_transport_maps": "inline:{{s@x.test = slow:[sx]}, {@y.test = slow:},"
            " {t@x.test = slow}, {@nobody.test = slow:[null]}}",
            "empty_address_default_transport_maps_lookup_key": "nobody@nobody.test",
        },
        SENDERS,
    ),
    "sender_both": (
        "Both sender-dependent tables.",
        {
            "sender_dependent_default_transport_maps": "inline:{{s@x.test = slow:[sx]}, {@y.test = slow:}}",
            "sender_dependent_relayhost_maps": "inline:{{s@x.test = [rx]}, {@y.test = [ry]}}",
        },
        SENDERS,
    ),
    "relay_parents": (
        "relay_domains with subdomains.",
        {"relay_domains": "relay.test, .dotted.test", "relay_recipient_maps": ""},
        [
            "s@x.test u@relay.test",
            "s@x.test u@sub.relay.test",
            "s@x.test u@dotted.test",
            "s@x.test u@sub.dotted.test",
            "s@x.test u@a.sub.dotted.test",
        ],
    ),
    "relay_dots": (
        "relay_domains where .parent matches.",
        {
            "relay_domains": "relay.test, .dotted.test, !no.dotted.test",
            "relay_recipient_maps": "",
            "parent_domain_matches_subdomains": "",
        },
        [
            "s@x.test u@relay.test",
            "s@x.test u@sub.relay.test",
            "s@x.test u@dotted.test",
            "s@x.test u@sub.dotted.test",
            "s@x.test u@no.dotted.test",
        ],
    ),
    "relay_table": (
        "relay_domains in a table.",
        {"relay_domains": "inline:{{relay.test = x}, {.dotted.test = x}}", "relay_recipient_maps": ""},
        ["s@x.test u@relay.test", "s@x.test u@sub.relay.test", "s@x.test u@sub.dotted.test"],
    ),
    "double_class": (
        "Domains of two classes: the first class wins.",
        {
            "mydestination": "$myhostname, local.test, vbox.test, valias.test, relay.test",
            "virtual_mailbox_domains": "vbox.test, valias.test, relay.test",
            "virtual_alias_domains": "valias.test",
            "relay_domains": "relay.test, vbox2.test",
        },
        EVERYWHERE,
    ),
    "double_virtual": (
        "Virtual domains of two classes.",
        {
            "virtual_mailbox_domains": "vbox.test, valias.test, relay.test",
            "relay_domains": "relay.test, vbox.test",
        },
        EVERYWHERE,
    ),
    "domains_fail": (
        "A list of domains that is down.",
        {"virtual_mailbox_domains": "fail:down"},
        DOWN,
    ),
    "mydestination_fail": ("mydestination that is down.", {"mydestination": "local.test, fail:down"}, DOWN),
    "alias_default_domains": (
        "virtual_alias_domains are $virtual_alias_maps by default.",
        {
            "virtual_alias_domains": "$virtual_alias_maps",
            "virtual_alias_maps": "inline:{{valias.test = x}, {info@valias.test = alice@vbox.test}}",
        },
        EVERYWHERE,
    ),
    "no_table_name": (
        "show_user_unknown_table_name = no.",
        {"show_user_unknown_table_name": "no"},
        ["s@x.test nobody@valias.test", "s@x.test z@vbox.test", "s@x.test z@relay.test", "s@x.test z@local.test"],
    ),
    "no_validation": (
        "Classes without tables of recipients.",
        {"local_recipient_maps": "", "relay_recipient_maps": "", "virtual_mailbox_maps": "static:all"},
        ["s@x.test z@vbox.test", "s@x.test z@relay.test", "s@x.test z@local.test", "s@x.test z@valias.test"],
    ),
    "recipient_keys": (
        "Recipient tables: keys.",
        {
            "local_recipient_maps": "inline:{{joe = x}, {@local.test = x}}",
            "relay_recipient_maps": "inline:{{@relay.test = x}}",
            "virtual_mailbox_maps": "inline:{{alice@vbox.test = x}, {bob = x}}",
        },
        [
            "s@x.test joe+e@mail.example.test",
            "s@x.test z@local.test",
            "s@x.test z@mail.example.test",
            "s@x.test z+e@relay.test",
            "s@x.test ALICE+e@vbox.test",
            "s@x.test bob@vbox.test",
            "s@x.test joe@[127.0.0.1]",
        ],
    ),
    "unknown_codes": (
        "Codes of an administrator's own.",
        {
            "unknown_local_recipient_reject_code": "450",
            "unknown_virtual_mailbox_reject_code": "451",
            "unknown_virtual_alias_reject_code": "554",
            "unknown_relay_recipient_reject_code": "551",
        },
        ["s@x.test z@vbox.test", "s@x.test z@relay.test", "s@x.test z@local.test", "s@x.test z@valias.test"],
    ),
    "relocated": (
        "relocated_maps.",
        {
            "relocated_maps": "inline:{{joe@local.test = joe@new.test}, {root = elsewhere}, "
            "{bob@vbox.test = new place}, {@other.test = closed}, {info@valias.test = gone}, "
            "{r@relay.test = 5.7.9 r2@relay.test}, {alice+x@vbox.test = moved}}",
        },
        [
            "s@x.test joe@local.test",
            "s@x.test joe+e@local.test",
            "s@x.test root@local.test",
            "s@x.test root@mail.example.test",
            "s@x.test alice@vbox.test",
            "s@x.test alice+x@vbox.test",
            "s@x.test bob@vbox.test",
            "s@x.test info@valias.test",
            "s@x.test r@relay.test",
            f"{OURS}s@x.test u@other.test",
        ],
    ),
    "relocated_fail": (
        "relocated_maps that are down.",
        {"relocated_maps": "fail:down"},
        ["s@x.test joe@local.test", "s@x.test alice@vbox.test", f"{OURS}s@x.test u@other.test"],
    ),
    "delimiters": (
        "Several delimiters.",
        {
            "recipient_delimiter": "+-.",
            "transport_maps": "inline:{{a@d.test = slow:[a]}, {owner-l@d.test = slow:[l]}}",
        },
        [
            "s@x.test a+b@d.test",
            "s@x.test a-b@d.test",
            "s@x.test a.b-c@d.test",
            "s@x.test owner-l@d.test",
            "s@x.test owner-l+x@d.test",
            "s@x.test joe.x@local.test",
            "s@x.test -x@d.test",
        ],
    ),
    "random": (
        "Addresses made by chance.",
        {"append_dot_mydomain": "yes"},
        [f"{OURS}s@x.test {each}" for each in RANDOM["paths"](1, 200)],
    ),
    "random_strict": (
        "Addresses made by chance, without swap_bangpath and allow_percent_hack.",
        {"swap_bangpath": "no", "allow_percent_hack": "no"},
        [f"s@x.test {each}" for each in RANDOM["paths"](2, 100)],
    ),
    "random_undequoted": (
        "Addresses made by chance, with resolve_dequoted_address off.",
        {"resolve_dequoted_address": "no", "resolve_numeric_domain": "yes"},
        [f"s@x.test {each}" for each in RANDOM["paths"](3, 100)],
    ),
    "no_delimiter": (
        "No delimiter.",
        {"recipient_delimiter": "", "transport_maps": "inline:{{a@d.test = slow:[a]}}"},
        ["s@x.test a+b@d.test", "s@x.test a@d.test", "s@x.test joe+e@local.test"],
    ),
    "owner_special": (
        "owner-request_special.",
        {"recipient_delimiter": "-", "transport_maps": "inline:{{list@d.test = slow:}, {owner@d.test = slow:[o]}}"},
        [
            "s@x.test owner-list@d.test",
            "s@x.test list-request@d.test",
            "s@x.test list-x@d.test",
            "s@x.test list-Request@d.test",
        ],
    ),
}

SHAPED = [
    *EVERYWHERE,
    *(f"{OURS}{line}" for line in EVERYWHERE),
    "alice@vbox.test u@other.test",
    "alice@vbox.test r@relay.test",
    "nobody@vbox.test alice@vbox.test",
    "u@relay.test alice@vbox.test",
    "bare alice@vbox.test",
    "s@x.test abuse@vbox.test",
    "s@x.test alice+Junk@vbox.test",
    "s@x.test postmaster@vbox.test",
    "s@x.test any@catch.test",
    "s@x.test catch@sub.catch.test",
    "s@x.test root@mail.example.test",
    "s@x.test alice@sub.vbox.test",
    "bad@x.test alice@vbox.test",
]
SHAPES: dict[str, tuple[str, dict[str, str]]] = {
    "shape_container": (
        "As a container's: no local domains, LMTP to the mailboxes, relay hosts by sender.",
        {
            "mydestination": "localhost.$mydomain, localhost",
            "append_dot_mydomain": "yes",
            "smtpd_helo_required": "yes",
            "smtpd_relay_restrictions": "permit_mynetworks permit_sasl_authenticated reject_unauth_destination",
            "smtpd_recipient_restrictions": "permit_sasl_authenticated, permit_mynetworks, reject_unauth_destination, "
            "reject_invalid_helo_hostname, reject_non_fqdn_sender, reject_unauth_pipelining",
            "smtpd_sender_restrictions": "permit_sasl_authenticated, permit_mynetworks, "
            "check_sender_access inline:{{bad@x.test=REJECT}}, reject_non_fqdn_sender",
            "virtual_alias_maps": "inline:{{info@valias.test=alice@vbox.test},{abuse@vbox.test=alice@vbox.test},"
            "{@catch.test=bob@vbox.test}}",
            "virtual_mailbox_domains": "vbox.test, catch.test",
            "virtual_transport": "lmtp:unix:/var/run/dovecot/lmtp",
            "sender_dependent_relayhost_maps": "inline:{{@vbox.test=[smarthost.test]:587}}",
            "smtpd_sasl_auth_enable": "no",
        },
    ),
    "shape_suite": (
        "As a groupware suite's: domains, aliases and transports in tables, spam checks by access.",
        {
            "mydestination": "",
            "local_transport": "error:local mail delivery is disabled",
            "virtual_alias_domains": "",
            "virtual_alias_maps": "inline:{{info@valias.test=alice@vbox.test},{@valias.test=@vbox.test},"
            "{@catch.test=alice@vbox.test}}",
            "virtual_mailbox_domains": "inline:{{vbox.test=x},{valias.test=x},{catch.test=x}}",
            "virtual_mailbox_maps": "inline:{{alice@vbox.test=a/},{bob@vbox.test=b/}}",
            "virtual_transport": "lmtp:inet:dovecot:24",
            "relay_domains": "inline:{{relay.test=x}}",
            "relay_recipient_maps": "inline:{{r@relay.test=x}}",
            "transport_maps": "inline:{{relay.test=smtp:[backend.test]:2525}}",
            "sender_dependent_default_transport_maps": "inline:{{@vbox.test=smtp_enforced_tls:}}",
            "smtpd_recipient_restrictions": "permit_mynetworks, reject_unauth_destination, "
            "check_recipient_access inline:{{postmaster@vbox.test=OK}}, reject_unlisted_recipient",
            "smtpd_sender_restrictions": "reject_unlisted_sender, permit_mynetworks",
            "strict_rfc821_envelopes": "yes",
            "proxy_read_maps": "",
        },
    ),
    "shape_box": (
        "As a mail appliance's: everything virtual, addresses are checked by a table, submission elsewhere.",
        {
            "mydestination": "localhost",
            "mynetworks": "127.0.0.0/31",
            "smtpd_relay_restrictions": "permit_sasl_authenticated,permit_mynetworks,reject_unauth_destination",
            "smtpd_sender_restrictions": "reject_non_fqdn_sender,reject_authenticated_sender_login_mismatch",
            "smtpd_recipient_restrictions": "permit_sasl_authenticated,permit_mynetworks,reject_unlisted_recipient",
            "virtual_mailbox_maps": "inline:{{alice@vbox.test=alice@vbox.test},{bob@vbox.test=bob@vbox.test}}",
            "local_recipient_maps": "$virtual_mailbox_maps",
            "virtual_alias_maps": "inline:{{info@valias.test=alice@vbox.test},{abuse@vbox.test=admin@vbox.test},"
            "{admin@vbox.test=alice@vbox.test}}",
            "virtual_transport": "lmtp:[127.0.0.1]:10025",
        },
    ),
    "shape_directory": (
        "As an LDAP suite's: proxy maps, a transport by domain, recipient copies, a catch-all.",
        {
            "mydestination": "$myhostname, localhost, localhost.localdomain",
            "virtual_mailbox_domains": "inline:{{vbox.test=x}}",
            "virtual_alias_maps": "inline:{{info@valias.test=alice@vbox.test}} inline:{{@catch.test=alice@vbox.test}}",
            "virtual_alias_domains": "valias.test, catch.test",
            "transport_maps": "inline:{{alice@vbox.test=dovecot},{vbox.test=dovecot}} "
            "inline:{{relay.test=lmtp:unix:private/dovecot-lmtp}}",
            "relay_domains": "$mydestination inline:{{relay.test=x}}",
            "virtual_transport": "dovecot",
            "recipient_bcc_maps": "",
            "smtpd_reject_unlisted_recipient": "yes",
            "smtpd_reject_unlisted_sender": "yes",
            "smtpd_recipient_restrictions": "reject_non_fqdn_recipient reject_unlisted_recipient permit_mynetworks "
            "permit_sasl_authenticated reject_unauth_destination",
            "smtpd_sender_restrictions": "reject_non_fqdn_sender reject_unlisted_sender permit_mynetworks",
        },
    ),
    "shape_portal": (
        "As a self-hosting portal's: local and virtual domains, relocated users, LMTP, a fallback for other hosts.",
        {
            "mydomain": "example.test",
            "mydestination": "localhost",
            "append_dot_mydomain": "no",
            "relay_domains": "",
            "relay_recipient_maps": "",
            "virtual_mailbox_domains": "inline:{{vbox.test=x},{relay.test=x},{mail.example.test=x}}",
            "virtual_mailbox_maps": "inline:{{alice@vbox.test=a},{bob@vbox.test=b},{r@relay.test=r}}",
            "virtual_alias_maps": "inline:{{info@valias.test=alice@vbox.test},{root@mail.example.test=alice@vbox.test},"
            "{postmaster=alice@vbox.test}}",
            "virtual_transport": "dovecot",
            "smtp_fallback_relay": "[fallback.test]",
            "relayhost": "[relayhost.test]:25",
            "recipient_delimiter": "+",
            "smtpd_client_restrictions": "permit_mynetworks, permit_sasl_authenticated",
            "smtpd_recipient_restrictions": "permit_mynetworks, permit_sasl_authenticated, reject_non_fqdn_recipient, "
            "reject_unauth_destination, permit",
            "unverified_recipient_reject_reason": "Address lookup failed",
        },
    ),
    "shape_panel": (
        "As a web panel's: virtual_alias_domains by default, relay domains and backup MX, several delimiters.",
        {
            "mydestination": "$myhostname, localhost.$mydomain, localhost",
            "virtual_alias_domains": "$virtual_alias_maps",
            "virtual_alias_maps": "inline:{{valias.test=x},{info@valias.test=alice@vbox.test},{catch.test=x},"
            "{@catch.test=bob@vbox.test}}",
            "relay_domains": "$mydestination, relay.test",
            "relay_transport": "relay:[backup.test]",
            "recipient_delimiter": "+-",
            "parent_domain_matches_subdomains": "relay_domains, smtpd_access_maps",
            "smtpd_recipient_restrictions": "permit_mynetworks, check_recipient_access "
            "inline:{{vbox.test=OK},{sub.vbox.test=REJECT no such host}}, permit_auth_destination, reject",
            "smtpd_sender_restrictions": "check_sender_access inline:{{x.test=DUNNO},{bad@x.test=550 not you}}",
            "unknown_local_recipient_reject_code": "450",
        },
    ),
}
CASES.update({name: (title, settings, SHAPED) for name, (title, settings) in SHAPES.items()})

_CLASSES = {8: "local", 9: "virtual alias", 10: "virtual mailbox", 11: "relay", 12: "default"}
_FLAGS = {0: "final", 1: "routed", 2: "error", 3: "fail"}


def ask(stream: socket.socket, *words: str) -> dict[str, str]:
    """One question to trivial-rewrite."""
    stream.sendall("\0".join((*words, "", "")).encode())
    data = b""
    while not data.endswith(b"\0\0") or data.endswith(b"protocol\0\0"):
        data += stream.recv(65536)
    pairs = data.decode().removeprefix("protocol\0trivial_rewrite_protocol\0\0").split("\0")
    return dict(zip(pairs[0::2], pairs[1::2], strict=False))


def resolve(stream: socket.socket, sender: str, recipient: str) -> str:
    """Complete and resolve an address, as smtpd and cleanup do it: ``class+flags | transport:nexthop | recipient``."""
    known = quoted(internal(recipient))  # smtpd reads what is on the wire, and asks with quotes where it takes some
    whole = ask(stream, "request", "rewrite", "rule", "local", "address", known)["address"]
    values = ask(stream, "request", "resolve", "sender", sender, "address", internal(whole))
    flags = int(values["flags"])
    kinds = "+".join(name for bit, name in (_CLASSES | _FLAGS).items() if flags & 1 << bit)
    if flags & 12:  # the rest means nothing
        return "error" if flags & 4 else "fail"
    return f"{kinds} | {values['transport']}:{values['nexthop']} | {values['recipient']}"


def internal(address: str) -> str:
    """What smtpd makes of an address on the wire: no route, no quotes, no brackets."""
    if address.startswith("@"):
        address = address.partition(":")[2]
    return address.strip("<>").replace('"', "")


def quoted(address: str) -> str:
    """An internal address with quotes around a local part that is no dot-string."""
    local, at, domain = address.rpartition("@") if "@" in address else (address, "", "")
    if re.fullmatch(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*", local):
        return address
    return f'"{local}"{at}{domain}'


def addresses(line: str) -> tuple[str, str]:
    """Sender and recipient of a line, in internal form."""
    sender, recipient = line.split(" ")[-2:]
    return internal(sender), internal(recipient)


def answers(lines_of: dict[str, tuple[str, dict[str, str], list[str]]]) -> Iterator[tuple[str, str, str, str]]:
    """What Postfix says: case, line, resolution, reply."""
    first = POLICY["free_ports"]()
    services: list[str] = []
    for number, (_, overrides, _) in enumerate(lines_of.values()):
        options = [f"  -o {{ {key} = {value} }}" for key, value in overrides.items()]
        services += [f"127.0.0.1:{first + number} inet n - n - - smtpd", f"  -o rewrite_service_name=rewrite{number}"]
        services += [*options, f"rewrite{number} unix - - n - - trivial-rewrite", *options]
    with POLICY["postfix"](BASE, services) as conf:
        for number, (name, (_, _, lines)) in enumerate(lines_of.items()):
            for line in lines:
                # A connection of its own for each: a lookup that failed ends it.
                with socket.socket(socket.AF_UNIX) as stream:
                    stream.settimeout(20)
                    stream.connect(str(conf.parent / "queue" / "private" / f"rewrite{number}"))
                    resolution = resolve(stream, internal(line.split(" ")[-2]), line.split(" ")[-1])
                yield name, line, resolution, POLICY["session"](first + number, line)


def record(names: list[str]) -> None:
    """Run Postfix and write the scripts."""
    HERE.mkdir(exist_ok=True)
    written: dict[str, list[str]] = {}
    for name, line, resolution, reply in answers({name: CASES[name] for name in names}):
        written.setdefault(name, []).append(f"{line} -> {resolution} -> {reply}")
    for name, lines in written.items():
        title, overrides, _ = CASES[name]
        text = [f"# {title}", *(f"#! {key} = {value}" for key, value in overrides.items()), *lines]
        (HERE / f"{name}.txt").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    record(sys.argv[1:] or list(CASES))
