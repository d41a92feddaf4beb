"""A message that passes to a command leaves room for what else there is to do."""

from __future__ import annotations

import asyncio
import os

from angarium.delivery.talk import Talk


def test_a_command_that_reads_as_fast_as_it_is_written_to_holds_up_nobody():
    turns = []

    async def body():
        loop = asyncio.get_running_loop()
        reading, turn, over = -1, 0, False

        def count():
            nonlocal turn
            turn += 1
            if not over:
                loop.call_soon(count)

        def pieces():
            for _ in range(128):
                turns.append(turn)
                yield b"x" * 32768
                os.read(reading, 32768)

        talk = Talk(pieces(), 5.0)
        reading = os.dup(talk.stdin_end)
        loop.call_soon(count)
        try:
            await talk.ended()
        finally:
            over = True
            os.close(reading)
            talk.close()

    asyncio.run(body())
    assert len(turns) == 128
    assert len(set(turns)) >= 4
