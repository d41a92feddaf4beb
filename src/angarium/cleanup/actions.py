"""The actions of header_checks(5): what each does to a message, and its line in the log.

The table ``ACTIONS`` names them; a word that is not there is none (also DELAY, which Postfix has taken out). Operands
that make no sense are a warning, and the mail passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from angarium.model.reply import Reply
from angarium.runtime.log import ServiceLog

_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")
_DSN = re.compile(r"([245])\.([0-9]{1,3})\.([0-9]{1,3})(?=\s|$)\s*")
_SHOWN = 200

Edit = tuple[int, int, bytes]


@dataclass(slots=True)
class Findings:
    """What the checks of one message have asked for.

    Attributes:
        hold: put it on hold.
        discard: throw it away.
        content_filter: send it to this transport:nexthop.
        redirect: send it to this address alone.
        bcc: send it to these too.
        refusal: answer this.
        ended: a check has ended the checks.
        prepended: lines for before a header, by place in the block that ``header`` makes.
        header: edits of the header block.
        body: edits of the body.
    """

    hold: bool = False
    discard: bool = False
    content_filter: str = ""
    redirect: str = ""
    bcc: list[str] = field(default_factory=list)
    ended: bool = False
    refusal: Reply | None = None
    prepended: list[Edit] = field(default_factory=list)
    header: list[Edit] = field(default_factory=list)
    body: list[Edit] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Change:
    """Lines for before the text, and what stands in its place: itself, something else, or None for nothing."""

    before: tuple[bytes, ...]
    instead: bytes | None


@dataclass(frozen=True, slots=True)
class Case:
    """What a table says of one text.

    Attributes:
        queue_id: of the message.
        tail: where it comes from and for whom it is, for the log.
        findings: of the message.
        parameter: whose table it is.
        context: ``header`` or ``body``.
        text: the header, or the line.
        operand: what stands behind the action.
    """

    queue_id: str
    tail: str
    findings: Findings
    parameter: str
    context: str
    text: bytes
    operand: str


_Action = Callable[[ServiceLog, Case], Change | None]


def _say(log: ServiceLog, action: str, case: Case, text: str) -> None:
    shown = case.text[:_SHOWN].decode("utf-8", "replace").replace("\n", "?")
    colon = f": {text}" if text else ""
    log.info(f"{case.queue_id}: {action}: {case.context} {shown}{case.tail}{colon}", queue_id=case.queue_id)


def _reject(log: ServiceLog, case: Case) -> None:
    reply = rejection(case.operand, log.warning)
    _say(log, "reject", case, str(reply).partition(" ")[2])
    case.findings.refusal = reply
    case.findings.ended = True


def _told(word: str) -> _Action:
    def action(log: ServiceLog, case: Case) -> None:
        _say(log, word, case, case.operand)

    return action


def _filter(log: ServiceLog, case: Case) -> None:
    if not case.operand:
        log.warning(f"missing FILTER command argument in {case.parameter} map")
    elif ":" not in case.operand:
        log.warning(f"bad FILTER command {case.operand} in {case.parameter} -- need transport:destination")
    else:
        case.findings.content_filter = case.operand
        _say(log, "filter", case, case.operand)


def _pass(log: ServiceLog, case: Case) -> None:
    _say(log, "pass", case, case.operand)
    case.findings.ended = True


def _discard(log: ServiceLog, case: Case) -> None:
    _say(log, "discard", case, case.operand)
    case.findings.discard = case.findings.ended = True


def _hold(log: ServiceLog, case: Case) -> None:
    if not case.findings.hold:
        case.findings.hold = True
        _say(log, "hold", case, case.operand)


def _redirect(log: ServiceLog, case: Case) -> None:
    if "@" not in case.operand:
        log.warning(f'bad REDIRECT target "{case.operand}" in {case.parameter} map -- need user@domain')
        return
    case.findings.redirect = case.operand
    case.findings.ended = True
    _say(log, "redirect", case, case.operand)


def _bcc(log: ServiceLog, case: Case) -> None:
    if "@" not in case.operand:
        log.warning(f'bad BCC address "{case.operand}" in {case.parameter} map -- need user@domain')
        return
    case.findings.bcc.append(case.operand)
    _say(log, "bcc", case, case.operand)


def _line_of(log: ServiceLog, case: Case, word: str) -> bytes | None:
    """The operand of PREPEND and REPLACE, if it may stand there."""
    if not case.operand:
        log.warning(f"{word} action without text in {case.parameter} map")
        return None
    line = case.operand.encode("utf-8", "surrogateescape")
    if case.context == "header" and _HEADER.match(line) is None:
        log.warning(
            f'bad {word} header text "{case.operand}" in {case.parameter} map -- need "headername: headervalue"'
        )
        return None
    return line


def _prepend(log: ServiceLog, case: Case) -> Change | None:
    line = _line_of(log, case, "PREPEND")
    if line is None:
        return None
    _say(log, "prepend", case, case.operand)
    return Change((line,), case.text)


def _replace(log: ServiceLog, case: Case) -> Change | None:
    line = _line_of(log, case, "REPLACE")
    if line is None:
        return None
    _say(log, "replace", case, case.operand)
    return Change((), line)


def _strip(log: ServiceLog, case: Case) -> Change:
    _say(log, "strip", case, case.operand)
    return Change((), None)


def _ignore(_log: ServiceLog, _case: Case) -> Change:
    return Change((), None)


def _nothing(_log: ServiceLog, _case: Case) -> None:
    return None


ACTIONS: dict[str, _Action] = {
    "BCC": _bcc,
    "DISCARD": _discard,
    "DUNNO": _nothing,
    "FILTER": _filter,
    "HOLD": _hold,
    "IGNORE": _ignore,
    "INFO": _told("info"),
    "OK": _nothing,
    "PASS": _pass,
    "PREPEND": _prepend,
    "REDIRECT": _redirect,
    "REJECT": _reject,
    "REPLACE": _replace,
    "STRIP": _strip,
    "WARN": _told("warning"),
}


def rejection(text: str, warn: Callable[[str], None]) -> Reply:
    """The reply of REJECT: ``5.7.1 text`` unless the text begins with a status of its own."""
    match = _DSN.match(text)
    if match is None:
        return Reply.of(550, "5.7.1", text or "message content rejected")
    kind = match[1]
    if kind == "2":
        warn(f"bad DSN action in {text} -- need 4.x.x or 5.x.x")
        kind = "4"
    code = 550 if kind == "5" else 451
    return Reply.of(code, f"{kind}.{match[2]}.{match[3]}", text[match.end() :])
