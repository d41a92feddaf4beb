"""The footer of refusals (postconf(5) ``smtpd_reject_footer``): contact information after each 4xx and 5xx reply."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from angarium.model.reply import Reply

if TYPE_CHECKING:
    from angarium.daemons.smtpd.conversation import Conversation

_MACRO = re.compile(r"\$(?:\{([a-z_]+)\}|\(([a-z_]+)\)|([a-z_]+))")


def expand_footer(template: str, talk: Conversation) -> str:
    r"""Fill in ``$client``, ``$client_address``, ``$server_name`` and their like; ``\n`` breaks the line."""
    client = talk.client
    transaction = talk.transaction
    values = {
        "client": client.shown,
        "client_address": client.address,
        "client_name": client.name,
        "client_port": str(client.port),
        "helo_name": talk.helo,
        "localtime": time.strftime("%b %d %H:%M:%S"),
        "mail_name": talk.parameters.mail_name,
        "myhostname": talk.parameters.myhostname,
        "process_id": "",
        "sasl_method": talk.sasl_method,
        "sasl_username": talk.sasl_username,
        "sender": transaction.mail.sender if transaction is not None else "",
        "server_name": talk.parameters.myhostname,
    }

    def value(match: re.Match[str]) -> str:
        return values.get(match[1] or match[2] or match[3], "")

    return _MACRO.sub(value, template)


def with_footer(reply: Reply, footer: str) -> Reply:
    r"""The reply with the footer's lines after it; a leading ``\c`` joins its first line to the reply's last."""
    lines = list(reply.lines)
    joined = footer.startswith("\\c")
    extra = footer[2:].split("\\n") if joined else footer.split("\\n")
    if joined:
        lines[-1] += extra.pop(0)
    lines.extend(line for line in extra if line or joined)
    return Reply(reply.code, reply.dsn, tuple(lines))
