"""A server under mixed work for minutes: ``python -m benchmarks.soak [MINUTES]`` (default 5).

Senders speak SMTP and run sendmail, readers fetch over IMAP and POP3 and expunge what they have seen. Every 20 seconds,
in turns, the configuration is reloaded and a process of the server is killed with SIGKILL. What is printed each minute
is to stay level: memory (PSS), open files, threads. At the end the mail is counted: each recipient's copy of each
message that was acknowledged has to be in the mailbox, once.

Exit status 1 when a copy is lost or there twice. Needs nothing but this project.
"""

from __future__ import annotations

import imaplib
import os
import poplib
import random
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import process_tree, pss_kib
from benchmarks.servers import DOMAIN, PASSWORD, Ours

USERS = [f"u{number}" for number in range(8)]
_PATIENCE = 30.0
_DISTURBED = (OSError, smtplib.SMTPException, imaplib.IMAP4.error, poplib.error_proto)
"""What a client sees of a server that loses a process."""


class Ledger:
    """Who was promised what, and what was seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.promised: set[tuple[str, str]] = set()
        self.seen: dict[tuple[str, str], set[str]] = {}
        self.counts: Counter[str] = Counter()

    def promise(self, kind: str, message_id: str, users: list[str]) -> None:
        """The server has taken a message."""
        with self._lock:
            self.promised.update((message_id, user) for user in users)
            self.counts[kind] += 1

    def see(self, message_id: str, user: str, place: str) -> None:
        """A copy is in a mailbox, at a place that no other copy can have."""
        with self._lock:
            self.seen.setdefault((message_id, user), set()).add(place)

    def count(self, kind: str) -> None:
        """Something else has happened."""
        with self._lock:
            self.counts[kind] += 1


class Soak:
    """The work."""

    def __init__(self, server: Ours) -> None:
        self._server = server
        self._ledger = Ledger()
        self._sending = threading.Event()
        self._reading = threading.Event()

    def run(self, minutes: float) -> int:
        """Do it; the exit status."""
        senders = [self._thread(self._send, self._sending, number) for number in range(3)]
        senders.append(self._thread(self._command, self._sending, 9))
        readers = [self._thread(self._read, self._reading, user) for user in USERS]
        readers.append(self._thread(self._look, self._reading, USERS[0]))
        self._disturb(time.monotonic() + minutes * 60)
        self._sending.set()
        self._join(senders)
        missing = self._missing(time.monotonic() + 120)
        self._reading.set()
        self._join(readers)
        twice = {copy for copy, places in self._ledger.seen.items() if len(places) > 1}
        self._say(f"promised {len(self._ledger.promised)}, lost {len(missing)}, twice {len(twice)}")
        for copy in sorted(missing | twice)[:10]:
            self._say(f"{copy}: {self._ledger.seen.get(copy)}")
        return 1 if missing or twice else 0

    @staticmethod
    def _say(text: str) -> None:
        print(time.strftime("%H:%M:%S"), text, flush=True)

    @staticmethod
    def _join(threads: list[threading.Thread]) -> None:
        for thread in threads:
            thread.join(_PATIENCE * 2)
            assert not thread.is_alive(), f"{thread.name} hangs"

    def _thread(self, work: Callable[..., None], end: threading.Event, *words: object) -> threading.Thread:
        def again() -> None:
            while not end.is_set():
                try:
                    work(*words)
                except _DISTURBED:
                    self._ledger.count("disturbed")

        thread = threading.Thread(target=again, name=f"{work.__name__} {words}", daemon=True)
        thread.start()
        return thread

    def _send(self, number: int) -> None:
        """A connection with some messages."""
        with smtplib.SMTP("127.0.0.1", self._server.ports.smtp, timeout=_PATIENCE) as client:
            for _ in range(random.randint(1, 20)):
                users = random.sample(USERS, random.randint(1, 3))
                message_id = f"<{number}.{time.time_ns()}@soak>"
                text = f"Message-ID: {message_id}\r\nSubject: soak\r\n\r\n" + "x" * random.randint(0, 20000) + "\r\n"
                client.sendmail(f"s@{DOMAIN}", [f"{user}@{DOMAIN}" for user in users], text)
                self._ledger.promise("smtp", message_id, users)

    def _command(self, number: int) -> None:
        user = random.choice(USERS)
        message_id = f"<{number}.{time.time_ns()}@soak>"
        text = f"Message-ID: {message_id}\nSubject: soak\n\nx\n".encode()
        done = subprocess.run(self._server.sendmail(f"{user}@{DOMAIN}"), input=text, capture_output=True, check=False)
        if done.returncode == 0:
            self._ledger.promise("sendmail", message_id, [user])
        else:
            self._ledger.count(f"sendmail {done.returncode}")

    def _read(self, user: str) -> None:
        """A session that notes what is there and removes it."""
        client = imaplib.IMAP4("127.0.0.1", self._server.ports.imap, timeout=_PATIENCE)
        try:
            client.login(f"{user}@{DOMAIN}", PASSWORD)
            for _ in range(random.randint(1, 10)):
                client.select("INBOX")
                validity = client.response("UIDVALIDITY")[1][0]
                _, found = client.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
                uids = []
                for item in found:
                    if isinstance(item, tuple):
                        uid = re.search(rb"UID (\d+)", item[0])
                        name = re.search(rb"<[^>]*@soak>", item[1])
                        assert uid is not None, item
                        uids.append(uid[1])
                        if name is not None:
                            self._ledger.see(name[0].decode(), user, f"{validity!r}/{uid[1]!r}")
                if uids:
                    client.uid("STORE", b",".join(uids).decode(), "+FLAGS.SILENT", r"(\Deleted)")
                    client.expunge()
                    self._ledger.count("imap")
                self._reading.wait(0.2)
        finally:
            client.shutdown()

    def _look(self, user: str) -> None:
        client = poplib.POP3("127.0.0.1", self._server.ports.pop3, timeout=_PATIENCE)
        try:
            client.user(f"{user}@{DOMAIN}")
            client.pass_(PASSWORD)
            client.list()
            client.quit()
            self._ledger.count("pop3")
        finally:
            client.close()
        self._reading.wait(0.5)

    def _disturb(self, end: float) -> None:
        """Reload, kill, and tell how it goes."""
        turn = 0
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(20.0, left))
            turn += 1
            if turn % 3 == 0:
                self._tell()
            (master,) = self._server.roots
            children = [pid for pid in process_tree(master) if pid != master]
            if turn % 2:
                os.kill(master, signal.SIGHUP)
            elif children:
                os.kill(random.choice(children), signal.SIGKILL)

    def _tell(self) -> None:
        pids = [pid for root in self._server.roots for pid in process_tree(root)]
        files = sum(_entries(pid, "fd") for pid in pids)
        threads = sum(_entries(pid, "task") for pid in pids)
        memory = pss_kib(self._server.roots) // 1024
        counts = ", ".join(f"{name} {count}" for name, count in sorted(self._ledger.counts.items()))
        self._say(f"{memory} MiB, {len(pids)} processes, {threads} threads, {files} files; {counts}")

    def _missing(self, end: float) -> set[tuple[str, str]]:
        """What was promised and is not seen when no more comes."""
        while True:
            missing = self._ledger.promised - self._ledger.seen.keys()
            if not missing or time.monotonic() > end:
                return missing
            time.sleep(0.5)


def _entries(pid: int, name: str) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/{name}").iterdir()))
    except OSError:
        return 0  # it has just ended


def main() -> int:
    """Run it; the exit status."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    root = Path(tempfile.mkdtemp(prefix="soak"))
    root.chmod(0o755)
    server = Ours(root / "ours", 9)
    try:
        server.start(USERS)
        return Soak(server).run(minutes)
    finally:
        server.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
