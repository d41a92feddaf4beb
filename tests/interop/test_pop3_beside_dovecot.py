"""The same mail and the same commands to pop3d and to a real Dovecot: the answers are the same, byte for byte.

What may differ is written down here: the greeting, CAPA's list, unique ids (they hold the mailbox's UIDVALIDITY), and
what Dovecot answers to input that it hangs up on.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.pop3_server import Pop3Server

from angarium.daemons.pop3d.main import Pop3dParameters

pytestmark = pytest.mark.interop

MESSAGES = [
    b"Subject: one\r\nFrom: a@example.test\r\n\r\n.dot\r\n..\r\n.\r\nend\r\n",
    b"Subject: no body\r\n\r\n",
    b"Subject: no blank line\r\n",
    b"Subject: no last line end\r\n\r\ntext",
    b"Subject: long\r\n\r\n" + b"0123456789\r\n" * 20_000,
    b"\r\nno header\r\n",
    "Subject: ümlaut\r\n\r\nÜ\r\n".encode(),
]

SCRIPTS = {
    "login": "USER alice|PASS wrong|PASS|USER alice|PASS secret|STAT|QUIT",
    "sasl": "AUTH|AUTH FOO|AUTH PLAIN|xx|AUTH PLAIN AGFsaWNlAHNlY3JldA==|STAT|QUIT",
    "sasl login": "AUTH LOGIN|YWxpY2U=|c2VjcmV0|STAT|QUIT",
    "early": "user alice|NOOP|pass secret|stat|QUIT",
    "listings": "LIST|LIST 1|LIST 99|LIST x|LIST 0|LIST 1 2|UIDL|UIDL 2|UIDL 99|STAT|NOOP|QUIT",
    "retrieval": "RETR 1|RETR 2|RETR 3|RETR 4|RETR 5|RETR 6|RETR 7|RETR 8|RETR|RETR x|RETR 0|RETR 1 2|QUIT",
    "top": "TOP 1 0|TOP 1 1|TOP 1 2|TOP 1 99|TOP 2 0|TOP 3 1|TOP 4 1|TOP 5 3|TOP 6 1|TOP 9 1|TOP|TOP 1 -1|TOP 1 x|QUIT",
    "marks": "DELE 1|DELE 1|RETR 1|TOP 1 0|LIST 1|UIDL 1|STAT|LIST|UIDL|RSET|STAT|LIST 1|DELE 99|DELE|QUIT",
    "removal": "DELE 2|DELE 4|QUIT",
    "unknown": "XFOO|STAT2|LAST|USER x|PASS x|NOOP x|STAT x|QUIT",
}
_LOGIN = "USER alice|PASS secret|"


class Peer:
    """Speaks to a server, one command at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._file = self._socket.makefile("rb")
        self._file.readline()

    def __call__(self, line: str) -> bytes:
        self._socket.sendall(line.encode() + b"\r\n")
        first = self._file.readline()
        verb = line.split(" ", maxsplit=1)[0].upper()
        several = verb in ("RETR", "TOP", "CAPA") or (verb in ("LIST", "UIDL", "AUTH") and " " not in line)
        if not first.startswith(b"+OK") or not several:
            return first
        lines = [first]
        while lines[-1] != b".\r\n":
            lines.append(self._file.readline())
        return b"".join(lines)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for Dovecot: short, for its unix sockets, and one that another user can reach."""
    with tempfile.TemporaryDirectory(prefix="dovecot") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


@pytest.fixture
def dovecot(peer, place: Path) -> Iterator[int]:
    """The port of a Dovecot with the messages in alice's INBOX."""
    program = peer("dovecot")
    base = place / "d"
    box = base / "mail" / "alice"
    for name in ("cur", "new", "tmp"):
        (box / name).mkdir(parents=True)
    for number, message in enumerate(MESSAGES):
        (box / "new" / f"{1700000000 + number}.M{number}P1.host").write_bytes(message)
    user = getpass.getuser()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    root = os.geteuid() == 0
    owner = "nobody" if root else user
    if root:
        subprocess.run(["chown", "-R", "nobody", box], check=True)
    (base / "dovecot.conf").write_text(
        f"""
base_dir = {base}/run
log_path = {base}/log
protocols = pop3
ssl = no
mail_location = maildir:{base}/mail/%u
first_valid_uid = 1
auth_mechanisms = plain login
auth_failure_delay = 0
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={owner} gid={os.getgid() if not root else 65534} home={base}/mail/%u
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""
        + ("" if root else f"default_login_user = {user}\ndefault_internal_user = {user}\n")
    )
    process = subprocess.Popen([program, "-F", "-c", base / "dovecot.conf"])
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except ConnectionRefusedError:
                continue
            break
        assert process.poll() is None, (base / "log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "mail").mkdir()
    with Pop3Server(tmp_path / "mail", Pop3dParameters(failure_delay=0)) as server:
        server.deliver("alice@example.test", *MESSAGES)
        yield server.port


def _comparable(answer: bytes) -> bytes:
    return re.sub(rb"\b([0-9a-f]{8})[0-9a-f]{8}\b", rb"\1", answer)


def test_the_same_answers(dovecot, ours):
    differences = []
    for name, script in SCRIPTS.items():
        lines = script if name in ("login", "sasl", "sasl login", "early") else _LOGIN + script
        theirs, mine = Peer(dovecot), Peer(ours)
        for line in lines.split("|"):
            answers = _comparable(mine(line))[-200:], _comparable(theirs(line))[-200:]
            if answers[0] != answers[1]:
                differences.append((name, line, *answers))
        theirs.close()
        mine.close()
    assert differences == []
