"""Mail for Maildir and mbox trees ends as Postfix's virtual(8) has it: ``tests/golden/virtual.json``."""

from __future__ import annotations

import asyncio
import json
import os
import re
import runpy
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from angarium.agents.virtual.files import FileMaps, FilesDeliverer, FilesParameters
from angarium.delivery.filerights import FileRights
from angarium.delivery.mailboxfile import LockRules
from angarium.delivery.outcomes import OutcomeAgent
from angarium.delivery.rights import ForkedRights
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, QueuedRecipient
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.maps import Maps
from angarium.tables.opener import TableOpener

GOLDEN = Path(__file__).parents[3] / "golden"
RECORD = runpy.run_path(str(GOLDEN / "record_virtual.py"))
RECORDED = json.loads((GOLDEN / "virtual.json").read_text("utf-8"))
SETTINGS = RECORD["SETTINGS"]
OURS = frozenset({"uidhuge"})
"""Postfix takes 99999999999 for another number; here it is none."""

OWNERSHIP = frozenset({"others", "othersdir", "rootdir", "rootbox", "rootown", "loose", "baseless", "symdir", "device"})
"""What cannot be staged without root."""


class NobodysRights:
    """Runs everything here and now, whoever it is for."""

    async def run(self, user, work, root=""):
        return await asyncio.to_thread(work)


@pytest.fixture
def root():
    path = Path(tempfile.mkdtemp(prefix="virtual"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def deliverer(root, service, rights, log):
    settings = {**SETTINGS, **RECORD["OVERRIDES"][service]}
    opener = TableOpener(log.warning, base=root, substitutes=False)

    def maps(name):
        names = settings[name].replace("hash:", "texthash:").replace("ROOT", str(root)).split(" ")
        if "inline" in settings[name]:
            names = [settings[name]]
        return Maps.open(name, names, opener)

    parameters = FilesParameters(
        virtual_mailbox_base=settings["virtual_mailbox_base"].replace("ROOT", str(root)),
        virtual_mailbox_limit=int(settings.get("virtual_mailbox_limit", "51200000")),
        lock=LockRules(tuple(settings["virtual_mailbox_lock"].replace(",", " ").split()), 2, 0.01),
        strict_mailbox_ownership=settings.get("strict_mailbox_ownership") != "no",
        recipient_delimiter="+",
    )
    tables = FileMaps(maps("virtual_mailbox_maps"), maps("virtual_uid_maps"), maps("virtual_gid_maps"))
    return FilesDeliverer(parameters, tables, rights, log)


def requests():
    """As the queue manager would make them, with the Received line of the recording."""
    for service, sender, name, text in RECORD["SENDS"]:
        original = f"{name}@{service}.test"
        address = original.replace("old@", "mbox@")
        queued = QueuedRecipient(1, Recipient(address, original))
        origin = Origin("ESMTP", "unknown", "127.0.0.2", 1, "Client.Test")
        envelope = Envelope(sender.replace('"', ""), (queued.recipient,), 1.0, origin)
        kind = "ESMTP" if text.isascii() else "UTF8SMTP"
        received = (
            "Received: from Client.Test (unknown [127.0.0.2])\r\n"
            f"\tby mail.example.test (Postfix) with {kind} id 4F2A\r\n"
            f"\tfor <{original}>; Tue, 24 Nov 2026 14:08:12 +0000 (UTC)\r\n"
        )
        content = MemoryContent(text.encode())
        yield DeliveryRequest("4F2A", service, "", envelope, (queued,), received.encode(), content, 1.0, 2.0)


def messages(found):
    """The messages of each file, in any order: Postfix delivered several at once. Their bounds are other tests'."""
    found = {name: [f"\n{each}" for each in texts] for name, texts in found.items()}
    return {name: sorted(each.strip() for each in "".join(texts).split("\nFrom ")) for name, texts in found.items()}


def play(root, rights, skipped=frozenset()):
    """Deliver everything; the outcomes and the log."""
    lines = MemoryLog()
    log = ServiceLog(lines, "postfix/virtual")
    told = set()
    for request in requests():
        (queued,) = request.recipients
        address, original = queued.recipient.address, queued.recipient.original
        if address.partition("@")[0] in skipped:
            continue
        agent = OutcomeAgent(deliverer(root, request.transport, rights, log))
        (result,) = asyncio.run(agent.deliver(request))
        shown = original if original != address else ""
        said = RECORD["plain"](result.text, root)
        told.add(f"{address} {shown} {result.relay} {result.status.value} {result.dsn} ({said})")
    return told, lines


def wanted(skipped):
    """The recorded outcomes; the empty virtual_mailbox_base ended Postfix's process, so that nothing was recorded."""
    found = {each for each in RECORDED["outcomes"] if each.partition("@")[0] not in skipped and "@empty" not in each}
    found = {each for each in found if " none deferred 4.3.2" not in each}
    return found | {"maildir@empty.test  empty deferred 4.3.0 (unknown mail transport error)"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")
@pytest.mark.parametrize("rights", [ForkedRights, FileRights])
def test_as_recorded_with_everybodys_rights(root, rights):
    RECORD["prepare"](root)
    told, log = play(root, rights(), OURS)
    assert told == wanted(OURS)
    files = {name: each for name, each in RECORDED["files"].items() if not name.startswith("uidhuge")}
    assert RECORD["listing"](root / "vmail", root) == files
    texts = {name: each for name, each in RECORDED["texts"].items() if not name.startswith("uidhuge")}
    assert messages(RECORD["texts"](root / "vmail", root)) == messages(texts)
    said = "\n".join(log.lines)
    for line in (
        "recipient uidless@tree.test: not found in virtual_uid_maps",
        "recipient uidlow@tree.test: bad uid 50 in virtual_uid_maps",
        "recipient gidzero@tree.test: bad gid 0 in virtual_gid_maps",
        "regular expression substitution is not allowed: skipping this rule",
        "maildir access problem for UID/GID=20101/20102: create maildir file",
        "perhaps you need to create the maildirs in advance",
    ):
        assert line in said


def test_as_recorded_with_our_own_rights(root):
    RECORD["prepare"](root, os.geteuid() or RECORD["UID"], os.getegid() or RECORD["GID"])
    skipped = OURS | OWNERSHIP
    if os.geteuid() == 0:  # root writes where he likes, and what is his is not the recipient's
        skipped |= {"mbox", "flocked", "old", "full", "nearly", "symlink"}
    told, _log = play(root, NobodysRights(), skipped)
    assert {re.sub(r" \d+$", "", each) for each in told} == wanted(skipped)


def test_our_own_deliveries_to_a_mailbox_wait_for_each_other(root):
    RECORD["prepare"](root, os.geteuid() or RECORD["UID"], os.getegid() or RECORD["GID"])
    agent = deliverer(root, "tree", NobodysRights(), ServiceLog(MemoryLog(), "t"))
    settings = agent._parameters
    agent._parameters = replace(settings, strict_mailbox_ownership=False, lock=LockRules(attempts=1))
    request = next(each for each in requests() if each.recipients[0].recipient.address == "mbox@tree.test")

    async def body():
        return await asyncio.gather(*[agent.deliver(request) for _ in range(20)])

    told = asyncio.run(body())
    assert {each[0].text for each in told} == {"delivered to mailbox"}
    assert not agent._turns
