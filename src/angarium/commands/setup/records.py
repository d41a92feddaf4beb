"""The DNS records that a new server wants, as lines of a zone file.

Follows RFC 5321 section 5 (MX), RFC 7208 (SPF), RFC 7489 (DMARC), RFC 6186 and RFC 8314 section 5.1 (how clients find
submission and IMAP); the reverse name is not of the same zone and is said in a comment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from angarium.commands.setup.answers import Answers
from angarium.config.interfaces import Interface

_SERVICES = (("submissions", 465), ("submission", 587), ("imaps", 993), ("pop3s", 995))


def public_addresses(interfaces: Sequence[Interface]) -> list[str]:
    """Those of this machine's addresses that the world can reach."""
    return [str(each.ip) for each in interfaces if each.ip.is_global]


def records(answers: Answers, addresses: Sequence[str]) -> Iterator[str]:
    """The records; without a public address the lines for it are left to be filled in."""
    domain, host = answers.domain, answers.hostname
    yield _record(domain, "MX", f"10 {host}.")
    for address in addresses or ("192.0.2.1",):
        note = "" if addresses else "   ; put this machine's public address here"
        yield _record(host, "AAAA" if ":" in address else "A", address) + note
    yield _record(domain, "TXT", '"v=spf1 mx -all"')
    if host != domain:
        yield _record(host, "TXT", '"v=spf1 a -all"')
    yield _record(f"_dmarc.{domain}", "TXT", f'"v=DMARC1; p=none; rua=mailto:postmaster@{domain}"')
    for service, port in _SERVICES:
        yield _record(f"_{service}._tcp.{domain}", "SRV", f"0 1 {port} {host}.")
    for service in ("imap", "pop3"):
        yield _record(f"_{service}._tcp.{domain}", "SRV", "0 0 0 .")
    reverse = ", ".join(addresses) or "the address"
    yield f"; and where the address comes from, the reverse name: {reverse} -> {host}."


def _record(name: str, kind: str, data: str) -> str:
    return f"{name + '.':40} IN {kind:5} {data}"
