"""Delivery to system users, beside Postfix's local(8) and pipe(8): to mbox files, to Maildirs, and to commands.

Each run starts a server of its own, since the mail owner may not be root where root's process delivers: SMTP takes the
messages for some system users, local delivers them. Wants root; nothing outside the directory is written to, but that
the users of the machine own the files there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load_smtp
from benchmarks.measure import LogWatch, Sample, cpu_seconds
from benchmarks.servers import free_port, wait_for

DOMAIN = "system.test"
USERS = ("bin", "sys", "games", "man", "lp", "mail", "news", "uucp", "proxy", "backup")
"""Users of a Debian system, whose mail nobody reads."""

OWNER = "postfix"
FORMS = ("mbox", "Maildir", "command", "pipe")
"""Mailbox files in a spool; directories; a ``|command`` of an alias; a transport of master.cf."""

_COMMAND = "/bin/dd status=none bs=65536 conv=notrunc oflag=append of={file}"
"""Costs little more than its start, reads all, and leaves what can be counted."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A running server.

    Attributes:
        root: its directory; mailboxes are in ``spool-mail``.
        port: for SMTP.
        master: the process that its others descend from.
    """

    root: Path
    port: int
    master: int

    @property
    def log(self) -> Path:
        """The mail log."""
        return self.root / "mail.log"


def _settings(root: Path, form: str) -> dict[str, object]:
    return {
        "compatibility_level": "3.6",
        "queue_directory": root / "spool",
        "data_directory": root / "lib",
        "mail_owner": OWNER,
        "maillog_file": root / "mail.log",
        "maillog_file_prefixes": root,
        "myhostname": "mail.example.test",
        "mydestination": "" if form == "pipe" else DOMAIN,
        "inet_interfaces": "127.0.0.1",
        "inet_protocols": "ipv4",
        "mynetworks": "127.0.0.0/8",
        "alias_maps": f"texthash:{root}/aliases",
        "local_recipient_maps": "",
        "mail_spool_directory": f"{root}/mailboxes" + ("/" if form == "Maildir" else ""),
        "mailbox_size_limit": "0",
        "smtpd_peername_lookup": "no",
        "smtpd_tls_security_level": "none",
        "in_flow_delay": "0",
        "smtpd_client_connection_count_limit": "0",
        "local_destination_concurrency_limit": "2",
        "default_transport": "counted",
        "counted_destination_concurrency_limit": "20",
        "counted_destination_recipient_limit": "1",
    }


_SERVICES = """\
127.0.0.1:{port} inet n - n - 200 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
local unix - n n - - local
counted unix - n n - 20 pipe
    user=nobody argv={pipe}
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def local_server(form: str, *, ours: bool) -> Iterator[LocalServer]:
    """A server that delivers to system users, ours or Postfix."""
    root = Path(tempfile.mkdtemp(prefix="local"))
    root.chmod(0o755)
    for name in ("etc", "spool", "lib", "mailboxes"):
        (root / name).mkdir()
    (root / "mailboxes").chmod(0o1777)
    shutil.chown(root / "lib", OWNER)
    if ours:
        shutil.chown(root / "spool", OWNER)
    mailboxes = root / "mailboxes"
    commands = {name: _COMMAND.format(file=mailboxes / name) for name in USERS} if form == "command" else {}
    (root / "aliases").write_text("".join(f'{name} "|{command}"\n' for name, command in commands.items()))
    port = free_port()
    settings = _settings(root, form)
    if not ours:
        settings |= {"command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin"}
    (root / "etc" / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
    piped = _COMMAND.format(file=f"{mailboxes}/${{user}}")
    (root / "etc" / "master.cf").write_text(_SERVICES.format(port=port, pipe=piped))
    program = str(Path(sys.executable).with_name("postfix")) if ours else "/usr/sbin/postfix"
    try:
        subprocess.run([program, "-c", str(root / "etc"), "start"], check=True, capture_output=True, timeout=60)
        wait_for((port,))
        master = int((root / "spool" / "pid" / "master.pid").read_text())
        try:
            yield LocalServer(root, port, master)
        finally:
            subprocess.run([program, "-c", str(root / "etc"), "stop"], check=False, capture_output=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def deliver(count: int, form: str, *, ours: bool) -> Sample:
    """Messages a second from SMTP into mailboxes, and the CPU of each."""
    with local_server(form, ours=ours) as server:
        recipients = [f"{name}@{DOMAIN}" for name in USERS]
        warm = LogWatch(server.log)
        load_smtp.source_many(server.port, recipients, len(USERS), len(USERS))
        warm.wait(len(USERS))
        watch = LogWatch(server.log)
        before = cpu_seconds((server.master,))
        start = time.perf_counter()
        load_smtp.source_many(server.port, recipients, count, len(USERS))
        end = watch.wait(count)
        cpu = cpu_seconds((server.master,)) - before
        _check(server.root / "mailboxes", count + len(USERS), form)
    return Sample(count / (end - start), cpu / count)


def _check(spool: Path, count: int, form: str) -> None:
    """Every message is there, and belongs to its user: what the log says is not taken on trust."""
    if form == "Maildir":
        found = sum(1 for _ in spool.glob("*/new/*"))
    else:
        found = sum((spool / name).read_bytes().count(b"Received: ") for name in USERS)
    owners = {name: "nobody" if form in ("command", "pipe") else name for name in USERS}
    if found != count or any((spool / name).owner() != owners[name] for name in USERS):
        msg = f"{found} of {count} messages are in {spool}, or not with their users"
        raise RuntimeError(msg)


if __name__ == "__main__":
    COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    for turn in range(int(sys.argv[2]) if len(sys.argv) > 2 else 1):
        for form in sys.argv[3:] or FORMS:
            for mine in (True, False):
                told = deliver(COUNT, form, ours=mine)
                name = f"{'ours' if mine else 'Postfix'}, {form}"
                print(f"{turn}: {name}: {told.value:.0f}/s, {(told.cpu or 0) * 1000:.2f} ms CPU")
