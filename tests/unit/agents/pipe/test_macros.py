"""Macros: whatever senders choose, they stay in their argument."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.agents.pipe.macros import MacroError, MacroRules, expand
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, QueuedRecipient
from angarium.model.envelope import Envelope, Origin, Recipient

RULES = MacroRules(frozenset(), "MAILER-DAEMON", "+-")


def request(*addresses, sender="s@x.test", **origin):
    people = tuple(QueuedRecipient(n, Recipient(address, f"Old-{address}")) for n, address in enumerate(addresses))
    envelope = Envelope(sender, tuple(each.recipient for each in people), 1.0, Origin("ESMTP", **origin))
    return DeliveryRequest("4F2A", "t", "Hop", envelope, people, b"", MemoryContent(b""), 1.0, 2.0)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a${sasl_username}b", ["aub"]),
        ("$sasl_method.$(sasl_sender)", ["PLAIN.a@b"]),
        ("$client_port", ["7"]),
        ("$original_recipient", ["Old-U-e@X.Test"]),
        ("$user/$extension/$mailbox", ["U/e/U-e"]),
        ("$$user", ["$user"]),
        ("", [""]),
    ],
)
def test_values(word, expected):
    asked = request("U-e@X.Test", client_port=7, sasl_username="u", sasl_method="PLAIN", sasl_sender="a@b")
    assert expand([word], asked, 1, RULES) == expected


STOCK = {  # lines of Debian's master.cf
    "/usr/bin/maildrop -d ${recipient}": "/usr/bin/maildrop -d U+e@X.Test b@X.Test",
    "uux -r -n -a$sender - $nexthop!rmail ($recipient)": "uux -r -n -as@x.test - Hop!rmail (U+e@X.Test) (b@X.Test)",
    "bsmtp -t$nexthop -f$sender $recipient": "bsmtp -tHop -fs@x.test U+e@X.Test b@X.Test",
    "scalemail-store ${nexthop} ${user} ${extension}": "scalemail-store Hop U b e ",
    "postfix-to-mailman.py ${nexthop} ${user}": "postfix-to-mailman.py Hop U b",
}


@pytest.mark.parametrize("line", STOCK)
def test_stock_lines(line):
    assert " ".join(expand(line.split(), request("U+e@X.Test", "b@X.Test"), 1, RULES)) == STOCK[line]


@pytest.mark.parametrize("word", ["$", "a$ b", "${", "${}", "$()", "$(a", "$nosuch", "${recipient?x}", "${a{b}}"])
def test_what_makes_no_sense(word):
    with pytest.raises(MacroError):
        expand([word], request("a@b"), 1, RULES)


ANY = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@settings(max_examples=100)
@given(ANY, st.lists(ANY, min_size=1, max_size=4))
def test_values_are_taken_as_they_are(sender, locals_):
    addresses = [f"{each}@x.test" for each in locals_]
    words = ["-f", "$sender", "--", "<${recipient}>"]
    expected = ["-f", sender or "MAILER-DAEMON", "--", *(f"<{each}>" for each in addresses)]
    assert expand(words, request(*addresses, sender=sender), 1, RULES) == expected
