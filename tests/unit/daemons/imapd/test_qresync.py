"""QRESYNC (RFC 7162 section 3.2): a client that was away hears what it missed, and VANISHED from then on."""

from __future__ import annotations

import re

import pytest


def number(responses, word):
    (found,) = {int(value) for line in responses for value in re.findall(rb"%b (\d+)" % word, line)}
    return found


@pytest.fixture
def away(connect):
    """A client that knows five messages and comes back after 2 was flagged and 3 and 4 expunged."""
    client = connect()
    for _ in range(5):
        client.append()
    responses = client.ok("SELECT INBOX")
    uidvalidity, modseq = number(responses, b"UIDVALIDITY"), number(responses, b"HIGHESTMODSEQ")
    client.ok("STORE 2 +FLAGS.SILENT (\\Seen)")
    client.ok("STORE 3:4 +FLAGS.SILENT (\\Deleted)")
    client.ok("EXPUNGE")
    client.ok("UNSELECT")
    return client, uidvalidity, modseq


def test_it_has_to_be_enabled(away):
    client, uidvalidity, modseq = away
    assert client.last(f"SELECT INBOX (QRESYNC ({uidvalidity} {modseq}))") == b"BAD QRESYNC not enabled"
    client.ok("SELECT INBOX")
    assert client.last("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)") == b"BAD QRESYNC not enabled"
    assert client.ok("ENABLE QRESYNC")[-2] == b"* ENABLED QRESYNC"
    assert client.last("FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)").startswith(b"BAD ")
    assert client.last("UID FETCH 1:* (FLAGS) (VANISHED)").startswith(b"BAD ")


def test_select_tells_what_was_missed(away):
    client, uidvalidity, modseq = away
    client.ok("ENABLE QRESYNC")
    responses = client.ok(f"SELECT INBOX (QRESYNC ({uidvalidity} {modseq}))")
    assert responses[-3:-1] == [
        b"* VANISHED (EARLIER) 3:4",
        b"* 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (%d))" % (modseq + 1),
    ]
    known = client.ok(f"SELECT INBOX (QRESYNC ({uidvalidity} {modseq} 3:3,5 (1:3 1:3)))")
    assert known[-2] == b"* VANISHED (EARLIER) 3"
    other = client.ok(f"SELECT INBOX (QRESYNC ({uidvalidity + 1} {modseq}))")
    assert not any(b"VANISHED" in line for line in other)
    assert client.last(f"SELECT INBOX (QRESYNC ({uidvalidity} {modseq} 1:*))").startswith(b"BAD ")


def test_fetch_tells_what_vanished(away):
    client, _uidvalidity, modseq = away
    client.ok("ENABLE QRESYNC")
    client.ok("SELECT INBOX")
    responses = client.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq} VANISHED)")
    assert responses[:-1] == [
        b"* VANISHED (EARLIER) 3:4",
        b"* 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (%d))" % (modseq + 1),
    ]


def test_vanished_in_place_of_expunge(connect):
    client, other = connect(), connect()
    for _ in range(4):
        client.append()
    other.ok("SELECT INBOX")
    client.ok("ENABLE QRESYNC")
    client.ok("SELECT INBOX")
    client.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)")
    vanished, done = client.ok("EXPUNGE")
    assert vanished == b"* VANISHED 1,3"
    assert re.fullmatch(rb"OK \[HIGHESTMODSEQ \d+\] Expunge completed\.", done)
    # what cannot be told yet holds the client's modseq back
    before = number([done], b"HIGHESTMODSEQ")
    other.ok("UID STORE 4 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    held = client.ok("STORE 1 +FLAGS (\\Flagged)")
    assert b"* OK [HIGHESTMODSEQ %d] Expunges are pending" % before in held
    assert client.ok("NOOP")[0] == b"* VANISHED 4"
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert re.fullmatch(rb"OK \[HIGHESTMODSEQ \d+\] Close completed\.", client.ok("CLOSE")[-1])


def test_idle_tells_vanished(server, connect):
    server.deliver("alice@example.test", count=2)
    client, other = connect(), connect()
    client.ok("ENABLE QRESYNC")
    client.ok("SELECT INBOX")
    other.ok("SELECT INBOX")
    client.command("IDLE")
    other.ok("UID MOVE 1 Trash")
    assert client.line() == b"* VANISHED 1"
