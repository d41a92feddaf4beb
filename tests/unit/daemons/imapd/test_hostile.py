"""Commands that a hostile client may send: one costs one, nobody else waits for it, and no answer fills the memory."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from tests.fakes.imap_server import MESSAGE, ImapServer

from angarium.daemons.imapd.commands import fetch as fetch_module
from angarium.daemons.imapd.main import ImapdParameters
from angarium.mailstore import writing
from angarium.mailstore.rows import one_row

ALICE = "alice@example.test"
LINE = 65_000


@contextlib.contextmanager
def longest_stall(server):
    """The longest work that the event loop did without a pause, in seconds of its processor time, last in a list."""
    found = [0.0]

    async def look():
        last = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.thread_time()
            found.append(max(found[-1], now - last))
            del found[0]
            last = now

    watching = asyncio.run_coroutine_threadsafe(look(), server.loop)
    yield found
    watching.cancel()


def repeated(head, unit, tail=""):
    return head + unit * ((LINE - len(head) - len(tail)) // len(unit)) + tail


def numbered(head, unit, tail=""):
    words, size, at = [head], len(head) + len(tail), 0
    while size < LINE - 20:
        words.append(unit.format(at))
        size += len(words[-1])
        at += 1
    return "".join(words) + tail


HOSTILE = {
    "the same key": repeated("SEARCH 1:*", " 1:*"),
    "ALL": repeated("SEARCH ALL", " ALL"),
    "sets": numbered("SEARCH ALL", " UID 1:{}"),
    "keywords": numbered("SEARCH ALL", " UNKEYWORD k{}"),
    "sizes": numbered("SEARCH ALL", " SMALLER 9{}"),
    "dates": repeated("SEARCH ALL", " SENTON 1-Jan-2024"),
    "nested": repeated("SEARCH", " NOT", " ALL"),
    "half nested": repeated("SEARCH", " NOT" * 49 + " UNSEEN"),
    "parentheses": repeated("SEARCH ", "(", "ALL"),
    "wildcards": repeated('LIST "" "', "%*", '"'),
    "patterns": 'LIST "" (' + " ".join(f"*{'b*' * 300}{at}" for at in range(99)) + ")",
    "subscribed": repeated('LSUB "" "', "*x%", '"'),
    "sections": numbered("FETCH 1:* (UID", " BODY.PEEK[]<{}.1>", ")"),
    "fields": numbered("FETCH 1:* (BODY.PEEK[HEADER.FIELDS.NOT (a", " x{}", ")])"),
    "many fields": numbered("FETCH 1:* (UID", " BODY.PEEK[HEADER.FIELDS (Date x{})]", ")"),
    "set of ones": repeated("FETCH 1", ",1:*", " FLAGS"),
}


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    with ImapServer(tmp_path_factory.mktemp("imapd")) as server:
        server.deliver(ALICE, count=500)

        async def create():
            store = await server.mailstore.open(ALICE)
            await asyncio.gather(*[store.create(f"box{at}/level") for at in range(250)])

        server.on_loop(create())
        yield server


@pytest.mark.parametrize("kind", HOSTILE)
def test_nobody_waits_for_a_hostile_command(crowded, kind):
    """Each took the whole process for seconds or minutes, in a mailbox not much larger than this one."""
    with crowded.client(select="INBOX") as client, longest_stall(crowded) as stall:
        client.socket.settimeout(60)
        answer = client.last(HOSTILE[kind])
        assert answer.split(b" ")[0] in (b"OK", b"NO", b"BAD")
        assert client.last("NOOP").startswith(b"OK")
    assert stall[-1] < 0.5  # a tenth of it on a quiet machine


def test_pipelined_commands_let_others_go_first(crowded):
    with crowded.client(select="INBOX") as client, crowded.client() as other, longest_stall(crowded) as stall:
        client.send(b"a STATUS INBOX (MESSAGES UNSEEN)\r\n" * 3500 + b"z NOOP\r\n")
        other.ok("NOOP")
        while not client.line().startswith(b"z "):
            pass
    assert stall[-1] < 0.5


def test_a_search_of_a_thousand_keys_is_the_longest(crowded):
    with crowded.client(select="INBOX") as client:
        keys = " ".join(f"UID {at}:*" for at in range(1, 1001))
        client.ok(f"SEARCH {keys}")
        assert client.last(f"SEARCH {keys} UID 5000").startswith(b"NO [LIMIT]")


def test_answers_to_different_dates(crowded):
    """Several dates in one program look at each message's own zone once."""
    with crowded.client(select="INBOX") as client:
        for at in range(1, 29):
            client.ok(f"SEARCH NOT SENTON {at}-Feb-2024 OR SENTON 1-Jan-2024 SENTON 2-Jan-2024")
        assert len(client.ok("SEARCH SENTON 1-Jan-2024 NOT SENTON 2-Jan-2024")[0].split()) == 502
        assert client.ok("SEARCH SENTON 2-Jan-2024") == [b"* SEARCH", b"OK Search completed."]


def test_a_fetch_of_much_goes_in_pieces(server, connect, monkeypatch):
    """Messages, headers and parts that do not fit into memory together are sent all the same, and in order."""
    monkeypatch.setattr(fetch_module, "_BODY_BYTES", 4000)
    monkeypatch.setattr(fetch_module, "_COLUMN_BYTES", 4000)
    message = MESSAGE + b"x" * 1500 + b"\r\n"
    server.deliver(ALICE, message=message, count=20)
    client = connect(select="INBOX")
    for items, size in (("BODY.PEEK[]", len(message)), ("BODY.PEEK[TEXT]", 1511), ("BODY.PEEK[HEADER]", 130)):
        lines = client.ok(f"FETCH 1:20 ({items} FLAGS)")[:-1]
        assert [int(line.split()[1]) for line in lines] == list(range(1, 21))
        assert all(len(line) > size for line in lines)
    assert len(client.ok("FETCH 1,3,5:20 (ENVELOPE)")) == 19
    assert len(client.ok("FETCH 1:20 (ENVELOPE FLAGS)")) == 21


def test_an_answer_that_is_too_long_to_join_is_sent_in_pieces(server, connect, monkeypatch):
    """SQLite makes no string of 64 MiB of what hostile senders have put into their headers."""
    from angarium.mailstore import database

    monkeypatch.setattr(database, "LONGEST_ANSWER", 100_000)
    server.deliver(ALICE, message=b"Subject: " + b"x" * 5000 + b"\r\n\r\n", count=50)
    client = connect(select="INBOX")
    lines = client.ok("FETCH 1:50 (ENVELOPE)")[:-1]
    assert [int(line.split()[1]) for line in lines] == list(range(1, 51))


def test_a_part_as_large_as_the_message_is_streamed(server, connect):
    body = b"".join(b"%06d\r\n" % at for at in range(80_000))
    message = (
        b"Subject: large\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\n"
        + body
        + b"\r\n--b\r\n\r\nsmall\r\n--b--\r\n"
    )
    client = connect()
    client.append(message)
    client.ok("SELECT INBOX")
    start = message.index(b"\r\n\r\n") + 4

    def section(name):
        line = client.ok(f"FETCH 1 (UID BODY.PEEK[{name}])")[0]
        return line[line.index(b"}\r\n") + 3 : -1]

    inner = b"Subject: inner\r\n\r\n" + body
    assert section("") == message
    assert section("TEXT") == message[start:]
    assert section("1") == inner
    assert section("1.TEXT") == body
    assert section("1.HEADER") == b"Subject: inner\r\n\r\n"
    assert section("2") == b"small"
    assert section("2.TEXT") == b""
    assert section("7") == b""
    line = client.ok("FETCH 1 (BODY.PEEK[1.TEXT]<100000.20> BODY.PEEK[TEXT]<9999999.5>)")[0]
    assert b"BODY[1.TEXT]<100000> {20}\r\n" + body[100_000:100_020] + b" " in line
    assert line.endswith(b"BODY[TEXT]<9999999> {0}\r\n)")


def test_more_fields_than_a_function_takes(server, connect):
    server.deliver(ALICE)
    client = connect(select="INBOX")
    names = ("Date", "From", "To", "Subject")
    items = " ".join(f"BODY.PEEK[HEADER.FIELDS ({' '.join(names[: at % 4 + 1])}{' x' * at})]" for at in range(100))
    line = client.ok(f"FETCH 1 ({items})")[0]
    assert line.count(b"Date: Mon, 1 Jan 2024") == 100


def test_names_and_keywords_are_bounded(server, connect, monkeypatch):
    client = connect(select="INBOX")
    client.append()
    assert client.last(b"SUBSCRIBE {2000+}\r\n" + b"x" * 2000).startswith(b"NO [NONEXISTENT]")
    assert len(client.last("CREATE " + "x" * 60_000)) < 200
    many = " ".join(f"{at}{'k' * 150}" for at in range(100))
    assert client.last(f"STORE 1 +FLAGS ({many})").startswith(b"NO [LIMIT]")
    monkeypatch.setattr("angarium.mailstore.hierarchy.MAX_MAILBOXES", 8)
    client.ok("CREATE one")
    client.ok("CREATE two")
    assert client.last("CREATE three").startswith(b"NO [CANNOT]")
    client.ok("SUBSCRIBE one")
    client.ok("SUBSCRIBE two")
    client.ok("DELETE two")
    client.ok("CREATE three")
    assert client.last("SUBSCRIBE three").startswith(b"NO [CANNOT]")


def test_combinations_of_flags_that_no_message_has_are_forgotten(server, connect):
    """They are not part of the quota, and one STORE makes one."""
    client = connect()
    client.append()
    client.ok("SELECT INBOX")
    for at in range(2 * writing._FLAG_SETS_KEPT):
        client.ok(f"STORE 1 FLAGS.SILENT (k{at % 20} k{at // 20})")

    async def count():
        return await server.mailstore.read(ALICE, lambda one: one_row(one, "SELECT count(*) FROM flagset")[0])

    assert server.on_loop(count()) < writing._FLAG_SETS_KEPT + 10
    assert client.ok("FETCH 1 FLAGS")[0] == b"* 1 FETCH (FLAGS (\\Recent k19))"


def test_half_messages_of_many_clients_do_not_fill_the_memory(server, connect, monkeypatch):
    """APPENDs whose messages are announced and do not come, from as many connections as one likes."""
    monkeypatch.setattr("angarium.runtime.spool.MEMORY_ROOM", 300_000)
    clients = [connect() for _ in range(10)]
    message = MESSAGE + b"x" * 100_000
    half = b"h APPEND INBOX {%d+}\r\n" % len(message) + message[:-1]
    for client in clients:
        client.send(half)
    for client in clients[5:]:
        client.send(message[-1:] + b"\r\n")
        assert client.line().startswith(b"h OK [APPENDUID")
    spool = server.service.spool
    assert 0 < spool.in_memory <= 400_000
    for client in clients:
        client.close()
    server.settled()
    assert spool.in_memory == 0
    assert not list(spool.directory.iterdir())
    assert len(connect(select="INBOX").ok("FETCH 1:* (RFC822.SIZE)")) == 6


def test_a_resynchronisation_with_many_known_uids(crowded):
    """Each message was compared with each of fifteen thousand ranges: a minute for ten thousand messages."""
    with crowded.client() as client:
        client.ok("ENABLE QRESYNC")
        lines = client.ok("SELECT INBOX")
        [validity] = [line.split()[3][:-1].decode() for line in lines if b"UIDVALIDITY" in line]
        known = ",".join(str(at) for at in range(1, 20_000, 2))[:LINE].rpartition(",")[0]
        begun = time.process_time()
        lines = client.ok(f"SELECT INBOX (QRESYNC ({validity} 1 {known}))")
        assert time.process_time() - begun < 1.0
        assert sum(b" FETCH (UID " in line for line in lines) == 250
        begun = time.process_time()
        client.ok(f"UID FETCH {known} (FLAGS) (CHANGEDSINCE 1 VANISHED)")
        assert time.process_time() - begun < 1.0


def test_an_append_of_many_costly_messages(server, connect, monkeypatch):
    """Each is analysed on the spot; others have their turn between them, and there is an end to their number."""
    costly = b"To: " + b'a(b)"c" ' * 7500 + b"\r\n\r\n"
    literals = b" ".join([b"{%d+}\r\n%b" % (len(costly), costly)] * 30)
    client = connect()
    with longest_stall(server) as stall:
        assert client.last(b"APPEND INBOX " + literals).startswith(b"OK [APPENDUID")
    assert stall[-1] < 0.25
    monkeypatch.setattr("angarium.daemons.imapd.append._MAX_BYTES", 10 * len(costly))
    assert client.last(b"APPEND INBOX " + literals).startswith(b"NO [LIMIT]")
    assert client.last(b"APPEND INBOX {%d+}\r\n%b" % (len(costly) * 20, costly * 20)).startswith(b"OK")
    assert b"MESSAGES 31" in client.ok("STATUS INBOX (MESSAGES)")[0]


def test_a_client_that_does_not_take_the_last_words_is_cut_off(server, connect, monkeypatch):
    """It counted nowhere any more, and kept its file descriptor for as long as it liked."""
    monkeypatch.setattr("angarium.daemons.imapd.connection.LINGER", 0.05)
    server.deliver(ALICE, message=MESSAGE + b"x" * 4_000_000)
    client = connect(select="INBOX")
    client.send(b"a FETCH 1 (BODY.PEEK[])\r\n")
    [connection] = server.service._connections
    ending = time.monotonic() + 10
    while not connection.behind:
        assert time.monotonic() < ending

    async def leave():
        connection.give_way()

    server.on_loop(leave())
    while server.service.statistics()["connections"]:
        assert time.monotonic() < ending
        server.on_loop(asyncio.sleep(0))


def test_a_log_in_to_a_damaged_account_is_not_counted(tmp_path):
    parameters = ImapdParameters(max_userip_connections=2)
    with ImapServer(tmp_path, parameters) as server:
        database = tmp_path / "mail" / "example.test" / "alice" / "mail.sqlite"
        database.parent.mkdir(parents=True)
        database.write_bytes(b"\xff" * 10_000)
        with server.client("") as client:
            for _ in range(5):
                assert client.last("LOGIN alice secret").startswith(b"NO [UNAVAILABLE]")
            database.unlink()
            client.ok("LOGIN alice secret")
        server.settled()
        assert server.service.user_connections.statistics()["sessions"] == 0


def test_a_client_fills_no_log_with_what_it_says_of_itself(server, connect):
    client = connect("")
    client.send(b'a ID ("name" "x")\r\n' * 100 + b"z NOOP\r\n")
    while not client.line().startswith(b"z "):
        pass
    client.close()
    assert sum("ID sent" in line for line in server.settled()) == 3


def test_a_thousand_idlers_hear_of_many_expunges_at_once(server, connect):
    """What they have to hear is worked out once for all who stood at the same place."""
    server.deliver(ALICE, count=2000)
    idlers = [connect(select="INBOX") for _ in range(30)]
    for client in idlers:
        assert client.command("IDLE")[-1].startswith(b"+")
    with connect(select="INBOX") as other:
        other.ok("STORE 1:1000 +FLAGS.SILENT (\\Deleted)")
        other.ok("EXPUNGE")
    for client in idlers:
        while client.line() != b"* 1 EXPUNGE":
            pass
        client.send(b"DONE\r\n")
        while not client.line().startswith(b"t"):
            pass
        assert client.ok("STATUS INBOX (MESSAGES)")[0].endswith(b"(MESSAGES 1000)")
