"""The footer of refusals (postconf(5) ``smtpd_reject_footer``): contact information after each 4xx and 5xx reply.

``smtpd_reject_footer_maps`` has another one by the reply. A table that cannot be asked leaves the usual one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from angarium.config.error import ConfigError
from angarium.config.expansion import Expander
from angarium.model.lookup import Found, TemporaryError
from angarium.model.reply import Reply
from angarium.policy.expansion import filtered
from angarium.protocols.smtp.render import render_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from angarium.daemons.smtpd.conversation import Conversation


def footer_values(talk: Conversation) -> dict[str, str]:
    """What ``$client``, ``$client_address``, ``$server_name`` and their like stand for now."""
    client = talk.client
    sender = talk.transaction.mail.sender if talk.transaction is not None else ""
    local, _, domain = sender.rpartition("@")
    return {
        "client": client.shown,
        "client_address": client.address,
        "client_name": client.name,
        "client_port": str(client.port),
        "reverse_client_name": client.reverse_name,
        "helo_name": talk.helo,
        "localtime": time.strftime("%b %d %H:%M:%S"),
        "sender": sender,
        "sender_domain": domain,
        "sender_name": local,
        "recipient": "",
        "recipient_domain": "",
        "recipient_name": "",
        "server_name": talk.parameters.myhostname,
    }


def expand_footer(template: str, values: Mapping[str, str], talk: Conversation) -> str:
    """Fill them in; empty, and said in the log, when the template has no sense."""
    allowed = talk.parameters.expansion_filter

    def value(name: str) -> str:
        if name not in values:
            talk.journal.warning(f'unknown macro name "{name}" in expansion request')
            return ""
        return filtered(values[name], allowed).replace("$", "$$")

    try:
        return Expander(value).expand(template)
    except ConfigError as error:
        talk.journal.warning(f"smtpd_reject_footer: {error}")
        return ""


async def with_footer_of_maps(talk: Conversation, reply: Reply, values: Mapping[str, str]) -> bytes:
    """A refusal on the wire, with the footer that smtpd_reject_footer_maps has for it, or the usual one."""
    first = str(Reply(reply.code, reply.dsn, reply.lines[:1]))
    found = await talk.ask.tables.footers.find(first)
    template = talk.parameters.reject_footer
    if isinstance(found, Found):
        template = found.value
    elif isinstance(found, TemporaryError):
        talk.journal.warning(f'{found.source} lookup error for "{first}": {found.cause}')
    return render_reply(with_footer(reply, expand_footer(template, values, talk)) if template else reply)


def with_footer(reply: Reply, footer: str) -> Reply:
    r"""The reply with the footer's lines after it, which ``\n`` separates; a leading ``\c`` joins the first to it."""
    if not footer:
        return reply
    lines = list(reply.lines)
    joined = footer.startswith("\\c")
    extra = footer[2:].split("\\n") if joined else footer.split("\\n")
    if joined:
        lines[-1] += extra.pop(0)
    lines.extend(line for line in extra if line or joined)
    return Reply(reply.code, reply.dsn, tuple(lines))
