"""What is done to the octets of a message before anything is read in it.

Half a line break becomes a blank (cleanup_replace_stray_cr_lf), eight bits become quoted-printable
(force_mime_input_conversion), characters are refused or taken out (message_reject_characters,
message_strip_characters). A message that has none of it is passed on by reference; one that is changed and large goes
to the spool. Failures: ``MailError``, OSError of the spool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from angarium.cleanup.characters import UnwantedCharacters, has_stray, without_stray
from angarium.cleanup.downgrade import NestingError, downgraded
from angarium.cleanup.mimewalk import WalkLimits
from angarium.cleanup.parameters import CleanupParameters
from angarium.model.content import Content, MemoryContent
from angarium.model.error import MailError
from angarium.model.reply import Reply
from angarium.runtime.log import ServiceLog
from angarium.runtime.spool import SPOOL_BOUND, Spool, written


async def kept(spool: Spool | None, size: int, chunks: Iterator[bytes]) -> Content:
    """About ``size`` bytes as content: in memory, or in a file when they are many and there is a spool."""
    if spool is None or size <= SPOOL_BOUND:
        return MemoryContent(b"".join(chunks))
    file = spool.create()

    def copy() -> None:
        for chunk in chunks:
            file.write(chunk)

    try:
        await written(copy)
    except BaseException:
        file.abandon()
        raise
    return file.finish()


class ContentCleaner:
    """What one configuration wants.

    Attributes:
        always: there is something to be done to every message, not to local ones alone.
    """

    def __init__(self, parameters: CleanupParameters, limits: WalkLimits, log: ServiceLog, spool: Spool | None) -> None:
        self._log = log
        self._limits = limits
        self._spool = spool
        checked = "no_header_body_checks" not in parameters.receive_override_options
        self._rejects = bool(parameters.message_reject_characters) and checked
        self._strips = bool(parameters.message_strip_characters) and checked
        self._refused = UnwantedCharacters(parameters.message_reject_characters)
        self._stripped = UnwantedCharacters(parameters.message_strip_characters)
        self._no_stray = parameters.cleanup_replace_stray_cr_lf
        self._converts = parameters.force_mime_input_conversion and not parameters.disable_mime_input_processing
        self.always = self._rejects or self._strips or self._converts

    async def clean(self, queue_id: str, content: Content, tail: Callable[[], str], *, local: bool) -> Content:
        """The content as it shall be.

        Args:
            queue_id: of the message.
            content: as received.
            tail: what the log says of where a message comes from and for whom it is.
            local: it does not come by SMTP, whose decoder leaves no half line breaks.

        Raises:
            MailError: it has a character that is refused, or parts within too many parts.
        """
        if local and self._no_stray and await asyncio.to_thread(has_stray, content):
            content = await kept(self._spool, content.size, without_stray(content))
        if self._converts:
            content = await self._seven_bit(content)
        if self._rejects:
            self._refuse(queue_id, content, tail)
        if not self._strips or self._stripped.first_line(content) is None:
            return content
        return await kept(self._spool, content.size, self._stripped.stripped(content))

    def _refuse(self, queue_id: str, content: Content, tail: Callable[[], str]) -> None:
        line = self._refused.first_line(content)
        if line is None:
            return
        reply = Reply.of(550, "5.7.1", "disallowed character")
        shown = line.decode("utf-8", "replace")
        self._log.info(f"{queue_id}: reject: content {shown}{tail()}: {reply.dsn} {reply.lines[0]}")
        raise MailError(reply)

    async def _seven_bit(self, content: Content) -> Content:
        try:
            encoded = await downgraded(content, self._limits)
        except NestingError as error:
            raise MailError(Reply.of(550, "5.6.0", str(error))) from error
        return encoded if encoded is content else await kept(self._spool, encoded.size, encoded.chunks())
