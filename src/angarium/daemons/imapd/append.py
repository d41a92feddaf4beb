"""An APPEND in progress: its messages come in pieces, wait in memory or, over the spool's bound, in a file.

Nothing of it is in the mailstore until the last piece is there; then all its messages are stored at once or none
(RFC 3502). Whoever goes away in the middle leaves nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from angarium.daemons.imapd.errors import No, bound_keywords
from angarium.mailstore.interface import NewMail, NoSuchMailboxError
from angarium.model.content import Content, MemoryContent
from angarium.protocols.imap.sequence import compact
from angarium.protocols.imap.types import Append, AppendMessage
from angarium.runtime.spool import SPOOL_BOUND, Spool, SpooledContent, SpoolFile

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection

_MAX_PIECES = 500
"""Pieces of a message in memory, so that one that trickles in costs no more than its size."""
_MAX_MESSAGES = 1000
"""Messages in one APPEND, all of which wait for the last one."""
_MAX_BYTES = 64 * 1024 * 1024
"""Bytes of several messages in one APPEND; they are stored in one transaction."""


class AppendInProgress:
    """The messages of one APPEND so far."""

    __slots__ = (
        "_done",
        "_error",
        "_file",
        "_held",
        "_limit",
        "_memory",
        "_message",
        "_pieces",
        "_spool",
        "_total",
        "mailbox",
        "tag",
    )

    def __init__(self, command: Append, spool: Spool, limit: int) -> None:
        self.tag = command.tag
        self.mailbox = command.mailbox
        self._spool = spool
        self._limit = limit
        self._done: list[tuple[AppendMessage, Content]] = []
        self._message: AppendMessage | None = None
        self._pieces: list[bytes] = []
        self._held = 0
        self._memory = 0
        self._total = 0
        self._file: SpoolFile | None = None
        self._error: OSError | None = None

    @classmethod
    async def begin(cls, connection: ImapConnection, command: Append, size: int) -> AppendInProgress:
        """Start one whose first message has ``size`` bytes; a client is told before it sends what cannot be stored.

        Raises:
            NoSuchMailboxError: the mailbox does not exist.
            OverQuotaError: a large message does not fit. Small ones are checked when they are stored.
        """
        if command.mailbox != connection.append_mailbox or size > SPOOL_BOUND:
            mailbox = await connection.account_store().mailbox(command.mailbox)
            if not mailbox.selectable:
                msg = "[TRYCREATE] Mailbox cannot hold messages"
                raise No(msg)
            connection.append_mailbox = command.mailbox
            if size > SPOOL_BOUND:
                await connection.account_store().require_room(mailbox, size)
        return cls(command, connection.service.spool, connection.service.parameters.message_size_limit)

    def start_message(self, message: AppendMessage) -> None:
        """Announce the next message. Raises No when it is too large or one too many, OSError from the spool."""
        if self._limit and message.size > self._limit:
            msg = "[TOOBIG] Message too large"
            raise No(msg)
        bound_keywords(message.flags)
        if not message.size:
            msg = "Can't save a zero byte message."  # RFC 3502 section 6.3.11: it cancels the APPEND
            raise No(msg)
        self._total += message.size
        if len(self._done) >= _MAX_MESSAGES or (self._done and self._total > _MAX_BYTES):
            msg = "[LIMIT] Too many messages in one APPEND"
            raise No(msg)
        self._message = message
        self._pieces = []
        self._held = 0
        # Several messages that are small one by one are not small together.
        self._memory += message.size
        self._spool.in_memory += message.size
        if self._spool.wants(message.size) or self._memory > 4 * SPOOL_BOUND:
            self._memory -= message.size
            self._spool.in_memory -= message.size
            self._file = self._spool.create()

    def add(self, data: bytes, *, last: bool) -> None:
        """A piece. A full disk is remembered and told at the end: the client's bytes have to be read anyway."""
        assert self._message is not None
        if self._file is None:
            self._pieces.append(data)
            if len(self._pieces) > _MAX_PIECES:
                self._pieces = [b"".join(self._pieces)]
        elif self._error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._error = error
        if last:
            content: Content
            if self._file is not None:
                content = self._file.finish()
                self._file = None
            else:
                content = MemoryContent(self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces))
            self._done.append((self._message, content))
            self._pieces = []
            self._message = None

    async def store(self, connection: ImapConnection) -> str:
        """Store them all; the text of the tagged OK, with APPENDUID (RFC 4315).

        Raises:
            MailstoreError, OSError: none was stored.
        """
        try:
            if self._error is not None:
                raise self._error
            now = time.time()
            appended = await connection.account_store().append(
                [
                    NewMail(
                        mailbox=self.mailbox,
                        prefix=b"",
                        content=content,
                        flags=message.flags,
                        internaldate=now if message.moment is None else message.moment,
                        zone=connection.service.zone(now) if message.moment is None else message.zone,
                    )
                    for message, content in self._done
                ]
            )
        except NoSuchMailboxError:
            connection.append_mailbox = ""
            raise
        finally:
            self.abandon()
        if connection.mailbox is not None and appended and appended[0].mailbox == connection.mailbox.id:
            await connection.look()
        uids = compact(each.uid for each in appended)
        return f"[APPENDUID {appended[0].uidvalidity} {uids.decode()}] Append completed."

    def abandon(self) -> None:
        """Drop all pieces and files."""
        if self._file is not None:
            self._file.abandon()
            self._file = None
        for _message, content in self._done:
            if isinstance(content, SpooledContent):
                content.close()
        self._done.clear()
        self._pieces = []
        self._spool.in_memory -= self._memory
        self._memory = 0
