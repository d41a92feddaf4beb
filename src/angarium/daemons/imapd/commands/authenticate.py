"""AUTHENTICATE (RFC 9051 section 6.2.2) with the initial response of RFC 4959."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angarium.daemons.imapd.commands.login import finish, require_secure
from angarium.daemons.imapd.errors import Bad, No
from angarium.protocols.imap.types import Authenticate
from angarium.protocols.sasl.session import SaslExchange
from angarium.protocols.sasl.types import Challenge, Fault, SaslError, Step

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection


class Exchange:
    """An exchange that waits for the client's next line; ``tag`` is that of its command."""

    __slots__ = ("_sasl", "tag")

    def __init__(self, tag: bytes, sasl: SaslExchange) -> None:
        self.tag = tag
        self._sasl = sasl

    async def start(self, connection: ImapConnection, initial: bytes | None) -> str | None:
        """Begin; the text of the tagged OK, or None when a challenge was sent. Raises No and Bad."""
        return await self._go(connection, self._sasl.start(initial))

    async def respond(self, connection: ImapConnection, line: bytes) -> str | None:
        """Go on with the client's line; the same outcomes."""
        return await self._go(connection, self._sasl.receive(line))

    async def _go(self, connection: ImapConnection, step: Step) -> str | None:
        if isinstance(step, Challenge):
            connection.write(b"+ %b\r\n" % step.data)
            connection.exchange = self
            connection.session.expect_sasl()
            return None
        if isinstance(step, SaslError):
            if step.fault is Fault.CANCELLED:
                msg = "Authentication aborted by client."
                raise Bad(msg)
            if step.fault in (Fault.ENCODING, Fault.TOO_LONG):
                msg = "Invalid base64 data in initial response" if step.fault is Fault.ENCODING else "Response too long"
                raise Bad(msg)
        return await finish(connection, step, self._sasl.method)


async def authenticate(connection: ImapConnection, command: Authenticate) -> str | None:
    """Begin an exchange."""
    sasl = SaslExchange.named(command.mechanism)
    if sasl is None:
        msg = "[CANNOT] Unsupported authentication mechanism."
        raise No(msg)
    require_secure(connection)
    return await Exchange(command.tag, sasl).start(connection, command.initial)
