"""The state table, the parser and the session."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.pop3.parser import parse
from angarium.protocols.pop3.render import err, ok, uidl
from angarium.protocols.pop3.session import COMMAND_LIMIT, LOGIN_LIMIT, Pop3Session
from angarium.protocols.pop3.states import RULES
from angarium.protocols.pop3.types import BadCommand, Command, Event, SaslResponse, State, Verb

BEFORE, AFTER = State.AUTHORIZATION, State.TRANSACTION


def _events(session: Pop3Session) -> list[Event]:
    found = []
    while (event := session.next_event()) is not None:
        found.append(event)
    return found


@pytest.mark.parametrize(
    ("line", "state", "event"),
    [
        (b"USER alice", BEFORE, Command(Verb.USER, b"alice")),
        (b"user alice", BEFORE, Command(Verb.USER, b"alice")),
        (b"UsEr alice", BEFORE, Command(Verb.USER, b"alice")),
        (b"PASS two words ", BEFORE, Command(Verb.PASS, b"two words ")),
        (b"USER", BEFORE, Command(Verb.USER)),
        (b"AUTH", BEFORE, Command(Verb.AUTH)),
        (b"AUTH PLAIN", BEFORE, Command(Verb.AUTH, b"PLAIN")),
        (b"AUTH PLAIN =", BEFORE, Command(Verb.AUTH, b"PLAIN", (), b"=")),
        (b"RETR 1", AFTER, Command(Verb.RETR, b"", (1,))),
        (b"RETR  1 ", AFTER, Command(Verb.RETR, b"", (1,))),
        (b"retr 0001", AFTER, Command(Verb.RETR, b"", (1,))),
        (b"LIST", AFTER, Command(Verb.LIST)),
        (b"LIST 7", AFTER, Command(Verb.LIST, b"", (7,))),
        (b"TOP 3 10", AFTER, Command(Verb.TOP, b"", (3, 10))),
        (b"NOOP at all", AFTER, Command(Verb.NOOP)),
        (b"CAPA", BEFORE, Command(Verb.CAPA)),
        (b"CAPA", AFTER, Command(Verb.CAPA)),
        (b"RETR", AFTER, BadCommand("Invalid message number: ")),
        (b"RETR x", AFTER, BadCommand("Invalid message number: x")),
        (b"RETR -1", AFTER, BadCommand("Invalid message number: -1")),
        (b"RETR 12345678901", AFTER, BadCommand("Invalid message number: 12345678901")),
        (b"RETR 1 2", AFTER, BadCommand("Noise after message number:  2")),
        (b"TOP 1", AFTER, BadCommand("Invalid size: ")),
        (b"TOP 1 -1", AFTER, BadCommand("Invalid size: -1")),
        (b"RETR \xff", AFTER, BadCommand("Invalid message number: ?")),
        (b"", AFTER, BadCommand("Unknown command.")),
        (b"XFOO bar", AFTER, BadCommand("Unknown command: XFOO")),
        (b"XFOO bar", BEFORE, BadCommand("Unknown command.")),
        (b"\x00\xff", AFTER, BadCommand("Unknown command.")),
    ],
)
def test_parsing(line: bytes, state: State, event: Event) -> None:
    assert parse(line, state) == event


def test_each_command_is_allowed_in_its_states_alone() -> None:
    for verb, rule in RULES.items():
        for state in State:
            allowed = isinstance(parse(verb.value + b" 1 1", state), Command) or isinstance(
                parse(verb.value + b" 1", state), Command
            )
            assert allowed == (state in rule.states), (verb, state)
    assert set(RULES) == set(Verb)


def test_a_session_whole_and_byte_by_byte() -> None:
    data = b"USER a\r\nPASS b\r\nAUTH PLAIN\r\nAAA=\r\n"

    def run(pieces: list[bytes]) -> list[Event]:
        session, found = Pop3Session(), []
        for piece in pieces:
            session.receive_data(piece)
            while (event := session.next_event()) is not None:
                found.append(event)
                if isinstance(event, Command) and event.verb is Verb.AUTH:
                    session.sasl_begins()
                if isinstance(event, SaslResponse):
                    session.sasl_ended()
        return found

    wanted = [Command(Verb.USER, b"a"), Command(Verb.PASS, b"b"), Command(Verb.AUTH, b"PLAIN"), SaslResponse(b"AAA=")]
    assert run([data]) == wanted
    assert run([data[at : at + 1] for at in range(len(data))]) == wanted


def test_lines_that_are_too_long() -> None:
    session = Pop3Session()
    session.receive_data(b"x" * (LOGIN_LIMIT + 2) + b"\r\nCAPA\r\n")
    assert _events(session) == [BadCommand("Line too long."), Command(Verb.CAPA)]
    session.logged_in()
    session.receive_data(b"RETR " + b"1" * COMMAND_LIMIT + b"\r\nNOOP\r\n")
    assert _events(session) == [BadCommand("Line too long."), Command(Verb.NOOP)]
    session = Pop3Session()
    session.sasl_begins()
    session.receive_data(b"A" * (LOGIN_LIMIT + 2) + b"\r\n")
    [event] = _events(session)
    assert isinstance(event, SaslResponse)
    assert len(event.line) > 12288


def test_bad_commands_are_counted_in_a_row() -> None:
    session = Pop3Session()
    session.receive_data(b"X\r\nY\r\n")
    _events(session)
    assert session.bad_commands == 2
    session.receive_data(b"CAPA\r\n")
    _events(session)
    assert session.bad_commands == 0


def test_what_came_before_tls_is_void() -> None:
    session = Pop3Session()
    session.receive_data(b"STLS\r\nUSER mallory\r\n")
    assert session.next_event() == Command(Verb.STLS)
    session.tls_begins()
    assert session.next_event() is None
    assert session.held == 0


def test_replies() -> None:
    assert ok() == b"+OK\r\n"
    assert ok("text") == b"+OK text\r\n"
    assert err("no", "AUTH") == b"-ERR [AUTH] no\r\n"
    assert len(err("x" * 1000)) == 512
    assert len(ok("x" * 1000)) <= 512
    assert uidl(0x6B054432, 2) == "000000026b054432"


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=40), max_size=10), st.booleans(), st.booleans())
def test_any_bytes_are_events(pieces: list[bytes], logged_in: bool, sasl: bool) -> None:
    session = Pop3Session()
    if logged_in:
        session.logged_in()
    if sasl:
        session.sasl_begins()
    lines = 0
    for piece in pieces:
        session.receive_data(piece)
        for event in _events(session):
            assert isinstance(event, (Command, SaslResponse, BadCommand))
            lines += 1
    assert lines == b"".join(pieces).count(b"\n")
