"""What a thread of root's may do while it acts for a user: what the user may, and nothing that he may not."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from angarium.delivery.filerights import FileRights, acting, can_act
from angarium.delivery.mailboxfile import LockRules, MailboxRules, append
from angarium.delivery.question import message_file
from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest
from angarium.model.envelope import Envelope, Origin

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not can_act(), reason="only root can act for others")

ALICE = User("alice", 54321, 54322, "/")
BOB = User("bob", 54323, 54324, "/")


@pytest.fixture
def place(tmp_path):
    """A directory that everybody can reach and write to."""
    for each in (tmp_path, *tmp_path.parents):
        if each != Path("/") and each.stat().st_uid == os.geteuid() and each != Path("/tmp"):
            each.chmod(each.stat().st_mode | 0o011)
    tmp_path.chmod(0o1777)
    return tmp_path


def run(user, work):
    return asyncio.run(FileRights().run(user, work))


def test_files_and_directories_are_the_users(place):
    def work():
        (place / "file").write_text("x")
        (place / "dir").mkdir()
        (place / "link").symlink_to("file")
        return ()

    run(ALICE, work)
    for name in ("file", "dir", "link"):
        status = (place / name).lstat()
        assert (status.st_uid, status.st_gid) == (ALICE.uid, ALICE.gid)


def _effective():
    status = Path("/proc/thread-self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("CapEff:")).split()[1], 16)


def test_no_capability_goes_around_quotas_and_reserved_blocks():
    before = _effective()
    with acting(ALICE):
        assert _effective() & ~(1 << 6 | 1 << 7) == 0
        with acting(User("root", 0, 0, "/")):
            assert _effective() == before
    assert _effective() == before


def test_what_the_user_may_not_do_cannot_be_done(place):
    secret, closed = place / "secret", place / "closed"
    secret.write_text("root's")
    secret.chmod(0o600)
    closed.mkdir(mode=0o700)
    groups = place / "groups"
    groups.write_text("root's group may")
    groups.chmod(0o640)
    attempts = {
        "read": secret.read_text,
        "group": groups.read_text,
        "write": lambda: secret.open("a"),
        "chmod": lambda: secret.chmod(0o666),
        "chown": lambda: os.chown(secret, ALICE.uid, ALICE.gid),
        "enter": (closed / "x").touch,
        "unlink": secret.unlink,
        "rename": lambda: secret.rename(place / "other"),
        "hard link": lambda: os.link(secret, place / "mine"),
        "device": lambda: os.mknod(place / "device", stat.S_IFCHR | 0o666, os.makedev(1, 1)),
        "shadow": Path("/etc/shadow").read_text,
        "memory": lambda: os.close(os.open("/proc/self/mem", os.O_RDWR)),
    }

    def work():
        done = []
        for name, attempt in attempts.items():
            try:
                attempt()
            except OSError:
                continue
            done.append(name)
        return done

    protected = Path("/proc/sys/fs/protected_hardlinks").read_text().strip() == "1"
    assert run(ALICE, work) == ([] if protected else ["hard link"])


def test_the_other_threads_stay_roots(place):
    secret = place / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    inside, seen = threading.Event(), threading.Event()

    def work():
        inside.set()
        assert seen.wait(10)
        return ()

    async def scenario():
        task = asyncio.create_task(FileRights().run(ALICE, work))
        assert await asyncio.to_thread(inside.wait, 10)
        assert secret.read_text() == "x"
        (place / "roots").touch()
        seen.set()
        await task

    asyncio.run(scenario())
    assert (place / "roots").stat().st_uid == 0
    assert os.getresuid() == (0, 0, 0)


def test_many_users_at_a_time_do_not_mix(place):
    users = [User(f"u{number}", 60000 + number, 60000 + number) for number in range(30)]

    def work(user):
        def inner():
            for turn in range(20):
                (place / f"{user.name}.{turn}").touch()
            return ()

        return inner

    async def scenario():
        rights = FileRights()
        await asyncio.gather(*(rights.run(user, work(user)) for user in users))

    asyncio.run(scenario())
    for user in users:
        assert {(place / f"{user.name}.{turn}").stat().st_uid for turn in range(20)} == {user.uid}


def test_rights_are_given_back_when_the_work_fails(place):
    def fails():
        return [Path("a\0b").read_text()]

    rights = FileRights()

    async def scenario():
        with pytest.raises(DeliveryError, match="temporary failure"):
            await rights.run(ALICE, fails)
        await rights.run(BOB, lambda: [str((place / "bobs").touch())])

    asyncio.run(scenario())
    assert (place / "bobs").stat().st_uid == BOB.uid
    with acting(ALICE):
        pass
    (place / "mine").touch()
    assert (place / "mine").stat().st_uid == 0


def test_the_user_may_not_signal_or_trace_who_acts_for_him():
    pid = os.getpid()
    child = os.fork()
    if child == 0:
        os.setgroups([ALICE.gid])
        os.setresgid(ALICE.gid, ALICE.gid, ALICE.gid)
        os.setresuid(ALICE.uid, ALICE.uid, ALICE.uid)
        allowed = 0
        for attempt in (
            lambda: os.kill(pid, 0),
            Path(f"/proc/{pid}/fd/0").readlink,
            lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)),
            lambda: signal.pidfd_send_signal(os.pidfd_open(pid), 0),
        ):
            try:
                attempt()
            except OSError:
                continue
            allowed += 1
        os._exit(allowed)
    assert os.waitpid(child, 0)[1] == 0


LOCK = LockRules(attempts=1, delay=0.0)


def test_in_a_spool_of_roots_the_mailbox_is_made_for_its_user_and_written_as_him(place):
    spool = place / "spool"
    spool.mkdir(mode=0o755)
    assert append(str(spool / "alice"), [b"x\n"], MailboxRules(LOCK, keeper=ALICE, owner=ALICE.uid)) == []
    status = (spool / "alice").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (ALICE.uid, ALICE.gid, 0o600)
    assert [each.name for each in spool.iterdir()] == ["alice"]


def test_root_follows_a_link_of_its_own_with_the_users_rights_alone(place):
    """The way behind it may be the user's to change: to a file that is not his."""
    spool, home, target = place / "spool", place / "home", place / "roots-file"
    spool.mkdir(mode=0o755)
    home.mkdir()
    os.chown(home, ALICE.uid, ALICE.gid)
    target.write_text("root's\n")
    target.chmod(0o600)
    (home / "inbox").symlink_to(target)
    (spool / "alice").symlink_to(home / "inbox")
    with pytest.raises(DeliveryError, match="Permission denied"):
        append(str(spool / "alice"), [b"x\n"], MailboxRules(LOCK, keeper=ALICE, owner=None))
    assert target.read_text() == "root's\n"


def test_a_message_on_its_way_cannot_be_opened_or_changed_through_proc(place):
    envelope = Envelope("s@x", (), 1.0, Origin("ESMTP"))
    content = MemoryContent(b"text")
    descriptor = message_file(DeliveryRequest("Q", "local", "x", envelope, (), b"P\r\n", content, 1.0, 1.0))
    try:
        with pytest.raises(PermissionError):
            os.write(descriptor, b"x")
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, 0)
        path = f"/proc/self/fd/{descriptor}"

        def work():
            for flags in (os.O_RDONLY, os.O_WRONLY | os.O_APPEND):
                with pytest.raises(PermissionError):
                    os.open(path, flags)
            with pytest.raises(DeliveryError):
                append(path, [b"x\n"], MailboxRules(LOCK, regular=False, lock_may_fail=True))
            return ()

        run(ALICE, work)
        assert os.pread(descriptor, 100, 0) == b"P\r\ntext"
    finally:
        os.close(descriptor)


def test_an_open_file_without_a_name_is_no_mailbox(place):
    with (place / "gone").open("w+b") as file:
        (place / "gone").unlink()
        with pytest.raises(DeliveryError, match="0 hard links"):
            append(f"/proc/self/fd/{file.fileno()}", [b"x\n"], MailboxRules(LOCK, lock_may_fail=True))
        assert file.read() == b""


def swapping(place, name, target, stop):
    """A process of Alice's that makes ``name`` a file, a link and a hard link by turns."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setgroups([ALICE.gid])
        os.setresgid(ALICE.gid, ALICE.gid, ALICE.gid)
        os.setresuid(ALICE.uid, ALICE.uid, ALICE.uid)
        turn = 0
        while not stop.exists():
            turn += 1
            other = place / f"other{turn % 2}"
            other.unlink(missing_ok=True)
            if turn % 3 == 0:
                other.touch(0o600)
            elif turn % 3 == 1:
                other.symlink_to(target)
            else:
                (place / "named").touch(0o600)
                os.link(place / "named", other)
            other.rename(name)
    finally:
        os._exit(0)


@pytest.mark.parametrize("keeper", [None, ALICE], ids=["home", "behind-a-link-of-roots"])
def test_names_that_are_swapped_under_the_delivery_lead_to_nothing_that_is_not_the_users(place, keeper):
    home, spool, target, stop = place / "home", place / "spool", place / "roots-file", place / "stop"
    home.mkdir()
    os.chown(home, ALICE.uid, ALICE.gid)
    spool.mkdir(mode=0o755)
    target.write_text("root's\n")
    target.chmod(0o600)
    (spool / "alice").symlink_to(home / "inbox")
    path = home / "inbox" if keeper is None else spool / "alice"
    pid = swapping(home, home / "inbox", target, stop)
    delivered = 0

    def work():
        return append(str(path), [b"x\n"], MailboxRules(LOCK, keeper=keeper, owner=None))

    rights = FileRights()

    async def scenario():
        count = 0
        for turn in range(5000):
            if turn >= 300 and count:  # one at least has to find a name that leads somewhere
                break
            try:
                await rights.run(User("root", 0, 0) if keeper else ALICE, work)
                count += 1
            except DeliveryError:
                continue
        return count

    try:
        delivered = asyncio.run(scenario())
    finally:
        stop.touch()
        os.waitpid(pid, 0)
    assert delivered
    assert target.read_text() == "root's\n"
    assert {each.lstat().st_uid for each in home.iterdir()} == {ALICE.uid}
    assert [each.name for each in spool.iterdir()] == ["alice"]
