"""The log line of a refused log-in in the shape of Dovecot's auth process, which fail2ban's dovecot filter matches."""

from __future__ import annotations

from angarium.auth.interface import Refused

AUTH_TAG = "dovecot: auth"
"""The tag under which ``refusal_line`` is logged, when ``auth_verbose`` asks for it."""


def refusal_line(user: str, address: str, session: str, refusal: Refused) -> str:
    """``directory(user,address,<session>): unknown user``: the source of passwords stands first."""
    return f"directory({user},{address},<{session}>): {refusal.reason}"
