"""sendmail(1): hands a message from standard input to the mail system.

=====================  =========================================================================================
``address …``          recipients; with ``-t`` also those of To, Cc and Bcc (or their Resent- forms)
``-f`` ``-r`` ``-F``   the sender's address; his full name
``-i`` ``-oi``         a line with a dot alone does not end the message
``-N`` ``-R`` ``-V``   delivery status: when (never, success, failure, delay), full or hdrs, envelope id
``-B``                 body type: 7BIT, 8BITMIME
``-XV`` ``-XV+=``      each recipient gets it with a sender of his own (VERP), with these delimiters or the usual ones
``-bm``                read a message and deliver it: what it does anyway
``-bp`` ``-bi`` ``-I`` list the queue; rebuild the aliases of alias_database, as ``newaliases`` does
``-bs``                speak SMTP on standard input and output; what it takes goes the way of all other messages
``-bv``                deliver nothing, report by mail what would be done
``-q``                 try to deliver the queue now
``-C``                 the configuration directory, or main.cf in it
=====================  =========================================================================================

Options that other mail systems have and that mean nothing here are taken and ignored, as Postfix does it.

Works without privileges, through the socket ``public/pickup`` of the queue directory; pickup knows the user from the
kernel. When nobody listens there, or the user has too many connections, the message is written to the ``maildrop``
directory, durably, and taken from there when the server starts, or within a minute. When that is impossible too: exit
status 75, the caller shall try again.

Exit status: 0; 64 EX_USAGE is never used, a wrong call is 75 as in Postfix; 69 EX_UNAVAILABLE the message is refused;
75 EX_TEMPFAIL; 77 EX_NOPERM the user may not submit mail.

Starts fast: only modules written in C are imported before the message is on its way.
"""

from __future__ import annotations

import os
import sys

from angarium.protocols.pickup import frames
from angarium.protocols.pickup.commandline import PROGRAM_MODES, CommandLineError, Request, parse, verp_fault
from angarium.protocols.pickup.outcome import EX_OK, EX_TEMPFAIL, LATER_REPLY, outcome
from angarium.protocols.pickup.reading import InputReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHUNK = 256 * 1024


class Fatal(Exception):  # noqa: N818 - the word that the log has for it
    """The command cannot go on; the text is for the user and the log.

    Attributes:
        status: the exit status.
        named: whether a name stands before the text.
        sender: of ``-f``, which is that name then; else the user's.
        before: lines that go before it.
    """

    def __init__(
        self,
        text: str,
        status: int = EX_TEMPFAIL,
        *,
        named: bool = True,
        sender: str | None = None,
        before: Sequence[str] = (),
    ) -> None:
        super().__init__(text)
        self.status = status
        self.named = named
        self.sender = sender
        self.before = before


# The message


def message_pieces(descriptor: int, reader: InputReader) -> Iterator[bytes]:
    """Standard input in wire form."""
    while not reader.ended and (chunk := os.read(descriptor, _CHUNK)):
        if piece := reader.feed(chunk):
            yield piece
    if piece := reader.finish():
        yield piece


def envelope_records(request: Request) -> bytes:
    """The records before the message."""
    records = [frames.frame(frames.VERSION_RECORD, frames.VERSION)]

    def add(kind: bytes, text: str) -> None:
        records.append(frames.frame(kind, os.fsencode(text)[: frames.ATTRIBUTE_LIMIT]))

    if request.sender is not None:
        add(frames.SENDER, request.sender)
    if request.full_name is not None:
        add(frames.FULL_NAME, request.full_name)
    for recipient in request.recipients:
        add(frames.RECIPIENT, recipient)
    said = (
        (frames.NOTIFY, str(request.notify or "")),
        (frames.RETURN, request.ret),
        (frames.ENVELOPE_ID, request.envid),
        (frames.BODY_TYPE, request.body),
    )
    for kind, text in said:
        if text:
            add(kind, text)
    if request.verp is not None:
        add(frames.VERP, request.verp)
    flags = (
        (frames.EXTRACT, request.extract),
        (frames.GATEWAY, request.gateway),
        (frames.VERIFY, request.mode == "v"),
        (frames.REPORT, request.report and request.mode != "v"),
    )
    for kind, chosen in flags:
        if chosen:
            add(kind, "")
    return b"".join(records)


def records(request: Request, descriptor: int, line_endings: str) -> Iterator[bytes]:
    """The whole submission."""
    yield envelope_records(request)
    if request.mode != "v":
        for piece in message_pieces(descriptor, InputReader(dots=request.dots, line_endings=line_endings)):
            for start in range(0, len(piece), frames.DATA_LIMIT):
                yield frames.frame(frames.DATA, piece[start : start + frames.DATA_LIMIT])
    yield frames.frame(frames.END)


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What there is up to 1 MiB at once, then the rest: a slow writer of a small message holds no connection."""
    first: list[bytes] = []
    size = 0
    for piece in pieces:
        first.append(piece)
        size += len(piece)
        if size > frames.DATA_LIMIT:
            break
    yield b"".join(first)
    yield from pieces


# The ways out


def submit(request: Request, directory: str) -> int:
    """Hand the message over, or drop it for later. Raises Fatal."""
    if request.verp is not None:
        fault = verp_fault(request.verp, parameter(directory, "verp_delimiter_filter"), request.sender)
        if fault is not None:
            raise Fatal(str(fault), named=fault.named, sender=fault.sender)
        request.verp = request.verp or parameter(directory, "default_verp_delimiters")
    answer = hand_over(
        records(request, 0, parameter(directory, "sendmail_fix_line_endings")), queue_directory(directory)
    )
    if answer is not None:
        status, text, named = outcome(answer)
        if text:
            raise Fatal(text, status, named=named, sender=request.sender)
    if request.mode == "v" or request.report:
        print(f"Mail Delivery Status Report will be mailed to <{_sender(request)}>.")
    return EX_OK


def _sender(request: Request) -> str:
    return _user().partition("(")[0] if request.sender is None else request.sender


def hand_over(submission: Iterator[bytes], queue_directory: str) -> str | None:
    """Hand the records of a submission to pickup: its answer, None when they were dropped for later. Raises Fatal."""
    pieces = _gathered(submission)
    first = next(pieces)
    answer, whole = _over_socket(queue_directory + "/public/pickup", first, pieces)
    if answer is None or (whole and answer.startswith(LATER_REPLY)):
        _drop(queue_directory + "/maildrop", first, pieces)
        return None
    return answer


def _over_socket(path: str, first: bytes, pieces: Iterator[bytes]) -> tuple[str | None, bool]:
    """Pickup's answer, None when nobody listens (nothing has been sent then); and whether ``first`` is all there is."""
    import _socket  # the C module alone: the socket module costs 4 ms to import

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        try:
            connection.connect(path)
        except OSError:
            return None, False
        more = False
        try:
            connection.sendall(first)
            for piece in pieces:
                more = True
                connection.sendall(piece)
        except OSError:
            pass  # pickup has hung up: it says why
        answer = b""
        while not answer.endswith(b"\n") and len(answer) < frames.ATTRIBUTE_LIMIT:
            data = connection.recv(4096)
            if not data:
                break
            answer += data
    except OSError as error:
        raise Fatal(f"the mail system went away: {error.strerror}") from error
    finally:
        connection.close()
    if not answer:
        raise Fatal("the mail system went away")
    return answer.decode("utf-8", "replace").strip(), not more and next(pieces, None) is None


def _drop(directory: str, first: bytes, pieces: Iterator[bytes]) -> None:
    """Write the submission to the maildrop directory, durably.

    The owner's execute bit says that it is whole, as with Postfix's postdrop: there is no second name to make durable,
    which a user who cannot read the directory could not do.
    """
    name = f"{directory}/{os.urandom(12).hex()}"
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Fatal(f"Mail system is down, and cannot write {directory}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(first)
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fchmod(descriptor, 0o744)
            os.fsync(descriptor)
    except OSError as error:
        _remove(name)
        raise Fatal(f"queue file write error: {error.strerror}") from error
    except BaseException:
        _remove(name)
        raise


def _remove(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108 - pathlib costs 5 ms to import
    except OSError:
        return  # it never came to be, or is gone


# The configuration


def configuration_directory(option: str | None) -> str:
    """Of ``-C`` (a directory or the main.cf in it), MAIL_CONFIG, or /etc/postfix."""
    if option:
        return option if os.path.isdir(option) else os.path.dirname(option)  # noqa: PTH112, PTH120 - as above
    return os.environ.get("MAIL_CONFIG") or "/etc/postfix"


_DEFAULTS = {
    "queue_directory": "/var/spool/postfix",
    "sendmail_fix_line_endings": "always",
    "verp_delimiter_filter": "-=+",
    "default_verp_delimiters": "+=",
}


def queue_directory(directory: str) -> str:
    """The parameter of that name."""
    return parameter(directory, "queue_directory")


def parameter(directory: str, name: str) -> str:
    """One of ``_DEFAULTS``; the configuration engine is asked only when its text holds a ``$``. Raises Fatal."""
    try:
        with open(directory + "/main.cf", "rb") as file:  # noqa: PTH123 - as above
            text = b"\n" + file.read()
    except OSError as error:
        raise Fatal(f"open {directory}/main.cf: {error.strerror}") from error
    at = text.rfind(b"\n" + name.encode())
    if at < 0:
        return _DEFAULTS[name]
    stop = text.find(b"\n", at + 1)
    found, equals, raw = text[at + 1 : stop if stop > 0 else len(text)].partition(b"=")
    simple = equals and found.strip() == name.encode() and b"$" not in raw and raw.strip()
    if simple and text[stop + 1 : stop + 2] not in (b" ", b"\t", b"#", b"\n"):
        return os.fsdecode(raw.strip())
    from pathlib import Path

    from angarium.config.config import Config

    return Config.load(Path(directory)).text(name)


# The other programs in one


def _other_mode(request: Request, directory: str) -> int:
    """What is not about a message of standard input."""
    if request.mode == "p":
        from angarium.commands import postqueue

        return postqueue.main(["-c", directory, "-p"])
    if request.mode == "q":
        from angarium.commands import postqueue

        if request.queue_id:
            return postqueue.main(["-c", directory, "-i", request.queue_id])
        return postqueue.main(["-c", directory, *(["-s", request.site] if request.site else ["-f"])])
    if request.mode == "i":
        from angarium.commands import postalias

        if request.aliases:
            return postalias.main(["-c", directory, request.aliases])
        return postalias.rebuild(directory)
    if request.mode == "s":
        from angarium.commands.sendmail_smtp import converse

        return converse(directory)
    if request.mode == "h":
        return EX_OK  # the status of hosts: there is none to be listed
    return _start(directory)


def _start(directory: str) -> int:
    """Run ``postfix start``, as ``-bd`` wants it: in the background, and nobody waits for how it ends."""
    import subprocess

    arguments = [sys.executable, "-P", "-m", "angarium.commands.postfix", "-c", directory, "start"]
    subprocess.Popen(arguments)
    return EX_OK


def main(argv: Sequence[str] | None = None, name: str = "sendmail") -> int:
    """Run the command under a name: sendmail, mailq or newaliases. The exit status."""
    words = sys.argv[1:] if argv is None else argv
    mode = {"mailq": ["-bp"], "newaliases": ["-bi"]}.get(name, [])

    def say(line: str) -> None:
        print(line.replace("sendmail", name, 1) if line.startswith("sendmail: ") else line, file=sys.stderr)

    try:
        try:
            request = parse([*mode, *words], os.environ.get("NAME"))
        except CommandLineError as error:
            text = str(error).replace("usage: sendmail", f"usage: {name}")
            raise Fatal(text, named=error.named, sender=error.sender, before=error.before) from error
        for note in request.notes:
            say(note)
        directory = configuration_directory(request.directory)
        return _other_mode(request, directory) if request.mode in PROGRAM_MODES else submit(request, directory)
    except Fatal as fatal:
        for line in fatal.before:
            say(line)
        say(f"sendmail: fatal: {f'{_user(fatal.sender)}: ' if fatal.named else ''}{fatal}")
        return fatal.status
    except OSError as error:
        say(f"sendmail: fatal: {_user()}: {error}")
        return EX_TEMPFAIL


def _user(sender: str | None = None) -> str:
    """``name(uid)``, as Postfix's messages have it; the name of a sender that the user chose."""
    import pwd

    uid = os.getuid()
    if sender is not None:
        return f"{sender}({uid})"
    try:
        return f"{pwd.getpwuid(uid).pw_name}({uid})"
    except KeyError:
        return f"unknown({uid})"


if __name__ == "__main__":
    sys.exit(main())
