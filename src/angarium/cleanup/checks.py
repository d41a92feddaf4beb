"""header_checks(5): what a table says of a header or a body line is done, and told in the log.

The actions are a table: BCC, DISCARD, DUNNO, FILTER, HOLD, IGNORE, INFO, PASS, PREPEND, REDIRECT, REJECT, REPLACE,
STRIP, WARN; DELAY and whatever else is unknown is a warning, and the mail passes, as with Postfix. REJECT, DISCARD,
REDIRECT and PASS end the checks. What the strict parameters forbid is found on the way.

Guarantees: a body is read only as far as a check can look at it, in bounded memory; bytes that no check changes are
passed on by reference. Failures: a table that cannot be asked is a ``MailError``, 451 4.3.0; a refusal is told by
``Examination.refusal``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator

from angarium.cleanup.actions import ACTIONS, Case, Change, Edit, Findings
from angarium.cleanup.mapping import map_error
from angarium.cleanup.mimewalk import Class, Fault, MimeWalk, WalkedHeader, WalkedLine, WalkLimits, header_class
from angarium.cleanup.parameters import CleanupParameters
from angarium.model.content import Content
from angarium.model.lookup import Found, TemporaryError
from angarium.model.reply import Reply
from angarium.runtime.log import ServiceLog
from angarium.tables.maps import Maps
from angarium.tables.opener import TableOpener

_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")
_SHOWN_OF_FAULT = 100
_TURN = 500
"""How many lines are looked at before others have their turn."""


class ContentChecks:
    """The checks of one configuration.

    Args:
        parameters: main.cf.
        opener: opens the tables.
        log: of cleanup.
        prefix: before the parameters' names: ``smtp_`` for the checks of the smtp client.
        allowed: the actions that can be had there; None is all.
    """

    def __init__(
        self,
        parameters: CleanupParameters,
        opener: TableOpener,
        log: ServiceLog,
        prefix: str = "",
        allowed: frozenset[str] | None = None,
    ) -> None:
        self._parameters = parameters
        self._log = log
        self._allowed = allowed
        self._headers = {
            Class.PRIMARY: Maps.open(f"{prefix}header_checks", parameters.header_checks, opener),
            Class.MIME: Maps.open(f"{prefix}mime_header_checks", parameters.mime_header_checks, opener),
            Class.NESTED: Maps.open(f"{prefix}nested_header_checks", parameters.nested_header_checks, opener),
        }
        self._body = Maps.open(f"{prefix}body_checks", parameters.body_checks, opener)
        self.limits = _walk_limits(parameters, headers=any(self._headers.values()))

    def __bool__(self) -> bool:
        return any(self._headers.values()) or bool(self._body) or bool(self.limits.report)

    def examination(self, queue_id: str, origin: str, people: str, protocol: str) -> Examination:
        """Of one message; the texts are what the log says of where it comes from, for whom it is, and how."""
        return Examination(self, queue_id, origin, people, protocol)

    # For Examination

    async def header(self, run: Examination, kind: Class, text: bytes) -> Change | None:
        """Look one header up. Raises MailError."""
        maps = self._headers[kind]
        return await self._ask(run, maps, "header", text) if maps else None

    async def line(self, run: Examination, line: WalkedLine) -> Change | None:
        """Look a body line up, if it is one that is looked at; a long one in pieces. Raises MailError."""
        if not self.wants_line(line.offset):
            return None
        width = self._parameters.line_length_limit
        if len(line.text) <= width:
            return await self._ask(run, self._body, "body", line.text)
        pieces: list[bytes] = []
        changed = False
        before: list[bytes] = []
        for start in range(0, len(line.text), width):
            piece = line.text[start : start + width]
            looked_at = not run.findings.ended and self.wants_line(line.offset + start)
            change = await self._ask(run, self._body, "body", piece) if looked_at else None
            if change is not None:
                before += change.before
                changed = changed or change.instead is not piece
                piece = change.instead or b""
            pieces.append(piece)
        return Change(tuple(before), b"".join(pieces) if changed else line.text) if changed or before else None

    async def _ask(self, run: Examination, maps: Maps, context: str, text: bytes) -> Change | None:
        found = await maps.find(text.decode("utf-8", "surrogateescape"))
        if isinstance(found, TemporaryError):
            raise map_error(f"{maps.parameter} map lookup problem", found)
        if not isinstance(found, Found):
            return None
        word, _, rest = found.value.partition(" ")
        word, tab, more = word.partition("\t")
        operand = (more + " " + rest if tab else rest).strip(" \t")
        if self._allowed is not None and word.upper() not in self._allowed:
            self._log.warning(f"unsupported command in {maps.parameter} map: {found.value}")
            return None
        case = Case(run.queue_id, run.tail, run.findings, maps.parameter, context, text, operand)
        action = ACTIONS.get(word.upper())
        if action is None:
            self._log.warning(f"unknown command in {maps.parameter} map: {found.value}")
            return None
        return action(self._log, case)

    def wants_line(self, offset: int) -> bool:
        """Whether body_checks look at a line at that offset of its body."""
        limit = self._parameters.body_checks_size_limit
        return bool(self._body) and not (limit and offset >= limit)

    # The log

    def fault(self, queue_id: str, fault: Fault, text: bytes, tail: str) -> None:
        """The log line of what MIME forbids."""
        shown = text[:_SHOWN_OF_FAULT].decode("utf-8", "replace").replace("\n", "?")
        self._log.info(f"{queue_id}: reject: mime-error {fault.value}: {shown}{tail}", queue_id=queue_id)


class Examination:
    """The checks of one message, and what they found."""

    def __init__(self, checks: ContentChecks, queue_id: str, origin: str, people: str, protocol: str) -> None:
        self._checks = checks
        self.queue_id = queue_id
        self._from = f" from {origin}; {people}"
        self.tail = self._from + protocol
        self.findings = Findings()
        self._walk: MimeWalk | None = None
        self._told: set[Fault] = set()

    @property
    def stopped(self) -> bool:
        """Nothing more of the message matters: it is refused or thrown away."""
        return self.findings.discard or self.findings.refusal is not None

    @property
    def refusal(self) -> Reply | None:
        """The reply that refuses the message, for what a table or MIME says."""
        if self.findings.refusal is None and self._walk is not None:
            for fault in Fault:
                if fault in self._walk.faults:
                    return Reply.of(550, "5.6.0", fault.value)
        return self.findings.refusal

    def follow(self, start: int) -> None:
        """The headers that come now are the message's own; its body begins at ``start``."""
        self._walk = MimeWalk(start, self._checks.limits)

    async def block(self, raw: bytes, seen: Callable[[bytes], None] | None) -> list[Edit]:
        """The headers of a block (ours, or the message's): the edits. Raises MailError.

        Args:
            raw: the block.
            seen: is told of each header that stays, as it stays.
        """
        edits: list[Edit] = []
        shift = 0
        for start, stop in _spans(raw):
            text = _normal(raw[start:stop])
            if self._walk is not None:
                self._walk.primary(text)
                self._tell()
            change = None
            if not self.findings.ended:
                kind = header_class(text.partition(b":")[0], Class.PRIMARY)
                change = await self._checks.header(self, kind, text)
            if self.stopped:
                break
            if change is not None:
                for line in change.before:
                    self.findings.prepended.append((start + shift, start + shift, _wire(line)))
                if change.instead is not text:
                    instead = b"" if change.instead is None else _wire(change.instead)
                    edits.append((start, stop, instead))
                    shift += len(instead) - (stop - start)
                    text = change.instead or b""
            if seen is not None and text:
                seen(text)
        return edits

    async def body(self, content: Content, start: int) -> None:
        """What follows the header block. Raises MailError."""
        walk = self._walk
        assert walk is not None
        for number, (text, ending) in enumerate(lines(content, start, walk, self._wants_line), 1):
            for found in walk.line(text, ending):
                await self._found(found)
            if walk.faults:
                self._tell()
            if self.stopped or (walk.plain and not self._wants_line(walk.offset)):
                return
            if number % _TURN == 0:
                await asyncio.sleep(0)
        for found in walk.end():
            await self._found(found)
        self._tell()

    def _wants_line(self, offset: int) -> bool:
        """Whether a body line at that offset is looked at."""
        return not self.findings.ended and self._checks.wants_line(offset)

    def _tell(self) -> None:
        """Log what MIME forbids."""
        assert self._walk is not None
        for fault, text in self._walk.faults.items():
            if fault not in self._told:
                self._told.add(fault)
                self._checks.fault(self.queue_id, fault, text, self._from)

    async def _found(self, found: WalkedHeader | WalkedLine) -> None:
        if self.findings.ended:
            return
        edits = self.findings.body
        if isinstance(found, WalkedHeader):
            change = await self._checks.header(self, found.kind, found.text)
        else:
            change = await self._checks.line(self, found)
        if change is None or self.stopped:
            return
        for line in change.before:
            edits.append((found.start, found.start, _wire(line)))
        if change.instead is not found.text:
            edits.append((found.start, found.stop, b"" if change.instead is None else _wire(change.instead)))


def _walk_limits(parameters: CleanupParameters, *, headers: bool) -> WalkLimits:
    strict = {
        Fault.NESTING: headers,
        Fault.EIGHT_BIT_HEADER: parameters.strict_8bitmime or parameters.strict_7bit_headers,
        Fault.EIGHT_BIT_BODY: parameters.strict_8bitmime or parameters.strict_8bitmime_body,
        Fault.ENCODING: parameters.strict_mime_encoding_domain,
    }
    strict[Fault.NESTING] = any(strict.values())
    return WalkLimits(
        parameters.mime_nesting_limit,
        parameters.mime_boundary_length_limit,
        parameters.header_size_limit,
        parameters.disable_mime_input_processing,
        frozenset(fault for fault, wanted in strict.items() if wanted and not parameters.disable_mime_input_processing),
    )


def _spans(raw: bytes) -> Iterator[tuple[int, int]]:
    """Start and stop of each header of a block."""
    start = 0
    while start < len(raw):
        stop = start
        while True:
            feed = raw.find(b"\n", stop)
            stop = len(raw) if feed < 0 else feed + 1
            if raw[stop : stop + 1] not in (b" ", b"\t"):
                break
        yield start, stop
        start = stop


def _normal(header: bytes) -> bytes:
    """A header as the tables see it: lines joined by LF alone, nothing between name and colon."""
    text = header.replace(b"\r\n", b"\n").rstrip(b"\n")
    match = _HEADER.match(text)
    if match is None:
        return text
    return match[0][:-1].rstrip(b" \t") + b":" + text[match.end() :]


def _wire(text: bytes) -> bytes:
    """Text of a table or of a header as lines in wire form."""
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + b"\r\n"


_LONGEST = 1024 * 1024


def lines(content: Content, start: int, walk: MimeWalk, wanted: Callable[[int], bool]) -> Iterator[tuple[bytes, int]]:
    """Each line from ``start`` without its line break, and the size of that; one over a MiB comes in pieces.

    Lines that the walk does not need and nobody wants are skipped, as fast as a boundary can be searched for.
    """
    rest = b""
    for chunk in content.chunks(start):
        data = rest + chunk if rest else chunk
        position = 0
        while True:
            if walk.idle and not data.startswith(b"--", position) and not wanted(walk.offset):
                mark = data.find(b"\n--", position)
                stop = (mark if mark >= 0 else data.rfind(b"\n", position)) + 1
                if stop > position:
                    walk.skip(stop - position)
                    position = stop
                if mark < 0:
                    break
            feed = data.find(b"\n", position)
            if feed < 0:
                break
            end = feed - 1 if feed > position and data[feed - 1] == 13 else feed
            yield data[position:end], feed + 1 - end
            position = feed + 1
        rest = data[position:]
        if len(rest) > _LONGEST:
            yield rest, 0
            rest = b""
    if rest:
        yield rest, 0
