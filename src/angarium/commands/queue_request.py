"""What a command asks of the running server for a user who has no access to the queue: over pickup's socket.

The server knows the user from the kernel, and decides (authorized_mailq_users, authorized_flush_users).
"""

from __future__ import annotations

from pathlib import Path

from angarium.protocols.pickup import frames

MAY_LIST, FLUSH, FLUSH_ONE, FLUSH_SITE, COLLECT = "l", "f", "i", "s", "w"
"""Questions; ``session.Ask`` has their meanings."""

_LONGEST_ANSWER = 4096


def ask(queue_directory: Path, about: str, name: str = "") -> str:
    """The text of a refusal, empty when it was done. Raises OSError when there is no server to be asked."""
    import socket  # late: most have access to the queue

    question = frames.frame(frames.VERSION_RECORD, frames.VERSION) + frames.frame(
        frames.QUESTION, (about + name).encode("utf-8", "surrogateescape")
    )
    answer = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(queue_directory / "public" / "pickup"))
        connection.sendall(question)
        while len(answer) < _LONGEST_ANSWER and (data := connection.recv(_LONGEST_ANSWER)):
            answer += data
    code, _, text = answer.decode("utf-8", "replace").strip().partition(" ")
    if code.startswith("2"):
        return ""
    return text.partition(" ")[2] or "the mail system went away"
