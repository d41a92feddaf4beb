from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.model.reply import Reply
from angarium.protocols.smtp.render import render_reply, soften
from angarium.protocols.smtp.session import ServerSession
from angarium.protocols.smtp.states import Input
from angarium.protocols.smtp.types import ChunkEnd, CommandReceived, Event, LineReceived, MessageData, MessageEnd


def drive(session: ServerSession, pieces: list[bytes]) -> list[object]:
    """Answer as a server that accepts everything; the events, with data joined and what depends on the cut left out."""
    seen: list[object] = []

    def take(events: list[Event]) -> None:
        for event in events:
            if isinstance(event, MessageData):
                if seen and isinstance(seen[-1], bytes):
                    seen[-1] += event.data
                else:
                    seen.append(event.data)
            elif isinstance(event, CommandReceived):
                seen.append((event.verb, event.text))
                if event.verb == "DATA":
                    take(session.start_data())
                elif event.verb == "AUTH":
                    take(session.start_lines())
                elif event.verb in ("STARTTLS", "QUIT"):
                    take(session.resume_commands())
            elif isinstance(event, LineReceived):
                seen.append(event)
                take(session.resume_commands())
            else:
                seen.append(event)
                if isinstance(event, ChunkEnd) and not event.last:
                    take(session.resume_commands())

    for piece in pieces:
        take(session.receive_data(piece))
    return seen


SCRIPT = (
    b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n\r\n..\r\n.\r\nRSET\r\n"
    b"BDAT 7\r\nabc\r\nd\rBDAT 3 LAST\r\n\nefAUTH LOGIN\r\nYQ==\r\nnoop\r\n  NOOP\r\nQUIT\r\n"
)
EVENTS = [
    ("EHLO", "EHLO x"), ("MAIL", "MAIL FROM:<a@b>"), ("RCPT", "RCPT TO:<c@d>"), ("DATA", "DATA"),
    b"Subject: x\r\n\r\n.\r\n", MessageEnd(), ("RSET", "RSET"),
    ("BDAT", "BDAT 7"), b"abc\r\nd", ChunkEnd(7, last=False),
    ("BDAT", "BDAT 3 LAST"), b"\r\nef\r\n", ChunkEnd(3, last=True),
    ("AUTH", "AUTH LOGIN"), LineReceived(b"YQ=="), ("NOOP", "noop"), ("NOOP", "NOOP"), ("QUIT", "QUIT"),
]  # fmt: skip


def test_whole() -> None:
    assert drive(ServerSession(), [SCRIPT]) == EVENTS


def test_byte_by_byte() -> None:
    assert drive(ServerSession(), [bytes([octet]) for octet in SCRIPT]) == EVENTS


@settings(max_examples=50)
@given(st.lists(st.integers(0, len(SCRIPT)), max_size=6))
def test_any_cut(cuts: list[int]) -> None:
    edges = sorted({0, len(SCRIPT), *cuts})
    assert drive(ServerSession(), [SCRIPT[a:b] for a, b in pairwise(edges)]) == EVENTS


@settings(max_examples=100)
@given(
    st.lists(
        st.sampled_from(
            [b"DATA\r\n", b"BDAT 3\r\n", b"BDAT x\r\n", b"AUTH\n", b".\r\n", b"\r\n", b"\0", b"\xff", b"a" * 3000, b" "]
        ),
        max_size=20,
    )
)
def test_any_octets_give_events(pieces: list[bytes]) -> None:
    session = ServerSession()
    drive(session, pieces)
    assert session.pending <= 4096 + 3 or session.state is Input.PAUSED


def test_what_stands_behind_a_command_is_told() -> None:
    session = ServerSession()
    events = session.receive_data(b"NOOP\r\nRSET\r\nQU")
    assert [event.behind for event in events if isinstance(event, CommandReceived)] == [b"RSET\r\nQU", b"QU"]


def test_nothing_is_read_while_the_reply_to_starttls_is_due() -> None:
    session = ServerSession()
    assert len(session.receive_data(b"STARTTLS\r\nNOOP\r\n")) == 1
    assert session.receive_data(b"NOOP\r\n") == []
    assert session.discard_input() == b"NOOP\r\nNOOP\r\n"
    assert session.resume_commands() == []


def test_a_closed_session_ignores_everything() -> None:
    session = ServerSession()
    session.close()
    assert session.receive_data(b"NOOP\r\n") == []


def test_replies() -> None:
    assert render_reply(Reply.of(250, None, "a", "b")) == b"250-a\r\n250 b\r\n"
    assert render_reply(Reply.of(550, "5.1.1", "a", "b")) == b"550-5.1.1 a\r\n550 5.1.1 b\r\n"
    assert render_reply(Reply.of(550, "5.1.1", "\udce9")) == b"550 5.1.1 \xe9\r\n"
    assert soften(Reply.of(550, "5.1.1", "a")) == Reply.of(450, "4.1.1", "a")
    assert soften(Reply.of(250, "2.0.0", "a")) == Reply.of(250, "2.0.0", "a")


def test_no_carriage_return_and_no_nul_gets_into_a_command() -> None:
    events = ServerSession().receive_data(b"MAIL FROM:<a\rb@c.test>\r\nNOOP\0x\r\n")
    assert [event.text for event in events if isinstance(event, CommandReceived)] == ["MAIL FROM:<a b@c.test>", "NOOP"]
