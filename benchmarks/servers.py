"""The two servers under test: ours, and a Postfix + Dovecot set up for the purpose in a directory of its own.

Both listen on loopback, speak plain text, flush each message to disk, log to a file, deliver ``example.test`` to
mailboxes, relay everything else to one port, and know the same accounts. Neither touches what is installed on the
machine: configuration, queue and mail are below the directory given.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from angarium.directory.admin import SqliteDirectoryAdmin
from benchmarks import fill

DOMAIN = "example.test"
PASSWORD = "secret-Pa55"
_UID = 5000


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a server listens."""

    smtp: int
    submission: int
    imap: int
    pop3: int


class Server(Protocol):
    """What the workloads know of a server."""

    name: str
    ports: Endpoints
    log: Path
    idle_kib: int  # PSS after the start, before any work

    def start(self, users: Sequence[str]) -> None:
        """Set up, start, and wait until every port answers."""
        ...

    def stop(self) -> None:
        """Stop all its processes."""
        ...

    @property
    def roots(self) -> Sequence[int]:
        """The processes that all its other processes descend from."""
        ...

    def sendmail(self, recipient: str) -> list[str]:
        """The command that submits a message from its standard input."""
        ...


def wait_for(ports: Sequence[int], limit: float = 30.0) -> None:
    """Until each port accepts. Raises TimeoutError."""
    end = time.monotonic() + limit
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > end:
                    msg = f"nothing listens on port {port}"
                    raise TimeoutError(msg) from None
                time.sleep(0.05)


class Theirs:
    """Postfix delivering by LMTP to Dovecot."""

    name = "Postfix + Dovecot"

    def __init__(self, root: Path, relay_port: int) -> None:
        self._root = root
        self._relay_port = relay_port
        self._etc = root / "etc"
        self._dovecot: subprocess.Popen[bytes] | None = None
        self.ports = Endpoints(*(free_port() for _ in range(4)))
        self.log = root / "mail.log"
        self.idle_kib = 0

    @staticmethod
    def missing() -> str:
        """Why it cannot be run here; empty when it can."""
        programs = ("/usr/sbin/postfix", "/usr/sbin/dovecot", "/usr/lib/dovecot/lmtp", "/usr/lib/dovecot/pop3")
        absent = [program for program in programs if not Path(program).exists()]
        if absent:
            return f"not installed: {', '.join(absent)}"
        return "" if os.geteuid() == 0 else "Postfix and Dovecot can only be started by root"

    @property
    def roots(self) -> Sequence[int]:
        """Postfix's master and Dovecot's."""
        master = int((self._root / "spool" / "pid" / "master.pid").read_text())
        assert self._dovecot is not None
        return (master, self._dovecot.pid)

    def start(self, users: Sequence[str]) -> None:
        """Write both configurations and start both."""
        for name in ("etc", "spool", "lib", "mail", "run", "dovecot"):
            (self._root / name).mkdir(parents=True)
        self._root.chmod(0o755)
        os.chown(self._root / "mail", _UID, _UID)
        shutil.chown(self._root / "lib", "postfix")
        (self._etc / "main.cf").write_text(self._main_cf())
        (self._etc / "master.cf").write_text(self._master_cf())
        (self._etc / "dovecot.conf").write_text(self._dovecot_conf())
        # Dovecot's cache keeps the hash and computes it again at each log-in; in clear, it costs nothing.
        lines = [f"{user}@{DOMAIN}:{{PLAIN}}{PASSWORD}\n" for user in users]
        (self._etc / "users").write_text("".join(lines))
        self._dovecot = subprocess.Popen(
            ["/usr/sbin/dovecot", "-F", "-c", str(self._etc / "dovecot.conf")],
            stdout=subprocess.DEVNULL,
            stderr=(self._root / "dovecot.err").open("wb"),
        )
        wait_for((self.ports.imap, self.ports.pop3))
        subprocess.run(
            ["/usr/sbin/postfix", "-c", str(self._etc), "start"], check=True, capture_output=True, timeout=60
        )
        wait_for((self.ports.smtp, self.ports.submission, self.ports.imap, self.ports.pop3))

    def stop(self) -> None:
        """Stop both."""
        subprocess.run(["/usr/sbin/postfix", "-c", str(self._etc), "stop"], check=False, capture_output=True)
        if self._dovecot is not None:
            self._dovecot.terminate()
            self._dovecot.wait()

    def sendmail(self, recipient: str) -> list[str]:
        """Postfix's own sendmail with this configuration."""
        return ["/usr/sbin/sendmail", "-C", str(self._etc), "-f", f"me@{DOMAIN}", recipient]

    def _main_cf(self) -> str:
        root = self._root
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": root / "spool",
            "data_directory": root / "lib",
            "command_directory": "/usr/sbin",
            "daemon_directory": "/usr/lib/postfix/sbin",
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "maillog_file": self.log,
            "maillog_file_prefixes": root,
            "myhostname": "mail.example.test",
            "mydestination": "",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "alias_maps": "",
            "local_recipient_maps": "",
            "virtual_mailbox_domains": DOMAIN,
            "virtual_mailbox_maps": "static:x",
            "virtual_transport": f"lmtp:unix:{root}/run/lmtp",
            "relayhost": f"[127.0.0.1]:{self._relay_port}",
            "disable_dns_lookups": "yes",
            "smtp_host_lookup": "native",
            "smtpd_peername_lookup": "no",
            "smtpd_tls_security_level": "none",
            "smtp_tls_security_level": "none",
            "default_process_limit": "200",
            "in_flow_delay": "0",
            "smtpd_client_connection_count_limit": "0",
            "smtpd_error_sleep_time": "0",
            "lmtp_connection_cache_on_demand": "yes",
            "authorized_submit_users": "static:all",
            "smtpd_sasl_type": "dovecot",
            "smtpd_sasl_path": f"{root}/run/auth-postfix",
            "smtpd_sasl_security_options": "noanonymous",
            "import_environment": "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C",
        }
        return "".join(f"{name} = {value}\n" for name, value in settings.items())

    def _master_cf(self) -> str:
        ports = self.ports
        rows = [
            f"127.0.0.1:{ports.smtp} inet n - n - 200 smtpd",
            f"127.0.0.1:{ports.submission} inet n - n - 200 smtpd",
            "  -o syslog_name=postfix/submission",
            "  -o smtpd_sasl_auth_enable=yes",
            "  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject",
            "pickup unix n - n 60 1 pickup",
            "cleanup unix n - n - 0 cleanup",
            "qmgr unix n - n 300 1 qmgr",
            "tlsmgr unix - - n 1000? 1 tlsmgr",
            "rewrite unix - - n - - trivial-rewrite",
            "bounce unix - - n - 0 bounce",
            "defer unix - - n - 0 bounce",
            "trace unix - - n - 0 bounce",
            "verify unix - - n - 1 verify",
            "flush unix n - n 1000? 0 flush",
            "proxymap unix - - n - - proxymap",
            "smtp unix - - n - - smtp",
            "relay unix - - n - - smtp",
            "showq unix n - n - - showq",
            "error unix - - n - - error",
            "retry unix - - n - - error",
            "discard unix - - n - - discard",
            "local unix - n n - - local",
            "virtual unix - n n - - virtual",
            "lmtp unix - - n - - lmtp",
            "anvil unix - - n - 1 anvil",
            "scache unix - - n - 1 scache",
            "postlog unix-dgram n - n - 1 postlogd",
        ]
        return "\n".join(rows) + "\n"

    def _dovecot_conf(self) -> str:
        root = self._root
        ports = self.ports
        return f"""\
base_dir = {root}/run
state_dir = {root}/dovecot
log_path = {root}/dovecot.log
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_cache_size = 10M
mail_location = maildir:{root}/mail/%n
mail_uid = {_UID}
mail_gid = {_UID}
first_valid_uid = 1
mail_max_userip_connections = 0
default_process_limit = 2000
default_client_limit = 5000
default_vsz_limit = 0
passdb {{
  driver = passwd-file
  args = {root}/etc/users
}}
userdb {{
  driver = static
  args = uid={_UID} gid={_UID} home={root}/mail/%n
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  service_count = 0
  process_min_avail = 2
  inet_listener imap {{
    port = {ports.imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  service_count = 0
  process_min_avail = 2
  inet_listener pop3 {{
    port = {ports.pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service imap {{
  process_limit = 2000
}}
service anvil {{
  client_limit = 10000
}}
service lmtp {{
  process_min_avail = 4
  unix_listener lmtp {{
    mode = 0666
  }}
}}
service auth {{
  client_limit = 10000
  unix_listener auth-postfix {{
    mode = 0666
  }}
}}
"""


class Ours:
    """This server, started by its own ``postfix`` command."""

    name = "Angarium"

    def __init__(self, root: Path, relay_port: int) -> None:
        self._root = root
        self._relay_port = relay_port
        self._etc = root / "etc"
        self._process: subprocess.Popen[bytes] | None = None
        self.ports = Endpoints(*(free_port() for _ in range(4)))
        self.log = root / "mail.log"
        self.idle_kib = 0

    @property
    def roots(self) -> Sequence[int]:
        """The master."""
        assert self._process is not None
        return (self._process.pid,)

    def start(self, users: Sequence[str]) -> None:
        """Write the configuration, make the accounts, start."""
        for name in ("etc", "spool", "lib", "mail"):
            (self._root / name).mkdir(parents=True)
        (self._etc / "main.cf").write_text(self._main_cf())
        (self._etc / "master.cf").write_text(self._master_cf())
        self._administer("domain", "add", DOMAIN)
        self._administer("account", "add", f"{users[0]}@{DOMAIN}", text=PASSWORD + "\n")
        # The hash of one password serves all: a hundred would take a minute, and are not what is measured.
        directory = SqliteDirectoryAdmin(self._root / "lib" / "directory.sqlite")
        password_hash = directory.password_hash(f"{users[0]}@{DOMAIN}")
        for user in users[1:]:
            directory.add_account(f"{user}@{DOMAIN}", password_hash)
        directory.close()
        self.resume()

    def resume(self) -> None:
        """Start on what is there."""
        self._process = subprocess.Popen(
            [_program("postfix"), "-c", str(self._etc), "start-fg"],
            stdout=subprocess.DEVNULL,
            stderr=(self._root / "stderr").open("ab"),
            start_new_session=True,
        )
        wait_for((self.ports.smtp, self.ports.submission, self.ports.imap, self.ports.pop3))

    def stop(self) -> None:
        """Stop it in order."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def fill_mailbox(self, user: str, count: int) -> None:
        """Put small messages into a mailbox, not over SMTP but through the store, beside the running server."""
        fill.mailbox(self._root / "mail", f"{user}@{DOMAIN}", count)

    def fill_queue(self, count: int) -> None:
        """Put small deferred messages into the queue, through the store; not beside the server, which would send."""
        fill.queue(self._root / "spool", count)

    def empty_queue(self) -> None:
        """Remove all that is deferred."""
        command = [_program("postsuper"), "-c", str(self._etc), "-d", "ALL", "deferred"]
        subprocess.run(command, check=True, capture_output=True)

    def sendmail(self, recipient: str) -> list[str]:
        """Our sendmail with this configuration."""
        return [_program("sendmail"), "-C", str(self._etc), "-f", f"me@{DOMAIN}", recipient]

    def _administer(self, *words: str, text: str = "") -> None:
        command = [_program("angarium"), "-c", str(self._etc), *words]
        subprocess.run(command, input=text.encode(), check=True, capture_output=True)

    def _main_cf(self) -> str:
        root = self._root
        settings = {
            "compatibility_level": "3.6",
            "mail_owner": "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody"),
            "queue_directory": root / "spool",
            "data_directory": root / "lib",
            "virtual_mailbox_base": root / "mail",
            "maillog_file": self.log,
            "myhostname": "mail.example.test",
            "mydestination": "",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "alias_maps": "",
            "local_recipient_maps": "",
            "virtual_mailbox_domains": "directory:domains",
            "virtual_mailbox_maps": "directory:accounts",
            "virtual_alias_maps": "directory:aliases",
            "relayhost": f"[127.0.0.1]:{self._relay_port}",
            "disable_dns_lookups": "yes",
            "smtp_host_lookup": "native",
            "smtpd_peername_lookup": "no",
            "smtpd_tls_security_level": "none",
            "smtp_tls_security_level": "none",
            "default_process_limit": "2000",
            "smtpd_client_connection_count_limit": "0",
            "smtpd_error_sleep_time": "0",
            "smtpd_sasl_security_options": "noanonymous",
            "imapd_max_userip_connections": "0",
        }
        settings |= dict.fromkeys(("imapd_tls_auth_only", "pop3d_tls_auth_only", "smtpd_tls_auth_only"), "no")
        return "".join(f"{name} = {value}\n" for name, value in settings.items())

    def _master_cf(self) -> str:
        ports = self.ports
        rows = [
            f"127.0.0.1:{ports.smtp} inet n - n - 2000 smtpd",
            f"127.0.0.1:{ports.submission} inet n - n - 2000 smtpd",
            "  -o syslog_name=postfix/submission",
            "  -o smtpd_sasl_auth_enable=yes",
            "  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject",
            f"127.0.0.1:{ports.imap} inet n - n - 2000 imapd",
            f"127.0.0.1:{ports.pop3} inet n - n - 2000 pop3d",
            "pickup unix n - n 60 1 pickup",
            "cleanup unix n - n - 0 cleanup",
            "qmgr unix n - n 300 1 qmgr",
            "rewrite unix - - n - - trivial-rewrite",
            "bounce unix - - n - 0 bounce",
            "smtp unix - - n - - smtp",
            "relay unix - - n - - smtp",
            "showq unix n - n - - showq",
            "error unix - - n - - error",
            "retry unix - - n - - error",
            "discard unix - - n - - discard",
            "virtual unix - n n - - virtual",
        ]
        return "\n".join(rows) + "\n"


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))
