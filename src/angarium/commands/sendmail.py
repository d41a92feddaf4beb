"""sendmail(1): hands a message from standard input to the mail system.

=====================  =========================================================================================
``address …``          recipients; with ``-t`` also those of To, Cc and Bcc (or their Resent- forms)
``-f`` ``-r`` ``-F``   the sender's address; his full name
``-i`` ``-oi``         a line with a dot alone does not end the message
``-N`` ``-R`` ``-V``   delivery status: when (never, success, failure, delay), full or hdrs, envelope id
``-B``                 body type: 7BIT, 8BITMIME
``-bm``                read a message and deliver it: what it does anyway
``-bp`` ``-bi`` ``-I`` list the queue; rebuild the aliases of alias_database, as ``newaliases`` does
``-bs``                speak SMTP on standard input and output, through the server's first smtpd service
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import NoReturn

EX_OK, EX_UNAVAILABLE, EX_TEMPFAIL, EX_NOPERM = 0, 69, 75, 77

WITH_ARGUMENT = "ABCFLNORVXbefhopr"
WITHOUT_ARGUMENT = "GIUcimnstvxd"
OPTIONAL_ARGUMENT = "q"
_CHUNK = 256 * 1024
_LATER = "451 4.3.2 "
"""Pickup has no connection for us, or is going down."""

_NOTIFY = {"never": 1, "success": 2, "failure": 4, "delay": 8}


class Fatal(Exception):  # noqa: N818 - the word that the log has for it
    """The command cannot go on; the text is for the user and the log."""

    def __init__(self, text: str, status: int = EX_TEMPFAIL) -> None:
        super().__init__(text)
        self.status = status


class Request:
    """What the command line asks for."""

    __slots__ = (
        "body",
        "directory",
        "dots",
        "envid",
        "extract",
        "full_name",
        "mode",
        "notify",
        "queue",
        "recipients",
        "ret",
        "sender",
    )

    def __init__(self) -> None:
        self.mode = "m"
        self.recipients: list[str] = []
        self.sender: str | None = None
        self.full_name: str | None = None
        self.extract = False
        self.dots = True
        self.notify = 0
        self.ret = ""
        self.envid = ""
        self.body = ""
        self.directory: str | None = None
        self.queue = False


def scan(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """``(option, argument)`` pairs, operands as ``("", operand)``: getopt(3) with permutation."""
    position = 0
    while position < len(arguments):
        word = arguments[position]
        position += 1
        if word == "--":
            for operand in arguments[position:]:
                yield "", operand
            return
        if not word.startswith("-") or word == "-":
            yield "", word
            continue
        at = 1
        while at < len(word):
            option = word[at]
            at += 1
            if option in WITH_ARGUMENT:
                argument = word[at:]
                if not argument:
                    if position >= len(arguments):
                        print(f"sendmail: option requires an argument -- '{option}'", file=sys.stderr)
                        raise Fatal("usage: sendmail [options]")
                    argument = arguments[position]
                    position += 1
                yield option, argument
                break
            if option in OPTIONAL_ARGUMENT:
                yield option, word[at:]
                break
            if option not in WITHOUT_ARGUMENT:
                print(f"sendmail: invalid option -- '{option}'", file=sys.stderr)
                raise Fatal("usage: sendmail [options]")
            yield option, ""


def parse(arguments: Sequence[str]) -> Request:
    """Read the command line. Raises Fatal."""
    request = Request()
    for option, argument in scan(arguments):
        if option == "":
            request.recipients.append(argument)
        elif option in "fr":
            request.sender = "" if argument in ("", "<>") else argument
        elif option == "F":
            request.full_name = argument
        elif option == "t":
            request.extract = True
        elif option == "i" or (option == "o" and argument == "i"):
            request.dots = False
        elif option == "b":
            if argument[:1] not in "dilmpsv" or not argument:
                raise Fatal(f"unsupported: -b{argument}")
            request.mode = argument[0]
        elif option == "I":
            request.mode = "i"
        elif option == "C":
            request.directory = argument
        elif option == "q":
            request.queue = True
        else:
            _delivery_status(request, option, argument)
    return request


def _delivery_status(request: Request, option: str, argument: str) -> None:
    if option == "N":
        words = [word.strip().lower() for word in argument.split(",")]
        if any(word not in _NOTIFY for word in words) or ("never" in words and len(words) > 1):
            print("sendmail: warning: bad -N option value -- ignored", file=sys.stderr)
        else:
            request.notify = sum(_NOTIFY[word] for word in set(words))
    elif option == "R":
        if argument.lower() in ("full", "hdrs"):
            request.ret = argument.upper()
        else:
            print("sendmail: warning: bad -R option value -- ignored", file=sys.stderr)
    elif option == "V":
        request.envid = argument
    elif option == "B":
        if argument.upper() in ("7BIT", "8BITMIME"):
            request.body = argument.upper()
        else:
            print(f"sendmail: warning: bad -B option value: {argument} -- ignored", file=sys.stderr)


# The message


def message_pieces(descriptor: int, *, dots: bool) -> Iterator[bytes]:
    """Standard input in wire form: lines end in CRLF, mbox separators at the start are gone, ``.`` may end it."""
    rest = b""
    at_start = True
    line_start = True
    while True:
        chunk = os.read(descriptor, _CHUNK)
        block = rest + chunk
        if chunk:
            cut = block.rfind(b"\n") + 1
            if not cut and len(block) < frames.DATA_LIMIT // 2:
                rest = block
                continue
            if not cut:
                cut = len(block) - block.endswith(b"\r")
            block, rest = block[:cut], block[cut:]
        ended = not chunk
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        if at_start:
            at_start, block = _without_separators(block)
        if dots and (stop := _lone_dot(block, line_start, ended)) >= 0:
            block, ended = block[:stop], True
        if block:
            line_start = block.endswith(b"\n")
            yield block.replace(b"\n", b"\r\n")
        if ended:
            if not line_start:
                yield b"\r\n"
            return


def _without_separators(block: bytes) -> tuple[bool, bytes]:
    """Take leading ``From `` lines off; True while more may come."""
    while block.lstrip(b">").startswith(b"From "):
        feed = block.find(b"\n")
        if feed < 0:
            return False, b""
        block = block[feed + 1 :]
    return not block, block


def _lone_dot(block: bytes, line_start: bool, ended: bool) -> int:
    """Where a line starts that is a dot alone; -1: nowhere."""
    if line_start and (block.startswith(b".\n") or (ended and block == b".")):
        return 0
    at = block.find(b"\n.\n")
    if at >= 0:
        return at + 1
    return len(block) - 1 if ended and block.endswith(b"\n.") else -1


def envelope_records(request: Request) -> bytes:
    """The records before the message."""
    records = [frames.frame(frames.VERSION_RECORD, frames.VERSION)]

    def add(kind: bytes, text: str) -> None:
        records.append(frames.frame(kind, os.fsencode(text)[: frames.ATTRIBUTE_LIMIT]))

    if request.sender is not None:
        add(frames.SENDER, request.sender)
    full_name = request.full_name if request.full_name is not None else os.environ.get("NAME")
    if full_name:
        add(frames.FULL_NAME, full_name)
    for recipient in request.recipients:
        add(frames.RECIPIENT, recipient)
    if request.notify:
        add(frames.NOTIFY, str(request.notify))
    if request.ret:
        add(frames.RETURN, request.ret)
    if request.envid:
        add(frames.ENVELOPE_ID, request.envid)
    if request.body:
        add(frames.BODY_TYPE, request.body)
    if request.extract:
        add(frames.EXTRACT, "")
    if request.mode == "v":
        add(frames.VERIFY, "")
    return b"".join(records)


def records(request: Request, descriptor: int) -> Iterator[bytes]:
    """The whole submission."""
    yield envelope_records(request)
    if request.mode != "v":
        for piece in message_pieces(descriptor, dots=request.dots):
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


def submit(request: Request, queue_directory: str) -> int:
    """Hand the message over, or drop it for later. Raises Fatal."""
    answer = hand_over(records(request, 0), queue_directory)
    return EX_OK if answer is None else _outcome(request, answer)


def hand_over(submission: Iterator[bytes], queue_directory: str) -> str | None:
    """Hand the records of a submission to pickup: its answer, None when they were dropped for later. Raises Fatal."""
    pieces = _gathered(submission)
    first = next(pieces)
    answer, whole = _over_socket(queue_directory + "/public/pickup", first, pieces)
    if answer is None or (whole and answer.startswith(_LATER)):
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


def _outcome(request: Request, answer: str) -> int:
    if answer.startswith("2"):
        if request.mode == "v":
            print(f"Mail Delivery Status Report will be mailed to <{answer.split(None, 2)[-1]}>.")
        return EX_OK
    code, _, text = answer.partition(" ")
    status, _, rest = text.partition(" ")
    if status.count(".") == 2:
        text = rest
    if answer.startswith(("550 5.7.", "554 5.7.")):
        raise Fatal(text, EX_NOPERM)
    raise Fatal(text, EX_TEMPFAIL if code.startswith("4") else EX_UNAVAILABLE)


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


def queue_directory(directory: str) -> str:
    """The parameter of that name; the configuration engine is asked only when its text holds a ``$``."""
    value = "/var/spool/postfix"
    try:
        with open(directory + "/main.cf", "rb") as file:  # noqa: PTH123 - as above
            text = b"\n" + file.read()
    except OSError as error:
        raise Fatal(f"open {directory}/main.cf: {error.strerror}") from error
    at = text.rfind(b"\nqueue_directory")
    if at < 0:
        return value
    stop = text.find(b"\n", at + 1)
    name, equals, raw = text[at + 1 : stop if stop > 0 else len(text)].partition(b"=")
    simple = equals and name.strip() == b"queue_directory" and b"$" not in raw and raw.strip()
    if simple and text[stop + 1 : stop + 2] not in (b" ", b"\t"):
        return os.fsdecode(raw.strip())
    from pathlib import Path

    from angarium.config.config import Config

    return Config.load(Path(directory)).text("queue_directory")


# The other programs in one


def _other_mode(request: Request, directory: str) -> int:
    """What is not about a message of standard input."""
    if request.mode == "p" or request.queue:
        from angarium.commands import postqueue

        return postqueue.main(["-c", directory, "-f" if request.queue else "-p"])
    if request.mode == "i":
        if request.recipients:
            print("sendmail: fatal: alias initialization mode requires no recipient", file=sys.stderr)
            return EX_TEMPFAIL
        from angarium.commands import postalias

        return postalias.rebuild(directory)
    if request.mode == "s":
        from angarium.commands.sendmail_smtp import converse

        return converse(directory)
    return _start(directory)


def _start(directory: str) -> NoReturn:
    """Become ``postfix start``, as ``-bd`` wants it."""
    arguments = [sys.executable, "-m", "angarium.commands.postfix", "-c", directory, "start"]
    os.execv(sys.executable, arguments)  # noqa: S606 - our own interpreter and module


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    try:
        request = parse(sys.argv[1:] if argv is None else argv)
        directory = configuration_directory(request.directory)
        if request.queue or request.mode in "pisdl":
            return _other_mode(request, directory)
        if not request.recipients and not request.extract:
            raise Fatal("Recipient addresses must be specified on the command line or via the -t option")
        return submit(request, queue_directory(directory))
    except Fatal as fatal:
        print(f"sendmail: fatal: {_user()}: {fatal}", file=sys.stderr)
        return fatal.status
    except OSError as error:
        print(f"sendmail: fatal: {_user()}: {error}", file=sys.stderr)
        return EX_TEMPFAIL


def _user() -> str:
    """``name(uid)``, as Postfix's messages have it."""
    import pwd

    uid = os.getuid()
    try:
        return f"{pwd.getpwuid(uid).pw_name}({uid})"
    except KeyError:
        return f"unknown({uid})"


if __name__ == "__main__":
    sys.exit(main())
