"""Reading and removing: listings, retrieval with read-ahead, marks, QUIT, slow clients, failures."""

from __future__ import annotations

import pytest
from tests.fakes.mailstore import FakeAccount

from angarium.daemons.pop3d.parameters import Pop3dParameters
from angarium.mailstore.interface import OverQuotaError

BODY = b"+OK 25 octets\r\nSubject: %d\r\n\r\nbody %d\r\n..\r\n.\r\n"


def _reads(account: FakeAccount) -> list[list[int]]:
    return [uids for name, uids in account.calls if name == "bodies"]


def test_listings(connect, alice):
    alice.uidvalidity = 0x6B054432
    wire = connect().login()
    assert wire(b"LIST\r\n") == b"+OK 3 messages:\r\n1 25\r\n2 25\r\n3 25\r\n.\r\n"
    assert wire(b"LIST 2\r\n") == b"+OK 2 25\r\n"
    assert wire(b"UIDL\r\n") == b"+OK\r\n1 000000016b054432\r\n2 000000026b054432\r\n3 000000036b054432\r\n.\r\n"
    assert wire(b"UIDL 3\r\n") == b"+OK 3 000000036b054432\r\n"
    assert wire(b"NOOP\r\n") == b"+OK\r\n"
    for command in (b"LIST", b"UIDL", b"RETR", b"DELE"):
        assert wire(command + b" 4\r\n") == b"-ERR There's no message 4.\r\n"
        assert wire(command + b" 0\r\n") == b"-ERR There's no message 0.\r\n"
    assert wire(b"TOP 4 1\r\n") == b"-ERR There's no message 4.\r\n"
    assert b"UIDL\r\n" in wire(b"CAPA\r\n")


def test_an_empty_maildrop(connect):
    wire = connect().login("bob")
    assert wire(b"STAT\r\n") == b"+OK 0 0\r\n"
    assert wire(b"LIST\r\nUIDL\r\n") == b"+OK 0 messages:\r\n.\r\n+OK\r\n.\r\n"
    assert wire(b"RETR 1\r\n") == b"-ERR There's no message 1.\r\n"
    assert wire(b"QUIT\r\n") == b"+OK Logging out.\r\n"


def test_retrieval_reads_ahead(connect, alice):
    wire = connect().login()
    for number in (1, 2, 3):
        assert wire(b"RETR %d\r\n" % number) == BODY % (number, number)
    assert _reads(alice) == [[1, 2], [3]]
    assert wire(b"RETR 1\r\n") == BODY % (1, 1)


def test_read_ahead_grows_and_is_bounded(connect, store):
    bench = store.account("bench@example.test")
    bench.deliver(*[b"x" * 1000 + b"\r\n"] * 500)
    wire = connect(Pop3dParameters(read_ahead_limit=40_000)).login("bench")
    answer = wire(b"".join(b"RETR %d\r\n" % number for number in range(1, 501)))
    assert answer.count(b"+OK 1002 octets") == 500
    sizes = [len(uids) for uids in _reads(bench)]
    assert sizes[:5] == [2, 4, 8, 16, 32]
    assert max(sizes) == 39
    assert len(sizes) < 20
    bench.calls.clear()
    for number in (400, 100, 300):
        wire(b"RETR %d\r\n" % number)
    assert [len(uids) for uids in _reads(bench)] == [1, 1, 1]


def test_a_large_message_is_streamed(connect, store):
    big = b"Subject: big\r\n\r\n" + b".line\r\n" * 50_000
    store.account("bench@example.test").deliver(big)
    wire = connect(Pop3dParameters(read_ahead_limit=1000)).login("bench")
    answer = wire(b"RETR 1\r\nNOOP\r\n")
    assert answer == b"+OK %d octets\r\n" % len(big) + big.replace(b"\r\n.", b"\r\n..") + b".\r\n+OK\r\n"


def test_top(connect, alice):
    wire = connect().login()
    assert wire(b"TOP 1 0\r\n") == b"+OK\r\nSubject: 1\r\n\r\n.\r\n"
    assert wire(b"TOP 2 0\r\n") == b"+OK\r\nSubject: 2\r\n\r\n.\r\n"
    assert wire(b"TOP 2 1\r\n") == b"+OK\r\nSubject: 2\r\n\r\nbody 2\r\n.\r\n"
    assert wire(b"TOP 2 99\r\n") == b"+OK\r\nSubject: 2\r\n\r\nbody 2\r\n..\r\n.\r\n"
    assert len([name for name, _ in alice.calls if name == "columns"]) == 2


def test_marks_and_quit(connect, alice):
    wire = connect().login()
    assert wire(b"DELE 2\r\n") == b"+OK Marked to be deleted.\r\n"
    for command in (b"DELE 2", b"RETR 2", b"LIST 2", b"UIDL 2", b"TOP 2 0"):
        assert wire(command + b"\r\n") == b"-ERR Message is deleted.\r\n"
    assert wire(b"STAT\r\n") == b"+OK 2 50\r\n"
    assert wire(b"LIST\r\n") == b"+OK 2 messages:\r\n1 25\r\n3 25\r\n.\r\n"
    assert len(alice.messages) == 3
    wire(b"RETR 3\r\n")
    assert wire(b"QUIT\r\n") == b"+OK Logging out, messages deleted.\r\n"
    assert wire.transport.closed
    assert {uid: message.flags for uid, message in alice.messages.items()} == {1: frozenset(), 3: {"\\Seen"}}
    assert [uids for name, uids in alice.calls if name == "remove"] == [[2]]


def test_rset_unmarks(connect, alice):
    wire = connect().login()
    assert wire(b"RETR 1\r\nDELE 2\r\nRSET\r\nSTAT\r\nQUIT\r\n").endswith(b"+OK\r\n+OK 3 75\r\n+OK Logging out.\r\n")
    assert len(alice.messages) == 3
    assert not any(message.flags for message in alice.messages.values())


def test_without_quit_nothing_changes(connect, alice):
    wire = connect().login()
    wire(b"RETR 1\r\nDELE 2\r\n")
    wire.disconnect()
    assert len(alice.messages) == 3
    assert not any(message.flags for message in alice.messages.values())
    assert "Disconnected: Connection closed top=0/0, retr=1/41, del=0/3, size=75" in wire.log.lines[-1]


def test_flags_can_be_left_alone(connect, alice):
    connect(Pop3dParameters(no_flag_updates=True)).login()(b"RETR 1\r\nQUIT\r\n")
    assert not any(message.flags for message in alice.messages.values())


def test_a_message_that_another_session_removed(connect, alice):
    wire = connect().login()
    del alice.messages[2]
    for command in (b"RETR 2", b"TOP 2 0", b"TOP 2 5"):
        assert wire(command + b"\r\n") == b"-ERR [SYS/TEMP] Message was removed by another session.\r\n"
    assert wire(b"RETR 1\r\n") == BODY % (1, 1)
    assert wire(b"DELE 2\r\n").startswith(b"+OK")
    assert wire(b"QUIT\r\n") == b"-ERR Some messages were removed by another session before.\r\n"
    assert wire.transport.closed


def test_an_update_that_fails(connect, alice):
    alice.fail["remove"] = OverQuotaError("cannot happen, but must not hang")
    wire = connect().login()
    assert wire(b"DELE 1\r\nQUIT\r\n").endswith(b"-ERR [SYS/TEMP] Internal error, try again later.\r\n")
    assert wire.transport.closed
    assert len(alice.messages) == 3
    wire.disconnect()
    assert wire.gone


def test_quit_is_carried_out_though_the_client_is_gone(connect, alice):
    wire = connect().login()
    wire(b"DELE 1\r\n")
    wire(b"QUIT\r\n", settle=False)
    wire.disconnect()
    assert sorted(alice.messages) == [2, 3]
    assert wire.gone


def test_a_body_that_cannot_be_read(connect, alice):
    wire = connect().login()
    alice.fail["bodies"] = OSError("a damaged disk")
    assert wire(b"RETR 1\r\nNOOP\r\n") == b"-ERR [SYS/TEMP] Internal error, try again later.\r\n+OK\r\n"
    alice.fail.clear()
    assert wire(b"RETR 1\r\n") == BODY % (1, 1)


def test_a_client_that_does_not_read(connect, store):
    store.account("bench@example.test").deliver(*[b"x" * 10_000 + b"\r\n"] * 100)
    wire = connect().login("bench")
    wire.transport.high_water = 300_000
    commands = b"".join(b"RETR %d\r\n" % number for number in range(1, 101))
    first = wire(commands)
    assert len(first) < 1_000_000  # it stopped, with bounded memory
    wire.transport.high_water = 1 << 62
    rest = wire.resume()
    assert (first + rest).count(b"+OK 10002 octets") == 100


def test_a_client_that_sends_without_end(connect):
    wire = connect().login()
    wire.connection.pause_writing()
    for _ in range(10):
        wire(b"NOOP\r\n" * 2000)
    assert not wire.transport.reading
    wire.resume()
    assert wire.transport.reading


@pytest.mark.parametrize("line", [b"\0\r\n", b"\xff\xfe\r\n", b"RETR \0\r\n", b"x" * 5000 + b"\r\n", b"\r\n"])
def test_garbage_costs_one_answer(connect, line):
    wire = connect().login()
    assert wire(line).startswith(b"-ERR ")
    assert wire(b"NOOP\r\n") == b"+OK\r\n"


def test_one_write_a_batch(connect):
    wire = connect().login()
    wire(b"RETR 1\r\n")
    before = wire.transport.writes
    wire(b"RETR 2\r\nNOOP\r\nSTAT\r\nLIST\r\n")
    assert wire.transport.writes == before + 1
