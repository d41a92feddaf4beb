"""One SASL exchange in wire form: what smtpd, imapd and pop3d drive with base64 lines.

``SaslExchange.start`` and ``receive`` answer a ``Challenge`` whose ``data`` is already base64, ``Credentials``, or
``SaslError``. The prefix (``334 ``, ``+ ``) and the line end are the protocol's.
"""

from __future__ import annotations

from angarium.protocols.sasl.framing import RESPONSE_LIMIT, decode_initial, decode_response, encode_challenge
from angarium.protocols.sasl.mechanisms import Mechanism, mechanism
from angarium.protocols.sasl.types import Challenge, SaslError, Step


class SaslExchange:
    """An exchange in progress.

    Args:
        method: the mechanism, made for this exchange.
        limit: bytes of one base64 line.
    """

    __slots__ = ("_limit", "_mechanism")

    def __init__(self, method: Mechanism, limit: int = RESPONSE_LIMIT) -> None:
        self._mechanism = method
        self._limit = limit

    @classmethod
    def named(cls, name: str, limit: int = RESPONSE_LIMIT) -> SaslExchange | None:
        """A new exchange, or None when we do not speak that mechanism."""
        method = mechanism(name)
        return cls(method, limit) if method is not None else None

    @property
    def method(self) -> str:
        """The mechanism's name in upper case, for the log."""
        return self._mechanism.name

    def start(self, argument: bytes | None) -> Step:
        """Begin with the command's initial response as it stood there (base64, or ``=``), or None."""
        if argument is None:
            return self._wire(self._mechanism.start(None))
        initial = decode_initial(argument, self._limit)
        return initial if isinstance(initial, SaslError) else self._wire(self._mechanism.start(initial))

    def receive(self, line: bytes) -> Step:
        """Take the client's line, without its line end."""
        response = decode_response(line, self._limit)
        return response if isinstance(response, SaslError) else self._wire(self._mechanism.step(response))

    @staticmethod
    def _wire(step: Step) -> Step:
        return Challenge(encode_challenge(step.data)) if isinstance(step, Challenge) else step
