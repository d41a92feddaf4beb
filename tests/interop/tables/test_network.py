"""memcache, socketmap and tcp tables: memcached itself, and small servers that say what they are told to.

Postfix's postmap asks the same servers, and has the same answers.
"""

import asyncio
import contextlib
import socketserver
import threading

import pytest

from angarium.model.lookup import NOT_FOUND, Found, TemporaryError


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextlib.contextmanager
def serve(answer, read):
    """A server on a free port; ``read`` takes a request from a stream, ``answer`` gives the bytes; None hangs up."""
    asked = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError):
                while (request := read(self.rfile)) is not None:
                    asked.append(request)
                    reply = answer(request)
                    if reply is None:
                        return
                    self.wfile.write(reply)

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1], asked
        server.shutdown()
        thread.join()


def read_netstring(stream):
    digits = b""
    while (byte := stream.read(1)) not in (b":", b""):
        digits += byte
    if not digits:
        return None
    data = stream.read(int(digits))
    stream.read(1)
    return data


def read_line(stream):
    return stream.readline() or None


def outcome(answer):
    match answer:
        case Found():
            return answer.value
        case TemporaryError():
            return "ERROR"
        case _:
            return None


SOCKETMAP = {
    "ok": b"OK data x",
    "utf": "OK mün chen".encode(),
    "line": b"OK a\tb",
    "missing": b"NOTFOUND ",
    "short": b"NOTFOUND",
    "longest": b"OK " + b"x" * 99_000,
    "Mixed Case": b"OK as it is",
    "a@b.c": b"OK 1",
}
SOCKETMAP_FAULTS = {
    "temp": b"TEMP why",
    "timeout": b"TIMEOUT slow",
    "perm": b"PERM never",
    "bogus": b"BOGUS x",
    "broken": b"OK \xff",
    "long": b"OK " + b"x" * 100_001,
}


def socketmap_answer(request):
    name, _, key = request.partition(b" ")
    reply = (SOCKETMAP | SOCKETMAP_FAULTS).get(key.decode())
    if name != b"map" or reply is None:
        return None
    return b"%d:%s," % (len(reply), reply)


def test_socketmap_answers_are_those_of_postfix(lab):
    with serve(socketmap_answer, read_netstring) as (port, asked):
        name = f"socketmap:inet:127.0.0.1:{port}:map"
        answers = [outcome(each) for each in lab.ask(name, *SOCKETMAP)]
        mine = list(asked)
        asked.clear()
        theirs = lab.postmap(name, *SOCKETMAP)
    assert answers == theirs
    assert mine == asked
    assert not lab.warnings


def test_socketmap_faults(lab):
    with serve(socketmap_answer, read_netstring) as (port, _):
        name = f"socketmap:inet:127.0.0.1:{port}:map"
        for key in SOCKETMAP_FAULTS:
            assert outcome(lab.ask(name, key)[0]) == "ERROR", key
        assert outcome(lab.ask(name, "hang up")[0]) == "ERROR"
    assert any("socketmap server temporary error: why" in each for each in lab.warnings)
    assert any("unexpected EOF" in each for each in lab.warnings)
    for bad in (
        "socketmap:inet:127.0.0.1:map",
        "socketmap:unix:relative:map",
        "socketmap:inet:127.0.0.1:1:",
        "socketmap:x",
    ):
        assert outcome(lab.ask(bad, "ok")[0]) == "ERROR"


TCP = {
    "ok": b"200 data%20x\n",
    "two": b"200 a b\n",
    "missing": b"500 no\n",
    "Mixed": b"200 case\n",
    "a b%@": b"200 encoded\n",
    "mün": b"200 %c3%bc\n",
    "longest": b"200 " + b"x" * 4091 + b"\n",
}
TCP_FAULTS = {
    "temp": b"400 later\n",
    "six": b"600 x\n",
    "garbage": b"garbage\n",
    "bad hex": b"200 %zz\n",
    "long": b"200 " + b"x" * 4092 + b"\n",
    "bytes": b"200 \xff\n",
}


def tcp_answer(request):
    from urllib.parse import unquote

    key = unquote(request.split(b" ", 1)[1].strip().decode())
    return (TCP | TCP_FAULTS).get(key)


def test_tcp_answers_are_those_of_postfix(lab):
    with serve(tcp_answer, read_line) as (port, asked):
        answers = [outcome(each) for each in lab.ask(f"tcp:127.0.0.1:{port}", *TCP)]
        mine = list(asked)
        asked.clear()
        theirs = lab.postmap(f"tcp:127.0.0.1:{port}", *TCP)
    assert answers == theirs
    assert mine == asked


def test_tcp_faults(lab):
    with serve(tcp_answer, read_line) as (port, _):
        for key in TCP_FAULTS:
            assert outcome(lab.ask(f"tcp:127.0.0.1:{port}", key)[0]) == "ERROR", key
        assert outcome(lab.ask(f"tcp:127.0.0.1:{port}", "hang up")[0]) == "ERROR"
    assert outcome(lab.ask("tcp:127.0.0.1:1", "ok")[0]) == "ERROR"
    assert outcome(lab.ask("tcp:127.0.0.1", "ok")[0]) == "ERROR"
    assert any("Connection refused" in each for each in lab.warnings)
    assert any("malformed reply: garbage" in each for each in lab.warnings)


def test_patterns_are_asked_whole_keys_alone(lab):
    opener = lab.opener()
    assert opener.open("socketmap:inet:127.0.0.1:1:m").pattern
    assert opener.open("tcp:127.0.0.1:1").pattern


@pytest.mark.parametrize("kind", ["socketmap", "tcp"])
def test_a_server_that_was_restarted(lab, kind):
    """The connection that was kept is gone; a new one is made without a word."""
    replies = {"socketmap": b"4:OK 1,", "tcp": b"200 1\n"}
    read = {"socketmap": read_netstring, "tcp": read_line}[kind]
    turns = iter([replies[kind], None, replies[kind]])

    async def work(port):
        opener = lab.opener()
        table = opener.open(f"tcp:127.0.0.1:{port}" if kind == "tcp" else f"socketmap:inet:127.0.0.1:{port}:m")
        answers = [outcome(await table.lookup("a")), outcome(await table.lookup("b"))]
        await opener.close()
        return answers

    with serve(lambda _: next(turns), read) as (port, asked):
        assert asyncio.run(work(port)) == ["1", "1"]
        assert len(asked) == 3
    assert not lab.warnings


MEMCACHE = ["stored", "STORED", "none", "a space", "ümlaut", "list", "user@example.test", "x" * 240, "@d", "u@a.b.c"]


@pytest.mark.parametrize(
    "settings",
    ["", "key_format = t:%s\n", "key_format = %u-%d\n", "key_format = %3.%2\n", "domain = example.test\n",
     "line_size_limit = 100\ndata_size_limit = 100\n"],
)  # fmt: skip
def test_memcached_answers_are_those_of_postfix(memcached, lab, settings):
    for key, value in {
        "stored": "value", "t:stored": "prefixed", "ümlaut": "wert", "list": "a,b", "user@example.test": "mail",
        "user-example.test": "parts", "a.b": "labels",
    }.items():  # fmt: skip
        memcached.set(key, value)
    name = "memcache:" + lab.table("m.cf", f"memcache = inet:127.0.0.1:{memcached.port}\n{settings}")
    assert [outcome(each) for each in lab.ask(name, *MEMCACHE)] == lab.postmap(name, *MEMCACHE)
    assert not lab.warnings


def test_memcached_with_a_backup(memcached, lab):
    memcached.set("cached", "from the cache")
    head = f"memcache = inet:127.0.0.1:{memcached.port}\n"
    name = "memcache:" + lab.table("m.cf", head + "backup = inline:{ cached=no, {behind = from the backup} }\n")
    keys = ["cached", "behind", "b s", "nowhere"]
    assert [outcome(each) for each in lab.ask(name, *keys)] == ["from the cache", "from the backup", None, None]
    assert memcached.tell(b"get behind\r\n") == b"VALUE behind 0 15\r\nfrom the backup\r\nEND\r\n"
    down = "memcache:" + lab.table("down.cf", "memcache = inet:127.0.0.1:1\nbackup = inline:{ k=v }\n")
    assert [outcome(each) for each in lab.ask(down, "k", "other")] == ["v", None]
    failing = "memcache:" + lab.table("failing.cf", head + "backup = fail:down\n")
    assert lab.ask(failing, "cached", "elsewhere")[1] == TemporaryError("fail:down: down", failing)


def test_memcached_is_asked_for_no_key_that_would_be_a_command(memcached, lab):
    memcached.set("victim", "safe")
    name = "memcache:" + lab.table("m.cf", f"memcache = inet:127.0.0.1:{memcached.port}\n")
    answers = lab.ask(name, "x\r\ndelete victim", "x\ndelete victim", "x\x7f", "k" * 251)
    assert answers == [NOT_FOUND] * 4
    assert b"safe" in memcached.tell(b"get victim\r\n")


def test_memcache_faults(lab):
    with serve(lambda _: b"SERVER_ERROR out of memory\r\n", read_line) as (port, asked):
        name = "memcache:" + lab.table("m.cf", f"memcache = inet:127.0.0.1:{port}\nretry_pause = 1\nmax_try = 2\n")
        assert outcome(lab.ask(name, "k")[0]) == "ERROR"
        assert asked == [b"get k\r\n"] * 2
    with serve(lambda _: b"VALUE k 0 0\r\n\r\nEND\r\n", read_line) as (port, _):
        name = "memcache:" + lab.table("m.cf", f"memcache = inet:127.0.0.1:{port}\n")
        assert outcome(lab.ask(name, "k")[0]) == "ERROR"
