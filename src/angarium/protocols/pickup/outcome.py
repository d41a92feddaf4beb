"""Pickup's answer, as the sendmail command ends with it. Imports nothing, for the command has to start fast.

The answer to records is one line, an SMTP reply. A client that leaves its command line to be read by pickup
(``frames.ARGUMENTS``) is told how to end: a line with its exit status, which may be ``LATER``, then what it is to write
to standard error.
"""

from __future__ import annotations

EX_OK, EX_UNAVAILABLE, EX_TEMPFAIL, EX_NOPERM = 0, 69, 75, 77

NOT_ALLOWED = "is not allowed to submit mail"
"""How the text ends that refuses a user; nobody's name goes before it."""

_TRY_AGAIN = (NOT_ALLOWED, "message file too big")
"""Refusals for good with which Postfix's command ends as if they were temporary; so do ours."""

_VERP_DELIMITERS = "-V requires"
_AS_TEMPORARY = ("not authorized to use sender=", "-V ")
"""How texts begin that are the same."""

LATER = 0xFF
"""In place of an exit status: there is no connection for the client, which leaves the message in maildrop then."""

LATER_REPLY = "451 4.3.2 "
"""How the reply begins that says the same."""


def outcome(answer: str) -> tuple[int, str, bool]:
    """Exit status and text of a reply, no text when the message was taken; whether a name goes before the text."""
    if answer.startswith("2"):
        return EX_OK, "", False
    code, _, text = answer.partition(" ")
    status, _, rest = text.partition(" ")
    if status.count(".") == 2:
        text = rest
    named = not text.endswith(NOT_ALLOWED) and not text.startswith(_VERP_DELIMITERS)
    if code.startswith("4") or text.endswith(_TRY_AGAIN) or text.startswith(_AS_TEMPORARY):
        return EX_TEMPFAIL, text, named
    return (EX_NOPERM if answer.startswith(("550 5.7.", "554 5.7.")) else EX_UNAVAILABLE), text, named


def ending(answer: str, name: str, notes: tuple[str, ...]) -> bytes:
    """What a client is told that has sent its command line; ``name`` is what goes before the text."""
    if answer.startswith(LATER_REPLY):
        return b"%d\n" % LATER
    status, text, named = outcome(answer)
    lines = [*notes, f"sendmail: fatal: {f'{name}: ' if named else ''}{text}"] if text else notes
    return b"%d\n" % status + "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
