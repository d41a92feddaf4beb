"""The one error that can reach a peer.

It carries what the peer may read (code, enhanced status, public text), what it may not (the private cause, for
the log) and whether trying again can help. Anything that nobody has classified is temporary: mail waits.
"""

from __future__ import annotations

from angarium.model.reply import Reply


class MailError(Exception):
    """A failure with a reply for the peer.

    Attributes:
        reply: what the peer is told.
        cause: what the log is told beside it; empty when the reply says it all.
    """

    def __init__(self, reply: Reply, cause: str = "") -> None:
        super().__init__(str(reply) + (f" ({cause})" if cause else ""))
        self.reply = reply
        self.cause = cause

    @property
    def temporary(self) -> bool:
        """True when the peer should try again later."""
        return not 500 <= self.reply.code < 600

    @classmethod
    def temporary_failure(cls, cause: str) -> MailError:
        """The error for a cause that nobody has classified: ``451 4.3.0``, as Postfix answers it."""
        return cls(Reply.of(451, "4.3.0", "Temporary lookup failure"), cause)
