"""A Postfix of the machine's own, in a directory of its own: a peer to relay to, and an oracle for smtp(8)'s words."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

_SERVICES = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class PostfixPeer:
    """Started by ``with``; needs root, as Postfix does. ``services`` are more lines of master.cf."""

    def __init__(self, parameters: Mapping[str, str], services: str = "") -> None:
        self.root = Path(tempfile.mkdtemp(prefix="pfx"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._parameters = parameters
        self._services = services

    @property
    def log(self) -> str:
        """The mail log so far."""
        path = self.root / "mail.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def wait(self, text: str, count: int = 1, limit: float = 60.0) -> str:
        """The log, when ``text`` is in it ``count`` times."""
        end = time.monotonic() + limit
        while self.log.count(text) < count:
            assert time.monotonic() < end, self.log
            time.sleep(0.02)
        return self.log

    def sendmail(self, sender: str, recipient: str | Sequence[str], text: str) -> None:
        """Submit a message, to one or more."""
        people = [recipient] if isinstance(recipient, str) else recipient
        command = ["/usr/sbin/sendmail", "-C", str(self.root / "etc"), "-f", sender, *people]
        subprocess.run(command, input=text.encode(), check=True)

    def __enter__(self) -> Self:
        self.root.chmod(0o755)
        for name in ("etc", "spool", "lib"):
            (self.root / name).mkdir()
        shutil.chown(self.root / "lib", "postfix")
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": str(self.root / "spool"),
            "data_directory": str(self.root / "lib"),
            "command_directory": "/usr/sbin",
            "daemon_directory": "/usr/lib/postfix/sbin",
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "maillog_file": str(self.root / "mail.log"),
            "maillog_file_prefixes": str(self.root),
            "myhostname": "peer.test",
            "mydestination": "",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "alias_maps": "",
            "local_recipient_maps": "",
            "smtpd_peername_lookup": "no",
            "disable_dns_lookups": "yes",
            "smtp_host_lookup": "native",
        }
        settings |= self._parameters
        etc = self.root / "etc"
        (etc / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        (etc / "master.cf").write_text(_SERVICES.format(port=self.port) + self._services)
        subprocess.run(["/usr/sbin/postfix", "-c", str(etc), "start"], check=True, capture_output=True)
        return self

    def __exit__(self, *exc: object) -> None:
        subprocess.run(["/usr/sbin/postfix", "-c", str(self.root / "etc"), "stop"], check=False, capture_output=True)
        shutil.rmtree(self.root, ignore_errors=True)


def refusal() -> str:
    """Why Postfix cannot be started here; empty when it can."""
    return "" if os.geteuid() == 0 else "Postfix can only be started by root"
