"""The headers that a message of a local client must have, made when it has them not (RFC 6409 section 8).

Message-Id, Date and From, or their Resent- forms in a message that is resent, and undisclosed_recipients_header. A full
name that is not ASCII becomes encoded words (full_name_encoding_charset).
"""

from __future__ import annotations

from angarium.cleanup.headers import HeaderBlock
from angarium.cleanup.parameters import CleanupParameters
from angarium.cleanup.received import mail_date, message_id, quote_local
from angarium.protocols.mime.words import encode_words


class MissingHeaders:
    """What one configuration adds."""

    def __init__(self, parameters: CleanupParameters) -> None:
        self._parameters = parameters

    def lines(self, queue_id: str, sender: str, arrival: float, header: HeaderBlock, full_name: str) -> bytes:
        """The headers that ``header`` has not, in wire form. ``full_name`` is the sender's."""
        parameters = self._parameters
        resent = b"resent-" if b"\nresent-" in header.folded else b""
        label = "Resent-" if resent else ""
        lines: list[str] = []
        if not header.has(resent + b"message-id"):
            lines.append(f"{label}Message-Id: {message_id(queue_id, parameters.myhostname, arrival)}")
        if not header.has(resent + b"date"):
            lines.append(f"{label}Date: {mail_date(int(arrival))}")
        if not header.has(resent + b"from"):
            lines.append(f"{label}From: {self._from(sender, full_name)}")
        undisclosed = parameters.undisclosed_recipients_header
        if undisclosed and not any(header.has(name) for name in (b"to", b"cc", b"resent-to", b"resent-cc")):
            lines.append(undisclosed)
        return "".join(line + "\r\n" for line in lines).encode("utf-8", "surrogateescape")

    def _from(self, sender: str, full_name: str) -> str:
        if not sender:
            return "MAILER-DAEMON"
        address = quote_local(sender)
        charset = self._parameters.full_name_encoding_charset
        if charset and not full_name.isascii():
            full_name = encode_words(full_name.strip(), charset)
            obsolete = self._parameters.header_from_format == "obsolete"
            return f"{address} ({full_name})" if obsolete else f"{full_name} <{address}>"
        if full_name and self._parameters.header_from_format == "obsolete":
            return f"{address} ({_comment(full_name)})"
        return f"{_phrase(full_name)} <{address}>" if full_name else address


def _comment(name: str) -> str:
    """A name as the inside of a comment: what would end it early is escaped."""
    name = name.replace("\r", " ").replace("\n", " ").strip()
    depth = lowest = 0
    for char in name:
        depth += (char == "(") - (char == ")")
        lowest = min(lowest, depth)
    if depth == lowest == 0 and not name.endswith("\\"):
        return name
    return name.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


_PHRASE = frozenset("!#$%&'*+-/=?^_`{|}~ ")


def _phrase(name: str) -> str:
    """A display name, quoted when RFC 5322 section 3.2.5 wants it."""
    name = name.replace("\r", " ").replace("\n", " ").strip()
    if all(char.isalnum() or char in _PHRASE for char in name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
