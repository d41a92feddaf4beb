"""What passes between us and a command: the message on its standard input, and what it says on its output.

On the event loop, for as long as the command keeps either open. It may leave its input unread. Of what it says the
beginning is kept, the rest is read and dropped, so that it cannot fill anything.

Fails with TimeoutError when it makes no progress.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

OUTPUT = 4096
"""Bytes of output that are kept."""

LONGEST = 18_000.0
"""Seconds that a command may run that makes progress all the time (daemon_timeout of Postfix)."""

_PIECE = 65536

_AT_ONCE = 1024 * 1024
"""Bytes that are written before others have their turn: who reads as fast as that leaves always room for more."""


class Talk:
    """One command's. To be closed.

    Args:
        pieces: of the message.
        limit: seconds within which it reads or says something. What it says beyond ``OUTPUT`` does not count.

    Attributes:
        said: its output, or the beginning of it.
        stdin_end: the command's end.
        output_end: likewise.

    Raises:
        OSError: there are no descriptors.
    """

    def __init__(self, pieces: Iterator[bytes], limit: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._limit = limit
        self._deadline = self._end = self._loop.time() + LONGEST
        self._timer: asyncio.TimerHandle | None = None
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._feeds = self._listens = False
        self._open: set[int] = set()
        self.said = bytearray()
        self.stdin_end, self._stdin = self._pipe()
        self._output, self.output_end = self._pipe()
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._output, False)

    def _pipe(self) -> tuple[int, int]:
        try:
            ends = os.pipe2(os.O_CLOEXEC)
        except OSError:
            self.close()
            raise
        self._open.update(ends)
        return ends

    async def ended(self) -> None:
        """Feed it and listen to it until it has closed both. Raises TimeoutError; OSError: of the message."""
        self._shut(self.stdin_end)
        self._shut(self.output_end)
        self._progress()
        self._timer = self._loop.call_at(self._deadline, self._look_at_the_clock)
        self._listens = True
        self._loop.add_reader(self._output, self._listen)
        if self._feed_ends():
            self._shut(self._stdin)
        else:
            self._feeds = True
            self._loop.add_writer(self._stdin, self._feed)
        await self._over

    def leave(self, _future: object = None) -> None:
        """Wait for nothing more."""
        if not self._over.done():
            self._over.set_result(None)

    def close(self) -> None:
        """Let go of everything."""
        if self._timer is not None:
            self._timer.cancel()
        self._stop_feeding()
        self._stop_listening()
        for each in tuple(self._open):
            self._shut(each)

    def _progress(self) -> None:
        self._deadline = min(self._loop.time() + self._limit, self._end)

    def _look_at_the_clock(self) -> None:
        if self._deadline > self._loop.time():
            self._timer = self._loop.call_at(self._deadline, self._look_at_the_clock)
        elif not self._over.done():
            self._over.set_exception(TimeoutError())

    def _shut(self, descriptor: int) -> None:
        if descriptor in self._open:
            self._open.remove(descriptor)
            os.close(descriptor)

    def _feed(self) -> None:
        """It reads, or does not want to any more."""
        self._progress()
        try:
            ends = self._feed_ends()
        except (OSError, ValueError) as error:  # of the message, not of the pipe: it sees no end before it is killed
            if not self._over.done():
                self._over.set_exception(error)
            self._stop_feeding()
            return
        if ends:
            self._stop_feeding()
            self._shut(self._stdin)
            if not self._listens:
                self.leave()

    def _feed_ends(self) -> bool:
        """Write what fits, or ``_AT_ONCE``; whether that was the end, or nobody reads it any more."""
        written = 0
        while written < _AT_ONCE:
            while not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    return True
                self._rest = memoryview(piece)
            try:
                count = os.write(self._stdin, self._rest)
            except BlockingIOError:
                return False
            except BrokenPipeError:
                return True
            self._rest = self._rest[count:]
            written += count
        return False

    def _listen(self) -> None:
        """It has said something, or has nothing more to say."""
        try:
            data = os.read(self._output, _PIECE)
        except BlockingIOError:
            return
        if len(self.said) < OUTPUT:
            self._progress()
            self.said += data[: OUTPUT - len(self.said)]
        if not data:
            self._stop_listening()
            if not self._feeds:
                self.leave()

    def _stop_feeding(self) -> None:
        if self._feeds:
            self._feeds = False
            self._loop.remove_writer(self._stdin)

    def _stop_listening(self) -> None:
        if self._listens:
            self._listens = False
            self._loop.remove_reader(self._output)
