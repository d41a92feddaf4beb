"""A server under load that is killed and started again, and what must be true afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from angarium.config.config import Config
from angarium.mailqueue.control import QueueControl
from angarium.master.node import Node
from angarium.runtime.log import MemoryLog
from angarium.runtime.sqlite import connect, integrity

VICTIM = Path(__file__).with_name("victim.py")
TOKEN = re.compile(rb"^Message-Id: <(\w+)@load>\r$", re.MULTILINE)
END = b"the end of this message\r\n"
LARGE = b"large" * 15 + b"\r\n"


def message(token: str, size: int) -> bytes:
    """A message that shows whether it is whole."""
    head = f"From: load@other.test\r\nMessage-Id: <{token}@load>\r\nSubject: {token}\r\nX-Size: {size}\r\n\r\n".encode()
    return head + LARGE * (size // len(LARGE)) + END


class Victims:
    """The server's processes."""

    def __init__(self, site, roles) -> None:
        self.site = site
        self.roles = roles
        self.running: dict[str, subprocess.Popen[str]] = {}

    def start(self, role: str) -> None:
        command = [sys.executable, str(VICTIM), role, str(self.site.configuration)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == "ready\n", process.stderr.read()
        self.running[role] = process

    def start_all(self) -> None:
        for role in self.roles:
            if role not in self.running:
                self.start(role)

    def kill(self, role: str) -> None:
        process = self.running.pop(role)
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()

    def kill_all(self) -> None:
        for role in list(self.running):
            self.kill(role)

    def died(self) -> list[str]:
        return [role for role, process in self.running.items() if process.poll() is not None]


class MasterVictims:
    """The real thing: ``postfix start``; the role ``child`` is any process of the master's, which replaces it."""

    roles = ("child",)

    def __init__(self, site, _roles=()) -> None:
        self.site = site
        self.running: dict[str, int] = {}

    def start_all(self) -> None:
        if "master" not in self.running:
            self.site.administer("postfix", "start")
            self.running["master"] = int((self.site.root / "spool" / "pid" / "master.pid").read_text())

    def children(self) -> list[int]:
        master = self.running["master"]
        return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]

    def kill(self, _role: str) -> None:
        with contextlib.suppress(IndexError, ProcessLookupError):  # the one before is being replaced
            os.kill(random.choice(self.children()), signal.SIGKILL)

    def kill_all(self) -> None:
        if "master" in self.running:
            family = [self.running.pop("master")]
            family += [int(pid) for pid in Path(f"/proc/{family[0]}/task/{family[0]}/children").read_text().split()]
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + 10
            while any(Path(f"/proc/{pid}/exe").exists() for pid in family) and time.monotonic() < deadline:
                time.sleep(0.01)

    def died(self) -> list[str]:
        return [name for name, pid in self.running.items() if not Path(f"/proc/{pid}/exe").exists()]


class Load:
    """Clients that send until they are told to stop, and remember what was acknowledged."""

    def __init__(self, server, seed: int, *, sendmail: bool = False) -> None:
        self.server = server
        self.acknowledged: set[str] = set()
        self.refused = Counter()
        self._stop = threading.Event()
        self._random = random.Random(seed)
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._smtp, args=(name,)) for name in ("alice", "bob", "alice")]
        self._threads.append(threading.Thread(target=self._imap))
        if sendmail:
            self._threads.append(threading.Thread(target=self._sendmail))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:  # a server that did not start never got any load
                thread.join(30)

    def _message(self, kind: str) -> tuple[str, bytes]:
        token = f"{kind}{next(self._numbers)}"
        size = 1_200_000 if self._random.random() < 0.02 else self._random.randrange(6000)
        return token, message(token, size)

    def _smtp(self, name: str) -> None:
        while not self._stop.is_set():
            try:
                self._smtp_session(f"{name}@{self.server.site.domain}")
            except OSError:
                time.sleep(0.01)  # the server is away

    def _smtp_session(self, recipient: str) -> None:
        site = self.server.site
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.create_connection((site.host, site.ports.smtp), 20))
            lines = stack.enter_context(sock.makefile("rb"))

            def say(text: bytes, *expected: bytes) -> bytes:
                sock.sendall(text)
                while True:
                    reply = lines.readline()
                    if not reply:
                        raise ConnectionError
                    if reply[3:4] != b"-":
                        break
                if not reply.startswith(expected):
                    self.refused[reply] += 1
                    raise ConnectionError
                return reply

            say(b"", b"220")
            say(b"EHLO load.test\r\n", b"250")
            while not self._stop.is_set():
                token, data = self._message("s")
                say(b"MAIL FROM:<load@other.test>\r\n", b"250")
                say(f"RCPT TO:<{recipient}>\r\n".encode(), b"250")
                say(b"DATA\r\n", b"354")
                say(data + b".\r\n", b"250")
                self.acknowledged.add(token)

    def _sendmail(self) -> None:
        """The command, again and again: it accepts mail even while the server is away."""
        site = self.server.site
        command = [site.command("sendmail")[0], "-C", str(site.configuration), "-i", "-f", "load@other.test"]
        while not self._stop.is_set():
            token, data = self._message("m")
            text = data.replace(b"\r\n", b"\n")
            done = subprocess.run([*command, f"alice@{site.domain}"], input=text, capture_output=True, timeout=60)
            if done.returncode == 0:
                self.acknowledged.add(token)
            else:
                self.refused[done.stderr] += 1

    def _imap(self) -> None:
        while not self._stop.is_set():
            try:
                self._imap_session()
            except OSError:
                time.sleep(0.01)

    def _imap_session(self) -> None:
        site = self.server.site
        user = f"bob@{site.domain}"
        context = ssl._create_unverified_context()
        with (
            socket.create_connection((site.host, site.ports.imaps), 20) as plain,
            context.wrap_socket(plain) as sock,
            sock.makefile("rb") as lines,
        ):

            def say(tag: str, text: bytes) -> None:
                """Send, and wait for ``tag``; anything but OK (or a continuation) ends the session."""
                sock.sendall(text)
                while reply := lines.readline():
                    if reply.startswith(tag.encode() + b" "):
                        if reply.split()[1] == b"OK" or tag == "+":
                            return
                        self.refused[reply] += 1
                        break
                raise ConnectionError

            say("*", b"")
            say("a", f'a LOGIN {user} "{self.server.passwords[user]}"\r\n'.encode())
            while not self._stop.is_set():
                token, data = self._message("i")
                say("+", b"b APPEND INBOX {%d}\r\n" % len(data))
                say("b", data + b"\r\n")
                self.acknowledged.add(token)


class Scene:
    """One server with its load, and the checks."""

    def __init__(self, server, roles, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        master = roles == MasterVictims.roles
        self.victims = MasterVictims(server.site) if master else Victims(server.site, roles)
        self.load = Load(server, seed, sendmail=master)
        self.queue_directory = server.site.root / "spool"

    def rounds(self, count: int) -> None:
        """Kill something at a random moment, start it again, ``count`` times."""
        for _ in range(count):
            time.sleep(self.random.uniform(0.02, 0.5))
            role = self.random.choice([*self.victims.roles, "everything"])
            if role == "everything":
                self.victims.kill_all()
            else:
                self.victims.kill(role)
            self.victims.start_all()

    def settle(self, seconds: float = 60.0) -> None:
        """Wait until the queue is empty."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert not self.victims.died()
            with QueueControl(self.queue_directory) as queue:
                queue.flush()
                left = list(queue.messages())
                queue.wake("flush")
            if not left and not self._maildrop():
                return
            time.sleep(0.2)
        raise AssertionError(f"{len(left)} messages stay in the queue: {left[:3]}")

    def _maildrop(self) -> list[Path]:
        directory = self.queue_directory / "maildrop"
        return list(directory.iterdir()) if directory.exists() else []

    def delivered(self) -> Counter:
        """How often each token is in a mailbox; every message must be whole."""
        conf = Config.load(self.server.site.configuration)
        found: Counter = Counter()

        async def read() -> None:
            node = Node(conf, MemoryLog())
            for name in ("alice", "bob"):
                account = await node.mailstore.open(f"{name}@{self.server.site.domain}")
                inbox = next(mailbox for mailbox in await account.mailboxes() if mailbox.name == "INBOX")
                uids = [state.uid for state in await account.states(inbox.id)]
                for _uid, content in await account.bodies(inbox.id, uids):
                    data = content.read()
                    token = TOKEN.search(data)
                    assert token is not None, data[:500]
                    size = int(data.split(b"X-Size: ")[1].split(b"\r")[0])
                    # Of the header we may add to; the body is as it was.
                    whole = message(token[1].decode(), size)
                    assert data.partition(b"\r\n\r\n")[2] == whole.partition(b"\r\n\r\n")[2], data[:500]
                    found[token[1].decode()] += 1
            await node.close()

        asyncio.run(read())
        return found

    def check(self) -> Counter:
        """Everything acknowledged is in a mailbox, once; no database is damaged; no file is left over."""
        found = self.delivered()
        lost = self.load.acknowledged - found.keys()
        assert not lost, sorted(lost)
        # pickup takes a message out of maildrop after it is in the queue: killed between, it does so again.
        assert [token for token, count in found.items() if count > 1 and not token.startswith("m")] == []
        databases = [self.queue_directory / "queue.db", *(self.server.site.root / "mail").rglob("*.sqlite*")]
        for path in databases:
            if path.name.endswith(("-wal", "-shm")):
                continue
            connection = connect(path)
            assert integrity(connection) == [], path
            connection.close()
        connection = connect(self.queue_directory / "queue.db")
        assert connection.execute(
            "SELECT (SELECT count(*) FROM content), (SELECT count(*) FROM outcome)"
        ).fetchone() == (0, 0)
        connection.close()
        return found


@pytest.fixture
def scene(servers):
    """``scene(roles, seed)``: a started server under load."""
    scenes = []

    def make(roles=("network", "qmgr"), seed=None, parameters=None) -> Scene:
        seed = seed if seed is not None else int(os.environ.get("CRASH_SEED", random.SystemRandom().randrange(10**6)))
        print(f"CRASH_SEED={seed}")
        made = Scene(servers.prepare(parameters), roles, seed)
        scenes.append(made)
        made.victims.start_all()
        made.load.start()
        return made

    yield make
    for made in scenes:
        made.load.stop()
        made.victims.kill_all()
