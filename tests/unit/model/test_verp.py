"""Senders that name their recipients, as a Postfix 3.7 made them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angarium.model.envelope import Recipient
from angarium.model.verp import VerpRules, verp_sender


@pytest.mark.parametrize(
    ("sender", "address", "original", "expected"),
    [
        ("owner-list@lists.test", "joe@one.test", "joe@one.test", "owner-list+joe=one.test@lists.test"),
        ("owner-list@lists.test", "joe@one.test", "all@a.test", "owner-list+all=a.test@lists.test"),
        ("owner-list+x@lists.test", "joe+y@one.test", "", "owner-list+x+joe+y=one.test@lists.test"),
        ("list@example.test", "anna@example.test", "anna", "list+anna@example.test"),
        ("list", "joe@one.test", "", "list+joe=one.test"),
        ("a b@lists.test", "no=@x.test", "no=@x.test", "a b+no==x.test@lists.test"),
        ("a@b@lists.test", "no@d@one.test", "no@d@one.test", "a@b+no@d=one.test@lists.test"),
        ("l@[192.0.2.9]", "no@[192.0.2.8]", "no@[192.0.2.8]", "l+no=[192.0.2.8]@[192.0.2.9]"),
    ],
)
def test_senders(sender, address, original, expected):
    assert verp_sender("+=", sender, Recipient(address, original)) == expected


def test_delimiters():
    assert verp_sender("-=", "l@x.test", Recipient("a@y.test", "")) == "l-a=y.test@x.test"
    assert verp_sender("=+", "l@x.test", Recipient("a@y.test", "")) == "l=a+y.test@x.test"


@pytest.mark.parametrize(
    ("delimiters", "permitted"), [("+=", True), ("--", True), ("", False), ("+", False), ("+=-", False), ("%=", False)]
)
def test_what_is_permitted(delimiters, permitted):
    assert VerpRules().permit(delimiters) is permitted


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_address_is_an_address_of_the_lists_host(sender, address, original):
    made = verp_sender("+=", sender, Recipient(address, original))
    assert made.rpartition("@")[2] == sender.rpartition("@")[2] or "@" not in sender
    assert "+" in made
