"""postqueue, postsuper and postcat beside those of a real Postfix, on the same mail: the same words and statuses.

Queue ids, times and what depends on the queue file's layout are taken out before comparing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import smtplib
import subprocess
import time

import pytest
from tests.conftest import ServerFactory
from tests.interop.relaypeer import PostfixPeer, refusal

pytestmark = pytest.mark.interop

TRANSPORTS = "inline:{{slow.test = retry:4.4.1 try again later} {two.test = retry:4.4.2 other}}"
PARAMETERS = {
    "transport_maps": TRANSPORTS,
    "relay_domains": "slow.test two.test",
    "smtpd_reject_unlisted_recipient": "no",
    "myhostname": "mail.example.test",
    "myorigin": "example.test",
    "mynetworks": "127.0.0.0/8",
}
MAILS = [
    ("alice@example.test", ["a@slow.test", "b@two.test"], [], ["NOTIFY=FAILURE,DELAY"]),
    ("", ["c@slow.test"], [], []),
    ("alice@example.test", ["d@slow.test"], ["ENVID=abc", "RET=HDRS"], ["ORCPT=rfc822;orig@slow.test"]),
]
TEXT = (
    "From: a@example.test\r\nTo: b@example.test\r\nSubject: test\r\nMessage-Id: <m@x>\r\n"
    "Date: Tue, 24 Nov 2026 08:00:00 +0000\r\n\r\nhello\r\n"
)
RECORDS = re.compile(
    r"^(?:\*\*\* .*|sender: .*|(?:original_|done_)?recipient: .*|named_attribute:"
    r" (?:notify_flags|dsn_orig_rcpt|envelope_id|ret_flags|client_address|protocol_name|helo_name)=.*)$",
    re.MULTILINE,
)
PATH = "/usr/sbin:/usr/bin:/usr/local/sbin"


class Side:
    """One of the two: where its SMTP is, and how its commands are run."""

    def __init__(self, host, port, directory, find) -> None:
        self.address = (host, port)
        self.directory = directory
        self.find = find

    def send_all(self) -> None:
        for sender, recipients, options, recipient_options in MAILS:
            with smtplib.SMTP(*self.address) as client:
                client.ehlo("client.example.test")
                assert client.mail(sender, options)[0] == 250
                for recipient in recipients:
                    assert client.rcpt(recipient, recipient_options)[0] == 250
                assert client.data(TEXT)[0] == 250
        while any("delay_reason" not in each for line in self.queue() for each in line["recipients"]):
            time.sleep(0.05)

    def queue(self):
        return [json.loads(line) for line in self.run("postqueue", "-j")[1].splitlines()]

    def id_of(self, address) -> str:
        return next(
            line["queue_id"] for line in self.queue() if any(r["address"] == address for r in line["recipients"])
        )

    def run(self, command, *arguments, text=""):
        """(exit status, standard output, standard error)."""
        words = [command, "-c", str(self.directory), *arguments]  # some use the name that they are called by
        path = self.find(command)
        done = subprocess.run(
            words, executable=path, input=text, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout, done.stderr


@contextlib.contextmanager
def pair():
    """Our server and a Postfix with the same mail in the queue."""
    if reason := refusal():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    missing = [name for name in ("postqueue", "postsuper", "postcat") if shutil.which(name, path=PATH) is None]
    if missing:
        message = f"{missing[0]} is not installed (.ci/install-peers installs it)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    factory = ServerFactory()
    try:
        site = factory.start(PARAMETERS).site
        with PostfixPeer(PARAMETERS) as postfix:
            ours = Side(site.host, site.ports.smtp, site.configuration, lambda name: site.command(name)[0])
            theirs = Side("127.0.0.1", postfix.port, postfix.root / "etc", lambda name: shutil.which(name, path=PATH))
            for side in (ours, theirs):
                side.send_all()
            yield ours, theirs
    finally:
        factory.close()


@pytest.fixture
def sides():
    """For a test that changes the queue."""
    with pair() as both:
        yield both


@pytest.fixture(scope="module")
def sides_shared():
    """For tests that leave it as it is."""
    with pair() as both:
        yield both


def normal(text: str) -> str:
    text = re.sub(r"\b(?=[0-9A-F]*[0-9])[0-9A-F]{9,}(?=\W)([*!#]?) +\d+ ", r"ID\1 SIZE ", text)
    text = re.sub(r"\b[0-9A-F]{9,}\b", "ID", text)
    text = re.sub(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w{3} [ \d]\d \d\d:\d\d:\d\d( \d{4})?", "TIME", text)
    return re.sub(r"deferred/[0-9A-F]/ID", "deferred/ID", text)


def listing(text: str) -> list[str]:
    """The records of a listing, and their recipients, in an order that does not depend on who was tried first."""
    head, *records = normal(text).split("\n\n")
    heading, _, first = head.partition("\n")
    return [heading, *sorted(map(ordered, [first, *records]))]


def ordered(record: str) -> str:
    """A record with its recipients, each behind its reason, sorted."""
    row, *lines = record.split("\n")
    return "\n".join([row, *sorted(re.findall(r"(?:^ +\(.*\)\n)?^ +[^( ].*$", "\n".join(lines), re.MULTILINE))])


def json_shape(text: str):
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        for name in ("queue_id", "arrival_time", "message_size"):
            assert isinstance(line.pop(name), str if name == "queue_id" else int)
        line["recipients"].sort(key=str)
    return sorted(lines, key=str)


def same(sides, command, *arguments, text="", pick=normal):
    """Both do it; what they print and their exit statuses must agree."""
    ours, theirs = (side.run(command, *arguments, text=text) for side in sides)
    assert (ours[0], pick(ours[1]), normal(ours[2])) == (theirs[0], pick(theirs[1]), normal(theirs[2]))


def same_for(sides, address, command, *arguments, pick=normal):
    """The same for the message to ``address``."""
    answers = [side.run(command, *arguments, side.id_of(address)) for side in sides]
    ours, theirs = ((status, pick(out), normal(err)) for status, out, err in answers)
    assert ours == theirs


def test_listings(sides):
    same(sides, "postqueue", "-p", pick=listing)
    same(sides, "postqueue", "-j", pick=json_shape)
    # That the columns stand where they should: our ids have one digit less or more.
    for side in sides:
        for line in side.run("postqueue", "-p")[1].splitlines():
            assert re.match(r"-|\s|[0-9A-F]{8,12}[*!# ] *\d+ \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d  \S|$", line), line


def test_hold_release_expire_and_delete(sides):
    same_for(sides, "a@slow.test", "postsuper", "-h")
    same(sides, "postqueue", "-p", pick=listing)
    same(sides, "postqueue", "-j", pick=json_shape)
    same_for(sides, "a@slow.test", "postsuper", "-h")
    same_for(sides, "a@slow.test", "postsuper", "-H")
    same_for(sides, "a@slow.test", "postsuper", "-h")
    same(sides, "postsuper", "-d", "ALL", "hold")
    same(sides, "postsuper", "-h", "ALL")
    same(sides, "postsuper", "-H", "ALL")
    same_for(sides, "d@slow.test", "postsuper", "-d")
    same(sides, "postsuper", "-d", "ALL")
    same(sides, "postqueue", "-p")
    same(sides, "postqueue", "-j")


@pytest.mark.parametrize(
    ("command", "arguments", "text"),
    [
        ("postsuper", ("-d", "NOPE123"), ""),
        ("postsuper", ("-d", "x/y"), ""),
        ("postsuper", ("-d", "-"), "NOPE\nx y\n"),
        ("postsuper", ("-d", "ALL", "nosuchqueue"), ""),
        ("postsuper", ("-x",), ""),
        ("postsuper", ("-d",), ""),
        ("postsuper", (), ""),
        ("postqueue", (), ""),
        ("postqueue", ("-z",), ""),
        ("postqueue", ("-p", "-j"), ""),
        ("postqueue", ("-p", "more"), ""),
        ("postqueue", ("-i", "NOPE"), ""),
        ("postqueue", ("-i", "a/b"), ""),
        ("postqueue", ("-s", "bad site"), ""),
        ("postqueue", ("-s", "elsewhere.test"), ""),
        ("postqueue", ("-s", "slow.test"), ""),
        ("postqueue", ("-f",), ""),
        ("postcat", ("-q", "ABCDEF"), ""),
        ("postcat", ("-q", "a/b"), ""),
        ("postcat", ("-q",), ""),
        ("postcat", ("-x",), ""),
    ],
)
def test_other_calls(sides_shared, command, arguments, text):
    same(sides_shared, command, *arguments, text=text)


def test_postcat_shows_the_same(sides_shared):
    for options in ("-hq", "-bq", "-bhq"):
        same_for(sides_shared, "d@slow.test", "postcat", options, pick=without_received)

    def records(text):
        return sorted(RECORDS.findall(normal(text)))

    for address in ("a@slow.test", "c@slow.test", "d@slow.test"):
        same_for(sides_shared, address, "postcat", "-eq", pick=records)


def without_received(text: str) -> str:
    return re.sub(r"^Received: .*\n(\s.*\n)*", "", text)


RECEIVED = re.compile(r"^Received: (?:by \S+ \(\S+, from userid \d+\)|from client\.example\.test)", re.MULTILINE)


def test_requeue_makes_the_same_new_message(sides):
    """postsuper -r: a new id, a Received line before the others, everything else of the envelope as it was."""
    address = "d@slow.test"
    old = [side.id_of(address) for side in sides]
    same_for(sides, address, "postsuper", "-r")
    sides[1].run("postkick", "public", "pickup", "W")  # which would look by itself within a minute
    for side, queue_id in zip(sides, old, strict=True):
        deadline = time.monotonic() + 60
        while True:
            lines = [line for line in side.queue() if line["recipients"][0]["address"] == address]
            if lines and lines[0]["queue_id"] != queue_id and "delay_reason" in lines[0]["recipients"][0]:
                break
            assert time.monotonic() < deadline, lines
            time.sleep(0.05)
    same(sides, "postqueue", "-j", pick=json_shape)
    same_for(sides, address, "postcat", "-eq", pick=lambda text: sorted(RECORDS.findall(normal(text))))
    same_for(sides, address, "postcat", "-bq")
    same_for(
        sides, address, "postcat", "-hq", pick=lambda text: [re.sub(r"\d+", "N", m) for m in RECEIVED.findall(text)]
    )
