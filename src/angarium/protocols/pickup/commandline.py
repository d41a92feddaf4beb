"""The command line of sendmail(1), read as Postfix reads it. Imports nothing, for the command has to start fast.

Options end at the first word that is none (``sendmail joe -i`` has two recipients). An option that other mail systems
have and that means nothing here is taken and ignored. What the command says of a bad option's argument is a note; what
it cannot go on with is a ``CommandLineError``.

``-V`` is the envelope id of RFC 3461; an argument of two bytes is taken for the delimiters of VERP, as it was before
Postfix 2.3, and when it is a word of its own it is not even taken.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EX_TEMPFAIL = 75

WITH_ARGUMENT = "ABCFLNORVXbefhopr"
WITHOUT_ARGUMENT = "GIUcimntvx"
OPTIONAL_ARGUMENT = "q"

NOTIFY = {"never": 1, "success": 2, "failure": 4, "delay": 8}
_RETURN = ("full", "hdrs")
_BODY_TYPES = ("7BIT", "8BITMIME")
_ENVELOPE_ID_LIMIT = 100
_VERP_LENGTH = 2
VERP_DELIMITERS = "-V requires two characters from "
"""How the complaint about delimiters begins."""


PROGRAM_MODES = "pisdqh"
"""Modes that are no submission."""

MODES = {"m": "m", "s": "s", "d": "d", "l": "d", "p": "p", "i": "i", "v": "v", "h": "h", "H": "h"}
"""Of ``-b``: mail, SMTP, daemon, queue listing, aliases, verification, and the host status that there is none of."""

_ALONE = {"d": "daemon", "p": "display queue", "i": "alias initialization", "s": "stand-alone", "q": "flush queue"}
"""Modes that take no recipients, by their names."""


class CommandLineError(Exception):
    """The command cannot go on; the text is for the user and the log.

    Attributes:
        named: whether the user's name stands before it, as in Postfix for what is found after the options.
        sender: of ``-f``, which stands in place of the user's name then; None without.
        before: lines that go before it.
    """

    def __init__(
        self, text: str, *, named: bool = False, sender: str | None = None, before: Sequence[str] = ()
    ) -> None:
        super().__init__(text)
        self.named = named
        self.sender = sender
        self.before = before


class Request:
    """What the command line asks for.

    Attributes:
        mode: a value of ``MODES``; ``q`` flushes the queue, or what ``queue_id`` or ``site`` names.
        recipients: operands, each an address or a list of addresses.
        sender: ``-f``, None for the user.
        extract: ``-t``.
        dots: a line with a dot alone ends the message.
        gateway: ``-G``: headers are rewritten as those of strangers.
        report: ``-v``, how often.
        verp: ``-XV`` and its delimiters, which may be none to be used; empty: the usual ones; None without.
        aliases: ``-oA``: the alias file to build, in place of those of alias_database.
        notes: what is to be said on standard error, by whole lines.
    """

    __slots__ = (
        "aliases",
        "body",
        "directory",
        "dots",
        "envid",
        "extract",
        "full_name",
        "gateway",
        "mode",
        "notes",
        "notify",
        "queue_id",
        "recipients",
        "report",
        "ret",
        "sender",
        "site",
        "verp",
    )

    def __init__(self) -> None:
        self.mode = "m"
        self.recipients: list[str] = []
        self.sender: str | None = None
        self.full_name: str | None = None
        self.extract = False
        self.dots = True
        self.gateway = False
        self.report = 0
        self.notify = 0
        self.ret = ""
        self.envid = ""
        self.verp: str | None = None
        self.body = ""
        self.directory: str | None = None
        self.queue_id = ""
        self.site = ""
        self.aliases = ""
        self.notes: list[str] = []


def scan(arguments: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """``(option, argument, separate)`` of each option, then ``("", operand, False)`` of each operand: getopt(3).

    Raises:
        CommandLineError: an unknown option, or one without its argument.
    """
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if not word.startswith("-") or word == "-":
            break
        position += 1
        if word == "--":
            break
        at = 1
        while at < len(word):
            option = word[at]
            at += 1
            if option in WITH_ARGUMENT:
                if word[at:]:
                    yield option, word[at:], False
                elif position < len(arguments):
                    kept = option == "V" and _bytes(arguments[position]) == _VERP_LENGTH
                    yield option, "" if kept else arguments[position], not kept
                    position += not kept
                else:
                    raise _usage(f"option requires an argument -- '{option}'")
                break
            if option in OPTIONAL_ARGUMENT:
                yield option, word[at:], False
                break
            if option not in WITHOUT_ARGUMENT:
                raise _usage(f"invalid option -- '{option}'")
            yield option, "", False
    for operand in arguments[position:]:
        yield "", operand, False


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _usage(complaint: str) -> CommandLineError:
    return CommandLineError("usage: sendmail [options]", before=[f"sendmail: {complaint}"] * 2)


def parse(arguments: Sequence[str], environment_name: str | None = None) -> Request:
    """Read the command line; ``environment_name`` is NAME of the environment. Raises CommandLineError."""
    request = Request()
    request.full_name = environment_name
    for option, argument, separate in scan(arguments):
        if option == "":
            request.recipients.append(argument)
        elif option in "fr":
            request.sender = "" if argument in ("", "<>") else argument
        elif option == "F":
            request.full_name = argument
        elif option == "t":
            request.extract = True
        elif option in "io":
            request.dots = request.dots and option != "i" and not (option == "o" and argument.startswith("i"))
            request.aliases = argument[1:] if argument[:1] == "A" else request.aliases
        elif option == "G":
            request.gateway = True
        elif option == "v":
            request.report += 1
        elif option == "C":
            request.directory = argument
        elif option == "n":
            raise CommandLineError("-n option not supported")
        elif option in "bIq":
            _mode(request, option, argument)
        else:
            _delivery_status(request, option, argument, separate=separate)
    _check(request)
    return request


def _mode(request: Request, option: str, argument: str) -> None:
    if option == "I":
        request.mode = "i"
    elif option == "b":
        if argument[:1] not in MODES:
            raise CommandLineError(f"unsupported: -b{argument[:1]}")
        request.mode = MODES[argument[0]]
    elif not argument:
        request.mode = "q"
    elif argument[0].isdigit():
        request.mode = "h" if request.mode == "m" else request.mode  # an interval: nothing to do
    elif argument[0] in "IR":
        if not argument[1:]:
            raise CommandLineError("specify: -qIqueueid" if argument[0] == "I" else "specify: -qRsitename")
        request.mode = "q"
        if argument[0] == "I":
            request.queue_id = argument[1:]
        else:
            request.site = argument[1:]
    else:
        raise CommandLineError(f"-q{argument[0]} is not implemented")


def _delivery_status(request: Request, option: str, argument: str, *, separate: bool) -> None:
    if option == "N":
        _notify(request, argument)
    elif option == "R":
        if argument.lower() in _RETURN:
            request.ret = argument.upper()
        else:
            _warn(request, "bad -R option value -- ignored")
    elif option == "V":
        _envelope_id(request, argument, separate=separate)
    elif option == "X":
        if argument[:1] != "V":
            raise CommandLineError(f"unsupported: -X{argument[:1]}")
        request.verp = argument[1:]
    elif option == "B":
        if argument not in _BODY_TYPES:
            raise CommandLineError("-B option needs 8BITMIME or 7BIT")
        request.body = argument


def _notify(request: Request, argument: str) -> None:
    words = [word for word in argument.replace(",", " ").split() if word]
    unknown = [word for word in words if word.lower() not in NOTIFY]
    for word in unknown[:1]:
        _warn(request, f'unknown DSN NOTIFY command value "{word}" in "{argument}"')
    flags = 0
    for word in words:
        flags |= NOTIFY.get(word.lower(), 0)
    if unknown or not flags or (flags & NOTIFY["never"] and flags != NOTIFY["never"]):
        _warn(request, "bad -N option value -- ignored")
    else:
        request.notify = flags


def _envelope_id(request: Request, argument: str, *, separate: bool) -> None:
    if not separate and _bytes(argument) in (0, _VERP_LENGTH):
        _warn(request, f"option -V{argument} is deprecated with Postfix 2.3; specify -XV{argument} instead")
        request.verp = argument
    elif len(argument) > _ENVELOPE_ID_LIMIT:
        _warn(request, "too long -V option value -- ignored")
    elif not argument or not argument.isprintable() or not argument.isascii():
        _warn(request, "bad syntax in -V option value -- ignored")
    else:
        request.envid = argument


def verp_fault(delimiters: str, allowed: str, sender: str | None) -> CommandLineError | None:
    """Why a message cannot be sent with VERP: by its delimiters, those of main.cf or the sender; None when it can."""
    if delimiters and (len(delimiters) != _VERP_LENGTH or any(each not in allowed for each in delimiters)):
        return CommandLineError(f"{VERP_DELIMITERS}{allowed}")
    if sender == "":
        return CommandLineError("-V option requires non-null sender address", named=True, sender=sender)
    return None


def _warn(request: Request, text: str) -> None:
    request.notes.append(f"sendmail: warning: {text}")


def _check(request: Request) -> None:
    """What goes together. Raises CommandLineError."""
    if request.extract and request.mode != "m":
        bad = request.mode == "v"
        raise CommandLineError("-t option cannot be used with -bv" if bad else "-t can be used only in delivery mode")
    if request.mode in _ALONE and request.recipients:
        raise CommandLineError(f"{_ALONE[request.mode]} mode requires no recipient")
    if request.mode in "mv" and not request.recipients and not request.extract:
        text = "Recipient addresses must be specified on the command line or via the -t option"
        raise CommandLineError(text, named=True, sender=request.sender)
