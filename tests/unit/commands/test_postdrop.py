"""postdrop takes what Postfix's sendmail writes, and leaves nothing of what is not whole."""

from __future__ import annotations

import io

import pytest

from angarium.commands import postdrop
from angarium.commands.sendmail import Fatal
from angarium.protocols.pickup import frames


def record(kind: str, text: bytes = b"") -> bytes:
    length = b""
    rest = len(text)
    while True:
        length += bytes([rest & 0x7F | (0x80 if rest > 0x7F else 0)])
        rest >>= 7
        if not rest:
            return kind.encode() + length + text


WHOLE = (
    record("A", b"rewrite_context=local")
    + record("V", b"+=")
    + record("F", b"Alice")
    + record("S", b"alice@example.test")
    + record("A", b"notify_flags=2")
    + record("A", b"ret_flags=2")
    + record("A", b"envelope_id=me")
    + record("A", b"encoding=8bit")
    + record("R", b"bob@example.test")
    + record("M")
    + record("N", b"Subject: x")
    + record("N")
    + record("L", b"a" * 300)
    + record("N", b"b")
    + record("X")
    + record("E")
)

EXPECTED = b"".join(
    (
        frames.frame(frames.VERSION_RECORD, frames.VERSION),
        frames.frame(frames.FULL_NAME, b"Alice"),
        frames.frame(frames.SENDER, b"alice@example.test"),
        frames.frame(frames.NOTIFY, b"2"),
        frames.frame(frames.RETURN, b"HDRS"),
        frames.frame(frames.ENVELOPE_ID, b"me"),
        frames.frame(frames.BODY_TYPE, b"8BITMIME"),
        frames.frame(frames.RECIPIENT, b"bob@example.test"),
        frames.frame(frames.DATA, b"Subject: x\r\n\r\n" + b"a" * 300 + b"b\r\n"),
        frames.frame(frames.END),
    )
)


ACCEPTED = "protocol\0postdrop_protocol\0queue_id\x000\0\0status\x000\0reason\0\0\0"


@pytest.fixture
def run(queue_site, capsys, monkeypatch):
    """Runs it; (exit status, standard output, standard error, what is in maildrop)."""
    maildrop = queue_site.directory / "maildrop"
    maildrop.mkdir()

    def call(data: bytes, *words: str):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        status = postdrop.main(["-c", str(queue_site.etc), *words])
        out, err = capsys.readouterr()
        return status, out, err, [path.read_bytes() for path in maildrop.iterdir()]

    return call


def test_it_is_dropped_while_the_server_is_down(run):
    assert run(WHOLE, "-r") == (0, ACCEPTED, "", [EXPECTED])


def test_what_is_cut_off_leaves_nothing(run):
    for end in range(len(WHOLE)):
        status, out, err, left = run(WHOLE[:end])
        assert (status, out, left) == (1, "", [])
        assert "unexpected end of input" in err


@pytest.mark.parametrize(
    "data", [record("Q"), record("T"), record("N", b"x"), record("M") + record("R", b"x"), b"S\xff\xff\xff\xff\x01"]
)
def test_nonsense(run, data):
    status, out, err, left = run(data)
    assert (status, out, left) == (1, "", [])
    assert err.startswith("postdrop: fatal: uid=")


def test_a_long_record_is_refused():
    with pytest.raises(Fatal, match="too long"):
        list(postdrop.postfix_records(io.BytesIO(b"N\xff\xff\xff\x7f").read))


def test_wrong_calls(run):
    assert run(b"", "x")[0] == 1
    assert "usage: postdrop" in run(b"", "-z")[2]


def test_a_long_message_comes_in_pieces():
    data = record("S", b"a@b") + record("M") + record("N", b"x" * 998) * 2000 + record("X") + record("E")
    pieces = list(postdrop.submission(io.BytesIO(data).read))
    assert max(map(len, pieces)) < 2 * 256 * 1024
    assert sum(map(len, pieces)) > 2_000_000
