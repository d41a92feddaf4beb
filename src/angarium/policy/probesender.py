"""Who asks in address verification (postconf(5) ``address_verify_sender``, ``address_verify_sender_ttl``).

With a time to live the local part ends with the number of the present period, so that an address that strangers have
collected is soon worth nothing. Such an address takes mail, as servers that are asked may ask back.
"""

from __future__ import annotations

_DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZ"


def probe_sender(sender: str, ttl: float, now: float) -> str:
    """The sender of a probe at ``now``, in seconds since the epoch; ``ttl`` 0: always the same."""
    return _in_period(sender, int(now // ttl)) if ttl > 0 and sender else sender


def is_probe_sender(local: str, sender: str, ttl: float, now: float) -> bool:
    """Whether a local part is that of a probe of this period, or of one beside it."""
    if ttl <= 0 or not sender:
        return False
    period = int(now // ttl)
    asked = (_in_period(sender, each).partition("@")[0].lower() for each in (period, period - 1, period + 1))
    return local.lower() in asked


def _in_period(sender: str, period: int) -> str:
    local, at, domain = sender.partition("@")
    digits = ""
    while period or not digits:
        period, digit = divmod(period, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return f"{local}{digits}{at}{domain}"
