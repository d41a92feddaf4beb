import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.model.envelope import BodyType, Notify, Ret
from angarium.protocols.pickup.frames import frame
from angarium.protocols.pickup.session import End, PickupError, PickupSession, Piece, Submission

WHOLE = b"".join(
    (
        frame(b"V", b"1"),
        frame(b"S", b"me@x.test"),
        frame(b"F", "Zoë".encode()),
        frame(b"R", b"a@x.test"),
        frame(b"R", b"b@x.test"),
        frame(b"N", b"6"),
        frame(b"T", b"HDRS"),
        frame(b"E", b"id"),
        frame(b"B", b"8BITMIME"),
        frame(b"t"),
        frame(b"D", b"A: b\r\n"),
        frame(b"D", b"\r\nc\r\n"),
        frame(b"Z"),
    )
)
EVENTS = [
    Piece(b"A: b\r\n"),
    Piece(b"\r\nc\r\n"),
    End(
        Submission(
            sender="me@x.test",
            full_name="Zoë",
            recipients=("a@x.test", "b@x.test"),
            extract=True,
            notify=Notify.SUCCESS | Notify.FAILURE,
            ret=Ret.HDRS,
            envid="id",
            body=BodyType.EIGHTBITMIME,
        )
    ),
]


def test_whole():
    assert PickupSession().receive_data(WHOLE) == EVENTS


def test_byte_by_byte():
    session = PickupSession()
    events = [event for at in range(len(WHOLE)) for event in session.receive_data(WHOLE[at : at + 1])]
    assert events == EVENTS
    assert session.done


@pytest.mark.parametrize(
    "data",
    [
        WHOLE + b"x",
        frame(b"V", b"2"),
        frame(b"S", b"x"),
        frame(b"V", b"1") + b"S-0000001x",
        frame(b"V", b"1") + b"S00010001",
        frame(b"V", b"1") + b"D00100001",
        frame(b"V", b"1") + frame(b"N", b"x"),
        frame(b"V", b"1") + frame(b"T", b"SOME"),
        frame(b"V", b"1") + frame(b"?", b""),
        frame(b"V", b"1") + frame(b"D", b"x") + frame(b"R", b"x"),
    ],
)
def test_what_is_not_in_the_grammar_is_refused(data):
    with pytest.raises(PickupError):
        PickupSession().receive_data(data)


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_give_events_or_the_one_error(pieces):
    session = PickupSession()
    try:
        for piece in pieces:
            session.receive_data(piece)
    except PickupError:
        pass


@settings(max_examples=50)
@given(st.binary(max_size=400), st.lists(st.integers(1, 50)))
def test_pieces_of_any_size_give_the_same(body, cuts):
    data = frame(b"V", b"1") + frame(b"D", body) + frame(b"Z")
    session = PickupSession()
    events = []
    for cut in [*cuts, len(data)]:
        events += session.receive_data(data[:cut])
        data = data[cut:]
    assert events == [Piece(body), End(Submission())]
