"""postdrop(1): takes a message from standard input in the records of Postfix's sendmail(1), and hands it over.

======  ====================================================================
``-r``  the records of Postfix, the only way there is: so it is without
``-c``  the configuration directory
``-v``  accepted
======  ====================================================================

It goes the way of our own sendmail(1): to the running server, or into the maildrop directory when there is none. The
outcome is printed as attributes in the manner of Postfix's: the queue id (0 for a message that waits in maildrop, which
has none yet), then ``status`` and ``reason``. A record is a letter, its length in groups of seven bits and its text:

====================  ======================================================================
``S`` ``F`` ``R``     sender, full name, a recipient
``A``                 name=value: notify_flags, ret_flags, envelope_id, encoding; others and
                      ``V`` (VERP) are ignored
``M`` ``N`` ``L``     the message begins; a line; a part of one
``X`` ``E``           the message ends; end
====================  ======================================================================

Exit status 0 when the message was taken; 1 for malformed or incomplete input, of which nothing is left, and for what is
refused.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence

from angarium.commands.command import CommandError, guarded, parse_options
from angarium.commands.sendmail import Fatal, configuration_directory, hand_over, queue_directory
from angarium.protocols.pickup import frames

USAGE = "usage: postdrop [-c config_dir] [-v]"

_LENGTH_BYTES = 4
"""Seven bits each."""

_GATHERED = 256 * 1024
"""Bytes of the message that make a record of ours."""

_ENVELOPE = {"S": frames.SENDER, "F": frames.FULL_NAME, "R": frames.RECIPIENT}
_RETURN = {b"1": b"FULL", b"2": b"HDRS"}
_ENCODING = {b"7bit": b"7BIT", b"8bit": b"8BITMIME"}

Read = Callable[[int], bytes]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    return guarded("postdrop", lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> int:
    options, operands = parse_options("postdrop", argv, "c:rv", USAGE)
    try:
        if operands:
            raise Fatal(USAGE)
        directory = configuration_directory(dict(options).get("-c"))
        return drop(sys.stdin.buffer.read, queue_directory(directory))
    except (Fatal, OSError) as error:
        raise CommandError(f"uid={os.getuid()}: {error}") from error


def drop(read: Read, directory: str) -> int:
    """Hand over what ``read`` gives; the exit status. Raises Fatal."""
    answer = hand_over(submission(read), directory)
    accepted = answer is None or answer.startswith("2")
    reason = "" if accepted or answer is None else answer
    queue_id = answer.rpartition(" ")[2] if accepted and answer is not None else "0"
    sys.stdout.write(f"protocol\0postdrop_protocol\0queue_id\0{queue_id}\0\0")
    sys.stdout.write(f"status\0{0 if accepted else 1}\0reason\0{reason}\0\0")
    sys.stdout.flush()
    return 0 if accepted else 1


def submission(read: Read) -> Iterator[bytes]:
    """Our records for those of Postfix. Raises Fatal for what is malformed or incomplete."""
    yield frames.frame(frames.VERSION_RECORD, frames.VERSION)
    held: list[bytes] = []
    size = 0
    message = False
    for kind, data in postfix_records(read):
        if message and kind in "NL":
            held.append(data + (b"\r\n" if kind == "N" else b""))
            size += len(held[-1])
            if size >= _GATHERED:
                yield from _data(held)
                held, size = [], 0
        elif message and kind == "X":
            yield from _data(held)
            held, size, message = [], 0, False
        elif not message and kind == "M":
            message = True
        elif not message and kind in _ENVELOPE:
            yield frames.frame(_ENVELOPE[kind], data[: frames.ATTRIBUTE_LIMIT])
        elif not message and kind == "A":
            yield from _attribute(data)
        elif message or kind != "V":
            msg = f"unexpected record type: {ord(kind)}"
            raise Fatal(msg)
    yield frames.frame(frames.END)


def _data(held: list[bytes]) -> Iterator[bytes]:
    block = b"".join(held)
    for start in range(0, len(block), frames.DATA_LIMIT):
        yield frames.frame(frames.DATA, block[start : start + frames.DATA_LIMIT])


def _attribute(data: bytes) -> Iterator[bytes]:
    """An attribute that means something here."""
    name, _, value = data[: frames.ATTRIBUTE_LIMIT].partition(b"=")
    if name == b"notify_flags" and value.isdigit():
        yield frames.frame(frames.NOTIFY, value)
    elif name == b"ret_flags" and value in _RETURN:
        yield frames.frame(frames.RETURN, _RETURN[value])
    elif name == b"envelope_id":
        yield frames.frame(frames.ENVELOPE_ID, value)
    elif name == b"encoding" and value in _ENCODING:
        yield frames.frame(frames.BODY_TYPE, _ENCODING[value])


def postfix_records(read: Read) -> Iterator[tuple[str, bytes]]:
    """Type and text of each record up to the end record. Raises Fatal."""
    while True:
        kind = _exactly(read, 1).decode("latin-1")
        length = 0
        for group in range(_LENGTH_BYTES):
            octet = _exactly(read, 1)[0]
            length |= (octet & 0x7F) << (7 * group)
            if not octet & 0x80:
                break
        else:
            msg = "malformed input: a record without end"
            raise Fatal(msg)
        if length > frames.DATA_LIMIT:
            msg = "malformed input: a record that is too long"
            raise Fatal(msg)
        data = _exactly(read, length)
        if kind == "E":
            return
        yield kind, data


def _exactly(read: Read, size: int) -> bytes:
    data = read(size)
    if len(data) < size:
        msg = "unexpected end of input"
        raise Fatal(msg)
    return data


if __name__ == "__main__":
    sys.exit(main())
