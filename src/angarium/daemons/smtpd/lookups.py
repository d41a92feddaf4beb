"""What a session looks up for itself: other words for a command, EHLO keywords for its client (``tables``).

A table that cannot be asked ends the session with ``421 4.3.0 Server local data error``, as in Postfix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from angarium.model.lookup import Found, TemporaryError
from angarium.model.reply import Reply

if TYPE_CHECKING:
    from angarium.daemons.smtpd.conversation import Conversation
    from angarium.protocols.smtp.types import CommandReceived


async def filtered(talk: Conversation, command: CommandReceived) -> CommandReceived | None:
    """The command that smtpd_command_filter makes of one; None: it cannot be asked, and the session ends."""
    found = await talk.ask.tables.commands.find(command.text)
    if isinstance(found, TemporaryError):
        talk.journal.warning(f'{found.source} lookup error for "{command.text[:100]}": {found.cause}')
        talk.send(local_data_error(talk, talk.where))
        return None
    if not isinstance(found, Found):
        return command
    text = found.value
    talk.journal.info(f'{talk.client.shown}: replacing command "{command.text[:100]}" with "{text[:100]}"')
    return replace(command, text=text, verb=(text.split(None, 1) or [""])[0].upper())


async def choose_keywords(talk: Conversation) -> None:
    """Leave out of EHLO what smtpd_discard_ehlo_keyword_address_maps says, in place of the usual."""
    found = await talk.ask.tables.ehlo_keywords.find(talk.client.address)
    words = list(talk.parameters.discard_ehlo_keywords)
    talk.keywords_unknown = isinstance(found, TemporaryError)
    if isinstance(found, TemporaryError):
        talk.journal.warning(f'{found.source} lookup error for "{talk.client.address}": {found.cause}')
    elif isinstance(found, Found):
        words = found.value.replace(",", " ").split()
    talk.ehlo_discard = frozenset(word.lower() for word in words)


def local_data_error(talk: Conversation, where: str) -> Reply:
    """What ends a session that cannot go on for want of a table; said in the log."""
    reply = Reply.of(421, "4.3.0", f"{talk.parameters.myhostname} Server local data error")
    talk.journal.info(f"NOQUEUE: reject: {where} from {talk.client.shown}: {reply}")
    return reply
