"""XCLIENT and XFORWARD: trusted proxies and content filters speak for the client behind them.

XCLIENT makes the session another client's: everything that is known of the old one is forgotten but TLS, the client
restrictions are asked again, and the session is where it was after the banner. XFORWARD lasts for one message and
changes what the log says of it, and nothing that decides about it.
"""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from angarium.daemons.smtpd import replies
from angarium.daemons.smtpd.client import Client
from angarium.daemons.smtpd.conversation import Conversation
from angarium.daemons.smtpd.judgement import judge
from angarium.daemons.smtpd.knowledge import facts_of, forwarded_by
from angarium.daemons.smtpd.lookups import choose_keywords
from angarium.model.reply import Reply
from angarium.protocols.smtp.forwarding import TEMPORARILY_UNAVAILABLE, UNAVAILABLE, parse_attributes
from angarium.protocols.smtp.types import CommandError, CommandReceived

_UNKNOWN = "unknown"


async def xforward(talk: Conversation, command: CommandReceived) -> Reply | None:
    """Remember what is said of the next message's client."""
    said = _attributes(talk, command, allowed=talk.exempt.xforward)
    if isinstance(said, Reply):
        return said
    talk.forwarded = said if talk.forwarded is None else talk.forwarded | said
    return replies.OK


async def xclient(talk: Conversation, command: CommandReceived) -> Reply | None:
    """Begin anew with another client. The answer is the banner, and like a banner it is no success of a command."""
    said = _attributes(talk, command, allowed=talk.exempt.xclient)
    if isinstance(said, Reply):
        return said
    talk.client = _renamed(talk.client, said).labelled(port=talk.parameters.client_port_logging)
    xforward_allowed = talk.exempt.xforward  # by who has connected, and for the whole session
    talk.exempt = replace(await talk.ask.exemptions(talk.client), xforward=xforward_allowed)
    talk.helo = said["HELO"].replace(UNAVAILABLE, "") if "HELO" in said else ""
    talk.esmtp = said.get("PROTO") == "ESMTP"
    login = said.get("LOGIN", UNAVAILABLE)
    talk.sasl_method, talk.sasl_username = ("", "") if login == UNAVAILABLE else ("XCLIENT", login)
    if talk.ask.tables.ehlo_keywords:
        await choose_keywords(talk)
    talk.reset()
    talk.later.clear()
    verdict = await talk.ask.policy.connect(facts_of(talk))
    denial = judge(talk, verdict, "XCLIENT")
    if denial is not None:
        talk.denied = True
        talk.send(denial)
    elif not command.behind or talk.tolerates_early_talk(command.behind, "XCLIENT"):
        talk.send(Reply(220, None, (talk.parameters.banner,)))
    return None


def _attributes(talk: Conversation, command: CommandReceived, *, allowed: bool) -> dict[str, str] | Reply:
    if talk.transaction is not None:
        return replies.IN_TRANSACTION
    if len(command.text.split(None, 1)) < 2:
        return Reply.of(501, "5.5.4", f"Syntax: {command.verb} attribute=value...")
    if not allowed:
        return replies.NOT_AUTHORIZED
    try:
        return parse_attributes(command.text, talk.parameters.families)
    except CommandError as error:
        return error.reply


def _renamed(client: Client, said: dict[str, str]) -> Client:
    """The client with what was said of it, in its order: a NAME is that of the address too."""
    for attribute, value in said.items():
        name, failed = _known(value), value == TEMPORARILY_UNAVAILABLE
        if attribute == "NAME":
            client = structs.replace(client, name=name, name_failed=failed)
        if attribute == "REVERSE_NAME" or (attribute == "NAME" and name == value):
            client = structs.replace(client, reverse_name=name, reverse_failed=failed)
    if "ADDR" in said:
        client = structs.replace(client, address=_known(said["ADDR"]))
    if "PORT" in said:
        client = structs.replace(client, port=_port(said["PORT"]))
    address, port = client.server
    return structs.replace(
        client, server=(_known(said.get("DESTADDR", address)), _port(said.get("DESTPORT", str(port))))
    )


def _known(text: str) -> str:
    return _UNKNOWN if text in (UNAVAILABLE, TEMPORARILY_UNAVAILABLE) else text


def _port(text: str) -> int:
    return 0 if text == UNAVAILABLE else int(text)


def described(talk: Conversation) -> list[str]:
    """What the log adds to ``client=`` for a message that was forwarded."""
    assert talk.forwarded is not None
    forwarded = forwarded_by(talk.forwarded)
    words = []
    if forwarded.ident:
        words.append(f"orig_queue_id={forwarded.ident}")
    if forwarded.client:
        shown = forwarded.shown
        if talk.parameters.client_port_logging and forwarded.address:
            shown += f":{forwarded.port or _UNKNOWN}"
        words.append(f"orig_client={shown}")
    return words
