#!/bin/sh
''':'
here=$0
[ -h "$here" ] && here=$(readlink -f "$here")
python="${here%/*}/python3"
[ -x "$python" ] || python=$(command -v python3)
exec "$python" -IS "$0" "$@"
'''  # fmt: skip # noqa: D205, D300, D415 - to the shell, these lines are a program; to Python, a docstring

# sendmail(1), mailq(1), newaliases(1): a client that hands command line and standard input to pickup's socket and
# leaves the rest to it, or prints the listing that showq's socket gives. What is neither, or finds no server, is for
# angarium.commands.sendmail, which it becomes then.
#
# The shell's part finds the interpreter beside the script, so that it works in any environment, and starts it without
# site: that, and importing nothing but two modules in C, is what makes it fast (docs/adr/0029). `postfix
# set-permissions` writes a copy that names its interpreter in the first line, and has no part for the shell.
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_INTERPRETER = globals().get("INTERPRETER", sys.executable)  # the copy of `postfix set-permissions` knows it
_WITH_ARGUMENT = "fFrNRB"
_PLAIN = ("-t", "-i", "-oi", "-ti", "-it", "-m", "-om", "-oem", "-oee", "-bm", "-U", "-G")
_NO_DOTS = ("-i", "-oi", "-ti", "-it")
_CHUNK = 262144
_GATHERED = 1048576
_LATER = 255
_BUSY = b"451 4.3.2 "  # before pickup has seen the command line


def _program(arguments: list[str], consumed: list[bytes] | None = None, name: str = "sendmail") -> "NoReturn":
    """Become the whole command, with what has been read of standard input put back."""
    if consumed is not None:
        descriptor = posix.memfd_create("message")
        pieces = consumed
        while pieces:
            data = b"".join(pieces)
            while data:
                data = data[posix.write(descriptor, data) :]
            data = posix.read(0, _CHUNK)
            pieces = [data] if data else []
        posix.lseek(descriptor, 0, 0)
        posix.dup2(descriptor, 0)
    posix.execv(_INTERPRETER, [_INTERPRETER, "-P", "-m", "angarium.commands." + name, *arguments])


def _frame(kind: bytes, payload: bytes) -> bytes:
    return b"%s%08x" % (kind, len(payload)) + payload


def _encoded(text: str) -> bytes:
    return text.encode(sys.getfilesystemencoding(), "surrogateescape")


def _plain(words: list[str]) -> tuple[bytes, bool] | None:
    """The configuration directory and whether a lone dot ends the message; None when it is more than a submission."""
    directory = posix.environ.get(b"MAIL_CONFIG") or b"/etc/postfix"
    dots = True
    recipients = False
    position = 0
    while position < len(words) and words[position][:1] == "-" and words[position] != "-":
        word = words[position]
        position += 1
        if word == "--":
            break
        if word in _PLAIN:
            dots = dots and word not in _NO_DOTS
            recipients = recipients or "t" in word
        elif word == "-C" and position < len(words):
            directory = _encoded(words[position])
            position += 1
        elif word[1] in _WITH_ARGUMENT:
            position += len(word) == 2
        else:
            return None
    return (directory, dots) if position <= len(words) and (recipients or position < len(words)) else None


def _public(directory: bytes, unwanted: bytes) -> bytes | None:
    """Where the sockets are, by a main.cf that leaves no doubt about it and sets no ``unwanted``; else None."""
    try:
        descriptor = posix.open(directory + b"/main.cf", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return None
    text = b"\n" + posix.read(descriptor, 4 * _GATHERED)
    if b"\n" + unwanted in text:
        return None
    at = text.rfind(b"\nqueue_directory")
    if at < 0:
        return b"/var/spool/postfix/public/"
    line, _, after = text[at + 1 :].partition(b"\n")
    name, _, value = line.partition(b"=")
    value = value.strip()
    if name.strip() != b"queue_directory" or not value or b"$" in value or after[:1] in (b" ", b"\t", b"#", b"\n"):
        return None
    return value + b"/public/"


class _Input:
    """Standard input: what has been read, and whether that is all."""

    def __init__(self, dots: bool) -> None:
        self.dots = dots
        self.pieces: list[bytes] = []
        self.whole = False
        self._tail = b"\n"

    def read(self) -> bytes:
        """The next piece."""
        data = posix.read(0, _CHUNK)
        self.whole = not data
        if self.dots and data:
            tail = self._tail + data
            self._tail = tail[-4:]
            self.whole = b"\n.\n" in tail or b"\n.\r\n" in tail
        return data

    def gather(self) -> None:
        """Read up to 1 MiB, so that a slow writer of a small message holds no connection."""
        size = 0
        while not self.whole and size < _GATHERED:
            data = self.read()
            self.pieces.append(data)
            size += len(data)


def _submit(path: bytes, words: list[str], arguments: bytes, message: _Input) -> bytes:
    """Pickup's answer."""
    import _socket

    records = [b"V00000001" + b"1"]
    name = posix.environ.get(b"NAME")
    if name is not None:
        records.append(_frame(b"n", name[:65536]))
    records.append(_frame(b"a", arguments))
    message.gather()
    records += [_frame(b"i", piece) for piece in message.pieces if piece]
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        _program(words, message.pieces)
    try:
        while not message.whole:
            connection.sendall(b"".join(records))
            message.pieces = []
            records = [_frame(b"i", message.read())]
        records.append(b"Z00000000")
        connection.sendall(b"".join(records))
    except OSError:
        pass  # pickup has hung up: it says why
    answer = b""
    try:
        while data := connection.recv(65536):
            answer += data
    except OSError:
        return answer
    return answer


def _shown(value: bytes) -> str:
    text = value.decode("utf-8", "surrogateescape")
    return text if text.isprintable() else "".join([char if char.isprintable() else "?" for char in text])


def _row(record: list[bytes]) -> tuple[int, str]:
    """The size of a message of the listing, and its lines, as angarium.commands.queue_listing has them."""
    import time

    values = dict(zip(record[::2], record[1::2], strict=True))
    status = {b"active": "*", b"hold": "!"}.get(values[b"queue_name"], "#" if values[b"forced_expire"] == b"1" else "")
    size = int(values[b"size"])
    name = values[b"queue_id"].decode() + status
    lines = [f"{name:<11} {size:7d} {time.ctime(int(values[b'time']))[:20]:>20} {_shown(values[b'sender'])}"]
    last = b""
    for position in range(0, len(record), 2):
        if record[position] == b"recipient":
            reason = record[position + 3]
            if reason and reason != last:
                lines.append(f"({_shown(reason)})".rjust(78))
            last = reason
            lines.append(" " * 41 + _shown(record[position + 1]))
    return size, "\n".join(lines) + "\n\n"


def _list(path: bytes) -> bool:
    """Print what showq's socket gives; False when there is nothing to be had of it, and nothing has been printed."""
    import _socket

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    held = b""
    record: list[bytes] = []
    count = total = 0
    greeted = ended = False
    try:
        connection.connect(path)
        while data := connection.recv(65536):
            *strings, held = (held + data).split(b"\0")
            out = []
            for string in strings:
                if string or len(record) % 2:
                    record.append(string)
                    continue
                if greeted and record:
                    size, text = _row(record)
                    out.append(
                        text if count else "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n" + text
                    )
                    count, total = count + 1, total + size
                ended = greeted and not record
                greeted = True
                record = []
            _write(1, "".join(out).encode("utf-8", "surrogateescape"))
    except (OSError, ValueError, LookupError):
        ended = False  # as a listing that is cut off
    if not ended and not count:
        return False
    if not ended:
        _write(2, b"postqueue: fatal: Queue report unavailable - the listing is cut off\n")
        posix._exit(69)  # noqa: SLF001 - nothing is to be tidied up
    requests = "Request." if count == 1 else "Requests."
    text = f"-- {total // 1024} Kbytes in {count} {requests}" if count else "Mail queue is empty"
    _write(1, f"{text}\n".encode())
    return True


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[posix.write(descriptor, data) :]


def _listing(name: str, words: list[str]) -> bytes | None:
    """The configuration directory when the queue is to be listed, with no more said; else None."""
    if name == "mailq" and words[:1] in (["-C"], ["-c"]) and len(words) == 2:
        return _encoded(words[1])
    if name != "mailq" and words[:1] == ["-C"] and len(words) == 3 and words[2] == "-bp":
        return _encoded(words[1])
    if words == ([] if name == "mailq" else ["-bp"]):
        return posix.environ.get(b"MAIL_CONFIG") or b"/etc/postfix"
    return None


def main() -> None:
    """Hand the message over, and end as pickup says."""
    words = sys.argv[1:]
    name = sys.argv[0].rpartition("/")[2]
    listed = _listing(name, words)
    public = listed and _public(listed, b"enable_long_queue_ids")
    if public and _list(public + b"showq"):
        posix._exit(0)  # noqa: SLF001 - as above
    if name in ("mailq", "newaliases"):
        _program(words, name=name)
    plain = _plain(words)
    public = plain and _public(plain[0], b"sendmail_fix_line_endings")
    arguments = _encoded("".join([f"{word}\0" for word in words]))
    if not public or not plain or len(arguments) > _GATHERED:
        _program(words)
    message = _Input(plain[1])
    status, _, text = _submit(public + b"pickup", words, arguments, message).partition(b"\n")
    if status.startswith(_BUSY):
        status = b"%d" % _LATER
    if not status.isdigit():
        status, text = b"75", b"sendmail: fatal: the mail system went away\n"
    if int(status) == _LATER and message.pieces:
        _program(words, message.pieces)
    if int(status) == _LATER:
        text = b"sendmail: fatal: the mail system is busy or going down\n"
    if text:
        posix.write(2, text)
    posix._exit(int(status) if int(status) < _LATER else 75)  # noqa: SLF001 - nothing is to be tidied up


if __name__ == "__main__":
    main()
