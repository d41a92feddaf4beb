"""Sessions of TLS that a client takes up again: less work for both ends, and no certificate on the wire.

``ResumingContext`` is a client context with a memory: what a server gave us to come back with, by the name of the
place, for as long as smtp_tls_session_cache_timeout says. It is kept in the process and written nowhere.

Event loops make the session of a connection themselves, from the context alone; which place it is for reaches
``wrap_bio`` by a context variable, which a loop carries over into its callbacks.

Guarantees: a session is offered only to the place that it came from, and only in the context (with the policy) that it
was made in: another place, or another policy, begins anew. A server that does not want it anymore makes a full
handshake of it, as TLS has it (RFC 8446 section 2.2).
"""

from __future__ import annotations

import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar

_KEPT = 1024
"""Places that are remembered."""

_PLACE: ContextVar[str] = ContextVar("place", default="")


class ResumingContext(ssl.SSLContext):
    """A client context that remembers sessions.

    Attributes:
        lifetime: seconds that they are good for.
        clock: seconds, monotonic.
    """

    lifetime: float
    clock: Callable[[], float]
    _sessions: OrderedDict[str, tuple[float, ssl.SSLSession]]

    @classmethod
    def make(cls, lifetime: float, clock: Callable[[], float] = time.monotonic) -> ResumingContext:
        """An empty one."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.lifetime = lifetime
        context.clock = clock
        context._sessions = OrderedDict()
        return context

    def aim(self, place: str) -> None:
        """The next session that the running task begins is with ``place``."""
        _PLACE.set(place)

    def remember(self, place: str, tls: ssl.SSLObject) -> None:
        """Keep what the server has given for the next time; best asked when the connection ends."""
        session = tls.session
        if session is None or not (session.has_ticket or (session.id and tls.version() != "TLSv1.3")):
            return
        self._sessions[place] = (self.clock() + self.lifetime, session)
        self._sessions.move_to_end(place)
        if len(self._sessions) > _KEPT:
            self._sessions.popitem(last=False)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As of ``ssl.SSLContext``; a session of the place is taken up again."""
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session or self._take(_PLACE.get()))

    def _take(self, place: str) -> ssl.SSLSession | None:
        """Of TLS 1.3 a session is for one use (RFC 8446 appendix C.4)."""
        until, session = self._sessions.pop(place, (0.0, None))
        return session if session is not None and self.clock() < until else None
