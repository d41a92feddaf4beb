"""postlock(1) and postkick(1) beside Postfix's, as recorded; and that the lock is one."""

import fcntl
import os
import socket
import threading

import pytest

from angarium.commands import postkick, postlock

USAGE = "postlock: fatal: usage: postlock [-c config_dir] [-l lock_style] [-v] folder command...\n"
KICK = "postkick: fatal: usage: postkick [-c config_dir] [-v] class service request\n"
DOWN = "postkick: warning: Cannot contact class {} service {} - perhaps the mail system is down\n"


@pytest.fixture
def etc(tmp_path, monkeypatch):
    (tmp_path / "main.cf").write_text(
        f"queue_directory = {tmp_path}\nmaillog_file = {tmp_path}/log\nmaillog_file_prefixes = /\n"
        "deliver_lock_attempts = 2\ndeliver_lock_delay = 0\nmailbox_delivery_lock = fcntl, dotlock\n"
    )
    (tmp_path / "master.cf").write_text("pickup unix n - n 60 1 pickup\nqmgr unix n - n 300 1 qmgr\n")
    (tmp_path / "public").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "status", "out", "err"),
    [
        ((), 75, "", USAGE),
        (("-l", "fcntl,dotlock"), 75, "", USAGE),
        (("-l",), 75, "", "postlock: option requires an argument -- 'l'\n" + USAGE),
        (("-o", "x"), 75, "", "postlock: invalid option -- 'o'\n" + USAGE),
        (("folder", "echo", "held"), 0, "held\n", ""),
        (("folder", "false"), 1, "", ""),
        (("folder", "sh", "-c", "exit 77"), 77, "", ""),
        (("folder", "sh", "-c", "kill -9 $$"), 1, "", ""),
        (("folder", "/nosuch/cmd"), 1, "", "postlock: fatal: execvp /nosuch/cmd: No such file or directory\n"),
        (
            ("nosuch/dir", "true"),
            75,
            "",
            (
                "postlock: fatal: open file nosuch/dir: unable to create lock file nosuch/dir.lock: "
                "No such file or directory\n"
            ),
        ),
        (
            ("-l", "bogus", "folder", "true"),
            75,
            "",
            'postlock: fatal: unknown mailbox_delivery_lock value "bogus" in "bogus"\n',
        ),
    ],
)
def test_as_postfix(etc, capfd, words, status, out, err):
    (etc / "folder").touch()
    assert postlock.main(["-c", str(etc), *words]) == status
    assert capfd.readouterr() == (out, err)
    assert not (etc / "folder.lock").exists()


def test_a_mailbox_that_others_have_locked(etc, capfd):
    folder = etc / "folder"
    ready, done = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        with folder.open("w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(ready[1], b".")
            os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    try:
        assert postlock.main(["-c", str(etc), "-l", "fcntl", "folder", "echo", "x"]) == 75
    finally:
        os.write(done[1], b".")
        os.waitpid(pid, 0)
    assert capfd.readouterr() == (
        "",
        ("postlock: fatal: open file folder: unable to lock for exclusive access: Resource temporarily unavailable\n"),
    )


def test_a_lock_file_of_others(etc, capfd):
    lock = etc / "folder.lock"
    lock.touch()
    assert postlock.main(["-c", str(etc), "-l", "dotlock", "folder", "echo", "x"]) == 75
    assert capfd.readouterr() == (
        "",
        "postlock: fatal: open file folder: unable to create lock file folder.lock: File exists\n",
    )
    os.utime(lock, (0, 0))
    assert postlock.main(["-c", str(etc), "-l", "dotlock", "folder", "echo", "x"]) == 0
    assert not lock.exists()


@pytest.mark.parametrize(
    ("words", "err"),
    [
        ((), KICK),
        (("public", "qmgr"), KICK),
        (("-Z",), "postkick: invalid option -- 'Z'\n" + KICK),
        (
            ("public", "qmgr", "W"),
            "postkick: warning: unable to look up public/qmgr: No such file or directory\n"
            + DOWN.format("public", "qmgr"),
        ),
        (
            ("public", "nosuch", "W"),
            (
                "postkick: warning: unable to look up public/nosuch: No such file or directory\n"
                + DOWN.format("public", "nosuch")
            ),
        ),
        (
            ("bogus", "qmgr", "W"),
            (
                "postkick: warning: unable to look up bogus/qmgr: No such file or directory\n"
                + DOWN.format("bogus", "qmgr")
            ),
        ),
    ],
)
def test_postkick_as_postfix_while_it_is_down(etc, capsys, words, err):
    assert postkick.main(["-c", str(etc), *words]) == 1
    assert capsys.readouterr().err == err


@pytest.mark.parametrize(
    ("words", "asked"),
    [(("public", "pickup", "W"), b"w"), (("public", "qmgr", "F"), b"f"), (("public", "qmgr", "I"), b"w")],
)
def test_what_postkick_asks_for(etc, words, asked):
    heard = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(etc / "public" / "pickup"))
    listener.listen()

    def serve():
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(4096))
            connection.sendall(b"250 2.0.0 Ok\n")

    thread = threading.Thread(target=serve)
    thread.start()
    assert postkick.main(["-c", str(etc), *words]) == 0
    thread.join()
    listener.close()
    assert heard == [b"V000000011q00000001" + asked]
