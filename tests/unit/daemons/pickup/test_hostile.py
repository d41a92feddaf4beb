"""A local user who wants to stop, read or forge other people's mail: through the maildrop directory and the socket."""

import fcntl
import os
import socket

import pytest

from angarium.daemons.pickup import main as pickup_main
from angarium.protocols.pickup import frames
from angarium.protocols.pickup.frames import frame


def submission(*recipients, sender=None, content=b"Subject: hi\r\n\r\nbody\r\n", extract=False):
    records = [frame(b"V", b"1")]
    if sender is not None:
        records.append(frame(frames.SENDER, sender))
    records += [frame(frames.RECIPIENT, each) for each in recipients]
    if extract:
        records.append(frame(frames.EXTRACT))
    return b"".join([*records, frame(frames.DATA, content), frame(frames.END)])


@pytest.fixture
def maildrop(bench):
    directory = bench.root / "maildrop"
    directory.mkdir()
    return directory


def drop(directory, name, data, mode=0o744):
    path = directory / name
    path.write_bytes(data)
    path.chmod(mode)
    return path


def pick_up(bench):
    """One start of pickup, with its first look into the directory."""
    bench.run(lambda: None)
    return [message.envelope.recipients[0].address for message in bench.queue.messages]


@pytest.mark.parametrize(
    "hostile",
    [
        submission(b"\xff@x.test"),
        submission(b"joe@x.test", sender=b"\xff@x.test"),
        submission(b"joe@x.test", sender=b"\xed\xa0\x80@x.test"),
        submission(b"joe@x.test") + b"more",
        frame(b"V", b"1") + frame(frames.NOTIFY, b"x"),
        b"",
    ],
)
def test_a_file_without_sense_holds_nobody_up(bench, maildrop, hostile):
    drop(maildrop, "a", hostile)
    drop(maildrop, "b", submission(b"bob@x.test"))
    assert pick_up(bench) == ["bob@x.test"]
    assert not (maildrop / "b").exists()


def test_a_fault_of_ours_with_one_file_holds_nobody_up(bench, maildrop, monkeypatch):
    broken = drop(maildrop, "a", submission(b"joe@x.test"))
    drop(maildrop, "b", submission(b"bob@x.test"))
    allocate = bench.queue.allocate_id
    calls = []

    def allocate_id():
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("a fault")
        return allocate()

    monkeypatch.setattr(bench.queue, "allocate_id", allocate_id)
    assert pick_up(bench) == ["bob@x.test"]
    assert broken.exists()  # temporary: it is tried again


@pytest.mark.parametrize("occupied", ["directory", "long name", "vanished"])
def test_a_file_that_cannot_be_put_aside_holds_nobody_up(bench, maildrop, occupied):
    if occupied == "directory":
        drop(maildrop, "a", b"nonsense")
        (maildrop / "a.bad" / "in it").mkdir(parents=True)
    elif occupied == "long name":
        drop(maildrop, "a" * 255, b"nonsense")
    else:
        os.mkfifo(maildrop / ("a" * 254))
    drop(maildrop, "b", submission(b"bob@x.test"))
    assert pick_up(bench) == ["bob@x.test"]


def test_two_queue_managers_take_a_file_once(bench, maildrop):
    """After a reload the old one may still be looking through the directory."""
    path = drop(maildrop, "a", submission(b"joe@x.test"))
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert pick_up(bench) == []
    assert pick_up(bench) == ["joe@x.test"]


def test_a_huge_file_is_not_read_to_its_end(bench, maildrop, monkeypatch):
    bench.settings["message_size_limit"] = "1000"
    (bench.root / "etc" / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in bench.settings.items()))
    head = frame(b"V", b"1") + frame(frames.RECIPIENT, b"joe@x.test")
    pieces = b"".join(frame(frames.DATA, b"x" * 1_000_000) for _ in range(20))
    drop(maildrop, "a", head + pieces + frame(frames.END))
    read = []
    real = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: read.append(size) or real(descriptor, size))
    assert pick_up(bench) == []
    assert (maildrop / "a.bad").exists()
    assert sum(read) < 4_000_000


@pytest.mark.parametrize("size", [5000, 980])
def test_a_file_that_is_a_little_too_large_is_not_taken_in_part(bench, maildrop, size):
    """Read at once, and over the limit only with the line ends that it lacks."""
    bench.settings["message_size_limit"] = "1000"
    (bench.root / "etc" / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in bench.settings.items()))
    drop(maildrop, "a", submission(b"joe@x.test", content=b"A: b\n\n" + b"x\n" * (size // 2)))
    assert pick_up(bench) == []
    assert (maildrop / "a.bad").exists()
    assert bench.exchange(submission(b"joe@x.test", content=b"A: b\n\n" + b"x\n" * (size // 2))).startswith(b"552")


def test_line_ends_are_those_of_mail(bench):
    """Content with a bare LF would let a dot alone end the message at a server that takes LF for a line's end."""
    content = b"Subject: a\n\nb\n.\r\nMAIL FROM:<forged@x.test>\n.\nx\r\n.\n\r\r\n"
    answer = bench.exchange(submission(b"joe@x.test", content=content))
    assert answer.startswith(b"250")
    stored = bench.queue.messages[0].content.read()
    assert b"\n" not in stored.replace(b"\r\n", b"")
    assert stored.partition(b"\r\n\r\n")[2] == b"b\r\n.\r\nMAIL FROM:<forged@x.test>\r\n.\r\nx\r\n.\r\n \r\n"


def test_the_envelope_is_bounded_as_a_whole(bench):
    data = frame(b"V", b"1") + frame(frames.RECIPIENT, b"a" * 60_000) * 400
    assert bench.exchange(data).startswith(b"501 5.5.2 malformed submission: too much envelope")


def test_a_word_of_many_addresses_is_bounded(bench):
    words = [b",".join(b"a%d@x.test" % number for number in range(4000))] * 30
    assert bench.exchange(submission(*words)).startswith(b"452 4.5.3")
    assert bench.queue.messages == []


def test_one_user_has_so_many_connections_and_no_more(bench, monkeypatch):
    monkeypatch.setattr(pickup_main, "CONNECTIONS_PER_USER", 3)
    monkeypatch.setattr(pickup_main, "PRIVILEGED", frozenset())

    def talk():
        idle = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for each in idle:
            each.connect(bench.path)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(bench.path)
            answer = client.recv(4096)
        for each in idle:
            each.close()
        return answer

    assert bench.run(talk).startswith(b"451 4.3.2 too many connections")


def test_a_client_that_says_nothing_is_dropped(bench, monkeypatch):
    monkeypatch.setattr(pickup_main, "PATIENCE", 0.05)

    def talk():
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(bench.path)
            client.sendall(frame(b"V", b"1"))
            return client.recv(4096)

    assert bench.run(talk).startswith(b"451 4.4.2 timeout")


def test_who_has_too_many_connections_leaves_the_message_in_maildrop(bench, monkeypatch):
    monkeypatch.setattr(pickup_main, "CONNECTIONS_PER_USER", 0)
    monkeypatch.setattr(pickup_main, "PRIVILEGED", frozenset())
    done = bench.sendmail_up("joe@x.test", text=b"Subject: a\n\nb\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert bench.queue.messages == []
    large = bench.sendmail_up("joe@x.test", text=b"Subject: a\n\n" + b"b\n" * 2_000_000)
    assert large.returncode == 75
    assert b"too many connections" in large.stderr
    assert pick_up(bench) == ["joe@x.test"]
