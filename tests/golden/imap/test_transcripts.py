"""Transcripts, replayed line by line against the real daemon. ``<>`` stands for what differs from run to run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.fakes.imap_server import ImapClient, ImapServer

from angarium.mailstore.interface import NewMail
from angarium.model.content import MemoryContent

TRANSCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))
TWELFTH = (
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nFrom: Terry Gray <gray@cac.washington.edu>\r\n"
    b"Subject: IMAP4rev1 WG mtg summary and minutes\r\nTo: imap@cac.washington.edu\r\n"
    b"cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
    b"Message-Id: <B27397-0100000@cac.washington.edu>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n"
    b"These are the minutes.\r\nThey were more than this once.\r\n"
)
OTHER = b"Subject: x\r\n\r\n\r\n"


async def fill(server: ImapServer) -> None:
    store = await server.mailstore.open("mrc@example.test")
    appended = await store.append(
        [
            NewMail(
                "INBOX",
                b"",
                MemoryContent(TWELFTH if number == 12 else OTHER),
                frozenset({"\\Seen"}) if number < 17 else frozenset(),
                837596665.0,
                -420,
            )
            for number in range(1, 19)
        ]
    )
    await store.claim_recent(appended[0].mailbox, 19)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path, tmp_path):
    with ImapServer(tmp_path) as server:
        server.on_loop(fill(server))
        with ImapClient(server.port) as client:
            heard = [client.greeting + b"\r\n"]
            lines = path.read_text(encoding="ascii").splitlines()
            for number, line in enumerate(lines, 1):
                if line.startswith("C: "):
                    assert not heard, f"{path.name}:{number}: not expected: {heard}"
                    client.send(line[3:].encode() + b"\r\n")
                elif line.startswith("S:"):
                    if not heard:
                        heard = [part + b"\r\n" for part in client.line().split(b"\r\n")]
                    told = heard.pop(0).decode().removesuffix("\r\n")
                    pattern = ".*".join(map(re.escape, line[3:].split("<>")))
                    assert re.fullmatch(pattern, told), f"{path.name}:{number}: {told}"
