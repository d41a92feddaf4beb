"""The client's session in its LMTP dialect (RFC 2033)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.protocols.smtp.client import (
    ClientSession,
    ClientStateError,
    ContentWanted,
    Malformed,
    TransactionEnded,
)
from angarium.protocols.smtp.client_states import State, Step
from angarium.protocols.smtp.dialect import LMTP

PEOPLE = tuple(Recipient(f"{name}@example.org", f"{name}@example.org") for name in "xyz")
ENVELOPE = Envelope("a@example.org", PEOPLE, 0.0, Origin("ESMTP"))


def ready(lhlo: bytes = b"250-store\r\n250 PIPELINING\r\n") -> ClientSession:
    session = ClientSession(dialect=LMTP)
    session.receive_data(b"220 store\r\n")
    session.hello("client.example.org")
    assert session.output() == b"LHLO client.example.org\r\n"
    session.receive_data(lhlo)
    return session


def sent(*rcpt: bytes) -> ClientSession:
    """A session that has sent its content, after these replies to RCPT."""
    session = ready()
    session.mail(ENVELOPE, PEOPLE, 10)
    session.output()
    (event,) = session.receive_data(b"250 ok\r\n" + b"".join(rcpt) + b"354 go\r\n")
    assert isinstance(event, ContentWanted)
    assert b"".join(session.content([b"hi\r\n"])) == b"hi\r\n.\r\n"
    return session


def codes(session: ClientSession) -> list[int | None]:
    return [None if decided is None else decided[1].code for decided in session.replies]


def test_there_is_no_helo():
    session = ClientSession(dialect=LMTP)
    session.receive_data(b"220 store\r\n")
    with pytest.raises(ClientStateError):
        session.hello("x", extended=False)


def test_replies_belong_to_the_accepted_recipients_in_order():
    session = sent(b"250 x\r\n", b"550 y\r\n", b"250 z\r\n")
    assert session.receive_data(b"250 2.0.0 x\r\n") == []
    assert session.state is State.FINAL
    assert codes(session) == [250, 550, None]
    (ended,) = session.receive_data(b"452 4.2.2 z\r\n")
    assert isinstance(ended, TransactionEnded)
    assert codes(session) == [250, 550, 452]
    assert [step for step, _ in session.replies] == [Step.DOT, Step.RCPT, Step.DOT]
    assert session.reusable


def test_good_replies_before_nonsense_count():
    session = sent(*[b"250 ok\r\n"] * 3)
    (event,) = session.receive_data(b"250 x\r\n250 y\r\nnonsense\r\n250 z\r\n")
    assert event == Malformed("nonsense")
    assert codes(session) == [250, 250, None]


def test_one_reply_too_many():
    session = sent(*[b"250 ok\r\n"] * 3)
    ended, malformed = session.receive_data(b"250 x\r\n250 y\r\n250 z\r\n250 who\r\n")
    assert isinstance(ended, TransactionEnded)
    assert malformed == Malformed("250 who")
    assert codes(session) == [250, 250, 250]
    assert not session.reusable


@pytest.mark.parametrize(("reply", "usable"), [(b"552 5.3.4 too big\r\n", [552] * 3), (b"250 ok\r\n", [None] * 3)])
def test_a_reply_before_the_content_was_sent(reply, usable):
    """A refusal is meant for all; a success can be meant for nobody."""
    session = ready()
    session.mail(ENVELOPE, PEOPLE, 10)
    session.output()
    session.receive_data(b"250 ok\r\n" * 4 + b"354 go\r\n")
    content = session.content([b"hi\r\n", b"more\r\n"])
    next(content)
    session.receive_data(reply)
    assert codes(session) == usable
    assert not session.reusable


def test_nobody_accepted_and_yet_354():
    session = ready()
    session.mail(ENVELOPE, PEOPLE, 10)
    session.output()
    (ended,) = session.receive_data(b"250 ok\r\n" + b"550 no\r\n" * 3 + b"354 go\r\n")
    assert isinstance(ended, TransactionEnded)
    assert session.output() == b".\r\n"
    assert codes(session) == [550] * 3
    assert not session.reusable  # who knows whether there will be one reply to that, or none


@settings(max_examples=60)
@given(st.lists(st.sampled_from([250, 452, 550, 421]), min_size=3, max_size=3), st.integers(1, 60))
def test_cut_anywhere(wanted, size):
    session = sent(*[b"250 ok\r\n"] * 3)
    data = b"".join(f"{code}-2.0.0 one\r\n{code} two\r\n".encode() for code in wanted)
    events = [event for at in range(0, len(data), size) for event in session.receive_data(data[at : at + size])]
    assert [type(event) for event in events] == [TransactionEnded]
    assert codes(session) == wanted
