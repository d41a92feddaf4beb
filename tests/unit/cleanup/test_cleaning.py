"""What is written to a spool file on a thread, when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading

import pytest

from angarium.cleanup.cleaning import kept
from angarium.runtime.spool import SPOOL_BOUND, Spool


def test_a_file_is_not_given_up_under_the_thread_that_writes_it(tmp_path):
    begun, go_on, written = threading.Event(), threading.Event(), []

    def chunks():
        yield b"a"
        begun.set()
        go_on.wait(10)
        written.append([path.name for path in tmp_path.iterdir()])
        yield b"b"

    async def run():
        keeping = asyncio.create_task(kept(Spool(tmp_path), SPOOL_BOUND + 1, chunks()))
        await asyncio.to_thread(begun.wait, 10)
        for _ in range(2):
            keeping.cancel()
            await asyncio.sleep(0)
        assert not keeping.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await keeping

    asyncio.run(run())
    assert len(written[0]) == 1
    assert list(tmp_path.iterdir()) == []
