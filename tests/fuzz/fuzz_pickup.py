"""atheris target: submissions of the sendmail command. Run: python tests/fuzz/fuzz_pickup.py -atheris_runs=1000."""

from __future__ import annotations

import sys

from angarium.daemons.pickup.extract import argument_addresses, header_recipients
from angarium.model.content import MemoryContent
from angarium.protocols.pickup.commandline import CommandLineError
from angarium.protocols.pickup.frames import frame
from angarium.protocols.pickup.session import PickupError, PickupSession


def events(data: bytes, step: int) -> list[object] | None:
    """What the session makes of the bytes in pieces; None: it refused them."""
    session = PickupSession()
    found: list[object] = []
    try:
        for start in range(0, len(data), step):
            found += session.receive_data(data[start : start + step])
    except (PickupError, CommandLineError):
        return None
    return found


def one_input(data: bytes) -> None:
    """Any cut gives the same events, or the one error."""
    half = len(data) // 2
    command_line = frame(b"V", b"1") + frame(b"a", data[:half] + b"\0") + frame(b"i", data[half:]) + frame(b"Z")
    for submission in (data, frame(b"V", b"1") + data, command_line):
        assert events(submission, 1) == events(submission, 7) or events(submission, len(submission) or 1) is None
    header_recipients(MemoryContent(data))
    argument_addresses(data.decode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
