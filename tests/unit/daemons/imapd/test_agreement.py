"""Several clients work on one mailbox at random; each believes what it is told, and all must agree in the end."""

from __future__ import annotations

import random
import re

import pytest
from tests.fakes.imap_server import MESSAGE

FETCH = re.compile(rb"\* (\d+) FETCH \((?:UID (\d+) ?)?(?:FLAGS \(([^)]*)\))?")


class Believer:
    """A client that keeps a mailbox in mind by what it hears, as mail programs do."""

    def __init__(self, client, *, qresync):
        self.client = client
        self.qresync = qresync
        self.uids = []
        self.flags = {}
        if qresync:
            client.ok("ENABLE QRESYNC")
        self.hear(client.ok("SELECT INBOX"))
        self.learn()

    def hear(self, responses):
        for line in responses:
            words = line.split(b" ")
            if words[0] != b"*":
                continue
            if words[1] == b"VANISHED":
                gone = set()
                for part in words[2].split(b","):
                    low, _, high = part.partition(b":")
                    gone |= set(range(int(low), int(high or low) + 1))
                assert gone <= set(self.uids)
                self.uids = [uid for uid in self.uids if uid not in gone]
            elif words[2:3] == [b"EXPUNGE"]:
                del self.uids[int(words[1]) - 1]
            elif words[2:3] == [b"EXISTS"]:
                assert int(words[1]) >= len(self.uids)
                self.uids += [0] * (int(words[1]) - len(self.uids))
            elif words[2:3] == [b"FETCH"]:
                number, uid, flags = FETCH.match(line).groups()
                at = int(number) - 1
                if uid is not None:
                    assert self.uids[at] in (0, int(uid)), "a message has another number than was told"
                    self.uids[at] = int(uid)
                if flags is not None and self.uids[at]:
                    self.flags[self.uids[at]] = frozenset(flags.split()) - {b"\\Recent"}

    def do(self, command):
        responses = self.client.command(command)
        if command.startswith(("FETCH", "STORE", "SEARCH")):
            assert not any(b"EXPUNGE" in line.split(b" ")[2:3] or b"VANISHED" in line for line in responses)
        self.hear(responses)
        if self.qresync and 0 in self.uids:
            self.learn()  # VANISHED names UIDs: whoever asks for it has to know them
        return responses

    def learn(self):
        if self.uids:
            self.do("FETCH 1:* (UID FLAGS)")

    def idle(self):
        self.hear(self.client.command("IDLE"))
        self.client.send(b"DONE\r\n")
        while not (line := self.client.line()).endswith(b"completed."):
            self.hear([line])
        if self.qresync and 0 in self.uids:
            self.learn()


APPEND = f"APPEND INBOX {{{{{len(MESSAGE)}+}}}}\r\n{MESSAGE.decode()}"
ALWAYS = ("NOOP", "EXPUNGE", "IDLE", APPEND)
WITH_MESSAGES = (
    "FETCH {number}:* (UID FLAGS)",
    "STORE {number} +FLAGS (\\Flagged)",
    "STORE {number} -FLAGS.SILENT (\\Flagged)",
    "STORE {number} +FLAGS (\\Deleted)",
    "SEARCH RETURN (COUNT) FLAGGED",
    "MOVE {number} Trash",
    "UID STORE {uid} +FLAGS (Work)",
)


@pytest.mark.parametrize("seed", range(4))
def test_all_agree(server, connect, seed):
    choose = random.Random(seed)
    server.deliver("alice@example.test", count=8)
    clients = [Believer(connect(), qresync=number == 2) for number in range(3)]
    for _step in range(200):
        one = choose.choice(clients)
        number = choose.randint(1, len(one.uids)) if one.uids else 0
        command = choose.choice(ALWAYS + WITH_MESSAGES if number else ALWAYS)
        if command == "IDLE":
            one.idle()
            continue
        one.do(command.format(number=number, uid=one.uids[number - 1] or 1 if number else 0))
        if ".SILENT" in command:
            one.do(f"FETCH {number} (UID FLAGS)")
    for one in clients:
        one.do("NOOP")
        one.learn()
    truth = Believer(connect(), qresync=False)
    for one in clients:
        assert one.uids == truth.uids
        assert {uid: one.flags[uid] for uid in one.uids} == {uid: truth.flags[uid] for uid in truth.uids}
    assert server.service.statistics()["hubs"] == 1
