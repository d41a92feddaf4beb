"""SMTP load: Postfix's smtp-source for the rows, a small pipelining client to fill mailboxes and to log in."""

from __future__ import annotations

import base64
import os
import resource
import socket
import subprocess
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.messages import message
from benchmarks.servers import DOMAIN, PASSWORD, Server


def source(port: int, recipient: str, count: int, sessions: int, *, reconnect: bool = False) -> None:
    """smtp-source: ``count`` messages of 4 KiB over ``sessions`` connections, or over a connection each."""
    command = ["smtp-source", "-4", "-s", str(sessions), "-m", str(count), "-l", "4096", "-f", "load@example.org"]
    command += ["-M", "load.example.org", "-t", recipient, f"127.0.0.1:{port}"]
    if not reconnect:
        command.insert(1, "-d")
    subprocess.run(command, check=True, capture_output=True)


def source_many(port: int, recipients: Sequence[str], count: int, sessions: int) -> None:
    """``count`` messages over all recipients, ``sessions`` smtp-sources at a time."""
    each = count // len(recipients)
    with ThreadPoolExecutor(sessions) as workers:
        list(workers.map(lambda recipient: source(port, recipient, each, 1), recipients))


class Client:
    """One connection that pipelines."""

    def __init__(self, port: int, user: str = "") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._expect(b"220")
        self._command(b"EHLO load.example.org\r\n", b"250")
        if user:
            secret = base64.b64encode(f"\0{user}@{DOMAIN}\0{PASSWORD}".encode())
            self._command(b"AUTH PLAIN " + secret + b"\r\n", b"235")

    def send(self, sender: str, recipient: str, data: bytes) -> None:
        """One message; returns after its 250."""
        self._socket.sendall(f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
        self._expect(b"250")
        self._expect(b"250")
        self._expect(b"354")
        self._command(data + b".\r\n", b"250")

    def close(self) -> None:
        """QUIT."""
        self._command(b"QUIT\r\n", b"221")
        self._file.close()
        self._socket.close()

    def _command(self, line: bytes, code: bytes) -> None:
        self._socket.sendall(line)
        self._expect(code)

    def _expect(self, code: bytes) -> None:
        while True:
            line = self._file.readline()
            if not line.startswith(code):
                msg = f"expected {code.decode()}, got {line!r}"
                raise RuntimeError(msg)
            if line[3:4] != b"-":
                return


def fill(server: Server, user: str, count: int, sessions: int = 10) -> None:
    """Deliver ``count`` different messages to ``user``."""
    recipient = f"{user}@{DOMAIN}"
    _parallel(server.ports.smtp, "", "load@example.org", [(recipient, n) for n in range(count)], sessions)


def submit(server: Server, users: Sequence[str], count: int, sessions: int = 10) -> None:
    """``count`` messages, each over a connection of its own that logs in, as mail clients do."""
    numbers = iter(range(count))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            user = users[number % len(users)]
            recipient = f"{users[(number + 1) % len(users)]}@{DOMAIN}"
            client = Client(server.ports.submission, user)
            client.send(f"{user}@{DOMAIN}", recipient, message(number, recipient))
            client.close()

    _run([work] * sessions)


def log_in(server: Server, users: Sequence[str], rounds: int) -> None:
    """Each user logs in ``rounds`` times: every worker that has a cache of its own gets to know nearly all."""
    for _ in range(rounds):
        for user in users:
            Client(server.ports.submission, user).close()


def _parallel(port: int, user: str, sender: str, jobs: Iterable[tuple[str, int]], sessions: int) -> None:
    todo = iter(jobs)
    lock = threading.Lock()

    def work() -> None:
        client = Client(port, user)
        while True:
            with lock:
                job = next(todo, None)
            if job is None:
                break
            client.send(sender, job[0], message(job[1], job[0]))
        client.close()

    _run([work] * sessions)


def _run(workers: Sequence) -> None:  # type: ignore[type-arg]
    with ThreadPoolExecutor(len(workers)) as pool:
        for done in [pool.submit(worker) for worker in workers]:
            done.result()


def sendmail(server: Server, recipient: str, count: int, parallel: int) -> float:
    """Run the sendmail command ``count`` times; CPU seconds of the commands themselves."""
    data = message(1, recipient).replace(b"\r\n", b"\n")
    command = server.sendmail(recipient)
    environment = {"PATH": os.environ["PATH"]}

    def one(_: int) -> None:
        # Without a time limit: with one, Python looks for the end after 0.5, 1.5, 3.5, 7.5 and 15.5 ms alone.
        subprocess.run(command, input=data, check=True, env=environment)

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if parallel == 1:
        for number in range(count):
            one(number)
    else:
        with ThreadPoolExecutor(parallel) as pool:
            list(pool.map(one, range(count)))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Sink:
    """Postfix's smtp-sink, which takes mail and throws it away."""

    def __init__(self, port: int) -> None:
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            ["smtp-sink", "-4", *user, f"127.0.0.1:{port}", "1000"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait()
