"""Mailboxes and Maildirs that are locked, full, or not what they seem."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path
from subprocess import PIPE

import pytest

from angarium.delivery import mailboxfile
from angarium.delivery.mailboxfile import LockRules, MailboxRules, append
from angarium.delivery.maildir import Moment, deliver
from angarium.delivery.troubles import DeliveryError
from angarium.model.content import ContentLostError

MOMENT = Moment(7, 8, 9, "host/a:b")
RULES = MailboxRules(LockRules(attempts=2, delay=0.0))


def refused(path, rules=RULES):
    with pytest.raises(DeliveryError) as caught:
        append(str(path), [b"x\n"], rules)
    return f"{caught.value.dsn} {caught.value.text}".replace(str(path), "PATH")


def test_it_is_made_and_appended_to(tmp_path):
    path = tmp_path / "box"
    append(str(path), [b"a\n"], RULES)
    append(str(path), [b"b\n"], RULES)
    assert path.read_bytes() == b"a\nb\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_dot_lock_is_waited_for_and_given_up_when_it_is_old(tmp_path):
    path, lock = tmp_path / "box", tmp_path / "box.lock"
    lock.touch()
    assert refused(path) == "4.2.0 unable to create lock file PATH.lock: File exists"
    assert lock.exists()
    os.utime(lock, (1, 1))  # what anybody can set does not count
    assert refused(path) == "4.2.0 unable to create lock file PATH.lock: File exists"
    old = MailboxRules(LockRules(attempts=2, delay=0.0, stale=-1.0))
    append(str(path), [b"a\n"], old)
    assert not lock.exists()


def test_a_lock_of_another_process(tmp_path):
    path = tmp_path / "box"
    path.touch()
    with path.open("r+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        rules = MailboxRules(LockRules(("flock",), attempts=2, delay=0.0))
        said = refused(path, rules)
    assert said == "4.2.0 unable to lock for exclusive access: Resource temporarily unavailable"


def test_a_record_lock_of_another_program_and_of_another_thread(tmp_path):
    path = tmp_path / "box"
    path.touch()
    rules = MailboxRules(LockRules(("fcntl",), attempts=2, delay=0.0))
    said = "4.2.0 unable to lock for exclusive access: Resource temporarily unavailable"
    holder = "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.lockf(f,fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", holder, path], stdin=PIPE, stdout=PIPE) as other:
        other.stdout.readline()
        assert refused(path, rules) == said
        other.communicate(b"\n")
    append(str(path), [b"a\n"], rules)

    def while_it_is_written():
        yield b"b\n"
        assert refused(path, rules) == said

    append(str(path), while_it_is_written(), rules)
    assert path.read_bytes() == b"a\nb\n"


def test_somebody_elses(tmp_path):
    path = tmp_path / "box"
    path.touch()
    assert refused(path, MailboxRules(owner=os.geteuid() + 1)) == "4.2.0 destination PATH is not owned by recipient"


def test_a_directory_and_what_is_not_there(tmp_path):
    (tmp_path / "box").mkdir()
    assert refused(tmp_path / "box") == "5.2.0 cannot open file: Is a directory"
    path = tmp_path / "no" / "box"
    assert refused(path) == "5.2.0 unable to create lock file PATH.lock: No such file or directory"
    without = MailboxRules(lock=LockRules(("fcntl",)))
    assert refused(path, without) == "5.2.0 cannot create file exclusively: No such file or directory"
    lenient = MailboxRules(lock_may_fail=True)
    assert refused(path, lenient) == "5.2.0 cannot create file exclusively: No such file or directory"


def test_links(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old\n")
    link.symlink_to(target)
    tmp_path.chmod(0o777)
    assert refused(link) == "5.2.0 file is a symbolic link"
    os.link(target, tmp_path / "name")
    assert refused(target) == "5.2.0 file has 2 hard links"
    assert target.read_bytes() == b"old\n"


def test_a_fifo_does_not_hang(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    assert refused(path) == "5.2.0 cannot open file: No such device or address"


def test_a_message_that_does_not_fit_leaves_nothing(tmp_path):
    path = tmp_path / "box"
    path.write_bytes(b"old\n")
    assert refused(path, MailboxRules(size_limit=5)) == "5.2.2 error writing message: File too large"
    assert path.read_bytes() == b"old\n"


def test_a_message_that_ends_in_an_error_leaves_nothing(tmp_path):
    path = tmp_path / "box"
    path.write_bytes(b"old\n")

    def pieces():
        yield b"new"
        raise OSError(5, "I/O")

    with pytest.raises(DeliveryError):
        append(str(path), pieces(), RULES)
    assert path.read_bytes() == b"old\n"


def test_maildir_names(tmp_path):
    path = tmp_path / "M"
    made = deliver(f"{path}/", [b"a\n"], MOMENT)
    status = Path(made).stat()
    assert made == f"{path}/new/7.V{status.st_dev:x}I{status.st_ino:x}M8.host\\057a\\072b"
    assert (path / "cur").is_dir()


def test_a_maildir_that_cannot_be_made(tmp_path):
    (tmp_path / "M").write_text("")
    with pytest.raises(DeliveryError) as caught:
        deliver(str(tmp_path / "M"), [b"a\n"], MOMENT)
    assert str(caught.value.dsn) == "5.2.0"


def test_a_maildir_message_over_the_limit_leaves_nothing(tmp_path):
    with pytest.raises(DeliveryError) as caught:
        deliver(str(tmp_path), [b"a\n", b"b\n"], MOMENT, 3)
    assert str(caught.value.dsn) == "5.2.2"
    assert [list((tmp_path / name).iterdir()) for name in ("new", "tmp")] == [[], []]


def test_a_pipe_that_is_not_read_is_given_up_and_one_that_is_gets_all(tmp_path, monkeypatch):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    rules = MailboxRules(LockRules(("fcntl",)), regular=False)
    monkeypatch.setattr(mailboxfile, "_UNREAD", 0.01)
    asleep = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(DeliveryError) as caught:
        append(str(path), [b"x" * 300_000], rules)
    assert str(caught.value.dsn) == "4.2.0"
    monkeypatch.setattr(mailboxfile, "_UNREAD", 10.0)
    awake = threading.Thread(target=lambda: _read_to_the_end(asleep, read))
    read, writer = bytearray(), os.open(path, os.O_WRONLY)  # with one, the end has not come yet
    awake.start()
    append(str(path), [b"y" * 300_000], rules)
    os.close(writer)
    awake.join()
    os.close(asleep)
    assert read.count(b"y") == 300_000


def _read_to_the_end(descriptor, read):
    os.set_blocking(descriptor, True)
    while piece := os.read(descriptor, 65536):
        read += piece


def shrinking():
    yield b"Subject: x\n"
    raise ContentLostError("the file became shorter")


def test_of_a_message_that_ends_too_early_nothing_stays(tmp_path):
    path = tmp_path / "box"
    append(str(path), [b"a\n"], RULES)
    with pytest.raises(DeliveryError, match=r"4\.3\.0 error reading message"):
        append(str(path), shrinking(), RULES)
    assert path.read_bytes() == b"a\n"
    with pytest.raises(DeliveryError, match=r"4\.3\.0 error reading message"):
        deliver(str(tmp_path / "dir"), shrinking(), MOMENT)
    assert [each for each in (tmp_path / "dir").rglob("*") if each.is_file()] == []
