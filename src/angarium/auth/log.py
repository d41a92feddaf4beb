"""Log-ins in the log: names that clients claim, and the line of a refused one.

The line has the shape of Dovecot's auth process, which fail2ban's dovecot filter matches.
"""

from __future__ import annotations

from angarium.auth.interface import Refused

AUTH_TAG = "dovecot: auth"
"""The tag under which ``refusal_line`` is logged, when ``auth_verbose`` asks for it."""

_LONGEST = 128
_DELIMITERS = frozenset(" <>(),;\"'")


def shown_user(user: str) -> str:
    """A name that a client claimed, as a log line may hold it.

    What delimits fields in these lines becomes ``?``: else ``x>, rip=192.0.2.1`` would hide the guesser's address from
    fail2ban, or put another's in its place. So do control characters; a long name is cut.
    """
    text = user[:_LONGEST]
    if text.isalnum():
        return text
    return "".join(["?" if char in _DELIMITERS or not char.isprintable() else char for char in text])


def refusal_line(user: str, address: str, session: str, refusal: Refused) -> str:
    """``directory(user,address,<session>): unknown user``: the source of passwords stands first."""
    return f"directory({shown_user(user)},{address},<{session}>): {refusal.reason}"
