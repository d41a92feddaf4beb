"""Who may submit mail and as whom, see the queue and flush it: by the kernel's user id, in Postfix's words."""

import os
import pwd
import shutil
import subprocess

import pytest

from angarium.commands import queue_request
from angarium.protocols.pickup import frames
from angarium.protocols.pickup.frames import frame

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

NOBODY = pwd.getpwnam("nobody")
WHO = f"nobody({NOBODY.pw_uid})"
TALK = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(bytes.fromhex(sys.argv[2]))
while data := client.recv(65536):
    sys.stdout.write(data.decode())
"""


def as_nobody(bench, data: bytes) -> str:
    """What pickup answers to another user."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no interpreter that is open to other users")
    bench.root.chmod(0o755)

    def talk():
        done = subprocess.run(
            [python, "-c", TALK, bench.path, data.hex()],
            capture_output=True,
            text=True,
            timeout=60,
            user=NOBODY.pw_uid,
            group=NOBODY.pw_gid,
            extra_groups=[],
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return bench.run(talk)


def question(text: bytes) -> bytes:
    return frame(frames.VERSION_RECORD, b"1") + frame(frames.QUESTION, text)


def command_line(*words: bytes) -> bytes:
    arguments = frame(frames.ARGUMENTS, b"".join(word + b"\0" for word in words))
    message = frame(frames.INPUT, b"Subject: a\n\nb\n")
    return frame(frames.VERSION_RECORD, b"1") + arguments + message + frame(frames.END)


@pytest.mark.parametrize("bench", [{"authorized_mailq_users": "root, daemon"}], indirect=True)
def test_who_may_not_see_the_queue(bench):
    assert as_nobody(bench, question(b"l")) == f"550 5.7.1 User {WHO} is not allowed to view the mail queue\n"
    assert bench.run(lambda: queue_request.ask(bench.root, queue_request.MAY_LIST)) == ""


@pytest.mark.parametrize("bench", [{"authorized_flush_users": "!nobody, static:all"}], indirect=True)
@pytest.mark.parametrize("asked", [b"f", b"iABCDEF0", b"sx.test"])
def test_who_may_not_flush(bench, asked):
    assert as_nobody(bench, question(asked)) == f"550 5.7.1 User {WHO} is not allowed to flush the mail queue\n"


@pytest.mark.parametrize("asked", [b"f", b"iABCDEF0", b"sx.test"])
def test_others_may_by_default(bench, asked):
    assert as_nobody(bench, question(asked)) == "250 2.0.0 Ok\n"
    assert as_nobody(bench, question(b"l")) == "250 2.0.0 Ok\n"


@pytest.mark.parametrize("bench", [{"authorized_mailq_users": "hash:/nosuch"}], indirect=True)
def test_a_table_that_cannot_be_asked_is_temporary(bench):
    assert as_nobody(bench, question(b"l")) == "451 4.3.0 Temporary lookup failure\n"


@pytest.mark.parametrize("bench", [{"authorized_submit_users": "root"}], indirect=True)
def test_who_may_not_submit(bench):
    answer = as_nobody(bench, command_line(b"joe@x.test"))
    assert answer == f"75\nsendmail: fatal: User {WHO} is not allowed to submit mail\n"
    assert bench.queue.messages == []


@pytest.mark.parametrize("text", [b"", b"x", b"\xff"])
def test_a_question_that_makes_no_sense(bench, text):
    assert bench.exchange(question(text)).startswith(b"501 5.5.2 malformed submission")


def test_a_question_is_alone(bench):
    with_more = frame(frames.VERSION_RECORD, b"1") + frame(b"R", b"a@x.test") + frame(frames.QUESTION, b"l")
    assert bench.exchange(with_more).startswith(b"501 5.5.2 malformed submission")
    assert bench.exchange(question(b"l") + frame(b"R", b"a@x.test")).startswith(b"501 5.5.2 malformed submission")


SENDERS = "inline:{{nobody=ok@x.test @dom.test}, {root=*}}"


@pytest.mark.parametrize("bench", [{"local_login_sender_maps": SENDERS, "recipient_delimiter": "+"}], indirect=True)
@pytest.mark.parametrize(
    ("sender", "allowed"),
    [
        ("ok@x.test", True),
        ("OK@X.test", True),
        ("ok+ext@x.test", True),
        ("any@dom.test", True),
        ("any@sub.dom.test", False),
        ("no@x.test", False),
        (None, False),
        ("", False),
    ],
)
def test_local_login_sender_maps(bench, sender, allowed):
    words = [b"a@b.test"] if sender is None else [b"-f", sender.encode(), b"a@b.test"]
    name = "nobody" if sender is None else sender
    refusal = f"75\nsendmail: fatal: {name}({NOBODY.pw_uid}): not authorized to use sender='{name}'\n"
    assert as_nobody(bench, command_line(*words)) == ("0\n" if allowed else refusal)


@pytest.mark.parametrize("bench", [{"local_login_sender_maps": "inline:{nobody=<>}"}], indirect=True)
def test_the_empty_sender_has_a_pattern(bench):
    assert as_nobody(bench, command_line(b"-f", b"", b"a@b.test")) == "0\n"
    assert as_nobody(bench, command_line(b"-f", b"x@y.test", b"a@b.test")).startswith("75\n")
