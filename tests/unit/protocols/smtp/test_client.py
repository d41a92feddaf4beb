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
    Replied,
    TransactionEnded,
    needs_smtputf8,
)
from angarium.protocols.smtp.client_states import State, Step

RECIPIENTS = tuple(Recipient(f"{name}@example.org", f"{name}@example.org") for name in "xyz")
ENVELOPE = Envelope("a@example.org", RECIPIENTS, 0.0, Origin("ESMTP"))
EHLO = b"250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-AUTH PLAIN\r\n250 AUTH=LOGIN\r\n"


def ready(ehlo: bytes = EHLO, **options) -> ClientSession:
    session = ClientSession(**options)
    session.receive_data(b"220 mx\r\n")
    session.hello("client.example.org")
    assert session.output() == b"EHLO client.example.org\r\n"
    session.receive_data(ehlo)
    return session


def verdicts(session: ClientSession) -> list[tuple[Step, int]]:
    return [(step, reply.code) for step, reply in session.replies]


def test_greeting_and_capabilities():
    session = ClientSession()
    with pytest.raises(ClientStateError):
        session.hello("x")
    (greeted,) = session.receive_data(b"220 mx\r\n")
    assert isinstance(greeted, Replied)
    assert greeted.step is Step.GREETING
    session.hello("x")
    (hello,) = session.receive_data(EHLO)
    assert hello.step is Step.EHLO
    assert session.capabilities == {"PIPELINING": "", "SIZE": "1000", "AUTH": "PLAIN LOGIN"}
    assert session.size_limit == 1000
    assert session.auth_mechanisms == ("PLAIN", "LOGIN")
    assert session.reusable


def test_keywords_can_be_discarded():
    assert ready(discard_keywords=["size", "auth"]).capabilities == {"PIPELINING": ""}


@pytest.mark.parametrize("more", [b"250 unasked\r\n", b"nonsense\r\n", b"421 4.3.2 bye\r\n"])
def test_content_is_not_wanted_any_more(more):
    """Whoever sees the events sees them when the whole chunk has been read."""
    session = ready()
    session.mail(ENVELOPE, RECIPIENTS[:1], 9)
    events = session.receive_data(b"250 ok\r\n250 ok\r\n354 go\r\n" + more)
    assert not any(isinstance(event, ContentWanted) for event in events)
    assert not session.reusable


def test_helo_after_refused_ehlo():
    session = ready(b"502 what?\r\n")
    assert session.state is State.GREETED
    session.hello("client", extended=False)
    assert session.output() == b"HELO client\r\n"
    session.receive_data(b"250-mx\r\n250 PIPELINING\r\n")
    assert session.state is State.READY
    assert not session.capabilities


def test_pipelined_transaction():
    session = ready()
    session.mail(ENVELOPE, RECIPIENTS, 99)
    assert session.output() == (
        b"MAIL FROM:<a@example.org> SIZE=99\r\nRCPT TO:<x@example.org>\r\nRCPT TO:<y@example.org>\r\n"
        b"RCPT TO:<z@example.org>\r\nDATA\r\n"
    )
    events = session.receive_data(b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n")
    assert events == [ContentWanted()]
    assert b"".join(session.content([b"hi\r\n"])) == b"hi\r\n.\r\n"
    assert session.step is Step.DOT
    assert session.receive_data(b"250 2.0.0 queued\r\n") == [TransactionEnded()]
    assert verdicts(session) == [(Step.DOT, 250), (Step.RCPT, 550), (Step.DOT, 250)]
    assert session.reusable
    session.mail(ENVELOPE, RECIPIENTS[:1], 9)
    assert session.output().startswith(b"MAIL FROM")


def test_lockstep_transaction():
    session = ready(b"250 mx\r\n")
    session.mail(ENVELOPE, RECIPIENTS[:2], 99)
    assert session.output() == b"MAIL FROM:<a@example.org>\r\n"
    assert session.receive_data(b"250 ok\r\n") == []
    assert session.output() == b"RCPT TO:<x@example.org>\r\n"
    session.receive_data(b"450 later\r\n")
    assert session.output() == b"RCPT TO:<y@example.org>\r\n"
    session.receive_data(b"250 ok\r\n")
    assert session.output() == b"DATA\r\n"
    assert session.receive_data(b"354 go\r\n") == [ContentWanted()]
    list(session.content([b"x"]))
    assert session.receive_data(b"451 disk\r\n") == [TransactionEnded()]
    assert verdicts(session) == [(Step.RCPT, 450), (Step.DOT, 451)]


def test_lockstep_ends_early_and_resets():
    for replies, expected in (
        ([b"550 you\r\n"], [(Step.MAIL, 550), (Step.MAIL, 550)]),
        ([b"250 ok\r\n", b"550 x\r\n", b"551 y\r\n"], [(Step.RCPT, 550), (Step.RCPT, 551)]),
    ):
        session = ready(b"250 mx\r\n")
        session.mail(ENVELOPE, RECIPIENTS[:2], 99)
        for reply in replies:
            session.output()
            events = session.receive_data(reply)
        assert events == [TransactionEnded()]
        assert session.output() == b""
        assert verdicts(session) == expected
        session.mail(ENVELOPE, RECIPIENTS[:1], 9)
        assert session.output() == b"RSET\r\n"
        session.receive_data(b"250 ok\r\n")
        assert session.output() == b"MAIL FROM:<a@example.org>\r\n"


def test_pipelined_sender_refused():
    session = ready()
    session.mail(ENVELOPE, RECIPIENTS[:2], 99)
    session.output()
    events = session.receive_data(b"550 5.7.1 you\r\n503 x\r\n503 y\r\n503 z\r\n")
    assert events == [TransactionEnded()]
    assert verdicts(session) == [(Step.MAIL, 550), (Step.MAIL, 550)]
    session.mail(ENVELOPE, RECIPIENTS[:1], 9)
    assert session.output().startswith(b"RSET\r\nMAIL FROM")
    assert session.receive_data(b"250 rset\r\n250 ok\r\n250 ok\r\n354 go\r\n") == [ContentWanted()]


def test_354_without_recipients_gets_an_empty_message():
    session = ready()
    session.mail(ENVELOPE, RECIPIENTS[:1], 99)
    session.output()
    assert session.receive_data(b"250 ok\r\n550 no\r\n354 go\r\n") == []
    assert session.output() == b".\r\n"
    assert session.receive_data(b"554 no valid recipients\r\n") == [TransactionEnded()]
    assert verdicts(session) == [(Step.RCPT, 550)]


def test_data_refused():
    session = ready()
    session.mail(ENVELOPE, RECIPIENTS[:2], 99)
    session.output()
    assert session.receive_data(b"250 ok\r\n250 ok\r\n550 no\r\n451 later\r\n") == [TransactionEnded()]
    assert verdicts(session) == [(Step.DATA, 451), (Step.RCPT, 550)]


def test_421_ends_the_use():
    session = ready()
    session.mail(ENVELOPE, RECIPIENTS[:1], 99)
    session.output()
    session.receive_data(b"250 ok\r\n250 ok\r\n421 closing\r\n")
    assert verdicts(session) == [(Step.DATA, 421)]
    assert not session.reusable
    idle = ready()
    assert idle.receive_data(b"421 idle for too long\r\n") == []
    assert not idle.reusable


def test_reply_in_the_middle_of_the_content():
    session = ready()
    session.mail(ENVELOPE, RECIPIENTS[:1], 99)
    session.receive_data(b"250 ok\r\n250 ok\r\n354 go\r\n")
    content = session.content([b"a\r\n", b"b\r\n"])
    next(content)
    assert session.step is Step.CONTENT
    assert session.receive_data(b"552 5.3.4 too much\r\n") == [TransactionEnded()]
    list(content)
    assert verdicts(session) == [(Step.DOT, 552)]
    assert not session.reusable


def test_unasked_reply_is_malformed():
    assert ready().receive_data(b"250 hello?\r\n") == [Malformed("250 hello?")]
    assert ClientSession().receive_data(b"HTTP/1.1 400\r\n") == [Malformed("HTTP/1.1 400")]


def test_starttls_forgets_what_was_negotiated():
    session = ready()
    session.starttls()
    assert session.output() == b"STARTTLS\r\n"
    with pytest.raises(ClientStateError):
        session.tls_established()
    session.receive_data(b"220 go\r\n")
    session.tls_established()
    assert session.tls
    assert not session.capabilities
    session.hello("again")
    session.receive_data(b"250 mx\r\n")
    assert session.reusable


def test_starttls_refused_leaves_the_session():
    session = ready()
    session.starttls()
    session.receive_data(b"454 no\r\n")
    assert session.reusable
    assert session.capabilities


def test_plaintext_injected_behind_starttls():
    session = ready()
    session.starttls()
    assert session.receive_data(b"220 go\r\n250 injec")[0] == Malformed("plaintext after STARTTLS")
    session = ready()
    session.starttls()
    events = session.receive_data(b"220 go\r\n250 injected\r\n")
    assert isinstance(events[-1], Malformed)
    assert not session.reusable


def test_login():
    session = ready()
    session.auth("LOGIN")
    assert session.output() == b"AUTH LOGIN\r\n"
    (asked,) = session.receive_data(b"334 VXNlcm5hbWU6\r\n")
    assert asked.reply.code == 334
    session.auth_response("dQ==")
    session.receive_data(b"334 UGFzc3dvcmQ6\r\n")
    session.auth_response("cA==")
    assert session.output() == b"dQ==\r\ncA==\r\n"
    session.receive_data(b"235 2.7.0 ok\r\n")
    assert session.reusable
    with pytest.raises(ClientStateError):
        session.auth_response("x")


def test_smtputf8_is_needed_only_when_used():
    def envelope(sender: str, flag: bool) -> Envelope:
        return Envelope(sender, RECIPIENTS, 0.0, Origin("ESMTP"), smtputf8=flag)

    assert not needs_smtputf8(envelope("ü@example.org", False), RECIPIENTS, b"")
    assert not needs_smtputf8(envelope("a@example.org", True), RECIPIENTS, b"Subject: x\r\n")
    assert needs_smtputf8(envelope("ü@example.org", True), RECIPIENTS, b"")
    assert needs_smtputf8(envelope("", True), (Recipient("ü@example.org", ""),), b"")
    assert needs_smtputf8(envelope("", True), RECIPIENTS, "Subject: ü\r\n".encode())


CODES = st.sampled_from(
    [b"250 ok\r\n", b"354 go\r\n", b"450 4.2.0 x\r\n", b"550 x\r\n", b"421 x\r\n", b"250-a\r\n250 b\r\n"]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(CODES, max_size=12), st.booleans(), st.integers(1, 3))
def test_any_replies_leave_each_recipient_decided(replies, pipelining, count):
    session = ready(EHLO if pipelining else b"250 mx\r\n")
    session.mail(ENVELOPE, RECIPIENTS[:count], 9)
    for reply in replies:
        session.output()
        events = session.receive_data(reply)
        if ContentWanted() in events:
            list(session.content([b"x"]))
        if any(isinstance(event, Malformed) for event in events):
            return
        if TransactionEnded() in events:
            assert all(reply is not None for reply in session.replies)
            assert len(session.replies) == count
            return


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([b"250 ok", b"250 ok", b"550 no", b"450 later"], [(Step.RCPT, 250), (Step.RCPT, 550), (Step.RCPT, 450)]),
        ([b"553 no"], [(Step.MAIL, 553)] * 3),
    ],
)
def test_recipients_are_asked_about_and_nothing_is_sent(pipelining, replies, expected):
    session = ready(EHLO if pipelining else b"250 mx\r\n")
    session.mail(ENVELOPE, RECIPIENTS, 10, until=Step.RCPT)
    sent = session.output()
    if pipelining and len(replies) == 1:
        replies = [*replies, *[b"503 no"] * 3]
    events = []
    for reply in replies:
        events += session.receive_data(reply + b"\r\n")
        sent += session.output()
    assert events == [TransactionEnded()]
    assert verdicts(session) == expected
    assert b"DATA" not in sent
    session.mail(ENVELOPE, RECIPIENTS[:1], 10)
    assert session.output().startswith(b"RSET\r\n")
