"""What a new server has to be told: its name, its domain, its first account, its certificate.

Frozen, and checked when it is made: a host name that no other server would accept is refused here and not by the
first message, and an account that cannot be before anything is written. Follows RFC 1123 section 2.1 for names.
"""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from angarium.directory.interface import InvalidNameError
from angarium.directory.names import fold_address

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


class AnswerError(ValueError):
    """An answer that cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers.

    Attributes:
        hostname: fully qualified, in lower case.
        domain: the first domain that the server receives mail for.
        account: the first account, whole and folded; it gets the mail for postmaster, abuse and root.
        certificate: a PEM file, or empty: one is made.
        key: its key's file, or empty.

    Raises:
        AnswerError: a name or an address is none, or a certificate comes without its key.
    """

    hostname: str
    domain: str
    account: str
    certificate: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        check_name("host name", self.hostname)
        check_name("domain", self.domain)
        if check_account(self.account).rpartition("@")[2] != self.domain:
            raise AnswerError(f"the first account must be an address in {self.domain}: {self.account!r}")
        if bool(self.certificate) != bool(self.key):
            raise AnswerError("a certificate and its key go together")


def check_name(what: str, name: str) -> None:
    """Refuse what cannot be looked up. Raises AnswerError."""
    labels = name.split(".")
    if len(labels) < 2 or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise AnswerError(f"not a fully qualified {what}, such as mail.example.com: {name!r}")
    if labels[-1].isdigit():
        raise AnswerError(f"a {what} is no IP address: {name!r}")


def check_account(address: str) -> str:
    """The name that an account of this address has. Raises AnswerError."""
    try:
        return fold_address(address)
    except InvalidNameError as error:
        raise AnswerError(str(error)) from error


def check_certificate(certificate: Path, key: Path) -> None:
    """Refuse files that no service could offer TLS with. Raises AnswerError."""
    for path in (certificate, key):
        if not path.is_file():
            raise AnswerError(f"there is no file {path}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        reason = getattr(error, "reason", None) or error
        raise AnswerError(f"not a certificate and its key in PEM: {certificate}, {key}: {reason}") from error


def likely_hostname() -> str:
    """What the machine calls itself, when that is a full name; else empty."""
    name = socket.getfqdn().lower().rstrip(".")
    try:
        check_name("host name", name)
    except AnswerError:
        return ""
    return "" if name.startswith("localhost.") else name


def likely_domain(hostname: str) -> str:
    """``example.com`` for ``mail.example.com``, and the name itself when there is nothing to cut off."""
    above = hostname.partition(".")[2]
    return above if "." in above else hostname
