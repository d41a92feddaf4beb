"""What became of a command: exit status and output become status, enhanced code and text (sysexits.h, RFC 3463).

An enhanced status code at the beginning of the output counts for more than the exit status, unless that is 0. Texts
and codes were recorded from Postfix 3.7. Unknown means, for an exit status: for good, as Postfix has it.
"""

from __future__ import annotations

from typing import NamedTuple

from angarium.model.delivery import Status
from angarium.model.dsn import Dsn

_STATUSES = {
    64: ("5.3.0", "command line usage error"),
    65: ("5.6.0", "data format error"),
    66: ("5.3.0", "cannot open input"),
    67: ("5.1.1", "user unknown"),
    68: ("5.1.2", "host name unknown"),
    69: ("5.3.0", "service unavailable"),
    70: ("5.3.0", "internal software error"),
    71: ("4.3.0", "system resource problem"),
    72: ("5.3.0", "critical OS file missing"),
    73: ("5.2.0", "can't create user output file"),
    74: ("5.3.0", "input/output error"),
    75: ("4.3.0", "temporary failure"),
    76: ("5.5.0", "remote error in protocol"),
    77: ("5.7.0", "permission denied"),
    78: ("5.3.5", "local configuration error"),
}


class Outcome(NamedTuple):
    """What came of a command.

    Attributes:
        status: how it ended.
        dsn: the enhanced code.
        text: for the log and the report.
        output: what the report shows as ``x-unix``: its words, else what they mean; not for words that are blanks.
        said: its words, when it succeeded.
    """

    status: Status
    dsn: Dsn
    text: str
    output: str = ""
    said: str = ""


def command_outcome(command: str, returned: int, output: bytes) -> Outcome:
    """The outcome of a command that has ended.

    Args:
        command: its command line.
        returned: the exit status, or minus the number of the signal that killed it.
        output: what it has written, or the beginning of it.
    """
    if returned == 0:
        return Outcome(Status.SENT, Dsn(2, 0, 0), f"delivered to command: {command}", said=printable(output).strip())
    said = printable(output)
    code, rest = Dsn.split(said)
    if code is not None:
        code = code if code.klass != 2 else Dsn(5, 0, 0)
        return Outcome(_status(code), code, rest, (rest or said).strip())
    if returned < 0:
        dsn, meaning = Dsn(4, 3, 0), "internal software error"
        text = f'Command died with signal {-returned}: "{command}"'
    elif returned in _STATUSES:
        dsn, meaning = Dsn.parse(_STATUSES[returned][0]), _STATUSES[returned][1]
        text = meaning
    else:
        dsn, meaning = Dsn(5, 3, 0), f"unknown mail system error {returned}"
        text = f'Command died with status {returned}: "{command}"'
    return Outcome(_status(dsn), dsn, with_output(text, output), said.strip() if said else meaning)


def with_output(text: str, output: bytes | bytearray) -> str:
    """A text, and what the command has written, if it has."""
    said = printable(output)
    return f"{text}. Command output: {said}" if said else text


def _status(dsn: Dsn) -> Status:
    return Status.DEFERRED if dsn.temporary else Status.BOUNCED


def printable(output: bytes | bytearray) -> str:
    """One line for the log: line ends are blanks, what cannot be shown is an underscore."""
    text = output.decode("utf-8", "replace").replace("\n", " ").replace("\t", " ")
    return "".join(char if char.isprintable() and char != "\ufffd" else "_" for char in text)
