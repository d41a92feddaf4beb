"""Fuzz a whole POP3 session, from bytes to replies: it never raises, and never answers more than it was asked.

Run: ``python tests/fuzz/fuzz_pop3.py -atheris_runs=100000``.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fakes.mailstore import FakeMailStore
from tests.fakes.pop3_server import Wire

MESSAGES = (b"Subject: x\r\n\r\n.dot\r\n", b"", b"\n.\n.", b"no header")


def one_input(data: bytes) -> None:
    """The first byte says whether the session is logged in and where the rest is cut into two packets."""
    if not data:
        return
    store = FakeMailStore()
    store.account("alice@example.test").deliver(*MESSAGES)
    wire = Wire(store)
    try:
        if data[0] & 1:
            wire(b"USER alice\r\nPASS secret\r\n")
        cut = 1 + (data[0] >> 1)
        answer = b""
        for piece in (data[1:cut], data[cut:]):
            if piece and not wire.transport.closed:
                answer += wire(piece)
        assert not answer or answer.endswith(b"\r\n")
        # The one error that a client can bring about: the user that the double cannot check.
        errors = [line for line in wire.log.lines if "error: " in line and "cannot authenticate later" not in line]
        assert not errors, errors
    finally:
        wire.close()


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
