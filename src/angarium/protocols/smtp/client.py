"""The SMTP client's session without I/O: octets in, events out; commands in, octets out.

Owns what RFC 5321 and the extensions prescribe about order and meaning: the greeting, EHLO and its capabilities,
STARTTLS (RFC 3207) with its forgetting of what was negotiated before, AUTH (RFC 4954), a transaction with its commands
pipelined where the server allows it (RFC 2920) and one by one where not, one reply for each recipient, the content.
LMTP (RFC 2033) is the same with another greeting and with one reply to the content for each recipient: ``dialect``.

Which host, whether TLS, whether to try again: the caller's. ``states`` is the table of what may be sent when.

Guarantees: bounded memory for any input (``client_reply``); each recipient of a transaction ends with the reply that
decided about it, and with the step that it answered; a reply that nobody waits for is an error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from angarium.model.envelope import Envelope, Recipient
from angarium.protocols.smtp.client_render import (
    PLAIN,
    Style,
    encode_content,
    mail_command,
    rcpt_command,
    xforward_commands,
)
from angarium.protocols.smtp.client_reply import ClientReply, ReplyError, ReplyParser
from angarium.protocols.smtp.client_states import AFTER_REPLY, AFTER_SENDING, MAY_SEND, State, Step
from angarium.protocols.smtp.dialect import SMTP, Dialect


class ClientStateError(Exception):
    """A command that may not be sent now: a fault of the caller."""


@dataclass(frozen=True, slots=True)
class Replied:
    """The reply to a step outside a transaction."""

    step: Step
    reply: ClientReply


@dataclass(frozen=True, slots=True)
class ForwardRefused:
    """The server did not take what XFORWARD told it; the transaction goes on."""

    step: Step
    reply: ClientReply


@dataclass(frozen=True, slots=True)
class ContentWanted:
    """354, and at least one recipient is accepted: send ``content``."""


@dataclass(frozen=True, slots=True)
class TransactionEnded:
    """Every recipient has its reply: see ``ClientSession.replies``."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """The peer does not speak SMTP, or spoke unasked. The connection is of no more use."""

    text: str


Event = Replied | ForwardRefused | ContentWanted | TransactionEnded | Malformed

RecipientReply = tuple[Step, ClientReply]
"""The reply that decided about a recipient, and what it answered."""


@dataclass(slots=True)
class _Transaction:
    envelope: Envelope
    recipients: Sequence[Recipient]
    commands: deque[tuple[Step, str]]
    replies: list[RecipientReply | None]
    accepted: list[int] = field(default_factory=list)
    answered: int = 0
    finished: int = 0
    sender_refused: bool = False
    discarding: bool = False
    until: Step = Step.DOT


class ClientSession:
    """One connection to a server, from its greeting on.

    Attributes:
        state: see ``client_states``.
        capabilities: EHLO keyword in upper case -> its parameters; empty before EHLO and after HELO.
        tls: STARTTLS is done.
        authenticated: a log-in has succeeded.
        discarded: the keywords of extensions that are ignored.
        implied: the extension for whose sake we take 8BITMIME to be there, though it was not announced.
        usable: the server has not said 421, and nothing malformed.
    """

    def __init__(
        self,
        *,
        discard_keywords: Iterable[str] = (),
        line_limit: int = 998,
        dialect: Dialect = SMTP,
        style: Style = PLAIN,
    ) -> None:
        self.dialect = dialect
        self.style = style
        self.authenticated = False
        self.implied = ""
        self.state = State.CONNECTED
        self.capabilities: dict[str, str] = {}
        self.tls = False
        self.usable = True
        self.discarded = frozenset(word.upper() for word in discard_keywords)
        self._line_limit = line_limit
        self._parser = ReplyParser()
        self._expected: deque[Step] = deque((Step.GREETING,))
        self._output: list[bytes] = []
        self._transaction: _Transaction | None = None
        self._dirty = False

    # What the caller sends.

    def hello(self, name: str, *, extended: bool = True) -> None:
        """EHLO, or HELO for a server that refused it; LHLO in LMTP, which has no other."""
        step = self.dialect.hello if extended else self.dialect.fallback
        if step is None:
            msg = f"{self.dialect.name} has no other greeting"
            raise ClientStateError(msg)
        self._send(step, f"{step.name} {name}")

    def starttls(self) -> None:
        """STARTTLS. After its 220: begin TLS, then call ``tls_established``."""
        self._send(Step.STARTTLS, "STARTTLS")

    def tls_established(self) -> None:
        """TLS is on; what the server said before is void (RFC 3207 section 4.2). EHLO comes next."""
        if self.state is not State.UPGRADING or self._expected or self._parser.pending:
            msg = f"TLS cannot begin in state {self.state.value}"
            raise ClientStateError(msg)
        self.tls = True
        self.capabilities = {}
        self.state = State.GREETED

    def auth(self, mechanism: str, initial: str = "") -> None:
        """AUTH with an initial response in base64."""
        self._send(Step.AUTH, f"AUTH {mechanism} {initial}".rstrip())

    def auth_response(self, response: str) -> None:
        """The answer, in base64, to a challenge (a 334 reply)."""
        if self.state is not State.AUTH or self._expected:
            msg = "no challenge to answer"
            raise ClientStateError(msg)
        self._expected.append(Step.AUTH)
        self._write(response)

    def mail(
        self,
        envelope: Envelope,
        recipients: Sequence[Recipient],
        size: int | None,
        *,
        smtputf8: bool = False,
        until: Step = Step.DOT,
        forward: Mapping[str, str] | None = None,
    ) -> None:
        """Begin a transaction: everything up to DATA at once if the server pipelines, else one command.

        ``size`` is None when it is not known, and not said. It ends with the replies to ``until``: DOT; or RCPT, or
        DATA, when they are all that is wanted. ``forward`` is what XFORWARD tells a server that takes it of the client
        from whom the message came.

        A transaction before it that did not run to its end is reset first.
        """
        if not recipients:
            msg = "a transaction needs a recipient"
            raise ClientStateError(msg)
        offered = self.capabilities
        style = self.style
        mail = mail_command(envelope, offered, size, smtputf8=smtputf8, style=style, authenticated=self.authenticated)
        lines = [mail, *[rcpt_command(recipient, offered, style) for recipient in recipients]]
        steps = [Step.MAIL, *[Step.RCPT] * len(recipients)]
        if until is not Step.RCPT:
            lines.append("DATA")
            steps.append(Step.DATA)
        if forward is not None and "XFORWARD" in offered:
            name, protocol = xforward_commands(forward, offered["XFORWARD"])
            told = [(Step.XFORWARD_NAME, name), (Step.XFORWARD_PROTO, protocol)]
            steps[:0] = [step for step, line in told if line]
            lines[:0] = [line for _, line in told if line]
        self._check(Step.MAIL)
        if self._dirty:
            steps.insert(0, Step.RSET)
            lines.insert(0, "RSET")
            self._dirty = False
        self.state = AFTER_SENDING[Step.MAIL]
        pipelining = "PIPELINING" in offered
        commands: deque[tuple[Step, str]] = deque() if pipelining else deque(zip(steps, lines, strict=True))
        self._transaction = _Transaction(envelope, recipients, commands, [None] * len(recipients), until=until)
        if pipelining:
            self._expected.extend(steps)
            self._write(*lines)
        else:
            self._send_next(commands)

    def content(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The octets to write for the content, final dot included. Consume it whole."""
        self._check(Step.CONTENT)
        self._expected.append(Step.CONTENT)
        yield from encode_content(chunks, self._line_limit)
        if self.state is State.CONTENT:
            self._expected[-1] = Step.DOT
            if self.dialect.reply_each and self._transaction is not None:
                self._expected.extend([Step.DOT] * (len(self._transaction.accepted) - 1))
            self.state = AFTER_SENDING[Step.CONTENT]

    def quit(self) -> None:
        """QUIT; nothing may be sent after it."""
        self._send(Step.QUIT, "QUIT")

    def output(self) -> bytes:
        """The octets to write now."""
        output = self._output
        if not output:
            return b""
        self._output = []
        return output[0] if len(output) == 1 else b"".join(output)

    # What the caller wants to know.

    @property
    def step(self) -> Step:
        """What is awaited: for ``lost connection while …``."""
        return self._expected[0] if self._expected else Step.MAIL

    @property
    def awaited(self) -> int:
        """How many replies are outstanding."""
        return len(self._expected)

    @property
    def replies(self) -> Sequence[RecipientReply | None]:
        """For each recipient of the last transaction the reply that decided about it; None: undecided."""
        return self._transaction.replies if self._transaction is not None else ()

    @property
    def reusable(self) -> bool:
        """Another transaction may be sent."""
        return self.usable and self.state is State.READY

    def offers(self, keyword: str) -> bool:
        """Did the server announce this extension?"""
        return keyword in self.capabilities

    @property
    def size_limit(self) -> int:
        """The server's limit in octets (RFC 1870 section 4); 0: none is known."""
        text = self.capabilities.get("SIZE", "")
        return int(text) if text.isdigit() and len(text) <= 20 else 0

    @property
    def auth_mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms announced, in upper case."""
        return tuple(self.capabilities.get("AUTH", "").upper().split())

    # What the server sends.

    def receive_data(self, data: bytes) -> list[Event]:
        """Take octets in; what happened. Then write ``output``."""
        events: list[Event] = []
        if not self.usable and self.state is State.CLOSING:
            return events
        broken: str | None = None
        try:
            replies = self._parser.receive(data)
        except ReplyError as error:
            replies, broken = error.replies, str(error)
        for reply in replies:
            if not self._expected:
                # A server that closes an idle connection may say so (RFC 5321 section 3.8); all else is out of order.
                if reply.code == 421:
                    self.usable = False
                    self.state = State.CLOSING
                    continue
                events.append(self._malformed(reply.text))
                break
            if reply.code == 421:
                self.usable = False
            event = self._reply(self._expected.popleft(), reply)
            if event is not None:
                events.append(event)
        if broken is not None:
            events.append(self._malformed(broken))
        if self.state is State.CLOSING and events:
            return [event for event in events if type(event) is not ContentWanted]  # it will not hear it any more
        return events

    def _malformed(self, text: str) -> Malformed:
        self.usable = False
        self.state = State.CLOSING
        return Malformed(text)

    def _reply(self, step: Step, reply: ClientReply) -> Event | None:
        if step in AFTER_REPLY:
            if step is Step.STARTTLS and self._parser.pending:
                # Octets behind the 220 were sent in the clear by someone who hopes that we take them for encrypted.
                return self._malformed("plaintext after STARTTLS")
            self.state = AFTER_REPLY[step][0 if reply.positive else 1]
            if step is self.dialect.hello and reply.positive:
                self.capabilities = self._read_capabilities(reply)
            return Replied(step, reply)
        if step is Step.AUTH:
            if reply.code != 334:
                self.state = State.READY
                self.authenticated = reply.code // 100 == 2
            return Replied(step, reply)
        if step is Step.QUIT:
            return Replied(step, reply)
        return self._transaction_reply(step, reply)

    def _transaction_reply(self, step: Step, reply: ClientReply) -> Event | None:
        transaction = self._transaction
        assert transaction is not None
        event: Event | None = None
        if step is Step.MAIL:
            if reply.code // 100 != 2:
                transaction.sender_refused = True
                self._decide(range(len(transaction.recipients)), step, reply)
        elif step is Step.RCPT:
            number = transaction.answered
            transaction.answered += 1
            if reply.code // 100 == 2 and not transaction.sender_refused and transaction.until is not Step.RCPT:
                transaction.accepted.append(number)
            else:
                self._decide((number,), step, reply)
        elif step is Step.DATA:
            return self._data_reply(transaction, reply)
        elif step is Step.DOT or step is Step.CONTENT:
            return self._final_reply(transaction, step, reply)
        elif step is not Step.RSET and reply.code // 100 != 2:
            event = ForwardRefused(step, reply)
        if transaction.until is Step.RCPT and transaction.answered == len(transaction.recipients):
            return self._end(dirty=True)
        if transaction.commands:
            if not self.usable:
                # 421: the server will hear no more, so it has answered for all who still wait.
                self._decide(range(len(transaction.recipients)), step, reply)
            event = self._next_command(transaction) or event
        return event

    def _next_command(self, transaction: _Transaction) -> Event | None:
        """Without pipelining: send what comes next, or end when nobody is left to send to."""
        refused = transaction.sender_refused or not self.usable
        everybody_asked = transaction.answered == len(transaction.recipients)
        if refused or (everybody_asked and not transaction.accepted):
            transaction.commands.clear()
            return self._end(dirty=True)
        self._send_next(transaction.commands)
        return None

    def _send_next(self, commands: deque[tuple[Step, str]]) -> None:
        step, line = commands.popleft()
        self._expected.append(step)
        self._write(line)

    def _data_reply(self, transaction: _Transaction, reply: ClientReply) -> Event | None:
        if reply.code // 100 == 3 and transaction.until is Step.DATA:
            self._decide(transaction.accepted, Step.DATA, reply)
            self.usable = False  # there is no way back from here but to hang up
            return self._end(dirty=False)
        if reply.code // 100 == 3:
            self.state = State.CONTENT
            if transaction.accepted:
                return ContentWanted()
            # RFC 2920 section 3.1: a server may say 354 though it took no recipient; it gets an empty message.
            if self.dialect.reply_each:
                # RFC 2033 section 4.2 forbids it, and who knows whether there will be one reply to that, or none.
                self._write(".")
                self.usable = False
                return self._end(dirty=False)
            transaction.discarding = True
            self._expected.append(Step.DOT)
            self.state = State.FINAL
            self._write(".")
            return None
        self._decide(transaction.accepted, Step.DATA, reply)
        return self._end(dirty=True)

    def _final_reply(self, transaction: _Transaction, step: Step, reply: ClientReply) -> Event | None:
        if self.dialect.reply_each:
            return self._final_reply_of_one(transaction, step, reply)
        if not transaction.discarding:
            self._decide(transaction.accepted, Step.DOT, reply)
        if step is Step.CONTENT:
            # The server answered before it had the whole: it cannot have taken the message, and what follows is moot.
            self.usable = False
        return self._end(dirty=False)

    def _final_reply_of_one(self, transaction: _Transaction, step: Step, reply: ClientReply) -> Event | None:
        """RFC 2033 section 4.2: a reply for each recipient that was accepted, in the order of their RCPT commands."""
        if step is Step.CONTENT:
            # Before it had the whole. A refusal is meant for all; a success can be meant for nobody.
            if reply.code // 100 == 2:
                return self._malformed(reply.text)
            self._decide(transaction.accepted, Step.DOT, reply)
            self.usable = False
            return self._end(dirty=False)
        self._decide((transaction.accepted[transaction.finished],), Step.DOT, reply)
        transaction.finished += 1
        return None if transaction.finished < len(transaction.accepted) else self._end(dirty=False)

    def _end(self, *, dirty: bool) -> Event:
        self._dirty = dirty
        self.state = State.READY if self.usable else State.CLOSING
        return TransactionEnded()

    def _decide(self, numbers: Iterable[int], step: Step, reply: ClientReply) -> None:
        transaction = self._transaction
        assert transaction is not None
        for number in numbers:
            if transaction.replies[number] is None:
                transaction.replies[number] = (step, reply)

    def _read_capabilities(self, reply: ClientReply) -> dict[str, str]:
        capabilities: dict[str, str] = {}
        for line in reply.lines[1:]:
            # "AUTH=" is how some servers of the last century wrote it, and some still do.
            keyword, _, parameters = line[4:].replace("AUTH=", "AUTH ", 1).strip().partition(" ")
            keyword = keyword.upper()
            if not keyword or keyword in self.discarded:
                continue
            if keyword == "AUTH" and keyword in capabilities:
                parameters = f"{capabilities[keyword]} {parameters}"
            capabilities[keyword] = parameters.strip()
        if "SMTPUTF8" in capabilities and "8BITMIME" not in capabilities:
            # RFC 6531 section 3.1 requires it, so it is there, whatever is said of it.
            self.implied = capabilities["8BITMIME"] = "SMTPUTF8"
        return capabilities

    def _check(self, step: Step) -> None:
        if self.state not in MAY_SEND[step] or self._expected:
            msg = f"{step.name} cannot be sent in state {self.state.value}"
            raise ClientStateError(msg)

    def _send(self, step: Step, command: str) -> None:
        self._check(step)
        self.state = AFTER_SENDING[step]
        self._expected.append(step)
        self._write(command)

    def _write(self, *commands: str) -> None:
        if any("\n" in command or "\r" in command for command in commands):
            msg = "a command with a line break in it"
            raise ClientStateError(msg)
        self._output.append(("\r\n".join(commands) + "\r\n").encode("utf-8", "surrogateescape"))


def needs_smtputf8(envelope: Envelope, recipients: Iterable[Recipient], header: bytes) -> bool:
    """Must this message be sent with SMTPUTF8? Only when it came so, and uses it (RFC 6531 section 3.6)."""
    if not envelope.smtputf8:
        return False
    if not envelope.sender.isascii() or not header.isascii():
        return True
    return not all(recipient.address.isascii() for recipient in recipients)
