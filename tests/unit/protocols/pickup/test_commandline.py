"""sendmail(1)'s command line: any words are a request or a complaint, and pickup bears any records."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.pickup import frames
from angarium.protocols.pickup.commandline import CommandLineError, parse
from angarium.protocols.pickup.session import End, PickupError, PickupSession, Piece

WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            ["-t", "-i", "-f", "-bs", "-bp", "-V", "-XV+=", "-N", "never", "--", "-", "a@x.test", "-v", "-q"]
        ),
        st.text(alphabet="-abfiNqRtVX+=é\udc80 ", max_size=5),
    ),
    max_size=6,
)


@settings(max_examples=100)
@given(WORDS)
def test_any_words(words: list[str]) -> None:
    try:
        request = parse(words)
    except CommandLineError:
        return
    assert request.recipients or request.extract or request.mode not in "mv"
    assert all(note.startswith("sendmail: warning: ") for note in request.notes)


def submission(words: list[str], message: list[bytes]) -> bytes:
    arguments = "".join(f"{word}\0" for word in words).encode("utf-8", "surrogateescape")
    records = [frames.frame(frames.VERSION_RECORD, frames.VERSION), frames.frame(frames.ARGUMENTS, arguments)]
    records += [frames.frame(frames.INPUT, piece) for piece in message]
    return b"".join([*records, frames.frame(frames.END)])


def events(data: bytes, step: int) -> tuple[bytes, list[str]]:
    session = PickupSession()
    pieces: list[bytes] = []
    people: list[str] = []
    for at in range(0, len(data), step):
        try:
            found = session.receive_data(data[at : at + step])
        except CommandLineError as error:
            return b"", [str(error)]
        for event in found:
            if isinstance(event, Piece):
                pieces.append(event.data)
            elif isinstance(event, End):
                people.extend(event.submission.recipients)
    assert session.done
    return b"".join(pieces), people


@settings(max_examples=50)
@given(WORDS, st.lists(st.binary(max_size=8), max_size=4), st.integers(1, 7))
def test_a_submission_in_pieces_is_the_same(words: list[str], message: list[bytes], step: int) -> None:
    data = submission(words, message)
    assert events(data, step) == events(data, len(data))


@settings(max_examples=50)
@given(st.binary(max_size=60))
def test_what_is_no_submission(data: bytes) -> None:
    session = PickupSession()
    try:
        session.receive_data(frames.frame(frames.VERSION_RECORD, frames.VERSION) + data)
    except (PickupError, CommandLineError):
        return
    assert not session.done or data


@pytest.mark.parametrize(
    "records",
    [
        [(frames.ARGUMENTS, b"a\0"), (frames.ARGUMENTS, b"a\0")],
        [(frames.ARGUMENTS, b"a\0"), (frames.RECIPIENT, b"b")],
        [(frames.RECIPIENT, b"b"), (frames.ARGUMENTS, b"a\0")],
        [(frames.ARGUMENTS, b"a\0"), (frames.DATA, b"b")],
        [(frames.INPUT, b"b")],
        [(frames.ARGUMENTS, b"a\0"), (frames.NAME, b"b")],
        [(frames.ARGUMENTS, b"a\0"), (frames.INPUT, b"b"), (frames.NAME, b"b")],
    ],
)
def test_records_out_of_order(records: list[tuple[bytes, bytes]]) -> None:
    session = PickupSession()
    data = b"".join(
        frames.frame(kind, payload) for kind, payload in [(frames.VERSION_RECORD, frames.VERSION), *records]
    )
    with pytest.raises(PickupError):
        session.receive_data(data)


def test_an_option_with_an_empty_letter() -> None:
    with pytest.raises(CommandLineError, match=r"unsupported: -X$"):
        parse(["-X", "", "a@x.test"])
