"""Which command is valid in which state (RFC 9051 sections 3 and 6), as a table.

A command outside its states is answered ``BAD`` before its arguments are looked at. A verb that is not here is
unknown. ``UID`` is no row: its five forms stand here by their full names.
"""

from __future__ import annotations

import enum


class State(enum.Flag):
    """Where a connection stands."""

    NOT_AUTHENTICATED = 1
    AUTHENTICATED = 2
    SELECTED = 4
    LOGOUT = 8


_ANY = State.NOT_AUTHENTICATED | State.AUTHENTICATED | State.SELECTED
_KNOWN = State.AUTHENTICATED | State.SELECTED

COMMANDS: dict[str, State] = {
    # any state: section 6.1, RFC 2971
    "CAPABILITY": _ANY,
    "NOOP": _ANY,
    "LOGOUT": _ANY,
    "ID": _ANY,
    # not authenticated: section 6.2
    "STARTTLS": State.NOT_AUTHENTICATED,
    "AUTHENTICATE": State.NOT_AUTHENTICATED,
    "LOGIN": State.NOT_AUTHENTICATED,
    # authenticated or selected: section 6.3, RFC 9208
    "ENABLE": _KNOWN,
    "SELECT": _KNOWN,
    "EXAMINE": _KNOWN,
    "CREATE": _KNOWN,
    "DELETE": _KNOWN,
    "RENAME": _KNOWN,
    "SUBSCRIBE": _KNOWN,
    "UNSUBSCRIBE": _KNOWN,
    "LIST": _KNOWN,
    "LSUB": _KNOWN,
    "NAMESPACE": _KNOWN,
    "STATUS": _KNOWN,
    "APPEND": _KNOWN,
    "IDLE": _KNOWN,
    "GETQUOTA": _KNOWN,
    "GETQUOTAROOT": _KNOWN,
    "SETQUOTA": _KNOWN,
    # selected: section 6.4; CHECK is RFC 3501 section 6.4.1
    "CHECK": State.SELECTED,
    "CLOSE": State.SELECTED,
    "UNSELECT": State.SELECTED,
    "EXPUNGE": State.SELECTED,
    "SEARCH": State.SELECTED,
    "FETCH": State.SELECTED,
    "STORE": State.SELECTED,
    "COPY": State.SELECTED,
    "MOVE": State.SELECTED,
    "UID EXPUNGE": State.SELECTED,
    "UID SEARCH": State.SELECTED,
    "UID FETCH": State.SELECTED,
    "UID STORE": State.SELECTED,
    "UID COPY": State.SELECTED,
    "UID MOVE": State.SELECTED,
}

EXPUNGE_WITHHELD = frozenset({"FETCH", "STORE", "SEARCH"})
"""While these run by message number, no EXPUNGE is shown (RFC 9051 section 7.5.1)."""
