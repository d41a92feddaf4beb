"""What can go wrong with a host or a destination: one error with the words and the status that smtp(8) uses for it."""

from __future__ import annotations

from angarium.model.dsn import Dsn
from angarium.protocols.smtp.client_reply import ClientReply
from angarium.protocols.smtp.client_states import WHILE, Step


class TroubleError(Exception):
    """A failure of a host, or of the whole destination; it ends as the result of the recipients that remain.

    Attributes:
        dsn: class 4: another host, or another time, may do; class 5: it will not.
        text: for the log and the report.
        reply: the peer's words, where it spoke.
        broken: the host could not be used at all, as opposed to: it would not take this message.
    """

    def __init__(self, dsn: Dsn | str, text: str, reply: str = "", *, broken: bool = True) -> None:
        super().__init__(text)
        self.dsn = Dsn.parse(dsn) if isinstance(dsn, str) else dsn
        self.text = text
        self.reply = reply
        self.broken = broken

    def softened(self) -> TroubleError:
        """The same as a temporary failure."""
        return TroubleError(self.dsn.with_class(4), self.text, self.reply, broken=self.broken)


class NotConnectedError(TroubleError):
    """No connection came about: there is no session, and the log shows ``relay=none``."""

    def __init__(self, relay: str, reason: str) -> None:
        super().__init__("4.4.1", f"connect to {relay}: {reason}")


class NoPolicyError(NotConnectedError):
    """It cannot be said how much TLS a host must have, so that it is not even connected to."""

    def __init__(self, text: str) -> None:
        TroubleError.__init__(self, "4.7.5", text)


class UnboundError(NotConnectedError):
    """No connection came about, for we cannot call from the address that main.cf wants."""

    def __init__(self) -> None:
        TroubleError.__init__(self, "4.4.0", "server configuration error")


class LostError(TroubleError):
    """The connection went away, or went silent, at ``step``."""

    def __init__(self, peer: str, step: Step, *, timed_out: bool = False) -> None:
        text = (
            f"conversation with {peer} timed out while {WHILE[step]}"
            if timed_out
            else f"lost connection with {peer} while {WHILE[step]}"
        )
        super().__init__("4.4.2", text)
        self.step = step
        self.timed_out = timed_out


def refused(peer: str, reply: ClientReply) -> TroubleError:
    """The host greeted, or answered EHLO and HELO, with an error."""
    return TroubleError(reply.dsn, f"host {peer} refused to talk to me: {reply.text}", reply.text)


def said(peer: str, reply: ClientReply, step: Step) -> str:
    """``host H[IP] said: 550 … (in reply to RCPT TO command)``."""
    return f"host {peer} said: {reply.text} (in reply to {step.value})"
