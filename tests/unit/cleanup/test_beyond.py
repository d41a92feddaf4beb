import asyncio
import tracemalloc

import pytest

from angarium.cleanup.beyond import rewritten
from angarium.cleanup.headers import SCAN_LIMIT
from angarium.cleanup.main import make_cleanup
from angarium.config.config import Config
from angarium.model.content import MemoryContent
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.error import MailError
from angarium.rewrite.main import make_resolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.spool import Spool
from angarium.tables.opener import TableOpener

SETTINGS = {
    "myhostname": "mail.example.test",
    "myorigin": "example.test",
    "inet_interfaces": "127.0.0.1",
    "header_checks": "inline:{{X-Far: y = IGNORE}}",
}
FILLER = (b"X-F: " + b"f" * 1000 + b"\r\n") * (SCAN_LIMIT // 1000 + 10)


def processed(content, spool=None, settings=None):
    log = ServiceLog(MemoryLog(), "postfix/cleanup")
    conf = Config.of({**SETTINGS, **(settings or {})})
    opener = TableOpener(log.warning)
    cleanup = make_cleanup(conf, make_resolver(conf, opener), opener, log, spool)
    envelope = Envelope("s@x.test", (Recipient("a@x.test", "a@x.test"),), 1795507122.0, Origin("local", uid=1000))
    return asyncio.run(cleanup.process("4F2A", envelope, MemoryContent(content)))


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("spooled", [True, False])
def test_headers_beyond_the_first_mebibyte_are_rewritten_and_removed_as_the_others(tmp_path, pieces, spooled):
    far = b"To: joe,\r\n amy (x)\r\nBcc: secret\r\n\tmore\r\nX-Far: y\r\nFrom: f@x.test\r\nMessage-Id: <1@x>\r\n"
    block = b"Subject: x\r\n" + FILLER * pieces + far + b"X-End: z\r\n"
    message = processed(block + b"\r\nTo: body\r\n", Spool(tmp_path) if spooled else None)
    content = message.content.read()
    kept = b"To: joe@example.test,\r\n amy@example.test (x)\r\nFrom: f@x.test\r\nMessage-Id: <1@x>\r\n"
    start = content.index(b"To: ")
    assert content[start : start + len(kept)] == kept
    # Message-Id and From are there, so none is made; a Date is.
    assert content.endswith(b"X-End: z\r\n\r\nTo: body\r\n")
    assert content.count(b"Message-Id:") == content.count(b"From:") == content.count(b"Date:") == 1
    assert content.count(b"X-F: ") == FILLER.count(b"X-F: ") * pieces


def test_hops_are_counted_wherever_they_stand():
    with pytest.raises(MailError, match="too many hops"):
        processed(FILLER + b"Received: from a by b; c\r\n" * 50 + b"\r\nbody\r\n")


def test_what_stays_is_passed_on_by_reference_and_a_body_that_follows_at_once_is_parted():
    async def nothing(_block):
        return []

    whole = MemoryContent(FILLER + b"A: b\r\n\r\nbody\r\n")
    assert asyncio.run(rewritten(whole, 0, nothing, None)) == (whole, {})
    parted, _ = asyncio.run(rewritten(MemoryContent(FILLER + b"A: b\r\nbody line\r\n"), 0, nothing, None))
    assert parted.read().endswith(b"\r\nA: b\r\n\r\nbody line\r\n")


def test_memory_is_bounded_by_a_piece(tmp_path):
    def peak(pieces):
        block = b"X: y\r\n" + b"To: joe@host, amy@other\r\n" * (SCAN_LIMIT // 27) * pieces + b"\r\nb\r\n"
        content = MemoryContent(block)
        tracemalloc.start()
        try:

            async def edits(header):
                start, stop = header.span(header.find(b"to"))
                return [(start, stop, b"To: a@b\r\n")]

            asyncio.run(rewritten(content, 0, edits, Spool(tmp_path)))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(6) < peak(2) + SCAN_LIMIT
