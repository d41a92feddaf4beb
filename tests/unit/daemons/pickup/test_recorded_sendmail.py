"""Each recorded call of Postfix's sendmail (tests/golden/record_sendmail.py), to our program and to our client."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from angarium.commands import sendmail_script

CASES = json.loads((Path(__file__).parents[3] / "golden" / "sendmail.json").read_text())
CALLS = CASES
SUBMISSIONS = [case for case in CALLS if case["left"] is not None and "-bv" not in case["words"]]
NOT_TAKEN = {"named_attribute: trace_flags=1024"}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="recorded as root, whose name the cases hold")


def call(bench, case, *program):
    environment = {"PATH": os.environ["PATH"], **case["env"]}
    words = [*program, "-C", str(bench.root / "etc"), *case["words"]]
    return subprocess.run(words, input=case["input"].encode(), capture_output=True, env=environment, timeout=60)


def name(case):
    return " ".join(case["words"])[:40] + (
        f" <{case['input'][:20]!r}" if "Subject: a\n\nbody" not in case["input"] else ""
    )


def said(done):
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def down(tmp_path_factory):
    """A configuration without a server."""

    class Down:
        root = tmp_path_factory.mktemp("down")

    (Down.root / "etc").mkdir()
    (Down.root / "maildrop").mkdir()
    (Down.root / "etc" / "main.cf").write_text(f"queue_directory = {Down.root}\nalias_database =\n")
    return Down


@pytest.mark.parametrize("case", CALLS, ids=name)
def test_what_the_command_says(down, case):
    done = call(down, case, sys.executable, "-m", "angarium.commands.sendmail")
    unknown = "No recipient addresses found" in case["err"]  # which pickup finds out when it takes the message
    refused = "malformed sender" in case["err"]
    if not unknown and not refused:
        assert said(done) == (case["status"], case["out"], case["err"])
    left = list((down.root / "maildrop").iterdir())
    assert len(left) == (case["left"] is not None or unknown)
    for path in left:
        path.unlink()


def complete(address):
    return address if "@" in address or not address else f"{address}@example.test"


def expected(case):
    """What the envelope has to be, by the records that Postfix left."""
    values = {"notify_flags": "0", "ret_flags": "", "envelope_id": "", "encoding": ""}
    recipients = []
    for line in case["left"]["envelope"]:
        kind, _, text = line.partition(": ")
        if kind == "recipient":
            recipients.append(text)
        elif kind == "named_attribute":
            attribute, _, value = text.partition("=")
            values[attribute] = value
        else:
            values[kind.rstrip(":")] = text
    return recipients, values


@pytest.mark.parametrize("case", SUBMISSIONS, ids=name)
def test_what_the_client_submits(bench, case):
    recipients, values = expected(case)
    if "" in recipients:
        pytest.skip("an empty recipient is nobody here")
    done = bench.run(lambda: call(bench, case, sendmail_script.PERL, "-x", sendmail_script.SOURCE, sys.executable))
    assert said(done) == (case["status"], case["out"], case["err"])
    (message,) = bench.queue.messages
    envelope = message.envelope
    sender = values["sender"]
    assert envelope.sender == ("x@y@z.example.test" if sender == "x@y@z" else complete(sender))
    assert sorted(each.original for each in envelope.recipients) == sorted(set(recipients))
    assert {int(each.notify) for each in envelope.recipients} == {int(values["notify_flags"])}
    assert (envelope.ret.value, envelope.envid) == (
        ["", "FULL", "HDRS"][int(values["ret_flags"] or 0)],
        values["envelope_id"],
    )
    body = message.content.read().partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n").decode()
    text = case["left"]["message"].replace("c\rd", "c d")
    assert body == (text[1:] if text.startswith("\n") else text.partition("\n\n")[2]) or "no header" in text
