"""The messages of the workloads: 4 KiB each, all different, the same for both servers and in each run."""

from __future__ import annotations

import random

_TEXT = (
    "the mail courier of ancient persia rode by day and night through snow rain heat and darkness from post to post "
    "and carried letters orders accounts and news across the whole breadth of the empire without ever stopping once"
)
_WORDS = _TEXT.split()


def message(number: int, recipient: str, size: int = 4096, subject: str = "") -> bytes:
    """A text message of about ``size`` bytes in wire form."""
    pick = random.Random(number)
    head = (
        f"From: Sender {number} <sender{number % 97}@example.org>\r\n"
        f"To: <{recipient}>\r\n"
        f"Subject: {subject or f'Report {number} on {pick.choice(_WORDS)} and {pick.choice(_WORDS)}'}\r\n"
        f"Date: Mon, {number % 28 + 1} Jun 2026 {number % 24:02d}:{number % 60:02d}:00 +0200\r\n"
        f"Message-ID: <{number}.{pick.getrandbits(64):x}@example.org>\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "\r\n"
    )
    lines = [head]
    length = len(head)
    while length < size:
        line = " ".join(pick.choices(_WORDS, k=11)) + "\r\n"
        lines.append(line)
        length += len(line)
    return "".join(lines).encode()
