"""Commands get what Postfix's pipe(8) gives them, and end as they do for it: ``tests/golden/pipe.json``."""

from __future__ import annotations

import asyncio
import json
import os
import re
import runpy
import shutil
import tempfile
from pathlib import Path

import pytest

from angarium.agents.pipe.deliverer import PipeDeliverer
from angarium.agents.pipe.parameters import PipeParameters
from angarium.config.master_cf import parse_master_cf
from angarium.delivery.attributes import PIPE, Attributes, read_attributes
from angarium.delivery.outcomes import OutcomeAgent
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, QueuedRecipient
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog

GOLDEN = Path(__file__).parents[3] / "golden"
RECORD = runpy.run_path(str(GOLDEN / "record_pipe.py"))
RECORDED = json.loads((GOLDEN / "pipe.json").read_text("utf-8"))
SENDER = RECORD["S"]
QUEUE_ID = "4F2A23AD44B"
"""As long as the recorded ones, which count for the size."""


@pytest.fixture(scope="module")
def root():
    root = Path(tempfile.mkdtemp(prefix="pipe"))
    root.chmod(0o755)
    (root / "out").mkdir()
    (root / "out").chmod(0o1777)
    (root / "dump").write_text(RECORD["DUMP"].replace("ROOT", str(root)))
    (root / "dump").chmod(0o755)
    yield root
    shutil.rmtree(root)


def requests(name, sender, people, text, prefix, port):
    """As the queue manager would make them."""
    domain = f"{name.capitalize()}.Test" if name in RECORD["CASES"] else f"{name}.test"
    addresses = [f"{each}@{domain}".replace('"', "") for each in people]
    final = ["New+Ext@alias.test" if each == "Old@Alias.Test" else each for each in addresses]
    recipients = tuple(
        QueuedRecipient(number, Recipient(address, original))
        for number, (address, original) in enumerate(zip(final, addresses, strict=True))
    )
    origin = Origin("ESMTP", "unknown", "127.0.0.2", port, "Client.Test")
    envelope = Envelope(sender.replace('"', ""), tuple(each.recipient for each in recipients), 1.0, origin)
    limit = 1 if name in RECORD["SINGLE"] else len(recipients)
    for start in range(0, len(recipients), limit):
        some = recipients[start : start + limit]
        content = MemoryContent(text.encode())
        yield DeliveryRequest(QUEUE_ID, name, "Hop.Test", envelope, some, prefix, content, 1.0, 2.0)


def deliver(commands, name, root, sender, people, text):
    """The outcomes and runs of one case, in the recording's words."""
    recorded = RECORDED[name]
    stdin = recorded["runs"][0]["stdin"] if recorded["runs"] else ""
    (line,) = (each for each in RECORD["lines_of_master"](root) if each.startswith(f"{name} "))
    (entry,) = parse_master_cf(line, "master.cf").services
    attributes = read_attributes(entry, PIPE)
    eol = attributes.eol.decode() if isinstance(attributes, Attributes) else "\n"
    received = re.search(r"^Received: .*\n(?:[ \t].*\n)*", stdin.replace(eol, "\n"), re.MULTILINE)
    prefix = received[0].replace("\n", "\r\n").replace("QUEUE-ID", QUEUE_ID).encode() if received else b""
    port = int(recorded["runs"][0]["argv"][3]) if name == "sasl" else 0
    parameters = PipeParameters(
        queue_directory=str(root),
        recipient_delimiter="+",
        export_environment=("MAIL_CONFIG=BASE/conf", "LANG=C"),
        time_limit=1.0 if name.startswith("hang") else 20.0,
    )
    log = MemoryLog()
    agent = OutcomeAgent(PipeDeliverer(attributes, parameters, commands, ServiceLog(log, "t")))
    told = set()
    for path in (root / "out").iterdir():
        path.unlink()
    for request in requests(name, sender, people, text, prefix, port):
        for result in asyncio.run(agent.deliver(request)):
            address = result.recipient.recipient.address
            local, _, domain = address.rpartition("@")
            shown = f'"{local}"@{domain}' if " " in local else address
            said = RECORD["plain"](result.text, root)
            told.add(f"{shown} {result.relay} {result.status.value} {result.dsn} ({said})")
    runs = []
    for path in (root / "out").glob("*.json"):
        run = json.loads(path.read_text().replace(str(root), "ROOT").replace(QUEUE_ID, "QUEUE-ID"))
        run["cwd"] = run["cwd"].replace("ROOT", "QUEUE")
        run["stdin"] = RECORD["plain"](run["stdin"], root)
        if os.geteuid() != 0:  # then it was ourselves, whoever it should have been
            run["who"] = [commands.user.uid, commands.user.gid, [commands.user.gid]]
        runs.append(run)
    return sorted(told), sorted(runs, key=lambda run: str(run["argv"]) + run["stdin"]), log


FATAL = RECORD["FATAL"]
COMPARED = [name for name in RECORDED if RECORDED[name]["outcomes"] and "chroot" not in name]


@pytest.mark.parametrize("name", COMPARED)
def test_as_recorded(name, root, commands):
    if name in RECORD["CASES"]:
        _attributes, _words, (sender, *people), text = RECORD["CASES"][name]
    else:
        sender, people, text = SENDER, ["a"], RECORD["LONG"] * 100 if name == "unread_long" else RECORD["TEXT"]
    outcomes, runs, _log = deliver(commands, name, root, sender, people, text)
    assert outcomes == RECORDED[name]["outcomes"]
    assert runs == RECORDED[name]["runs"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("user_less", "missing user= command-line attribute"),
        ("user_unknown", "unknown user name: nosuchuser"),
        ("user_root", "user= command-line attribute specifies root privileges"),
        ("group_root", "user= command-line attribute specifies privileged group id 0"),
        ("group_unknown", "unknown group name: nosuchgroup"),
        ("argv_less", "missing argv= command-line attribute"),
        ("attribute", "unknown attribute name: color=red"),
        ("size_bad", "bad size= value: big"),
    ],
)
def test_what_is_refused_waits(name, said, root, commands):
    outcomes, runs, log = deliver(commands, name, root, SENDER, ["a"], RECORD["TEXT"])
    assert outcomes == [f"a@{name}.test {name} deferred 4.3.0 (unknown mail transport error)"]
    assert not runs
    assert said in log.lines[0]


def test_the_original_recipient_is_a_macro_even_where_it_is_no_header(root, commands):
    """Recorded from Postfix with enable_original_recipient = no, by hand."""
    for path in (root / "out").iterdir():
        path.unlink()
    attributes = Attributes("nobody", (f"{root}/dump", "$original_recipient"), flags=frozenset("DO"))
    parameters = PipeParameters(queue_directory=str(root), enable_original_recipient=False)
    agent = OutcomeAgent(PipeDeliverer(attributes, parameters, commands, ServiceLog(MemoryLog(), "t")))
    (request,) = requests("alias", "s@x.test", ["Old"], "Subject: a\r\n\r\nx\r\n", b"", 0)
    asyncio.run(agent.deliver(request))
    (path,) = (root / "out").glob("*.json")
    run = json.loads(path.read_text())
    assert run["argv"] == ["Old@Alias.Test"]
    assert run["stdin"] == "Delivered-To: New+Ext@alias.test\nSubject: a\n\nx\n"
