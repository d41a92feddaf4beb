"""Base64 as SASL profiles use it on a line of their own (RFC 4954 section 4, RFC 3501 section 6.2.2, RFC 5034).

Guarantees: strict decoding (RFC 4648: alphabet, padding, no blanks) of a bounded line.
"""

from __future__ import annotations

import base64
import binascii

from angarium.protocols.sasl.types import Fault, SaslError

RESPONSE_LIMIT = 12288
"""Bytes of one base64 line (RFC 4954 section 4: 12288 octets suffice for every mechanism)."""


def decode_response(line: bytes, limit: int = RESPONSE_LIMIT) -> bytes | SaslError:
    """Decode a client's answer to a challenge, its line end already taken off. ``*`` cancels the exchange."""
    if line == b"*":
        return SaslError(Fault.CANCELLED, "the client cancelled the exchange")
    if len(line) > limit:
        return SaslError(Fault.TOO_LONG, f"SASL response of over {limit} bytes")
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error:
        return SaslError(Fault.ENCODING, "SASL response is not base64")


def decode_initial(argument: bytes, limit: int = RESPONSE_LIMIT) -> bytes | SaslError:
    """Decode an initial response, where a lone ``=`` stands for an empty one."""
    return b"" if argument == b"=" else decode_response(argument, limit)


def encode_challenge(challenge: bytes) -> bytes:
    """The challenge in base64, without a prefix or a line end."""
    return base64.b64encode(challenge)
