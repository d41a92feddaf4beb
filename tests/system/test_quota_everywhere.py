"""Whatever is done to mailboxes by SMTP, IMAP and commands at once: all who tell of quotas tell the same.

The views: IMAP's messages themselves, IMAP GETQUOTA, ``angarium quota list`` and ``recalculate``, the quota-status
service, RCPT TO with a size, and what a delivery does.
"""

from __future__ import annotations

import contextlib
import imaplib
import io
import json
import random
import re
import smtplib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
from tests.conftest import ServerFactory

from angarium.commands.angarium import main

NAMES = ("alice", "bob")
FOLDERS = ("INBOX", "Sent", "Junk", "Trash")
STEPS = 40
GRACE = 20
MAIL = 6000
TRACE_HEADERS = (150, 700)
"""What the server adds to a message that it receives, at least and at most."""
VERBS = (
    *("limit", "total", "deliver", "deliver", "both", "append", "copy", "move", "expunge", "folder"),
    *("crowd", "crowd", "recalculate"),
)


class Limit(NamedTuple):
    """Of an account or a domain; 0 is none."""

    bytes: int
    messages: int


class World:
    """A server with two mailboxes, and its clients."""

    def __init__(self, factory: ServerFactory) -> None:
        self.server = factory.prepare(
            {
                "mailstore_quota_rules": "Junk:ignore, Trash:storage=+2K:messages=+2",
                "mailstore_quota_grace": f"{GRACE}%",
                "mailstore_mail_limit": str(MAIL),
                "worker_processes": "2",
                "imapd_quota_domain": "yes",
                "smtpd_soft_error_limit": "100",
                "smtpd_hard_error_limit": "1000",
            }
        )
        with (self.server.site.configuration / "master.cf").open("a", encoding="utf-8") as file:
            file.write("quota-status unix n - n - - quota-status\n")
        self.server.start()
        self.clients = {name: self.client(name) for name in NAMES}
        self.limits = dict.fromkeys(NAMES, Limit(0, 0))
        self.total = Limit(0, 0)
        for name in NAMES:
            for folder in FOLDERS[1:]:
                self.clients[name].create(folder)

    def close(self) -> None:
        for client in self.clients.values():
            client.shutdown()

    def client(self, name: str) -> imaplib.IMAP4:
        address, site = f"{name}@example.test", self.server.site
        client = imaplib.IMAP4_SSL(site.host, site.ports.imaps, ssl_context=self.server.tls, timeout=30)
        client.login(address, self.server.passwords[address])
        return client

    def angarium(self, *words: str) -> object:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert main(["-c", str(self.server.site.configuration), *words, "--json"]) == 0
        return json.loads(out.getvalue())

    def smtp(self) -> smtplib.SMTP:
        return smtplib.SMTP(self.server.site.host, self.server.site.ports.smtp, timeout=30)

    def deliver(
        self, recipients: tuple[str, ...], size: int, sender: str = "sender@elsewhere.test"
    ) -> tuple[list[int], int]:
        """What RCPT and the end of the message say."""
        with self.smtp() as client:
            client.ehlo()
            client.mail(sender)
            codes = [client.rcpt(f"{name}@example.test")[0] for name in recipients]
            return codes, client.data(letter(size).decode())[0] if 250 in codes else 0

    # Views

    def real(self, name: str) -> tuple[int, int]:
        """What its messages that count have together."""
        sizes: list[int] = []
        client = self.client(name)
        for folder in FOLDERS:
            if folder != "Junk":
                client.select(folder, readonly=True)
                found = client.uid("FETCH", "1:*", "(RFC822.SIZE)")[1]
                sizes += [int(re.search(rb"SIZE (\d+)", one)[1]) for one in found if one]
        client.logout()
        return sum(sizes), len(sizes)

    def rcpt(self, name: str, size: int) -> int:
        with self.smtp() as client:
            client.ehlo()
            client.mail("sender@elsewhere.test", [f"size={size}"] if size else [])
            return client.rcpt(f"{name}@example.test")[0]

    def policy(self, name: str, size: int) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.server.site.root / "spool" / "public" / "quota-status"))
            connection.sendall(f"request=smtpd_access_policy\nrecipient={name}@example.test\nsize={size}\n\n".encode())
            return connection.recv(1000).decode().strip().removeprefix("action=")

    def expected(self, name: str, size: int, held: dict[str, tuple[int, int]]) -> str:
        """By the manual's words, and not by the code's."""
        (size_limit, number_limit), (used, number) = self.limits[name], held[name]
        if size > MAIL:
            return "552 5.2.3"
        size = max(1, size)
        with_grace = size_limit + size_limit * GRACE // 100
        if size_limit and used + size > size_limit and (used >= size_limit or used + size > with_grace):
            return "552 5.2.2"
        if number_limit and number + 1 > number_limit:
            return "552 5.2.2"
        whole = [sum(one) for one in zip(*held.values(), strict=True)]
        if self.total.bytes and whole[0] + size > self.total.bytes:
            return "552 5.2.2"
        if self.total.messages and whole[1] + 1 > self.total.messages:
            return "552 5.2.2"
        return "DUNNO"

    def compare(self, dice: random.Random) -> dict[str, tuple[int, int]]:
        """All views; what is held."""
        held = {name: self.real(name) for name in NAMES}
        listed = {one["name"]: one for one in self.angarium("quota", "list")}
        whole = [sum(one) for one in zip(*held.values(), strict=True)]
        for name in NAMES:
            one = listed[f"{name}@example.test"]
            assert (one["used"]["bytes"], one["used"]["messages"]) == held[name]
            assert (one["quota"]["bytes"], one["quota"]["messages"]) == self.limits[name]
            answer = self.clients[name].getquotaroot("INBOX")[1][1]
            told = {line.partition(b" (")[0]: line.partition(b" (")[2] for line in answer if line}
            assert told[b'"User quota"'] == resources(held[name], self.limits[name])
            if any(self.total):
                assert told[b'"Domain quota"'] == resources(whole, self.total)
            for size in (0, dice.randrange(1, 8000)):
                wanted = self.expected(name, size, held)
                assert self.policy(name, size)[: len(wanted)] == wanted
                assert self.rcpt(name, size) == (250 if wanted == "DUNNO" else int(wanted[:3]))
        domain = self.angarium("quota", "show", "example.test")
        if any(self.total):
            assert [domain["domain_used"]["bytes"], domain["domain_used"]["messages"]] == whole
        assert all(one["wrong"] == [] for one in self.angarium("quota", "recalculate", "--all", "--dry-run"))
        return held

    # Steps

    def step(self, dice: random.Random, held: dict[str, tuple[int, int]]) -> None:
        name = dice.choice(NAMES)
        client = self.clients[name]
        folder, other = dice.choice(FOLDERS), dice.choice(FOLDERS)
        match dice.choice(VERBS):
            case "limit" | "total" as verb:
                self.limit(dice, name, verb)
            case "deliver":
                self.one(dice, name, held)
            case "both":
                self.deliver(NAMES, dice.randrange(20, 3000), sender="")  # what is refused in the queue ends there
                until = time.monotonic() + 30
                while (left := self.server.site.administer("postqueue", "-p")) != "Mail queue is empty\n":
                    assert time.monotonic() < until, left
            case "append":
                client.append(folder, None, None, letter(dice.randrange(20, 3000)))
            case "copy" | "move" as verb:
                client.select(folder)
                client.uid(verb.upper(), dice.choice(("1:*", "*", "1:3")), other)
            case "expunge":
                client.select(folder)
                client.uid("STORE", dice.choice(("*", "1:20", "1:*")), "+FLAGS.SILENT", "\\Deleted")
                client.expunge()
            case "folder":
                client.unselect() if client.state == "SELECTED" else None
                client.delete("Sent")
                client.create("Sent")
            case "crowd":
                self.crowd(dice, held)
            case "recalculate":
                self.angarium("quota", "recalculate", "--all")

    def limit(self, dice: random.Random, name: str, verb: str) -> None:
        """Others hold from now on."""
        if verb == "limit":
            most = self.limits[name] = Limit(
                dice.choice((0, 1024, 4096, 10_000, 1 << 62)), dice.choice((0, 0, 1, 4, 9))
            )
            self.angarium("quota", "set", f"{name}@example.test", str(most.bytes), "--messages", str(most.messages))
        else:
            self.total = Limit(dice.choice((0, 5000, 20_000)), dice.choice((0, 0, 12)))
            words = ("--total", str(self.total.bytes), "--total-messages", str(self.total.messages))
            self.angarium("quota", "set", "example.test", *words)

    def one(self, dice: random.Random, name: str, held: dict[str, tuple[int, int]]) -> None:
        """A delivery goes as was foretold, but for what the server adds to the message."""
        size = dice.randrange(20, 5000)
        outcome = self.deliver((name,), size)
        foretold = {self.expected(name, size + more, held) for more in (0, *TRACE_HEADERS)}
        if outcome == ([250], 250):
            assert "DUNNO" in foretold
        else:
            assert outcome in (([552], 0), ([250], 552))
            assert foretold != {"DUNNO"}

    def crowd(self, dice: random.Random, held: dict[str, tuple[int, int]]) -> None:
        """Many at once, to the last place; a recount and an APPEND beside them."""
        size = dice.randrange(20, 1500)
        before = held
        with ThreadPoolExecutor(12) as senders:
            mails = [senders.submit(self.deliver, (NAMES[number % 2],), size) for number in range(10)]
            counting = senders.submit(self.clients["bob"].append, "INBOX", None, None, letter(size))
            taken = [mail.result() for mail in mails]
            counting.result()
        self.angarium("quota", "recalculate", "--all")
        for number, name in enumerate(NAMES):
            used, messages = self.real(name)
            most = self.limits[name]
            came = sum(outcome[1] == 250 for outcome in taken[number::2])
            assert came <= messages - before[name][1] <= came + (name == "bob")
            if most.bytes and used > before[name][0]:
                assert used <= most.bytes + most.bytes * GRACE // 100
            if most.messages and messages > before[name][1]:
                assert messages <= most.messages


def resources(held: tuple[int, int] | list[int], limit: Limit) -> bytes:
    words = []
    if limit.bytes:
        words.append(f"STORAGE {-(-held[0] // 1024)} {-(-limit.bytes // 1024)}")
    if limit.messages:
        words.append(f"MESSAGE {held[1]} {limit.messages}")
    return f"{' '.join(words)})".encode()


def letter(size: int) -> bytes:
    return b"Subject: x\r\n\r\n" + b"x" * (size - 16) + b"\r\n"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_all_tell_the_same(servers, seed):
    dice = random.Random(seed)
    with contextlib.closing(World(servers)) as world:
        held = world.compare(dice)
        for _number in range(STEPS):
            world.step(dice, held)
            held = world.compare(dice)
        assert "panic" not in world.server.log()
