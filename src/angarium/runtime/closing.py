"""Closing a stream within bounds.

``StreamWriter.wait_closed`` returns when all that was written has been sent; a peer that does not read keeps it for
ever, and with it the task, the socket and the buffer.
"""

from __future__ import annotations

import asyncio

LINGER = 10.0
"""Seconds that a peer has to read what is left."""


async def close_stream(writer: asyncio.StreamWriter, patience: float = LINGER) -> None:
    """Close a connection; a peer that does not read in ``patience`` seconds what is left, or is gone, is cut off."""
    writer.close()
    try:
        async with asyncio.timeout(patience):
            await writer.wait_closed()
    except OSError:
        writer.transport.abort()  # a TimeoutError, too
    except asyncio.CancelledError:
        writer.transport.abort()
        raise
