r"""\Recent, RECENT, NEW and OLD (RFC 3501 sections 2.3.2, 6.4.4 and 7.3.2), as Dovecot 2.3 has them."""

from __future__ import annotations

import asyncio

ALICE = "alice@example.test"


def recent(responses):
    (line,) = [line for line in responses if line.endswith(b" RECENT")]
    return int(line.split()[1])


def test_the_first_read_write_session_claims(server, connect):
    server.deliver(ALICE, count=3, recent=True)
    one, two = connect(), connect()
    assert one.ok("STATUS INBOX (RECENT)")[0] == b"* STATUS INBOX (RECENT 3)"
    assert recent(one.ok("EXAMINE INBOX")) == 3
    assert one.ok("FETCH 1 FLAGS")[0] == b"* 1 FETCH (FLAGS (\\Recent))"
    assert recent(two.ok("SELECT INBOX")) == 3
    assert recent(one.ok("SELECT INBOX")) == 0
    assert one.ok("STATUS INBOX (RECENT)")[0] == b"* STATUS INBOX (RECENT 0)"
    assert one.ok("FETCH 1 FLAGS")[0] == b"* 1 FETCH (FLAGS ())"
    assert two.ok("FETCH 1:2 (UID FLAGS)")[:2] == [
        b"* 1 FETCH (UID 1 FLAGS (\\Recent))",
        b"* 2 FETCH (UID 2 FLAGS (\\Recent))",
    ]


def test_search_store_and_expunge(server, connect):
    server.deliver(ALICE, count=2)
    server.deliver(ALICE, count=3, recent=True)
    client = connect(select="INBOX")
    assert client.ok("STORE 3 +FLAGS (\\Seen)")[0] == b"* 3 FETCH (FLAGS (\\Seen \\Recent))"
    assert client.ok("SEARCH RECENT")[0] == b"* SEARCH 3 4 5"
    assert client.ok("SEARCH NEW")[0] == b"* SEARCH 4 5"
    assert client.ok("SEARCH OLD")[0] == b"* SEARCH 1 2"
    assert client.ok("STORE 4 FLAGS (\\Deleted)")[0] == b"* 4 FETCH (FLAGS (\\Deleted \\Recent))"
    assert client.ok("EXPUNGE")[:-1] == [b"* 4 EXPUNGE", b"* 2 RECENT"]
    assert client.last("STORE 1 FLAGS (\\Recent)").startswith(b"BAD")


def test_what_arrives_is_recent_for_the_first_who_is_told(server, connect):
    server.deliver(ALICE)
    idler, other, reader = connect(select="INBOX"), connect(select="INBOX"), connect()
    reader.ok("EXAMINE INBOX")
    idler.command("IDLE")
    server.deliver(ALICE, recent=True)
    assert [idler.line(), idler.line()] == [b"* 2 EXISTS", b"* 1 RECENT"]
    assert other.ok("NOOP")[:-1] == reader.ok("NOOP")[:-1] == [b"* 2 EXISTS"]
    assert recent(connect().ok("SELECT INBOX")) == 0


def test_copies_and_own_appends_are_recent(server, connect):
    server.deliver(ALICE)
    client = connect(select="INBOX")
    assert client.ok("COPY 1 INBOX")[:-1] == [b"* 2 EXISTS", b"* 1 RECENT"]
    client.ok("COPY 1 Archive")
    assert client.ok("STATUS Archive (RECENT)")[0] == b"* STATUS Archive (RECENT 1)"


def test_it_is_recorded_when_the_session_ends(server, connect, tmp_path):
    idler = connect(select="INBOX")
    idler.command("IDLE")
    server.deliver(ALICE, recent=True)
    assert [idler.line(), idler.line()] == [b"* 1 EXISTS", b"* 1 RECENT"]
    idler.socket.shutdown(2)
    server.settled()

    async def marked():
        store = await server.mailstore.open(ALICE)
        inbox = await store.mailbox("INBOX")
        while (await store.status(inbox.id)).recent:
            await asyncio.sleep(0)

    server.on_loop(marked())


def test_nothing_is_written_when_nothing_is_recent(server, connect):
    server.deliver(ALICE)
    commits = server.mailstore.statistics()
    connect(select="INBOX").ok("NOOP")
    assert server.mailstore.statistics() == commits
