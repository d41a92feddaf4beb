"""mailq, postqueue, postsuper and postcat print and exit as those of Postfix 3.7 did for the like."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from angarium.commands import mailq, postcat, postqueue, postsuper, queue_command
from angarium.mailqueue.control import QueueControl
from angarium.mailqueue.interface import Attempt, NewMessage
from angarium.mailqueue.listing import FAREWELL, GREETING, encode
from angarium.mailqueue.sqlite import SqliteMailQueue
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Notify, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.sqlite import connect

ORIGIN = Origin("ESMTP", "localhost", "127.0.0.1", 4711, "client.example.test", "postfix/smtpd")
ARRIVAL = 1_795_507_389.0
PREFIX = b"Received: from client.example.test (localhost [127.0.0.1])\r\n\tby mail.example.test\r\n"
CONTENT = b"From: Alice <alice@example.test>\r\nSubject: test\r\n\r\nhello\r\n.dot\r\n"
REASONS = {"a@slow.test": "try again later", "b@two.test": "other", "c@slow.test": "try again later"}


@pytest.fixture
def site(tmp_path):
    """A configuration directory and its queue directory."""
    queue = tmp_path / "queue"
    queue.mkdir()
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "main.cf").write_text(
        f"queue_directory = {queue}\nmyhostname = mail.example.test\nmaillog_file = {tmp_path / 'mail.log'}\n"
        "relay_domains = slow.test\n"
    )
    (etc / "master.cf").write_text("")
    return etc


@pytest.fixture
def fill(site):
    """Puts one message into the queue and tries it: those in ``REASONS`` are deferred. Its id."""

    def put(*recipients, sender="alice@example.test", tried=True, hold=False, notify=Notify.UNSAID) -> str:
        async def main():
            queue = SqliteMailQueue(site.parent / "queue", ServiceLog(MemoryLog(), "postfix/qmgr"))
            envelope = Envelope(sender, tuple(Recipient(each, each, notify) for each in recipients), ARRIVAL, ORIGIN)
            message = NewMessage(queue.allocate_id(), envelope, PREFIX, MemoryContent(CONTENT), hold)
            await queue.enqueue(message)
            if tried:
                await queue.lease(1, time.time())
                results = [
                    DeliveryResult(
                        QueuedRecipient(number, recipient),
                        Status.DEFERRED if recipient.address in REASONS else Status.SENT,
                        Dsn(4, 4, 1),
                        "none",
                        REASONS.get(recipient.address, ""),
                    )
                    for number, recipient in enumerate(envelope.recipients)
                ]
                await queue.record_attempt(Attempt(message.queue_id, results, time.time() + 1000))
            await queue.close()
            return message.queue_id

        return asyncio.run(main())

    return put


@pytest.fixture
def run(site, capsys, monkeypatch):
    """Runs a command; (exit status, standard output, standard error)."""

    def call(command, *arguments, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = command.main(["-c", str(site), *arguments])
        out, err = capsys.readouterr()
        return status, out, err.replace(DOWN, "")

    return call


DOWN = (
    "postqueue: warning: Mail system is down -- accessing queue directly "
    "(Connect to the Postfix showq service: No such file or directory)\n"
)


def at(queue_id: str, text: str) -> str:
    return text.replace("XXXXXXXXXX", queue_id)


def test_the_listing(run, fill):
    first = fill("a@slow.test", "b@two.test", "c@slow.test", "bob@example.test")
    second = fill("a@slow.test", sender="", tried=False)
    third = fill("a@slow.test", tried=False, hold=True)
    status, out, _ = run(postqueue, "-p")
    assert status == 0
    assert out.replace(first, "AAAAAAAAAA").replace(second, "BBBBBBBBBB").replace(third, "CCCCCCCCCC") == (
        "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n"
        "AAAAAAAAAA      147 TIME alice@example.test\n"
        "                                                             (try again later)\n"
        "                                         a@slow.test\n"
        "                                                                       (other)\n"
        "                                         b@two.test\n"
        "                                                             (try again later)\n"
        "                                         c@slow.test\n"
        "\n"
        "BBBBBBBBBB      147 TIME MAILER-DAEMON\n"
        "                                         a@slow.test\n"
        "\n"
        "CCCCCCCCCC!     147 TIME alice@example.test\n"
        "                                         a@slow.test\n"
        "\n"
        "-- 0 Kbytes in 3 Requests.\n"
    ).replace("TIME", f"{time.ctime(ARRIVAL)[:20]:>20}")
    assert run(mailq)[1] == out


def test_the_listing_with_long_ids(run, fill, site):
    with (site / "main.cf").open("a") as main:
        main.write("enable_long_queue_ids = yes\n")
    queue_id = fill("a@slow.test")
    lines = run(postqueue, "-p")[1].splitlines()
    assert lines[0] == "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
    assert lines[1] == f"{queue_id:<17}      147 {time.ctime(ARRIVAL)[:19]} alice@example.test"
    assert lines[3] == " " * 47 + "a@slow.test"


class NoRights:
    def __init__(self, *_arguments, **_more) -> None:
        raise PermissionError(13, "Permission denied")


def serve_listing(path, data: bytes) -> threading.Thread:
    """Answers one client on a unix socket, as showq does."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)

    def answer() -> None:
        with listener, listener.accept()[0] as connection:
            connection.sendall(data)

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


def test_without_rights_the_server_is_asked(run, fill, site, monkeypatch):
    fill("a@slow.test", "b@two.test")
    expected = run(postqueue, "-p")
    with QueueControl(site.parent / "queue", readonly=True) as queue:
        listing = GREETING + b"".join(map(encode, queue.messages())) + FAREWELL
    (site.parent / "queue" / "public").mkdir()
    monkeypatch.setattr(queue_command, "QueueControl", NoRights)
    for data, status in ((listing, 0), (listing[:-1], 69), (b"nonsense\0\0\0", 69)):
        path = site.parent / "queue" / "public" / "showq"
        thread = serve_listing(path, data)
        answer = run(postqueue, "-p")
        thread.join()
        path.unlink()
        assert answer[0] == status
        if status == 0:
            assert answer == expected
        else:
            assert "postqueue: fatal: Queue report unavailable" in answer[2]


def test_without_rights_and_server_there_is_no_listing(run, monkeypatch):
    monkeypatch.setattr(queue_command, "QueueControl", NoRights)
    status, out, err = run(postqueue, "-p")
    assert (status, out) == (69, "")
    assert err == (
        "postqueue: fatal: Queue report unavailable - mail system is down"
        " (Connect to the Postfix showq service: No such file or directory)\n"
    )


@pytest.fixture
def manager(monkeypatch):
    """A queue manager runs."""
    monkeypatch.setattr(QueueControl, "manager_runs", lambda _queue: True)


def test_an_empty_queue(run, fill, manager):
    assert run(postqueue, "-p")[:2] == (0, "Mail queue is empty\n")
    assert run(postqueue, "-j")[:2] == (0, "")
    assert run(postqueue, "-f")[0] == 0
    assert run(postsuper, "-d", "ALL")[2] == "postsuper: Deleted: 0 messages\n"


def test_json(run, fill):
    queue_id = fill("a@slow.test", "bob@example.test")
    status, out, _ = run(postqueue, "-j")
    assert status == 0
    assert out == (
        f'{{"queue_name": "deferred", "queue_id": "{queue_id}", "arrival_time": 1795507389, "message_size": 147, '
        '"forced_expire": false, "sender": "alice@example.test", "recipients": '
        '[{"address": "a@slow.test", "delay_reason": "try again later"}]}\n'
    )


@pytest.mark.parametrize("arguments", [(), ("-p", "-j"), ("-p", "x"), ("-z",), ("-i",)])
def test_wrong_calls_of_postqueue(run, arguments):
    status, out, err = run(postqueue, *arguments)
    assert (status, out) == (69, "")
    assert err.splitlines()[-1].startswith("postqueue: fatal: usage: postqueue -f | postqueue -i queueid")


def test_flushing(run, fill, site, manager):
    one, two = fill("a@slow.test"), fill("b@two.test")

    def due():
        async def leased():
            queue = SqliteMailQueue(site.parent / "queue", ServiceLog(MemoryLog(), "x"))
            messages = await queue.lease(10, time.time())
            await queue.close()
            return {message.queue_id for message in messages}

        return asyncio.run(leased())

    assert run(postqueue, "-i", "NOPE") == (0, "", "")
    assert due() == set()
    assert run(postqueue, "-i", one) == (0, "", "")
    assert due() == {one}
    assert run(postqueue, "-s", "slow.test") == (0, "", "")
    assert due() == set()
    assert run(postqueue, "-f") == (0, "", "")
    assert due() == {two}
    assert run(postqueue, "-i", "a/b")[2] == 'postqueue: fatal: Cannot flush queue ID - invalid name: "a/b"\n'
    bad = 'postqueue: fatal: Cannot flush mail queue - invalid destination: "bad site"\n'
    assert run(postqueue, "-s", "bad site")[2] == bad
    unknown = 'postqueue: fatal: Flush service is not configured for destination "example.test"\n'
    assert run(postqueue, "-s", "example.test") == (69, "", unknown)


@pytest.mark.parametrize("arguments", [("-f",), ("-i", "ABC"), ("-s", "slow.test")])
def test_flushing_needs_a_server(run, fill, site, arguments):
    fill("a@slow.test")
    (site.parent / "queue" / "public").mkdir()
    (site.parent / "queue" / "public" / "pickup").touch()
    down = "postqueue: fatal: Cannot flush mail queue - mail system is down\n"
    assert run(postqueue, *arguments) == (69, "", down)


def test_release_only_from_the_queues_that_are_named(run, fill):
    queue_id = fill("a@slow.test")
    run(postsuper, "-h", queue_id)
    for word in (queue_id, "ALL"):
        assert run(postsuper, "-H", word, "deferred")[2] == "postsuper: Released from hold: 0 messages\n"
    assert run(postsuper, "-H", "ALL", "hold")[2] == "postsuper: Released from hold: 1 message\n"


def test_ids_on_standard_input_are_taken_as_they_are(run):
    assert run(postsuper, "-d", "-", stdin=" A\nB \nC\0D\n")[2] == (
        "postsuper: warning: invalid mail queue id:  A\npostsuper: warning: invalid mail queue id: B \n"
        "postsuper: Deleted: 0 messages\n"
    )


def fresh(site, *words, **streams):
    """A command as a process of its own, with streams that may be unusable."""
    command = [sys.executable, "-m", f"angarium.commands.{words[0]}", "-c", str(site), *words[1:]]
    return subprocess.run(command, check=False, **streams)


def test_output_on_a_full_disk(site, fill):
    fill("a@slow.test")
    for words, status in (
        (("postqueue", "-p"), 69),
        (("postqueue", "-j"), 69),
        (("postconf", "-d", "myhostname"), 1),
        (("postconf", "-d"), 1),
    ):
        with Path("/dev/full").open("w") as full:
            done = fresh(site, *words, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == status
        last = done.stderr.decode().splitlines()[-1]
        assert last.startswith(f"{words[0]}: fatal: ")
        assert last.endswith("No space left on device")
    # What cannot be told is done all the same.
    with Path("/dev/full").open("w") as full:
        assert fresh(site, "postsuper", "-d", "ALL", stderr=full).returncode == 0
    assert fresh(site, "postqueue", "-p", capture_output=True).stdout == b"Mail queue is empty\n"


@pytest.mark.parametrize("words", [("postqueue", "-p"), ("postconf", "myhostname"), ("postlog", "hi")])
def test_output_that_is_closed(site, words):
    def close() -> None:
        os.close(1)
        os.close(2)

    assert fresh(site, *words, preexec_fn=close).returncode == 0


def test_flushing_a_site_that_a_table_names(run, fill, site, manager):
    with (site / "main.cf").open("a") as main:
        main.write("fast_flush_domains = inline:{{tabled.test = ok}}\n")
    fill("a@slow.test")
    assert run(postqueue, "-s", "tabled.test") == (0, "", "")
    assert run(postqueue, "-s", "slow.test")[0] == 69


def test_hold_release_requeue_and_delete(run, fill, site):
    queue_id = fill("a@slow.test")

    def queue_name():
        return [json.loads(line)["queue_name"] for line in run(postqueue, "-j")[1].splitlines()]

    steps = [
        ("-h", "placed on hold", "Placed on hold", ["hold"]),
        ("-H", "released from hold", "Released from hold", ["deferred"]),
        ("-r", "requeued", "Requeued", ["incoming"]),
        ("-e", "expired", "Force-expired", ["incoming"]),
        ("-d", "removed", "Deleted", []),
    ]
    for option, each, total, queues in steps:
        expected = f"postsuper: {queue_id}: {each}\npostsuper: {total}: 1 message\n"
        assert run(postsuper, option, queue_id) == (0, "", expected)
        assert queue_name() == queues
    assert run(postsuper, "-d", queue_id) == (0, "", "postsuper: Deleted: 0 messages\n")
    log = (site.parent / "mail.log").read_text()
    assert re.search(rf"mail postfix/postsuper\[\d+\]: {queue_id}: placed on hold\n", log)
    assert re.search(r"mail postfix/postsuper\[\d+\]: Deleted: 1 message\n", log)


def test_expire_and_release(run, fill):
    queue_id = fill("a@slow.test", tried=False, hold=True)
    assert run(postsuper, "-f", queue_id)[2] == (
        f"postsuper: {queue_id}: expired\npostsuper: Force-expired: 1 message\n"
        f"postsuper: {queue_id}: released from hold\npostsuper: Released from hold: 1 message\n"
    )
    assert f"{queue_id}#" in run(postqueue, "-p")[1]


def test_all_and_standard_input(run, fill):
    ids = [fill("a@slow.test") for _ in range(3)]
    assert run(postsuper, "-h", "ALL")[2] == "postsuper: Placed on hold: 3 messages\n"
    assert run(postsuper, "-h", "ALL")[2] == "postsuper: Placed on hold: 0 messages\n"
    assert run(postsuper, "-d", "ALL", "deferred")[2] == "postsuper: Deleted: 0 messages\n"
    status, _, err = run(postsuper, "-d", "-", stdin=f"{ids[0]}\nx/y\n\n{ids[2]}\n")
    assert status == 0
    assert "postsuper: warning: invalid mail queue id: x/y\n" in err
    assert err.endswith("postsuper: Deleted: 2 messages\n")
    assert run(postsuper, "-H", "ALL")[2] == "postsuper: Released from hold: 1 message\n"
    assert run(postsuper, "-d", "all")[2] == "postsuper: Deleted: 0 messages\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("-x",), "usage: postsuper [-c config_dir] [-d queue_id (delete)]"),
        (("-d",), "usage: postsuper [-c config_dir] [-d queue_id (delete)]"),
        (("-d", "ALL", "nosuchqueue"), "invalid directory name: nosuchqueue"),
    ],
)
def test_wrong_calls_of_postsuper(run, arguments, error):
    status, _, err = run(postsuper, *arguments)
    assert status == 1
    assert err.splitlines()[-1].startswith(f"postsuper: fatal: {error}")


def test_no_operation_at_all(run):
    assert run(postsuper) == (0, "", "")


def test_a_missing_configuration(capsys, tmp_path):
    assert postsuper.main(["-c", str(tmp_path / "none"), "-d", "ALL"]) == 1
    assert postqueue.main(["-c", str(tmp_path / "none"), "-p"]) == 69
    assert "main.cf: No such file or directory" in capsys.readouterr().err


def postcat_run(capfdbinary, site, *arguments):
    status = postcat.main(["-c", str(site), *arguments])
    return status, capfdbinary.readouterr().out.decode()


def test_postcat(fill, site, capfdbinary):
    queue_id = fill("a@slow.test", "bob@example.test", notify=Notify.FAILURE | Notify.DELAY)
    header = (
        "Received: from client.example.test (localhost [127.0.0.1])\n\tby mail.example.test\n"
        "From: Alice <alice@example.test>\nSubject: test\n"
    )
    body = "\nhello\n.dot\n"
    assert postcat_run(capfdbinary, site, "-q", "-h", queue_id) == (0, header)
    assert postcat_run(capfdbinary, site, "-q", "-b", queue_id) == (0, body)
    assert postcat_run(capfdbinary, site, "-bhq", queue_id) == (0, header + body)
    status, out = postcat_run(capfdbinary, site, "-q", queue_id)
    assert status == 0
    place = f"deferred/{queue_id[0]}/{queue_id}"
    lines = out.splitlines()
    assert lines[0] == f"*** ENVELOPE RECORDS {place} ***"
    assert lines[2] == f"message_arrival_time: {time.ctime(ARRIVAL)}"
    assert "sender: alice@example.test" in lines
    contents = lines.index(f"*** MESSAGE CONTENTS {place} ***")
    assert lines[contents - 8 : contents] == [
        "named_attribute: notify_flags=12",
        "named_attribute: dsn_orig_rcpt=rfc822;a@slow.test",
        "original_recipient: a@slow.test",
        "recipient: a@slow.test",
        "named_attribute: notify_flags=12",
        "named_attribute: dsn_orig_rcpt=rfc822;bob@example.test",
        "original_recipient: bob@example.test",
        "done_recipient: bob@example.test",
    ]
    assert out.endswith(f"{header}{body}*** HEADER EXTRACTED {place} ***\n*** MESSAGE FILE END {place} ***\n")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (lambda etc: postqueue.main(["-c", etc, "-p"]), 69),
        (lambda etc: postqueue.main(["-c", etc, "-f"]), 69),
        (lambda etc: postsuper.main(["-c", etc, "-d", "ALL"]), 1),
        (lambda etc: postcat.main(["-c", etc, "-q", "ABC12345"]), 1),
    ],
)
def test_a_database_that_is_none_is_named(site, capsys, command, status):
    path = site.parent / "queue" / "queue.db"
    path.write_text("garbage" * 100)
    assert command(str(site)) == status
    assert f"fatal: {path}: NotADBError: file is not a database\n" in capsys.readouterr().err


def test_postcat_of_a_damaged_envelope(fill, site, capfdbinary):
    queue_id = fill("a@slow.test")
    connection = connect(site.parent / "queue" / "queue.db")
    connection.execute("UPDATE message SET envelope = x'00'")
    connection.close()
    assert postcat.main(["-c", str(site), "-q", queue_id]) == 1
    assert b"damaged queue entry" in capfdbinary.readouterr().err
    assert postcat.main(["-c", str(site), "-b", "-q", queue_id]) == 0  # the content is still to be had
    assert capfdbinary.readouterr().out == b"\nhello\n.dot\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_works_on_a_queue_as_its_owner(fill, site, request):
    queue_id = fill("a@slow.test")
    place = Path(tempfile.mkdtemp(prefix="angq"))  # pytest's own directories cannot be entered by others
    request.addfinalizer(lambda: shutil.rmtree(place))
    place.chmod(0o755)
    directory = place / "queue"
    shutil.copytree(site.parent / "queue", directory)
    shutil.copytree(site, place / "etc")
    site = place / "etc"
    (site / "main.cf").write_text(f"queue_directory = {directory}\nmaillog_file = {place / 'mail.log'}\n")
    for path in (directory, *directory.rglob("*")):
        os.chown(path, 65534, 65534)
    code = (
        "import os, sys; from angarium.commands import postsuper; status = postsuper.main(sys.argv[1:])\n"
        "print(status, os.getresuid(), os.getresgid(), os.getgroups())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "-c", str(site), "-h", queue_id], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0 (65534, 65534, 65534) (65534, 65534, 65534) []\n"
    assert f"postsuper: {queue_id}: placed on hold" in done.stderr
    assert {path.stat().st_uid for path in directory.glob("queue.db*")} == {65534}


def test_postcat_of_nothing(site, capsys):
    assert postcat.main(["-c", str(site), "-q", "ABCDEF"]) == 1
    assert capsys.readouterr().err == "postcat: fatal: open queue file ABCDEF: No such file or directory\n"
    assert postcat.main(["-c", str(site), "-q"]) == 0
    assert postcat.main(["-c", str(site), "-q", "../x"]) == 1


class Pieces:
    """Content whose chunks are as small as can be."""

    def __init__(self, data: bytes, size: int) -> None:
        self.data, self.step = data, size

    def chunks(self, start=0, stop=None):
        for position in range(0, len(self.data), self.step):
            yield self.data[position : position + self.step]


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 7, 100])
def test_postcat_of_content_in_pieces(step):
    content = Pieces(CONTENT, step)

    def text(**parts):
        return b"".join(postcat.text_pieces(PREFIX, content, **parts))

    whole = (PREFIX + CONTENT).replace(b"\r\n", b"\n")
    end = whole.index(b"\n\n") + 1
    assert text(header=True, body=True) == whole
    assert text(header=True, body=False) == whole[:end]
    assert text(header=False, body=True) == whole[end:]
