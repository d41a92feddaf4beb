"""The client that leaves its command line to pickup: what it hands over, and when it becomes the whole command."""

import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import termios
import threading

import pytest

from angarium.commands import sendmail_script
from angarium.daemons.pickup import main as pickup

CLIENT = sendmail_script.SOURCE
PERL = (sendmail_script.PERL, "-x", CLIENT, sys.executable)
MESSAGE = b"Subject: hi\n\nbody\n"


def run(bench, *words, text=MESSAGE, program=PERL):
    command = [*program, "-C", str(bench.root / "etc"), *words]
    return subprocess.run(command, input=text, capture_output=True, timeout=60, check=False)


def up(bench, *words, **options):
    return bench.run(lambda: run(bench, *words, **options))


def body(message):
    return message.content.read().partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("how", ["beside its interpreter", "by a link", "by a link to a link"])
def test_the_script_finds_its_interpreter(bench, tmp_path, how):
    """As installed: beside the interpreter of the whole command, or behind a link, as /usr/sbin/sendmail would be."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "python3").symlink_to(sys.executable)
    shutil.copy(CLIENT, place / "sendmail")
    script = place / "sendmail"
    if how != "beside its interpreter":
        (tmp_path / "sendmail").symlink_to(script)
        script = tmp_path / "sendmail"
    if how == "by a link to a link":
        (tmp_path / "other").symlink_to(script)
        script = tmp_path / "other"
    done = up(bench, "joe@x.test", program=(str(script),))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert body(bench.queue.messages[0]) == b"body\r\n"


def test_a_message_in_many_pieces(bench):
    line = b"0123456789" * 9 + b"\n"
    done = up(bench, "-oi", "joe@x.test", text=b"Subject: a\n\n" + line * 40000)
    assert (done.returncode, done.stderr) == (0, b"")
    assert body(bench.queue.messages[0]) == line.replace(b"\n", b"\r\n") * 40000


@pytest.mark.parametrize("bench", [{"message_size_limit": "100000"}], indirect=True)
def test_a_message_over_the_limit_is_refused(bench):
    for size in (200_000, 3_000_000):
        done = up(bench, "joe@x.test", text=b"Subject: a\n\n" + (b"x" * 99 + b"\n") * (size // 100))
        assert done.returncode == 75
        assert done.stderr.endswith(b": message file too big\n")


def test_a_lone_dot_ends_it_though_the_writer_stays(bench):
    def action():
        command = [*PERL, "-C", str(bench.root / "etc"), "joe@x.test"]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            for piece in (b"Subject: a\n\nb\n", b".", b"\n"):
                process.stdin.write(piece)
                process.stdin.flush()
            status = process.wait(60)
            process.stdin.close()
            return status

    assert bench.run(action) == 0
    assert body(bench.queue.messages[0]) == b"b\r\n"


def test_without_a_server_it_becomes_the_whole_command(bench):
    bench.run(lambda: None)
    large = b"Subject: a\n\n" + b"0123456789\n" * 200_000
    for text in (MESSAGE, b"", large):
        done = run(bench, "-i", "joe@x.test", text=text)
        assert (done.returncode, done.stderr) == (0, b"")
    bench.run(lambda: None)
    assert sorted(map(len, map(body, bench.queue.messages))) == [0, 6, 2_400_000]


@pytest.mark.parametrize("words", [("-bp",), ("-bi",), ("-bX",), ("-ZZ",), ("-f",), ()])
def test_other_calls_are_the_whole_commands(bench, words):
    done = up(bench, *words)
    whole = bench.sendmail_up(*words)
    assert (done.returncode, done.stdout, done.stderr) == (whole.returncode, whole.stdout, whole.stderr)


def test_who_has_too_many_connections_leaves_it_in_maildrop(bench, monkeypatch):
    monkeypatch.setattr(pickup, "CONNECTIONS_PER_USER", 0)
    monkeypatch.setattr(pickup, "PRIVILEGED", frozenset())
    bench.run(lambda: None)
    done = up(bench, "joe@x.test")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(bench.queue.messages) + len(list((bench.root / "maildrop").iterdir())) == 1


@pytest.mark.parametrize("answer", [b"", b"nonsense\n", b"501 5.5.2 malformed\n", b"\xff\n"])
def test_a_server_that_makes_no_sense_is_temporary(bench, answer):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(bench.path)
    listener.listen()

    def serve():
        connection, _ = listener.accept()
        while not connection.recv(65536).endswith(b"Z00000000"):
            pass
        connection.sendall(answer)
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    done = run(bench, "joe@x.test")
    thread.join()
    listener.close()
    assert done.returncode == 75
    assert done.stderr == b"sendmail: fatal: the mail system went away\n"


@pytest.mark.parametrize(
    ("setting", "text", "kept"),
    [
        ("always", b"A: b\r\n\r\nc\r\nd\n", b"c\r\nd\r\n"),
        ("strict", b"A: b\n\nc\r\nd\n", b"c \r\nd\r\n"),
        ("strict", b"A: b\r\n\r\nc\r\nd\n", b"c\r\nd\r\n"),
        ("never", b"A: b\n\nc\r\nd\n", b"c \r\nd\r\n"),
    ],
)
def test_sendmail_fix_line_endings(bench, setting, text, kept):
    main_cf = bench.root / "etc" / "main.cf"
    main_cf.write_text(main_cf.read_text() + f"sendmail_fix_line_endings = {setting}\n")
    assert up(bench, "joe@x.test", text=text).returncode == 0
    assert body(bench.queue.messages[0]) == kept


def test_it_is_sound_and_imports_nothing():
    command = [sendmail_script.PERL, "-x", "-Mstrict", "-Mwarnings=FATAL,all", "-c", CLIENT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, f"{CLIENT} syntax OK\n")
    code = CLIENT.read_text().partition("#!perl\n")[2]
    assert not re.search(r"^\s*(use|require|no)\b", code, re.MULTILINE)
    assert os.access(CLIENT, os.X_OK)


def test_where_there_is_no_perl_it_is_the_whole_command(bench, tmp_path):
    script = tmp_path / "sendmail"
    script.write_text(
        sendmail_script.script(sys.executable, tmp_path / "nothing").replace(str(sendmail_script.PERL), "/nothing")
    )
    script.chmod(0o755)
    (tmp_path / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    (tmp_path / "mailq").symlink_to(script)
    assert up(bench, "joe@x.test", program=(script,)).stderr == b""
    assert body(bench.queue.messages[0]) == b"body\r\n"
    done = run(bench, "x", program=(tmp_path / "mailq",))
    assert (done.returncode, done.stderr) == (75, b"mailq: fatal: display queue mode requires no recipient\n")


@pytest.mark.parametrize(
    ("name", "words", "status", "said"),
    [
        ("mailq", ("x",), 75, "mailq: fatal: display queue mode requires no recipient\n"),
        ("mailq", ("-qS",), 75, "mailq: fatal: -qS is not implemented\n"),
        ("newaliases", ("x",), 75, "newaliases: fatal: alias initialization mode requires no recipient\n"),
        (
            "newaliases",
            ("-Z",),
            75,
            "newaliases: invalid option -- 'Z'\n" * 2 + "newaliases: fatal: usage: newaliases [options]\n",
        ),
        ("mailq", ("-bi",), 0, ""),
        (
            "newaliases",
            ("-oA/nosuch/aliases",),
            1,
            "postalias: fatal: open /nosuch/aliases: No such file or directory\n",
        ),
    ],
)
def test_under_other_names(bench, tmp_path, name, words, status, said):
    """As recorded from Postfix's."""
    script = tmp_path / "sendmail"
    sendmail_script.write(script)
    (tmp_path / name).symlink_to(script)
    main_cf = bench.root / "etc" / "main.cf"
    main_cf.write_text(main_cf.read_text() + "alias_database =\n")
    done = run(bench, *words, program=(str(tmp_path / name),))
    assert (done.returncode, done.stderr.decode()) == (status, said)


@pytest.mark.parametrize("lines", [0, 1, 20_000])
def test_a_message_that_cannot_be_read_to_its_end_is_not_sent(bench, lines):
    """Neither by the client nor by the whole command, which would find standard input at its end."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as theirs:
        ours, _ = listener.accept()
        command = [*PERL, "-C", str(bench.root / "etc"), "-i", "joe@x.test"]

        def action():
            with subprocess.Popen(command, stdin=theirs, stderr=subprocess.PIPE) as process:
                ours.sendall((b"x" * 79 + b"\n") * lines)
                while unread(theirs):
                    os.sched_yield()
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                ours.close()
                return process.stderr.read(), process.wait(60)

        said, status = bench.run(action)
    assert (status, said) == (75, b"sendmail: fatal: cannot read the message: Connection reset by peer\n")
    assert not bench.queue.messages


def unread(connection):
    buffer = bytearray(4)
    fcntl.ioctl(connection, termios.FIONREAD, buffer)
    return int.from_bytes(buffer, sys.byteorder)


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("variable", ["PERL_UNICODE=SDAL", "PERL5OPT=-CSDA", "PERL5OPT=-w", "PERLIO=:crlf"])
def test_what_the_environment_tells_perl_changes_nothing(bench, monkeypatch, variable, served):
    monkeypatch.setenv(*variable.split("="))
    text = b"Subject: \xc3\xa9\n\n\xc3\xa9\xff\n"
    if served:
        done = up(bench, "-F", "J\u00f6", "joe@x.test", text=text)
    else:
        bench.run(lambda: None)
        done = run(bench, "-F", "J\u00f6", "joe@x.test", text=text)
        bench.run(lambda: None)
    assert (done.returncode, done.stderr) == (0, b"")
    (message,) = bench.queue.messages
    assert body(message) == b"\xc3\xa9\xff\r\n"
