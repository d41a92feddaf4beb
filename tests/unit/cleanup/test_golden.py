"""Messages end in the queue as Postfix leaves them there: the files of ``tests/golden/cleanup``, recorded from it."""

from __future__ import annotations

import asyncio
import os
import re
import runpy
from pathlib import Path

import pytest

from angarium.cleanup.main import make_cleanup
from angarium.commands import sendmail
from angarium.config.config import Config
from angarium.daemons.pickup.access import Access, User
from angarium.daemons.pickup.intake import Intake
from angarium.model.content import MemoryContent
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.error import MailError
from angarium.protocols.pickup.reading import InputReader
from angarium.protocols.pickup.session import Submission
from angarium.rewrite.main import make_resolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener

GOLDEN = Path(__file__).parents[2] / "golden"
RECORDER = runpy.run_path(str(GOLDEN / "record_cleanup.py"))
NAMES = sorted(path.stem for path in (GOLDEN / "cleanup").glob("*.txt"))


class Queue:
    def __init__(self):
        self.message = None

    def allocate_id(self):
        return "4F2A"

    async def enqueue(self, message):
        self.message = message


def scene():
    log = ServiceLog(MemoryLog(), "postfix/cleanup")
    conf = Config.of(RECORDER["SETTINGS"])
    opener = TableOpener(log.warning)
    return make_cleanup(conf, make_resolver(conf, opener), opener, log), opener, log


def over_smtp(how, text):
    cleanup, _, _ = scene()
    helo = how.get("helo", "client.test")
    protocol = "SMTP" if how.get("verb") == "HELO" else "ESMTP"
    origin = Origin(protocol, "unknown", how.get("client", RECORDER["REMOTE"]), 1, helo)
    recipients = [how["to"].replace('"', "")] if '"' in how["to"] else how["to"].split(" ")
    people = tuple(Recipient(each, each) for each in recipients)
    envelope = Envelope(how.get("from", "s@x.test"), people, 1795507122.0, origin)
    content = MemoryContent(text.replace("\n", "\r\n").encode())
    return asyncio.run(cleanup.process("4F2A", envelope, content))


def with_sendmail(how, text):
    cleanup, opener, log = scene()
    request = sendmail.parse([each.replace("_", " ") for each in how["argv"].split()])
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    content = MemoryContent(b"".join(sendmail.message_pieces(reader, InputReader(dots=request.dots))))
    os.close(reader)
    queue = Queue()
    intake = Intake(queue, cleanup, Access(Config.of(), opener), log, clock=lambda: 1795507122.0)
    submission = Submission(request.sender, request.full_name, tuple(request.recipients), request.extract)
    reply = asyncio.run(intake.take(User(os.getuid(), "root", "root"), submission, content))
    assert reply.positive
    return queue.message


def shown(message):
    people = "".join(f"{each.address} < {each.original}\n" for each in message.envelope.recipients)
    content = (message.prefix + message.content.read()).decode().replace("\r\n", "\n")
    return people + "\n" + RECORDER["normal"](content, "4F2A")


def comparable(text):
    """What may differ: blanks in a header that Postfix lays out anew to complete an address, and before a colon.

    Postfix removes a blank before the colon; here a header stays as it was sent, for the signatures over it.
    """
    text = re.sub(r"^([!-9;-~]+)[ \t]+:", r"\1:", text, flags=re.MULTILINE)

    def squeeze(match):
        return re.sub(r"\s+", "", match[0]) + "\n"

    return re.sub(r"^(?:To|Cc|From|Reply-To|Sender|Errors-To):.*\n(?:[ \t].*\n)*", squeeze, text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_a_message_is_queued_as_postfix_queues_it(name):
    recorded = (GOLDEN / "cleanup" / f"{name}.txt").read_text(encoding="utf-8")
    options = dict(re.findall(r"^#! (\w+) = ?(.*)$", recorded.partition("=====")[0], re.MULTILINE))
    _, text = RECORDER["CASES"][name]
    expected = recorded.partition("=====\n")[2]
    if expected[:1] in "45":
        with pytest.raises(MailError) as caught:
            over_smtp(options, text)
        assert f"{caught.value.reply}\n" == expected
        return
    message = with_sendmail(options, text) if "argv" in options else over_smtp(options, text)
    assert comparable(shown(message)) == comparable(expected)


def test_every_case_was_recorded():
    assert sorted(RECORDER["CASES"]) == NAMES
