"""The load balancer in front, which says with the PROXY protocol whose connection it hands on.

Nothing is said to the client before the header is there, and nothing of what follows it is lost. Without a header
within smtpd_upstream_proxy_timeout the session is over: ``421 4.3.0 … Server local error``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from angarium.daemons.smtpd.client import Client
from angarium.daemons.smtpd.parameters import SmtpdParameters
from angarium.daemons.smtpd.wording import escape
from angarium.model.reply import Reply
from angarium.protocols.smtp.forwarding import Families
from angarium.protocols.smtp.proxyheader import ProxyHeader, ProxyHeaderError, parse_proxy_header
from angarium.protocols.smtp.render import render_reply
from angarium.runtime.log import ServiceLog

More = Callable[[int], Awaitable[bytes]]
"""``(octets that were read)`` -> what has come in behind them, at least one octet; empty at the end."""


async def client_behind(
    client: Client, parameters: SmtpdParameters, journal: ServiceLog, more: More, say: Callable[[bytes], None]
) -> tuple[Client, bytes] | None:
    """Whom the header speaks of, and what came in behind it; None, and it has been said, without one.

    Args:
        client: the one who has connected.
        parameters: of the service.
        journal: its log.
        more: reads.
        say: writes.
    """
    try:
        async with asyncio.timeout(parameters.upstream_proxy_timeout or None):
            header, rest = await _read(parameters.families, more)
    except TimeoutError:
        fault = "timeout error"
    except (ProxyHeaderError, OSError) as error:
        fault = escape(str(error))
    else:
        if header.client is None or header.server is None:
            return client, rest
        (address, port), server = header.client, header.server
        return replace(client, address=address, port=port, server=server), rest
    journal.warning(f"haproxy read: {fault}")
    shown = client.labelled(port=parameters.client_port_logging).shown
    journal.info(f"connect from {shown}")
    say(render_reply(Reply.of(421, "4.3.0", f"{parameters.myhostname} Server local error")))
    journal.info(f"disconnect from {shown} commands=0/0")
    return None


async def _read(families: Families, more: More) -> tuple[ProxyHeader, bytes]:
    """The header, and what came in behind it. Raises ProxyHeaderError, OSError."""
    data = b""
    while True:
        piece = await more(len(data))
        data += piece
        header = parse_proxy_header(data, families) if data else None
        if header is not None:
            return header, data[header.size :]
        if not piece:
            what = data.decode("utf-8", "surrogateescape")
            raise ProxyHeaderError(f"short protocol header: {what}" if data else "EOF")
