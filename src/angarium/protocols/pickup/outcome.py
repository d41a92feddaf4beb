"""Pickup's answer, as the sendmail command ends with it. Imports nothing, for the command has to start fast.

The answer to records is one line, an SMTP reply. A client that leaves its command line to be read by pickup
(``frames.ARGUMENTS``) is told how to end: a line with its exit status, which may be ``LATER``, then what it is to write
to standard error.
"""

from __future__ import annotations

EX_OK, EX_UNAVAILABLE, EX_TEMPFAIL, EX_NOPERM = 0, 69, 75, 77

LATER = 0xFF
"""In place of an exit status: there is no connection for the client, which leaves the message in maildrop then."""

LATER_REPLY = "451 4.3.2 "
"""How the reply begins that says the same."""


def outcome(answer: str) -> tuple[int, str]:
    """Exit status and text of a reply; no text when the message was taken."""
    if answer.startswith("2"):
        return EX_OK, ""
    code, _, text = answer.partition(" ")
    status, _, rest = text.partition(" ")
    if status.count(".") == 2:
        text = rest
    if answer.startswith(("550 5.7.", "554 5.7.")):
        return EX_NOPERM, text
    return (EX_TEMPFAIL if code.startswith("4") else EX_UNAVAILABLE), text


def ending(answer: str, user: str, notes: tuple[str, ...]) -> bytes:
    """What a client is told that has sent its command line."""
    if answer.startswith(LATER_REPLY):
        return b"%d\n" % LATER
    status, text = outcome(answer)
    lines = [*notes, f"sendmail: fatal: {user}: {text}"] if text else notes
    return b"%d\n" % status + "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
