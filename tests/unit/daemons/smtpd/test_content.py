"""Messages that are being received: what many of them may hold in memory together."""

from __future__ import annotations

from angarium.daemons.smtpd.content import IncomingMessage
from angarium.model.content import MemoryContent
from angarium.runtime import spool as spool_module
from angarium.runtime.spool import CROWDED_BOUND, MEMORY_ROOM, SPOOL_BOUND, Spool, SpooledContent

PIECE = b"x" * 32_768


def test_half_messages_of_many_clients_do_not_fill_the_memory(tmp_path):
    """A thousand clients that each stopped after a megabyte took a gigabyte."""
    spool = Spool(tmp_path)
    messages = [IncomingMessage(spool, 0) for _ in range(100)]
    for _ in range(1_000_000 // len(PIECE)):
        for message in messages:
            message.write(PIECE)
    assert spool.in_memory <= MEMORY_ROOM + len(messages) * (CROWDED_BOUND + len(PIECE))
    kept = sum(1 for message in messages if isinstance(message.finish(), MemoryContent))
    assert 0 < kept < 100
    assert spool.in_memory == 0


def test_a_small_message_stays_in_memory_whatever_others_do(tmp_path, monkeypatch):
    monkeypatch.setattr(spool_module, "MEMORY_ROOM", 0)
    spool = Spool(tmp_path)
    small, large = IncomingMessage(spool, 0), IncomingMessage(spool, 0)
    small.write(PIECE)
    for _ in range(3):
        large.write(PIECE)
    content = large.finish()
    assert isinstance(content, SpooledContent)
    assert content.size == 3 * len(PIECE)
    content.close()
    assert isinstance(small.finish(), MemoryContent)


def test_what_is_given_up_is_counted_no_more(tmp_path):
    spool = Spool(tmp_path)
    abandoned, oversized, spooled = IncomingMessage(spool, 0), IncomingMessage(spool, 40_000), IncomingMessage(spool, 0)
    for message in (abandoned, oversized):
        message.write(PIECE)
    assert spool.in_memory == 2 * len(PIECE)
    abandoned.abandon()
    abandoned.abandon()
    oversized.write(PIECE)
    assert oversized.too_big
    assert spool.in_memory == 0
    for _ in range(SPOOL_BOUND // len(PIECE) + 1):
        spooled.write(PIECE)
    assert spool.in_memory == 0
    spooled.abandon()
    assert not list(tmp_path.iterdir())
