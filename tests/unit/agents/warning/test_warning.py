"""Warnings about quotas: what they say, to whom, and from which file."""

from __future__ import annotations

import asyncio
import email.policy
from dataclasses import replace

import pytest

from angarium.agents.warning.main import QuotaWarner, WarningParameters
from angarium.agents.warning.templates import BUILT_IN, LIMIT, Templates, fill, read_template
from angarium.mailqueue.interface import NewMessage, QueueFullError
from angarium.model.error import MailError
from angarium.model.quota import WARNING_SERVICE, Crossing, Resource
from angarium.model.reply import Reply
from angarium.runtime.log import MemoryLog, ServiceLog

CROSSING = Crossing("bob@example.test", Resource.STORAGE, 80, False, 850 << 20, 1 << 30)


class Queue:
    def __init__(self):
        self.messages = []
        self.error = None

    def allocate_id(self):
        return f"4F{len(self.messages)}"

    async def enqueue(self, message):
        if self.error is not None:
            raise self.error
        self.messages.append(message)


class Cleanup:
    def __init__(self):
        self.error = None

    async def process(self, queue_id, envelope, content):
        if self.error is not None:
            raise self.error
        return NewMessage(queue_id, envelope, b"Received: by us\r\n", content)


class Scene:
    def __init__(self, directory=None, *, postmaster=False):
        self.queue, self.cleanup, self.log = Queue(), Cleanup(), MemoryLog()
        self.parameters = WarningParameters("mail.test", postmaster, directory)

    def tell(self, *passed):
        async def run():
            warner = QuotaWarner(
                self.parameters, self.cleanup, self.queue, ServiceLog(self.log, "postfix/quota-warning"), lambda: 1e9
            )
            return await warner.tell(passed)

        self.done = asyncio.run(run())
        return [
            (one.envelope, email.message_from_bytes(one.content.read(), policy=email.policy.default))
            for one in self.queue.messages
        ]


def test_the_user_is_told():
    scene = Scene()
    [(envelope, mail)] = scene.tell(CROSSING)
    assert (envelope.sender, [one.address for one in envelope.recipients]) == ("", ["bob@example.test"])
    assert envelope.origin.service == WARNING_SERVICE
    assert mail["subject"] == "Your mailbox is 83% full"
    assert (mail["from"], mail["to"]) == ("Mail System <MAILER-DAEMON@mail.test>", "bob@example.test")
    assert mail["auto-submitted"] == "auto-generated"
    assert "The mailbox of bob@example.test holds 850.0 MB of storage." in mail.get_content()
    assert "It may hold 1.0 GB; 83%" in mail.get_content()
    assert scene.log.lines == [
        (
            "postfix/quota-warning: 4F0: to=<bob@example.test>, bob@example.test is at 80% of its quota:"
            f" storage {850 << 20} of {1 << 30}"
        )
    ]


def test_the_postmaster_is_told_when_he_wants_to_know():
    told = Scene(postmaster=True).tell(CROSSING, replace(CROSSING, account="postmaster@example.test"))
    assert [(envelope.recipients[0].address, mail["subject"]) for envelope, mail in told] == [
        ("bob@example.test", "Your mailbox is 83% full"),
        ("postmaster@example.test", "Mailbox of bob@example.test is 83% full"),
        ("postmaster@example.test", "Mailbox of postmaster@example.test is 83% full"),
    ]


def test_a_domain_is_its_postmasters_affair():
    messages = replace(CROSSING, domain=True, below=True, resource=Resource.MESSAGES, used=70, limit=100)
    [(envelope, mail)] = Scene().tell(messages)
    assert envelope.recipients[0].address == "postmaster@example.test"
    assert mail["subject"] == "Mailboxes of example.test have room again"
    assert "hold 70 of messages now" in mail.get_content()


def test_each_may_be_told_in_his_language(tmp_path):
    (tmp_path / "warning").write_text("Subject: anybody\n\nx\n")
    (tmp_path / "warning.example.test").write_text(
        "Subject: صندوق پست الکترونیکی شما $share درصد پر است و به زودی جایی ندارد\n"
        "From: پست <post>\n\n$account: $used ${limit} $$1 $other\n",
        encoding="utf-8",
    )
    scene = Scene(tmp_path)
    [(_envelope, mail), (_other, general)] = scene.tell(CROSSING, replace(CROSSING, account="x@other.test"))
    assert mail["subject"] == "صندوق پست الکترونیکی شما 83 درصد پر است و به زودی جایی ندارد"
    assert mail["from"].addresses[0].addr_spec == "post@mail.test"
    assert mail.get_content() == "bob@example.test: 850.0 MB 1.0 GB $1 $other\r\n"
    raw = scene.queue.messages[0].content.read()
    assert all(len(line) < 79 for line in raw.split(b"\r\n\r\n")[0].split(b"\r\n"))
    assert general["subject"] == "anybody"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"\xff\xfe", "codec"), (b"x" * (LIMIT + 1), "over"), (None, "directory")],
)
def test_a_file_that_cannot_be_used_is_passed_over(tmp_path, content, complaint):
    path = tmp_path / "warning"
    path.mkdir() if content is None else path.write_bytes(content)
    complaints = []
    assert Templates(tmp_path, complaints.append).find("warning", "bob@../x") == BUILT_IN["warning"]
    assert len(complaints) == 1
    assert complaint in complaints[0].lower()


def test_what_has_no_sense_in_a_template_is_said():
    complaints = []
    template = read_template("Subject: a\tb\nReply-To: x\nFrom: y@z\ntext\n", BUILT_IN["below"], complaints.append)
    assert template == replace(BUILT_IN["below"], sender="y@z", text="text\n")
    assert complaints == ["line 1: header Subject holds what a header cannot", "line 2: unknown header Reply-To"]
    assert fill("$a$${b", {"a": "1"}) == "1${b"


@pytest.mark.parametrize("where", ["cleanup", "queue"])
def test_a_warning_that_cannot_be_sent_is_logged(where):
    scene = Scene(postmaster=True)
    if where == "cleanup":
        scene.cleanup.error = MailError(Reply.of(554, "5.7.1", "no"))
    else:
        scene.queue.error = QueueFullError("full")
    assert scene.tell(CROSSING) == []
    assert scene.done is (where == "cleanup"), "what is refused is given up, what finds no room is tried again"
    assert len(scene.log.lines) == 2
    assert all("warning: a warning to" in line for line in scene.log.lines)


def test_nobody_is_told_again_and_again_because_another_cannot_be_told():
    scene = Scene(postmaster=True)
    process = scene.cleanup.process

    async def fails(queue_id, envelope, content):
        if envelope.recipients[0].address == "postmaster@example.test":
            raise MailError(Reply.of(451, "4.3.0", "later"))
        return await process(queue_id, envelope, content)

    scene.cleanup.process = fails
    assert scene.tell(CROSSING) == []
    assert not scene.done
    scene.cleanup.process = process
    assert len(scene.tell(CROSSING)) == 2
    assert scene.done
