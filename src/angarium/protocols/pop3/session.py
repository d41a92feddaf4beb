"""``Pop3Session``: the state machine of a POP3 session.

``receive_data`` takes what arrived; ``next_event`` is asked for one event at a time, since a command may change how
the next line is read (AUTH makes it a SASL response, STLS voids it). None: more must arrive first.

The state moves by ``logged_in``, ``sasl_begins``, ``sasl_ended`` and ``tls_begins``, which the server calls when it has
done what a command asked for. The session counts bad commands in a row.
"""

from __future__ import annotations

from angarium.protocols.pop3.framing import LineReader
from angarium.protocols.pop3.parser import parse
from angarium.protocols.pop3.types import BadCommand, Event, SaslResponse, State

COMMAND_LIMIT = 1024
"""Bytes of a command line after the log-in; RFC 2449 section 4 asks for 255."""

LOGIN_LIMIT = 12288 + 32
"""Bytes of a line before it: AUTH with an initial response, and SASL responses, need it (RFC 5034 section 4)."""


class Pop3Session:
    """One session.

    Attributes:
        state: where it is.
        bad_commands: lines in a row that were no command.
    """

    __slots__ = ("_lines", "_sasl", "bad_commands", "state")

    def __init__(self) -> None:
        self.state = State.AUTHORIZATION
        self.bad_commands = 0
        self._lines = LineReader()
        self._sasl = False

    @property
    def held(self) -> int:
        """Bytes that arrived and were not asked for yet."""
        return self._lines.held

    def receive_data(self, data: bytes) -> None:
        """Take what arrived."""
        self._lines.feed(data)

    def next_event(self) -> Event | None:
        """The next event, or None until more arrives."""
        line = self._lines.next_line(COMMAND_LIMIT if self.state is State.TRANSACTION else LOGIN_LIMIT)
        if line is None:
            return None
        if isinstance(line, bool):
            self.bad_commands += 1
            if self._sasl:
                return SaslResponse(b"A" * (LOGIN_LIMIT + 1))  # too long for every mechanism; not what was said
            return BadCommand("Line too long.")
        if self._sasl:
            return SaslResponse(line)
        event = parse(line, self.state)
        if isinstance(event, BadCommand):
            self.bad_commands += 1
        else:
            self.bad_commands = 0
        return event

    def sasl_begins(self) -> None:
        """A challenge goes out: the next line answers it."""
        self._sasl = True

    def sasl_ended(self) -> None:
        """The exchange is over: the next line is a command again."""
        self._sasl = False

    def tls_begins(self) -> None:
        """What arrived in plain text after STLS is void (RFC 2595 section 4)."""
        self._lines.clear()

    def logged_in(self) -> None:
        """The maildrop is open."""
        self.state = State.TRANSACTION
        self._sasl = False
