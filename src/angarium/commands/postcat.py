"""postcat(1): shows a queued message. ``-q ID`` finds it in the queue.

============  ==================================================================
``-e``        envelope records
``-h``        header
``-b``        body, beginning with the empty line
(none)        all three
``-c``        the configuration directory
============  ==================================================================

Lines end in LF, as in Postfix's queue files. ``-o``, ``-d``, ``-r``, ``-s`` and ``-v`` concern the records of such
files, of which there are none here: they are accepted. Exit status 0; 1 when a message cannot be shown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from angarium.commands import maildrop
from angarium.commands.maildrop import Dropped
from angarium.commands.queue_command import CommandError, QueueCommand, guarded, parse_options
from angarium.mailqueue.control import plausible_id
from angarium.mailqueue.interface import QueuedMessage, QueueName
from angarium.model.content import Content

USAGE = (
    "usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] [-e (envelope records)] "
    "[-h (header text)] [-q (access queue)] [-v] [file(s)...]"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    return guarded("postcat", lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Read the command line and do what it says. Raises CommandError and OSError."""
    options, operands = parse_options("postcat", argv, "bc:dehoqrs:v", USAGE)
    chosen = {option[1] for option, _value in options}
    command = QueueCommand("postcat", next((value for option, value in options if option == "-c"), None))
    parts = (chosen & {"b", "e", "h"}) or {"b", "e", "h"}
    offset = next((value for option, value in reversed(options) if option == "-s"), "0")
    if not offset.isdigit():
        raise CommandError(f"bad offset: {offset}")
    if "q" not in chosen:
        for operand in operands:
            show_file(command, Path(operand), parts)
        if not operands:
            command.warn("stdin: input is not a valid queue file")
        return 0
    with command.open_queue(readonly=True) as queue:
        for queue_id in operands:
            if not plausible_id(queue_id):
                raise CommandError(f"bad mail queue ID: {queue_id}")
            content = queue.content(queue_id)
            if content is None and (dropped := maildrop.find(command.queue_directory, queue_id)) is not None:
                show_dropped(dropped, f"maildrop/{queue_id}", parts)
                continue
            message = queue.find(queue_id) if "e" in parts else None
            if content is None or (message is None and "e" in parts):
                raise CommandError(f"open queue file {queue_id}: No such file or directory")
            show(message, *content, parts)
    return 0


def show_file(command: QueueCommand, path: Path, parts: set[str]) -> None:
    """Print a file of the maildrop directory. Raises CommandError."""
    try:
        dropped = maildrop.read(path)
    except OSError as error:
        raise CommandError(f"open {path}: {error.strerror}") from error
    if dropped is None:
        command.warn(f"{path}: input is not a valid queue file")
    else:
        show_dropped(dropped, str(path), parts)


def show_dropped(dropped: Dropped, place: str, parts: set[str]) -> None:
    """Print the parts of a message that no server has seen yet."""
    envelope = dropped.message.envelope
    before = [
        f"*** ENVELOPE RECORDS {place} ***",
        f"message_arrival_time: {time.ctime(envelope.arrival)}",
        "named_attribute: rewrite_context=local",
        f"sender_fullname: {dropped.full_name}",
        f"sender: {envelope.sender}",
        *(f"recipient: {each.address}" for each in envelope.recipients),
        f"*** MESSAGE CONTENTS {place} ***",
    ]
    after = [f"*** HEADER EXTRACTED {place} ***", f"*** MESSAGE FILE END {place} ***"]
    if "e" not in parts:
        before, after = [], []
    out = sys.stdout.buffer
    sys.stdout.flush()
    out.writelines(line.encode("utf-8", "surrogateescape") + b"\n" for line in before)
    out.writelines(text_pieces(b"", dropped.content, header="h" in parts, body="b" in parts))
    out.writelines(line.encode() + b"\n" for line in after)
    out.flush()


def show(message: QueuedMessage | None, prefix: bytes, content: Content, parts: set[str]) -> None:
    """Print the parts of one message; of its envelope only when there is one."""
    place = "" if message is None else _place(message)
    out = sys.stdout.buffer
    sys.stdout.flush()
    if message is not None:
        for line in envelope_lines(message, place):
            out.write(line.encode("utf-8", "surrogateescape") + b"\n")
        out.write(f"*** MESSAGE CONTENTS {place} ***\n".encode())
    for piece in text_pieces(prefix, content, header="h" in parts, body="b" in parts):
        out.write(piece)
    if message is not None:
        out.write(f"*** HEADER EXTRACTED {place} ***\n*** MESSAGE FILE END {place} ***\n".encode())
    out.flush()


def _place(message: QueuedMessage) -> str:
    """Where Postfix would have its file: the deferred queue is hashed (hash_queue_names)."""
    if message.queue is QueueName.DEFERRED:
        return f"deferred/{message.queue_id[:1]}/{message.queue_id}"
    return f"{message.queue.value}/{message.queue_id}"


def envelope_lines(message: QueuedMessage, place: str) -> Iterator[str]:
    """The envelope, one record a line."""
    envelope = message.envelope
    origin = envelope.origin
    yield f"*** ENVELOPE RECORDS {place} ***"
    yield "message_size: " + " ".join(
        f"{number:15d}" for number in (message.size, 0, len(envelope.recipients), 0, message.size, 0)
    )
    yield f"message_arrival_time: {time.ctime(envelope.arrival)}"
    yield f"create_time: {time.ctime(message.queued)}"
    yield f"named_attribute: log_ident={message.queue_id}"
    if envelope.envid:
        yield f"named_attribute: envelope_id={envelope.envid}"
    if envelope.ret.value:
        yield f"named_attribute: ret_flags={1 if envelope.ret.value == 'FULL' else 2}"
    if envelope.body.value:
        yield f"named_attribute: encoding={'8bit' if envelope.body.value != '7BIT' else '7bit'}"
    if envelope.content_filter:
        yield f"content_filter: {envelope.content_filter}"
    yield f"sender: {envelope.sender}"
    if envelope.verp:
        yield f"verp_delimiters: {envelope.verp}"
    attributes = (
        ("log_client_name", origin.client_name),
        ("log_client_address", origin.client_address),
        ("log_client_port", str(origin.client_port or "")),
        ("log_message_origin", origin.client if origin.client_address else ""),
        ("log_helo_name", origin.helo),
        ("log_protocol_name", origin.protocol),
        ("sasl_method", origin.sasl_method),
        ("sasl_username", origin.sasl_username),
        ("sasl_sender", origin.sasl_sender),
        ("client_name", origin.client_name),
        ("client_address", origin.client_address),
        ("client_port", str(origin.client_port or "")),
        ("helo_name", origin.helo),
        ("protocol_name", origin.protocol),
    )
    for name, value in attributes:
        if value:
            yield f"named_attribute: {name}={value}"
    pending = {item.queued.number for item in message.pending}
    for number, recipient in enumerate(envelope.recipients):
        if recipient.notify:
            yield f"named_attribute: notify_flags={int(recipient.notify)}"
        if recipient.orcpt or recipient.original:
            yield f"named_attribute: dsn_orig_rcpt={recipient.orcpt or 'rfc822;' + recipient.original}"
        if recipient.original:
            yield f"original_recipient: {recipient.original}"
        yield f"{'recipient' if number in pending else 'done_recipient'}: {recipient.address}"


def text_pieces(prefix: bytes, content: Content, *, header: bool, body: bool) -> Iterator[bytes]:
    """The wanted parts of the message with LF line ends, in pieces of bounded size."""
    held = b""
    in_header = True
    for chunk in _chunks(prefix, content):
        held += chunk
        if in_header:
            end = held.find(b"\n\r\n")
            if end >= 0:
                in_header = False
                if header:
                    yield _lf(held[: end + 1])
                held = held[end + 1 :]
        wanted = header if in_header else body
        # What is kept back may be the beginning of the empty line, or a CR whose LF is to come.
        keep = 3 if held[-3:-2] == b"\r" else 2
        if wanted:
            yield _lf(held[:-keep])
        held = held[-keep:]
    if header if in_header else body:
        yield _lf(held)


def _lf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def _chunks(prefix: bytes, content: Content) -> Iterator[bytes]:
    yield prefix
    yield from content.chunks()


if __name__ == "__main__":
    sys.exit(main())
