"""HELO and EHLO (RFC 5321 section 4.1.1.1)."""

from __future__ import annotations

from angarium.daemons.smtpd import replies
from angarium.daemons.smtpd.commands.auth import offered_mechanisms
from angarium.daemons.smtpd.conversation import Conversation
from angarium.daemons.smtpd.judgement import ask
from angarium.daemons.smtpd.lookups import local_data_error
from angarium.model.reply import Reply
from angarium.protocols.smtp.forwarding import XCLIENT_KEYWORD, XFORWARD_KEYWORD
from angarium.protocols.smtp.types import CommandReceived


async def helo(talk: Conversation, command: CommandReceived) -> Reply | None:
    """HELO: answers with our name alone. A session that has said EHLO stays one of ESMTP, as in Postfix."""
    refusal = await _introduce(talk, command, replies.HELO_SYNTAX)
    if refusal is not None:
        return refusal
    return Reply(250, None, (talk.parameters.myhostname,))


async def ehlo(talk: Conversation, command: CommandReceived) -> Reply | None:
    """EHLO: answers with our name and our extensions."""
    refusal = await _introduce(talk, command, replies.EHLO_SYNTAX)
    if refusal is not None:
        return refusal
    talk.esmtp = True
    for keyword, cause in talk.exempt.unsure:
        talk.journal.warning(cause)
        talk.journal.warning(f"don't know if EHLO feature {keyword} should be announced to {talk.client.shown}")
        return local_data_error(talk, "EHLO")
    words = keywords(talk)
    if talk.keywords_unknown:
        talk.journal.warning(f"don't know what EHLO features to announce to {talk.client.shown}")
        return local_data_error(talk, "EHLO")
    return Reply(250, None, (talk.parameters.myhostname, *words))


async def _introduce(talk: Conversation, command: CommandReceived, syntax: Reply) -> Reply | None:
    words = command.text.split()
    if len(words) < 2:
        return syntax
    name = " ".join(words[1:])
    previous, talk.helo = talk.helo, name
    for stage in ("HELO", "MAIL") if talk.later else ():
        talk.later.pop(stage, None)
    refusal = await ask(talk, talk.ask.policy.helo, words[0].upper())
    if refusal is not None:
        talk.helo = previous
        return refusal
    talk.reset()
    return None


def keywords(talk: Conversation) -> list[str]:
    """The EHLO keywords, in Postfix's order (RFC 5321 section 4.1.1.1); all but XVERP can be discarded, as there."""
    parameters = talk.parameters
    words = ["PIPELINING"]
    words.append(f"SIZE {parameters.message_size_limit}" if parameters.message_size_limit else "SIZE")
    if not parameters.disable_vrfy_command:
        words.append("VRFY")
    words.append("ETRN")
    if parameters.tls_offered and talk.ask.tls_available and not talk.tls:
        words.append("STARTTLS")
    mechanisms = " ".join(offered_mechanisms(talk))
    if mechanisms and not talk.exempt.sasl:
        words.append(f"AUTH {mechanisms}")
        if parameters.broken_sasl_auth_clients:
            words.append(f"AUTH={mechanisms}")
    if talk.exempt.verp:
        words.append("XVERP")
    if talk.exempt.xclient:
        words.append(XCLIENT_KEYWORD)
    if talk.exempt.xforward:
        words.append(XFORWARD_KEYWORD)
    words += ["ENHANCEDSTATUSCODES", "8BITMIME", "DSN"]
    if parameters.smtputf8_enable:
        words.append("SMTPUTF8")
    words.append("CHUNKING")
    if not talk.ehlo_discard:
        return words
    kept = [word for word in words if word == "XVERP" or _name(word) not in talk.ehlo_discard]
    if "silent-discard" not in talk.ehlo_discard and len(kept) < len(words):
        names = {word.partition(" ")[0].partition("=")[0] for word in words if word not in kept}
        dropped = " ".join(name for name in _LOGGED if name in names)
        talk.journal.info(f"discarding EHLO keywords: {dropped}")
    return kept


_LOGGED = (
    "8BITMIME", "AUTH", "ETRN", "PIPELINING", "SIZE", "VRFY", "XCLIENT", "XFORWARD", "STARTTLS", "ENHANCEDSTATUSCODES",
    "DSN", "SMTPUTF8", "CHUNKING",
)  # fmt: skip
"""The order in which Postfix has them in the log."""


def _name(keyword: str) -> str:
    return keyword.partition(" ")[0].partition("=")[0].lower()
