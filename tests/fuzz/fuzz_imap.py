"""Fuzz the IMAP session: any bytes, in any pieces, yield events and never an exception, and memory stays bounded.

Run: ``python tests/fuzz/fuzz_imap.py -atheris_runs=100000``.
"""

from __future__ import annotations

import sys

from angarium.protocols.imap.session import AppendLiteral, CommandReceived, HangUp, ImapSession
from angarium.protocols.imap.states import State

_STATES = (State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED, State.SELECTED)
_LINE_LIMIT = 4096


def one_input(data: bytes) -> None:
    """The first byte picks the state, the second the size of the pieces; the rest is what the client sends."""
    if len(data) < 2:
        return
    session = ImapSession(line_limit=_LINE_LIMIT, literal_limit=1024, skip_limit=4096)
    session.state = _STATES[data[0] & 3]
    session.utf8 = bool(data[0] & 4)
    size = data[1] or 256
    for at in range(2, len(data), size):
        session.receive_data(data[at : at + size])
        if _act(session, refuse=bool(data[0] & 8)):
            return
        assert session.buffered <= _LINE_LIMIT + 1024 + 256


def _act(session: ImapSession, *, refuse: bool) -> bool:
    """Take all events, as the daemon would; True when the session is over."""
    while (event := session.next_event()) is not None:
        if isinstance(event, HangUp):
            return True
        if isinstance(event, AppendLiteral):
            if refuse:
                if session.refuse_message() is not None:
                    return True
            else:
                session.accept_message()
        elif isinstance(event, CommandReceived) and event.command.verb == "IDLE":
            session.expect_done()
        elif isinstance(event, CommandReceived) and event.command.verb == "AUTHENTICATE":
            session.expect_sasl()
    return False


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
