"""posttls-finger(1): connects to a server and tells about its TLS.

==================  ===========================================================================
``-a FAMILY``       ipv4, ipv6 or any
``-A FILE``         a trust anchor in place of the authorities; any number of files
``-c``              do not show what is said
``-C``              print the server's certificate, in PEM
``-d DIGEST``       of fingerprints (smtp_tls_fingerprint_digest)
``-F`` ``-P``       a file, a directory of trusted authorities, in place of the system's
``-g`` ``-p``       the cipher grade (medium), the protocols (>=TLSv1)
``-h``              how hosts are looked up (smtp_host_lookup)
``-H FILES``        keys, each followed by its certificates, for the client
``-k`` ``-K``       the client's certificate and key
``-l LEVEL``        none, may, encrypt, fingerprint, verify or secure (secure without; so is dane)
``-L OPTIONS``      what of TLS is told: routine (a line a session), peercert, certmatch; none; all three without
``-m NUMBER``       how often to connect again at most, with ``-r`` (5)
``-o name=value``   a parameter of main.cf
``-r SECONDS``      connect again after this time, and tell whether the TLS session is used again
``-s NAME``         the server name for SNI
``-S``              LMTP
``-t`` ``-T``       seconds for connecting and the greeting; for a command (30)
``-w``              TLS from the start, as on port 465
``-v``              accepted
==================  ===========================================================================

The operands are ``[inet:]domain[:port]``, ``[host]:port`` or, with ``-S``, ``unix:path``; then names that the
certificate may bear, or with ``fingerprint`` its fingerprints or its key's. ``-f -M -X`` (DANE) are not supported and
said to be so; nor are the dumps of ``-L``.

A chain that cannot be verified is told, and the server is asked once more without verification, so that its session and
fingerprints are seen all the same. Exit status 0, also when no host of
the destination could be asked, as Postfix's has it; 1 for a wrong call and a destination that is none.
"""

from __future__ import annotations

import asyncio
import getopt
import socket
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from angarium.agents.smtp.destination import Destination, destinations
from angarium.agents.smtp.hosts import HostFinder, Target
from angarium.agents.smtp.parameters import SmtpParameters
from angarium.agents.smtp.trouble import TroubleError
from angarium.commands.command import Command, CommandError
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.master.node import Node
from angarium.runtime.log import MemoryLog
from angarium.runtime.tls import (
    ClientTls,
    SecurityLevel,
    TlsError,
    client_context,
    describe_session,
    fingerprints,
    matches_certificate,
)

USAGE = "usage: posttls-finger [options] [inet:]domain[:port] [match ...] | posttls-finger -S unix:pathname [match ...]"
_OPTIONS = "a:A:cCd:fF:g:h:H:k:K:l:L:m:M:o:p:P:r:s:St:T:vwX"
_UNSUPPORTED = ("-f", "-M", "-X")
_LEVELS = ("none", "may", "encrypt", "fingerprint", "verify", "secure", "dane", "dane-only")
_TOLD = {
    "0": (),
    "none": (),
    **dict.fromkeys(("1", "routine", "summary"), ("routine",)),
    **dict.fromkeys(
        ("2", "debug", "3", "ssl-expert", "4", "ssl-developer", "verbose"), ("routine", "peercert", "certmatch")
    ),
    **dict.fromkeys(("ssl-debug", "ssl-handshake-packet-dump", "ssl-session-packet-dump", "untrusted", "cache"), ()),
    "peercert": ("peercert",),
    "certmatch": ("certmatch",),
}
"""What each word of ``-L`` has told."""
_FAMILIES = {"any": socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_LINES = 200
_LINE = 8192


class _Failed(Exception):  # noqa: N818 - an end of one attempt, told once
    """This host cannot be asked."""


def say(text: str) -> None:
    """One line for the administrator, on standard output as Postfix's has it."""
    print(f"posttls-finger: {text}")


@dataclass(frozen=True, slots=True)
class Probe:
    """What is to be found out.

    Attributes:
        tls: how.
        names: what the certificate may bear; empty: the host, and with ``secure`` what is below the domain.
        digest: of fingerprints.
        sni: the server name to send.
        hello: ``EHLO name`` or ``LHLO name``.
        chat: show what is said.
        pem: print the certificate.
        told: some of ``routine``, ``peercert``, ``certmatch``.
        anchors: files of trust anchors.
        prints: fingerprints, one of which the certificate or its key must have; None: they are not asked for.
        wrapped: TLS from the start.
        connecting: seconds.
        command: seconds.
    """

    tls: ClientTls
    names: tuple[str, ...]
    digest: str
    sni: str
    hello: str
    chat: bool = True
    pem: bool = False
    told: frozenset[str] = frozenset({"routine", "peercert", "certmatch"})
    anchors: tuple[str, ...] = ()
    prints: frozenset[str] | None = None
    wrapped: bool = False
    connecting: float = 30.0
    command: float = 30.0

    def ask(self, target: Target, family: socket.AddressFamily, again: Again | None = None) -> None:
        """Ask one host, and with ``again`` more than once. Raises _Failed."""
        try:
            trusted, problem = True, ""
            known = _Known(self._context(self.tls))
            try:
                self._session(target, family, known, trusted=self.tls.level.verifies)
            except ssl.SSLCertVerificationError as error:
                trusted, problem = False, error.verify_message
            if not trusted:
                say(f"certificate verification failed for {target.relay}: {problem}")
                relaxed = ClientTls(SecurityLevel.ENCRYPT, self.tls.protocols, self.tls.ciphers)
                known = _Known(client_context(relaxed))
                self._session(target, family, known, trusted=False)
            for _number in range(again.most if again is not None else 0):
                assert again is not None
                say(f"Reconnecting after {again.delay:g} seconds")
                time.sleep(again.delay)
                self._session(target, family, known, trusted=trusted and self.tls.level.verifies)
                if known.used_again:
                    say("Found a previously used server.  Done reconnecting.")
                    break
        except TimeoutError as error:
            raise _Failed("connection timed out") from error
        except (OSError, TlsError) as error:
            raise _Failed(str(getattr(error, "strerror", "") or error)) from error

    def _context(self, tls: ClientTls) -> ssl.SSLContext:
        context = client_context(tls)
        for name in self.anchors:
            context.load_verify_locations(cafile=name)
        if self.anchors:
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def _session(self, target: Target, family: socket.AddressFamily, known: _Known, *, trusted: bool) -> None:
        connection = _Connection(_connect(target, family, self.connecting), chat=self.chat)
        try:
            if self.wrapped:
                self._start(connection, target, known, trusted=trusted)
            elif self.chat:
                say(f"Connected to {target.relay}")
            connection.expect("2")
            connection.timeout(self.command)
            offered = connection.command(self.hello, "2")
            if not self.wrapped and self.tls.level is not SecurityLevel.NONE:
                if not any(line[4:].strip().upper() == "STARTTLS" for line in offered):
                    say(f"STARTTLS is not offered by {target.relay}")
                else:
                    connection.command("STARTTLS", "2")
                    self._start(connection, target, known, trusted=trusted)
                    connection.command(self.hello, "2")
            connection.command("QUIT", "2")
            known.remember(connection)
        finally:
            connection.close()

    def _start(self, connection: _Connection, target: Target, known: _Known, *, trusted: bool) -> None:
        session = connection.start_tls(known, self.sni or target.host)
        if session.session_reused:
            known.used_again = True
            say(f"{target.relay}: Reusing old session")
        certificate = session.getpeercert(binary_form=True)
        if certificate is None:
            raise _Failed("no certificate")
        status = "Verified" if self._is_verified(session, certificate, target, trusted=trusted) else "Untrusted"
        if self.told & {"peercert", "certmatch"} and not session.session_reused:
            first, second = fingerprints(certificate, self.digest)
            subject, issuer = _common_names(certificate)
            say(
                f"{target.relay}: subject_CN={subject}, issuer_CN={issuer}, fingerprint={first.upper()}, "
                f"pkey_fingerprint={second.upper()}"
            )
        if "routine" in self.told:
            say(f"{status} TLS connection established to {target.relay}: {describe_session(session)}")
        if self.pem:
            sys.stdout.write(ssl.DER_cert_to_PEM_cert(certificate))

    def _is_verified(self, session: ssl.SSLSocket, certificate: bytes, target: Target, *, trusted: bool) -> bool:
        """Whether the certificate is the one that is wanted; tells by what it was matched."""
        if self.prints is not None:
            seen = [each.replace(":", "").upper() for each in fingerprints(certificate, self.digest)]
            matched = next((each for each in seen if each in self.prints), "")
            if matched and "certmatch" in self.told:
                say(f"{target.relay}: Matched fingerprint: {matched}")
            elif self.prints and not matched:
                say(f"server certificate verification failed for {target.relay}: num=65:no matching DANE TLSA records")
            return bool(matched)
        # A name that is an address is never matched, as in Postfix.
        names = [name for name in self.names or (target.host,) if not _is_address(name)]
        shown = session.getpeercert() if trusted else None
        if shown is None or not matches_certificate(shown, names):
            return False
        for pair in shown.get("subjectAltName", ()) if "certmatch" in self.told else ():
            if pair[0] == "DNS" and matches_certificate({"subjectAltName": (pair,)}, names):
                say(f"{target.relay}: matched peername: {pair[1]}")
                break
        return True


@dataclass(frozen=True, slots=True)
class Again:
    """``-r`` and ``-m``."""

    delay: float
    most: int


class _Known:
    """What is kept from one session with a server to the next."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.session: ssl.SSLSession | None = None
        self.used_again = False

    def remember(self, connection: _Connection) -> None:
        """Keep the TLS session, now that the server has had the time to give out its tickets."""
        self.session = connection.session or self.session


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _common_names(certificate: bytes) -> tuple[str, str]:
    from cryptography import x509  # late, as in runtime.tls
    from cryptography.x509.oid import NameOID

    parsed = x509.load_der_x509_certificate(certificate)
    first, second = (
        next((str(each.value) for each in name.get_attributes_for_oid(NameOID.COMMON_NAME)), "")
        for name in (parsed.subject, parsed.issuer)
    )
    return first, second


def _connect(target: Target, family: socket.AddressFamily, timeout: float) -> socket.socket:
    if target.address.startswith("/"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        connection.connect(target.address)
        return connection
    if family != socket.AF_UNSPEC and (":" in target.address) != (family == socket.AF_INET6):
        raise _Failed("no address of the family that -a names")
    return socket.create_connection((target.address, target.port), timeout)


class _Connection:
    """A session in lockstep."""

    def __init__(self, plain: socket.socket, *, chat: bool) -> None:
        self._socket: socket.socket | ssl.SSLSocket = plain
        self._file = plain.makefile("rb")
        self._chat = chat

    def timeout(self, seconds: float) -> None:
        self._socket.settimeout(seconds)

    def command(self, text: str, expected: str) -> list[str]:
        """Say something; the lines of the answer. Raises _Failed when it begins with something else."""
        if self._chat:
            say(f"> {text}")
        self._socket.sendall(text.encode() + b"\r\n")
        return self.expect(expected)

    def expect(self, expected: str) -> list[str]:
        """Read an answer."""
        lines: list[str] = []
        while len(lines) < _LINES:
            data = self._file.readline(_LINE)
            if not data:
                raise _Failed("lost connection")
            line = data.decode("utf-8", "replace").rstrip("\r\n")
            lines.append(line)
            if self._chat:
                say(f"< {line if line.isprintable() else ascii(line)}")
            if line[3:4] != "-":
                break
        if not lines[-1].startswith(expected):
            raise _Failed(f"unexpected answer: {lines[-1]}")
        return lines

    @property
    def session(self) -> ssl.SSLSession | None:
        """The TLS session; None without TLS."""
        return self._socket.session if isinstance(self._socket, ssl.SSLSocket) else None

    def start_tls(self, known: _Known, name: str) -> ssl.SSLSocket:
        session = known.context.wrap_socket(self._socket, server_hostname=name, session=known.session)
        self._file.close()
        self._socket = session
        self._file = session.makefile("rb")
        return session

    def close(self) -> None:
        self._file.close()
        self._socket.close()


# The command line


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    try:
        pairs, operands = getopt.getopt(list(sys.argv[1:] if argv is None else argv), _OPTIONS)
        return run(pairs, operands)
    except getopt.GetoptError as error:
        say(f"fatal: {error}\n{USAGE}")
    except (CommandError, ConfigError) as error:
        say(f"fatal: {error}")
    return 1


def run(pairs: Sequence[tuple[str, str]], operands: Sequence[str]) -> int:
    """Ask the hosts of the destination until one answers. Raises CommandError and ConfigError."""
    if not operands:
        raise CommandError(USAGE)
    options = dict(pairs)
    for option in _UNSUPPORTED:
        if option in options:
            say(f"warning: {option} is not supported")
    config = _config(pairs)
    probe = _probe(config, pairs, operands[0], tuple(operands[1:]))
    family = _FAMILIES.get(options.get("-a", "any"))
    if family is None:
        raise CommandError(f"bad '-a' option value: {options['-a']}")
    again = None
    if _seconds(options, "-r", "0") > 0:
        most = options.get("-m", "5")
        again = Again(_seconds(options, "-r", "0"), int(most) if most.isdigit() and int(most) else 5)
    for target in _targets(config, operands[0], 24 if "-S" in options else 25):
        try:
            probe.ask(target, family, again)
        except _Failed as error:
            say(f"Failed to establish session to {operands[0]} via {target.relay}: {error}")
        else:
            return 0
    return 0


def _config(pairs: Sequence[tuple[str, str]]) -> Config:
    settings = {}
    for option, value in pairs:
        if option == "-o":
            name, equals, text = value.partition("=")
            if not equals:
                raise CommandError(f"missing '=' after parameter name: {value}")
            settings[name.strip()] = text.strip()
        elif option == "-h":
            settings["smtp_host_lookup"] = value
    base = Command("posttls-finger", None).config
    return base.overlay(settings) if settings else base


def _seconds(options: Mapping[str, str], option: str, default: str) -> float:
    try:
        return float(options.get(option, default))
    except ValueError as error:
        raise CommandError(f"bad number of seconds: {error}") from error


def _told(text: str) -> frozenset[str]:
    """What ``-L`` wants to be told."""
    told: set[str] = set()
    for word in text.replace(",", " ").split():
        if word not in _TOLD:
            say(f'warning: unknown -L option value "{word}" in "{text}"')
        told.update(_TOLD.get(word, ()))
    return frozenset(told)


def _probe(config: Config, pairs: Sequence[tuple[str, str]], destination: str, names: tuple[str, ...]) -> Probe:
    options = dict(pairs)
    level = options.get("-l", "secure")
    if level not in _LEVELS:
        raise CommandError(f'Invalid TLS level "{level}"')
    prints = None
    if level == "fingerprint":
        # Without verification by authorities, and with it when there is nothing to compare, as in Postfix.
        prints = frozenset(name.replace(":", "").upper() for name in names)
        names = ()
    verified = {"fingerprint": "encrypt" if prints else "verify", "dane": "secure", "dane-only": "secure"}
    anchors = tuple(value for option, value in pairs if option == "-A")
    tls = ClientTls(
        SecurityLevel(verified.get(level, level)),
        options.get("-p", ">=TLSv1"),
        options.get("-g", "medium"),
        ca_file=anchors[0] if anchors else options.get("-F", ""),
        ca_path="" if anchors else options.get("-P", ""),
        cert_file=options.get("-k", options.get("-K", "")),
        key_file=options.get("-K", options.get("-k", "")),
        chain_files=tuple(name for o, value in pairs if o == "-H" for name in value.replace(",", " ").split()),
    )
    if level == "secure" and not names and not destination.startswith(("[", "unix:")):
        domain = destination.removeprefix("inet:").partition(":")[0]
        names = (domain, "." + domain)
    return Probe(
        tls,
        names,
        options.get("-d", config.text("smtp_tls_fingerprint_digest")),
        options.get("-s", ""),
        f"{'LHLO' if '-S' in options else 'EHLO'} {config.text('myhostname')}",
        chat="-c" not in options,
        pem="-C" in options,
        told=_told(options["-L"]) if "-L" in options else frozenset({"routine", "peercert", "certmatch"}),
        anchors=anchors,
        prints=prints,
        wrapped="-w" in options,
        connecting=_seconds(options, "-t", "30"),
        command=_seconds(options, "-T", "30"),
    )


def _targets(config: Config, text: str, port: int) -> Sequence[Target]:
    """Where to connect to. Raises CommandError."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        return [Target(path, path, 0)]
    try:
        place: Destination = destinations(text, port)[0]
        # This host may be asked, too: nothing loops.
        parameters = replace(SmtpParameters.from_config(config), own_addresses=frozenset())
        finder = HostFinder(parameters, Node(config, MemoryLog()).dns)
        return asyncio.run(_found(finder, place))
    except ValueError as error:
        raise CommandError(str(error)) from error
    except TroubleError as trouble:
        raise CommandError(f"destination {text}: {trouble.text}") from trouble


async def _found(finder: HostFinder, place: Destination) -> Sequence[Target]:
    return await finder.find(place)


if __name__ == "__main__":
    sys.exit(main())
