"""The header lines that say how a message came in (RFC 5321 section 4.4), and the date and message id of ours.

Lines are in wire form. Text that a client chose is shown as it is, save for what cannot stand in a header line.
"""

from __future__ import annotations

import time
from functools import lru_cache

from angarium.cleanup.parameters import CleanupParameters
from angarium.model.envelope import Envelope, Origin

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@lru_cache(maxsize=4)
def mail_date(second: int) -> str:
    """``Tue, 24 Nov 2026 07:58:42 +0000 (UTC)`` in the local zone (RFC 5322 section 3.3)."""
    local = time.localtime(second)
    minutes = local.tm_gmtoff // 60
    sign = "-" if minutes < 0 else "+"
    hours, rest = divmod(abs(minutes), 60)
    return (
        f"{_DAYS[local.tm_wday]}, {local.tm_mday:2d} {_MONTHS[local.tm_mon - 1]} {local.tm_year} "
        f"{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d} {sign}{hours:02d}{rest:02d} ({local.tm_zone})"
    )


def message_id(queue_id: str, hostname: str, second: float) -> str:
    """``<20261124075842.B6FFC20C414@host>``: the time in UTC and the queue id."""
    return f"<{time.strftime('%Y%m%d%H%M%S', time.gmtime(second))}.{queue_id}@{hostname}>"


_SPECIAL = frozenset('()<>[]:;@\\,"')


def quote_local(address: str) -> str:
    """The address as RFC 5322 writes it: a local part with anything special in double quotes."""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
    plain = local and not local.startswith(".") and not local.endswith(".") and ".." not in local
    if plain and not any(char in _SPECIAL or char <= " " or char == "\x7f" for char in local):
        return address
    if not local and not at:
        return address
    escaped = local.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\\r")
    return f'"{escaped}"{at}{domain}'


def received(queue_id: str, envelope: Envelope, parameters: CleanupParameters) -> bytes:
    """The Received header of one message: from a client, from a local user, or (a report) from ourselves."""
    origin = envelope.origin
    date = mail_date(int(envelope.arrival))
    if not origin.client_address:
        user = "" if origin.uid is None else f", from userid {origin.uid}"
        text = f"Received: by {parameters.myhostname} ({parameters.mail_name}{user})\r\n\tid {queue_id}; {date}\r\n"
        return text.encode("utf-8", "surrogateescape")
    ident = f" id {queue_id}" if queue_id else ""
    if parameters.smtpd_hide_client_session:
        by = f"Received: by {parameters.myhostname} ({parameters.mail_name}){ident}"
        return _safe(by + _for(envelope, date)).encode("utf-8", "surrogateescape")
    helo = _printable(origin.helo or origin.client_name)
    lines = [f"Received: from {helo} ({origin.client_name} [{_literal(origin)}])\r\n"]
    if parameters.smtpd_tls_received_header and origin.tls:
        tls = origin.tls.replace(" key-exchange", "\r\n\t key-exchange")
        tls = tls.replace(" client-signature", "\r\n\t client-signature")
        client = _printable(origin.tls_client or "No client certificate requested")
        lines.append(f"\t(using {tls})\r\n\t({client})\r\n")
    if parameters.smtpd_sasl_authenticated_header and origin.sasl_username:
        lines.append(f"\t(Authenticated sender: {_comment(origin.sasl_username)})\r\n")
    by = f"\tby {parameters.myhostname} ({parameters.mail_name}) with {_with(envelope)}{ident}"
    lines.append(by + _for(envelope, date))
    return _safe("".join(lines)).encode("utf-8", "surrogateescape")


def _for(envelope: Envelope, date: str) -> str:
    """The end of a Received header: the recipient when there is but one, and the date."""
    if len(envelope.recipients) == 1:
        return f"\r\n\tfor <{quote_local(envelope.recipients[0].original)}>; {date}\r\n"
    return f";\r\n\t{date}\r\n"


def _literal(origin: Origin) -> str:
    return f"IPv6:{origin.client_address}" if ":" in origin.client_address else origin.client_address


def _with(envelope: Envelope) -> str:
    """RFC 3848 and RFC 6531 section 4.3: the protocol, ``S`` for TLS, ``A`` for a log-in."""
    origin = envelope.origin
    if envelope.smtputf8:
        base = "UTF8SMTP"
    elif origin.protocol.startswith("ESMTP"):
        base = "ESMTP"
    elif origin.protocol.startswith("LMTP"):
        base = "LMTP"
    else:
        return origin.protocol
    return f"{base}{'S' if origin.tls else ''}{'A' if origin.sasl_username else ''}"


def _comment(text: str) -> str:
    """Text inside a comment: what would end it is replaced."""
    return "".join("?" if char in "()\\\r\n" else char for char in text)


def _printable(text: str) -> str:
    """A client's own words, without what cannot be seen."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def _safe(text: str) -> str:
    """A NUL has no place in a header of ours."""
    return text.replace("\0", "?") if "\0" in text else text
