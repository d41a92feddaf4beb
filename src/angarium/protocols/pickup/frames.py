"""The records, as the client writes them. Imports nothing, for the command has to start fast."""

from __future__ import annotations

VERSION = b"1"
"""Of the record types below."""

HEADER = 9
"""Bytes before a payload."""

VERSION_RECORD = b"V"
SENDER = b"S"
FULL_NAME = b"F"
RECIPIENT = b"R"
NOTIFY = b"N"
ENVELOPE_ID = b"E"
RETURN = b"T"
BODY_TYPE = b"B"
EXTRACT = b"t"
VERIFY = b"v"
GATEWAY = b"g"
VERP = b"x"
REPORT = b"r"
ARGUMENTS = b"a"
"""The words of the command line, each with a NUL behind it, in place of what they mean."""

NAME = b"n"
"""NAME of the environment, before ``ARGUMENTS``."""

INPUT = b"i"
"""Standard input as it is, after ``ARGUMENTS``."""

QUESTION = b"q"
"""No submission but a question, alone: see ``session.Question``."""

DATA = b"D"
END = b"Z"

ATTRIBUTE_LIMIT = 64 * 1024
"""The most bytes of a record that is not data."""

DATA_LIMIT = 1024 * 1024
"""The most bytes of one data record."""


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """One record."""
    return b"%s%08x%s" % (kind, len(payload), payload)
