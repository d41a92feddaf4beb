"""The demo's site: a directory that holds everything one server has, from main.cf to the mailboxes.

Guarantees: what is there stays; only what is missing is made. So a second start keeps the CA, the accounts, the
passwords and the mail.

Fails with OSError, or subprocess.CalledProcessError when one of the administrator's commands refuses.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from angarium.runtime.authority import Authority


@dataclass(frozen=True, slots=True)
class Ports:
    """The TCP ports of a site."""

    smtp: int = 2525
    submission: int = 2587
    submissions: int = 2465
    imap: int = 2143
    imaps: int = 2993
    pop3: int = 2110
    pop3s: int = 2995


@dataclass(frozen=True, slots=True)
class Site:
    """One server's files.

    Attributes:
        root: the directory.
        domain: the domain that it receives mail for.
        host: the loopback address that its services listen on; servers with addresses of their own do not collide.
        ports: where its services listen.
        parameters: main.cf parameters on top of the site's own, or instead of them.
    """

    root: Path
    domain: str = "example.test"
    host: str = "127.0.0.1"
    ports: Ports = field(default_factory=Ports)
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def configuration(self) -> Path:
        """The directory of main.cf and master.cf, as ``-c`` wants it."""
        return self.root / "etc"

    @property
    def log(self) -> Path:
        """The mail log."""
        return self.root / "log" / "mail.log"

    @property
    def authority(self) -> Path:
        """The certificate that clients are told to trust."""
        return self.root / "tls" / "ca.pem"

    @property
    def hostname(self) -> str:
        """The server's own name."""
        return f"mail.{self.domain}"

    def prepare(self, names: tuple[str, ...] = ("alice", "bob")) -> dict[str, str]:
        """Make what is missing; return the passwords of the accounts by address."""
        for directory in ("etc", "spool", "lib", "mail", "log", "tls"):
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        authority = Authority.ensure(self.root / "tls", f"Angarium demo CA of {self.domain}")
        authority.issue(self.root / "tls", (self.hostname, "localhost", self.host))
        self._write(self.configuration / "main.cf", self._main_cf())
        self._write(self.configuration / "master.cf", self._master_cf())
        return self._accounts(names)

    def command(self, *words: str) -> list[str]:
        """An administrator's command with this site's configuration: ``command("postqueue", "-p")``."""
        return [str(Path(sys.executable).with_name(words[0])), "-c", str(self.configuration), *words[1:]]

    def administer(self, *words: str, text: str = "") -> str:
        """Run a command and return what it prints. Raises CalledProcessError."""
        done = subprocess.run(self.command(*words), input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr)
        return done.stdout

    @staticmethod
    def _write(path: Path, text: str) -> None:
        if not path.exists():
            path.write_text(text, encoding="utf-8")

    def _accounts(self, names: tuple[str, ...]) -> dict[str, str]:
        """Create the domain and the accounts once; their passwords are kept in a file only their owner reads."""
        path = self.root / "passwords.json"
        if path.exists():
            kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
            return kept
        self.administer("angarium", "domain", "add", self.domain)
        passwords = {f"{name}@{self.domain}": secrets.token_urlsafe(12) for name in names}
        for address, password in passwords.items():
            self.administer("angarium", "account", "add", address, text=password + "\n")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(passwords, file, indent=1)
        return passwords

    def _main_cf(self) -> str:
        settings = {
            "compatibility_level": "3.6",
            "mail_owner": getpass.getuser(),
            "queue_directory": str(self.root / "spool"),
            "data_directory": str(self.root / "lib"),
            "virtual_mailbox_base": str(self.root / "mail"),
            "maillog_file": str(self.log),
            "myhostname": self.hostname,
            "mydomain": self.domain,
            "myorigin": "$mydomain",
            "mydestination": "",
            "inet_interfaces": self.host,
            "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.1/32",
            "relayhost": "",
            "virtual_mailbox_domains": "directory:domains",
            "virtual_mailbox_maps": "directory:accounts",
            "virtual_alias_maps": "directory:aliases",
            "alias_maps": "",
            "local_recipient_maps": "",
            "recipient_delimiter": "+",
            "smtpd_tls_security_level": "may",
            "smtpd_tls_cert_file": str(self.root / "tls" / "server.pem"),
            "smtpd_tls_key_file": str(self.root / "tls" / "server.key"),
            "smtpd_tls_loglevel": "1",
            "smtpd_tls_received_header": "yes",
            "smtp_tls_security_level": "may",
        }
        lines = [f"{name} = {value}".rstrip() for name, value in (settings | dict(self.parameters)).items()]
        return "# A demo server on loopback. Everything it has lies beside this directory.\n" + "\n".join(lines) + "\n"

    def _master_cf(self) -> str:
        ports = self.ports
        rows = [
            (f"{self.host}:{ports.smtp}", "inet", "smtpd", ()),
            (f"{self.host}:{ports.submission}", "inet", "smtpd", _SUBMISSION),
            (f"{self.host}:{ports.submissions}", "inet", "smtpd", _SUBMISSIONS),
            (f"{self.host}:{ports.imap}", "inet", "imapd", ()),
            (f"{self.host}:{ports.imaps}", "inet", "imapd", ("imapd_tls_wrappermode=yes",)),
            (f"{self.host}:{ports.pop3}", "inet", "pop3d", ()),
            (f"{self.host}:{ports.pop3s}", "inet", "pop3d", ("pop3d_tls_wrappermode=yes",)),
            ("pickup", "unix", "pickup", ()),
            ("cleanup", "unix", "cleanup", ()),
            ("qmgr", "unix", "qmgr", ()),
            ("rewrite", "unix", "trivial-rewrite", ()),
            ("bounce", "unix", "bounce", ()),
            ("showq", "unix", "showq", ()),
            ("smtp", "unix", "smtp", ()),
            ("relay", "unix", "smtp", ()),
            ("lmtp", "unix", "lmtp", ()),
            ("virtual", "unix", "virtual", ()),
            ("error", "unix", "error", ()),
            ("retry", "unix", "error", ()),
            ("discard", "unix", "discard", ()),
        ]
        lines = ["# service          type  private unpriv  chroot  wakeup  maxproc command"]
        for service, kind, command, options in rows:
            private = "y" if kind == "unix" and service not in ("pickup", "showq") else "n"
            lines.append(f"{service:<18} {kind:<5} {private:<7} -       n       -       -       {command}")
            lines.extend(f"  -o {option}" for option in options)
        return "\n".join(lines) + "\n"


_SUBMISSION = (
    "syslog_name=postfix/submission",
    "smtpd_tls_security_level=encrypt",
    "smtpd_sasl_auth_enable=yes",
    "smtpd_tls_auth_only=yes",
    "smtpd_relay_restrictions=permit_sasl_authenticated,reject",
    "local_header_rewrite_clients=static:all",
)

_SUBMISSIONS = (
    "syslog_name=postfix/smtps",
    "smtpd_tls_wrappermode=yes",
    "smtpd_sasl_auth_enable=yes",
    "smtpd_relay_restrictions=permit_sasl_authenticated,reject",
    "local_header_rewrite_clients=static:all",
)
