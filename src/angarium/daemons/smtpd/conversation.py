"""One client's dialogue with smtpd(8), without its socket: events go in, octets come out.

Owns what a session knows (client, HELO, TLS, SASL, the transaction), its counters and limits, and the order of the
checks before a command is acted on. What a command does is in ``commands``. ``connection`` feeds events in one after
the other, writes ``take_output()`` and acts on ``closing`` and ``tls_requested``.

Guarantees: each command gets one reply; a fault of ours in a command is logged with its cause, answered with
``451 4.3.0``, and the session goes on. Nothing is answered ``250`` after a message before the queue has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from angarium.daemons.smtpd import replies
from angarium.daemons.smtpd.client import Client
from angarium.daemons.smtpd.collaborators import NOT_EXEMPT, Collaborators, Exemptions
from angarium.daemons.smtpd.content import IncomingMessage
from angarium.daemons.smtpd.counts import CommandCounts
from angarium.daemons.smtpd.footer import expand_footer, footer_values, with_footer, with_footer_of_maps
from angarium.daemons.smtpd.judgement import log_reject
from angarium.daemons.smtpd.limits import Counted
from angarium.daemons.smtpd.lookups import filtered
from angarium.daemons.smtpd.parameters import SmtpdParameters
from angarium.daemons.smtpd.rates import over_rate
from angarium.daemons.smtpd.tlssession import TlsSession
from angarium.daemons.smtpd.transaction import Chunking, Transaction
from angarium.daemons.smtpd.wording import describe_fault, escape, without_credentials
from angarium.model.error import MailError
from angarium.model.reply import Reply
from angarium.model.verdict import Verdict
from angarium.protocols.sasl.session import SaslExchange
from angarium.protocols.smtp.parser import parse_bdat
from angarium.protocols.smtp.render import render_reply, soften
from angarium.protocols.smtp.session import ServerSession
from angarium.protocols.smtp.states import COMMANDS, ENDS_TRANSACTION, PAUSING
from angarium.protocols.smtp.types import (
    BareNewline,
    ChunkEnd,
    CommandError,
    CommandReceived,
    Event,
    LineReceived,
    MessageData,
    MessageEnd,
)
from angarium.runtime.log import session_log
from angarium.runtime.tlspeer import PeerCertificate

Handler = Callable[["Conversation", CommandReceived], Awaitable[Reply | None]]


@dataclass(frozen=True, slots=True)
class Handlers:
    """What acts on events.

    Attributes:
        commands: by verb; the reply, or None when it comes later or was sent already.
        message_end: at the final dot.
        chunk_end: at the end of a BDAT chunk.
        auth_response: at a line of an AUTH dialogue.
    """

    commands: Mapping[str, Handler]
    message_end: Callable[[Conversation, MessageEnd], Awaitable[None]]
    chunk_end: Callable[[Conversation, ChunkEnd], Awaitable[None]]
    auth_response: Callable[[Conversation, LineReceived], Awaitable[Reply]]


class Conversation:
    """One session.

    Args:
        parameters: of the service.
        collaborators: of the service.
        client: who is there.
        handlers: the functions that act on events.
        exempt: what the client is free of.
    """

    __slots__ = (
        "_handlers", "_lockstep", "_out", "_responses_may_follow", "_skipping_chunk", "_soft_bounce", "ask",
        "auth_method", "bytes_received", "certificate", "certificate_refusal", "certificate_remark", "chunking",
        "client", "closing", "counts", "delay", "denied", "ehlo_discard", "error_count", "esmtp", "exchange", "exempt",
        "forwarded", "helo", "illegal_pipelining", "journal", "junk_count", "keywords_unknown", "later", "message",
        "message_failure", "parameters", "pending_footers", "protocol", "sasl_method", "sasl_username", "tls",
        "tls_requested", "transaction", "where",
    )  # fmt: skip

    def __init__(
        self,
        parameters: SmtpdParameters,
        collaborators: Collaborators,
        client: Client,
        handlers: Handlers,
        exempt: Exemptions = NOT_EXEMPT,
    ) -> None:
        self.parameters = parameters
        self.ask = collaborators
        self.journal = session_log(collaborators.journal)
        self.client = client
        self.exempt = exempt
        self._handlers = handlers
        bare = parameters.forbid_bare_newline
        if exempt.bare_newline:
            bare = BareNewline.NO
        self.protocol = ServerSession(parameters.line_length_limit, bare, lockstep=bool(collaborators.tables.commands))
        self._lockstep = self.protocol.lockstep
        self._out: list[bytes] = []
        self.pending_footers: dict[int, tuple[Reply, dict[str, str]]] = {}
        self._soft_bounce = parameters.soft_bounce
        self._skipping_chunk = False
        self._responses_may_follow = False
        self.counts = CommandCounts()
        self.helo = ""
        self.esmtp = False
        self.tls = ""
        self.certificate: PeerCertificate | None = None
        self.certificate_remark = ""
        self.certificate_refusal = ""
        self.tls_requested = False
        self.sasl_method = ""
        self.sasl_username = ""
        self.exchange: SaslExchange | None = None
        self.auth_method = ""
        self.transaction: Transaction | None = None
        self.message: IncomingMessage | None = None
        self.message_failure: Reply | None = None
        self.chunking = Chunking.NONE
        self.forwarded: dict[str, str] | None = None
        self.keywords_unknown = False
        self.later: dict[str, Verdict] = {}
        self.where = "CONNECT"
        self.error_count = 0
        self.junk_count = 0
        self.bytes_received = 0
        self.illegal_pipelining = False
        self.denied = False
        self.closing = False
        self.delay = False
        self.ehlo_discard = frozenset(word.lower() for word in parameters.discard_ehlo_keywords)

    # -- what comes in ---------------------------------------------------------------------------------------------

    async def receive(self, events: list[Event]) -> None:
        """Act on events in their order, and on those that they bring about."""
        queue = events
        at = 0
        while at < len(queue) and not self.closing:
            event = queue[at]
            at += 1
            try:
                if self._lockstep and isinstance(event, CommandReceived):
                    replaced = await filtered(self, event)
                    if replaced is None:
                        continue
                    event = replaced
                more = await self._act(event)
            except MailError as error:
                more = self._failed(event, error.reply, error.cause)
            except OSError as error:
                self.journal.warning(f"{self.client.shown}: storage failed after {self.where}: {describe_fault(error)}")
                more = self._failed(event, replies.storage_failure(error), "")
            except Exception as error:  # noqa: BLE001 - a fault of ours must not take down the worker: it is logged
                self.journal.warning(f"{self.client.shown}: fault after {self.where}: {describe_fault(error)}")
                more = self._failed(event, replies.SERVER_ERROR, "")
            if self.error_count >= self.parameters.hard_error_limit and not self.closing:
                self._give_up()
            if more:
                queue = queue[at:] + more
                at = 0

    def _give_up(self) -> None:
        """Too many errors: end the session."""
        self.journal.info(f"too many errors after {self.where} from {self.client.shown}")
        self.send(Reply.of(421, "4.7.0", f"{self.parameters.myhostname} Error: too many errors"))
        self.closing = True

    async def _act(self, event: Event) -> list[Event]:
        if isinstance(event, CommandReceived):
            return await self._command(event)
        if isinstance(event, MessageData):
            self._message_data(event.data)
            return []
        if isinstance(event, MessageEnd):
            await self._handlers.message_end(self, event)
            return []
        if isinstance(event, ChunkEnd):
            await self._chunk_end(event)
            return [] if event.last else self._go_on_behind_chunk()
        return await self._line(event)

    def _go_on_behind_chunk(self) -> list[Event]:
        """What follows a chunk that is not the last: more of its message, unless that was refused."""
        if self.message is None:
            self.protocol.forget_chunks()
        return [] if self.closing else self.protocol.resume_commands()

    async def _chunk_end(self, event: ChunkEnd) -> None:
        if not self._skipping_chunk:
            await self._handlers.chunk_end(self, event)
            return
        # The command was answered when it was refused; its octets have been read so that the next one is found.
        self._skipping_chunk = False
        if not event.last and self.transaction is None:
            self.chunking = Chunking.FAILED

    async def _command(self, command: CommandReceived) -> list[Event]:
        """Check what can be checked of any command, then act on it."""
        refusal = self._refuse_early(command)
        if refusal is not None:
            self.refuse(refusal)
            return self._after_refusal(command)
        verb = command.verb
        parameters = self.parameters
        if parameters.noop_commands and verb in parameters.noop_commands:
            self.send(replies.OK)
            self._junk()
            return self._after_refusal(command)
        rule = COMMANDS.get(verb)
        self.counts.received(verb if rule is not None else "unknown")
        if rule is None:
            await self._unknown(command)
            return self._continue(command)
        if self.denied and verb != "QUIT":
            self.refuse(Reply.of(503, "5.7.0", f"Error: access denied for {self.client.shown}"))
            return self._after_refusal(command)
        if parameters.tls_mandatory and not self.tls and not rule.before_tls:
            self.refuse(replies.NEED_TLS)
            return self._after_refusal(command)
        self.where = verb
        self._responses_may_follow = verb == "AUTH"
        # Only a client that was told so by EHLO may send a group of commands, and some must be its last (RFC 2920).
        if command.behind and (rule.last or not self.esmtp) and not self._tolerates(verb, command.behind):
            return []
        reply = await self._handlers.commands[verb](self, command)
        if reply is not None:
            self._answer(command, reply)
        if rule.junk:
            self._junk()
        return self._continue(command)

    def _paused(self, verb: str) -> bool:
        """Whether the protocol has stopped behind a command."""
        return self._lockstep or verb in PAUSING

    def _continue(self, command: CommandReceived) -> list[Event]:
        """What the octets behind a pausing command are, now that it is answered."""
        verb = command.verb
        if not self._paused(verb) or self.closing or self.tls_requested:
            return []
        if verb == "BDAT":
            return self.protocol.start_chunk(command.text)
        if self._lockstep and verb in ENDS_TRANSACTION:
            self.protocol.forget_chunks()
        if verb == "DATA" and self.message is not None and self.chunking is Chunking.NONE:
            return self.protocol.start_data()
        if self.exchange is not None:
            return self.protocol.start_lines(self.parameters.sasl_response_limit)
        return self.protocol.resume_commands()

    def _after_refusal(self, command: CommandReceived) -> list[Event]:
        if command.verb == "BDAT":
            self._skipping_chunk = True
            try:
                parse_bdat(command.text)
            except CommandError:
                self.closing = True  # its size could not be read: nobody knows where the chunk ends
        return self._continue(command)

    def _refuse_early(self, command: CommandReceived) -> Reply | None:
        """The refusals that come before the command is even looked up."""
        parameters = self.parameters
        if self.certificate_refusal:
            return Reply.of(421, "4.7.1", f"{parameters.myhostname} Error: {self.certificate_refusal}")
        if command.truncated:
            shown = without_credentials(command.text[:30])
            limit = parameters.line_length_limit
            self.journal.warning(f"{self.client.shown}: request longer than {limit}: {shown}...")
        if command.bare_newline and self.protocol.bare_newline is BareNewline.REJECT:
            log_reject(self, self.where, "bare <LF> received")
            self.closing = True
            code = parameters.forbid_bare_newline_reject_code
            return Reply.of(code, "5.5.2", f"{parameters.myhostname} Error: bare <LF> received")
        text = command.text
        if not text.isascii() and parameters.smtputf8_enable and _malformed(text):
            return replies.BAD_UTF8
        if not command.verb:
            return replies.BAD_SYNTAX
        return None

    async def _unknown(self, command: CommandReceived) -> None:
        word = command.text.split(None, 1)[0]
        if _is_header(word) or await self.ask.forbidden_command(word):
            # After AUTH this may be a response that came too early or too late.
            shown = "..." if self._responses_may_follow else escape(command.text[:100])
            self.journal.warning(f"non-SMTP command from {self.client.shown}: {shown}")
            self.send(replies.BREAKS_RULES)
            self.closing = True
            return
        if self.denied:
            self.refuse(Reply.of(503, "5.7.0", f"Error: access denied for {self.client.shown}"))
            return
        self.where = "UNKNOWN"
        self.refuse(replies.UNKNOWN_COMMAND)

    def tolerates_early_talk(self, octets: bytes, after: str = "CONNECT") -> bool:
        """The client spoke before the banner; False ends the session."""
        return self._tolerates(after, octets)

    def _tolerates(self, after: str, octets: bytes) -> bool:
        """Whether the session goes on although input stood where there should be none; said in the log once."""
        if self.illegal_pipelining:
            return True
        self.illegal_pipelining = True
        shown = (
            "..." if after == "AUTH" else escape(without_credentials(octets.decode("utf-8", "surrogateescape"))[:100])
        )
        self.journal.info(f"improper command pipelining after {after} from {self.client.shown}: {shown}")
        if not self.parameters.forbid_unauth_pipelining:
            return True
        self.send(replies.SYNCHRONIZATION)
        self.closing = True
        return False

    def _answer(self, command: CommandReceived, reply: Reply) -> None:
        if reply.code >= 400:
            self.error_count += 1
        elif reply.code != 354 and reply.code != 334:
            self.counts.succeeded(command.verb)
        self.send(reply)
        if command.verb == "QUIT":
            self.closing = True

    def _junk(self) -> None:
        self.junk_count += 1
        if self.junk_count > self.parameters.junk_command_limit + 1:
            self.error_count += 1

    def _failed(self, event: Event, reply: Reply, cause: str) -> list[Event]:
        """A handler raised: tell the client, and leave the session in a state it can go on from."""
        if cause:
            self.journal.warning(f"{self.client.shown}: {self.where}: {cause}")
        self.exchange = None
        if isinstance(event, MessageData):
            self.message_failure = reply
            if self.message is not None:
                self.message.abandon()
            return []
        self.refuse(reply)
        if isinstance(event, MessageEnd | ChunkEnd):
            self.reset()
        if isinstance(event, CommandReceived) and event.verb == "BDAT":
            self.reset()
            self._skipping_chunk = True
            return self._continue(event)
        if isinstance(event, ChunkEnd):
            return [] if event.last else self._go_on_behind_chunk()
        if isinstance(event, LineReceived) or (isinstance(event, CommandReceived) and self._paused(event.verb)):
            self.tls_requested = False
            return self.protocol.resume_commands()
        return []

    # -- the message -----------------------------------------------------------------------------------------------

    def _message_data(self, data: bytes) -> None:
        self.bytes_received += len(data)
        message = self.message
        if message is None or self.message_failure is not None:
            return
        try:
            message.write(data)
        except OSError as error:
            self.journal.warning(f"{self.client.shown}: cannot spool the message: {error}")
            message.abandon()
            self.message_failure = replies.storage_failure(error)

    async def _line(self, event: LineReceived) -> list[Event]:
        reply = await self._handlers.auth_response(self, event)
        if reply.code >= 400:
            self.error_count += 1
        elif reply.code != 334:
            self.counts.succeeded("AUTH")
        self.send(reply)
        if self.closing:
            return []
        if self.exchange is not None:
            return self.protocol.start_lines(self.parameters.sasl_response_limit)
        return self.protocol.resume_commands()

    # -- what commands use -----------------------------------------------------------------------------------------

    def send(self, reply: Reply) -> None:
        """Put a reply into the output."""
        if reply.code >= 400:
            if self._soft_bounce:
                reply = soften(reply)
            if self.ask.tables.footers:
                self.pending_footers[len(self._out)] = reply, footer_values(self)
            elif self.parameters.reject_footer:
                reply = with_footer(reply, expand_footer(self.parameters.reject_footer, footer_values(self), self))
            if reply.code == 421 or reply.code == 521:
                self.closing = True
        if self.error_count >= self.parameters.soft_error_limit:
            self.delay = True
        self._out.append(render_reply(reply))

    def refuse(self, reply: Reply) -> None:
        """Answer with an error, and count it."""
        self.error_count += 1
        self.send(reply)

    def forgive(self, verb: str) -> None:
        """The refusal that follows is not held against the client: it counts as a command that went well."""
        self.error_count -= 1
        self.counts.succeeded(verb)

    def log_illegal_address(self, verb: str, address: str) -> None:
        """Say that a command had something in place of an address; nothing when ``address`` is empty."""
        if address:
            self.journal.warning(f"Illegal address syntax from {self.client.shown} in {verb} command: {address}")

    def start_message(self) -> None:
        """A message is about to come."""
        self.message = IncomingMessage(self.ask.spool, self.parameters.message_size_limit)
        self.message_failure = None
        self.bytes_received = 0

    async def add_footers(self) -> None:
        """Put the footers of smtpd_reject_footer_maps to the refusals in the output."""
        for place, (reply, values) in self.pending_footers.items():
            self._out[place] = await with_footer_of_maps(self, reply, values)
        self.pending_footers.clear()

    def take_output(self) -> bytes:
        """What is to be written now."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def reset(self) -> None:
        """Forget the transaction."""
        if self.message is not None:
            self.message.abandon()
            self.message = None
        if self.transaction is not None and self.transaction.filter is not None:
            self.transaction.filter.close()
        self.transaction = None
        self.message_failure = None
        self.forwarded = None
        if self.later:
            self.later.pop("MAIL", None)
        if self.chunking is not Chunking.NONE:
            self.chunking = Chunking.NONE

    @property
    def proto_name(self) -> str:
        """``SMTP`` or ``ESMTP``."""
        return "ESMTP" if self.esmtp else "SMTP"

    def start_session_over_tls(self, session: TlsSession) -> None:
        """TLS is up: what was learnt before it is forgotten (RFC 3207 section 4.2).

        A session that is not resumed counts against smtpd_client_new_tls_session_rate_limit; one too many is ended. One
        without the certificate that it needs is ended at the client's next command.
        """
        limit = self.parameters.client_new_tls_session_rate_limit
        if not session.resumed and over_rate(self, Counted.TLS, limit, "New TLS session rate"):
            text = f"{self.parameters.myhostname} Error: too many new TLS sessions from {self.client.shown}"
            self.send(Reply.of(421, "4.7.0", text))
            self.tls_requested = False
            return
        self.tls = session.description
        self.certificate = session.certificate
        self.certificate_remark = session.remark
        self.certificate_refusal = session.refusal
        if self.tls_requested:
            self.counts.succeeded("STARTTLS")
        self.tls_requested = False
        self.reset()
        self.protocol.forget_chunks()
        self.helo = ""
        self.esmtp = False
        self.sasl_method = ""
        self.sasl_username = ""
        self.protocol.discard_input()


def _malformed(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _is_header(word: str) -> bool:
    """``Subject:``: a mail header where a command should be, as spam engines send after a refused DATA."""
    name, colon, _ = word.partition(":")
    return bool(colon and name) and all("!" <= char <= "~" for char in name)
