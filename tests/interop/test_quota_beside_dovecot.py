"""The same quota, the same mail: Dovecot 2.3 (count backend, quota-status, imap-quota) and ours say the same."""

from __future__ import annotations

import contextlib
import imaplib
import os
import pwd
import re
import shutil
import smtplib
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from tests.conftest import ServerFactory

pytestmark = pytest.mark.interop

STATUS = 12340
NAMES = ("bob", "alice", "carol")
_DOVECOT = """\
base_dir = {root}/run
log_path = {root}/log
info_log_path = {root}/log
protocols = lmtp imap
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{root}/mail/%n
first_valid_uid = 1
postmaster_address = postmaster@example.test
hostname = store.example.test
recipient_delimiter = +
mail_plugins = quota
protocol imap {{
  mail_plugins = quota imap_quota
}}
namespace inbox {{
  inbox = yes
  mailbox Sent {{
    auto = create
  }}
  mailbox Trash {{
    auto = create
  }}
  mailbox Junk {{
    auto = create
  }}
}}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:storage=10K:messages=20
  quota_rule2 = Trash:storage=+2K
  quota_rule3 = Junk:ignore
  quota_grace = 10%%
  quota_max_mail_size = 6000
  quota_status_success = DUNNO
  quota_status_nouser = 550 5.1.1 nobody
  quota_status_overquota = 552 5.2.2 Mailbox is full
  quota_status_toolarge = 552 5.2.3 too large
}}
passdb {{
  driver = passwd-file
  args = {root}/users
}}
userdb {{
  driver = passwd-file
  args = {root}/users
}}
service lmtp {{
  chroot =
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service quota-status {{
  executable = quota-status -p postfix
  inet_listener {{
    address = 127.0.0.1
    port = {status}
  }}
  client_limit = 1
}}
service anvil {{
  chroot =
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""
_OURS = {
    "mailstore_bytes_limit": "10240",
    "mailstore_messages_limit": "20",
    "mailstore_mail_limit": "6000",
    "mailstore_quota_grace": "10%",
    "mailstore_quota_rules": "Trash:storage=+2K, Junk:ignore",
    "quota_status_nouser": "550 5.1.1 nobody",
    "quota_status_toolarge": "552 5.2.3 too large",
}


def sized(size):
    head = b"Subject: x\r\n\r\n"
    return head + b"x" * (size - len(head) - 2) + b"\r\n"


class Side:
    """What can be done to either server."""

    host = "127.0.0.1"
    status = 0

    @contextlib.contextmanager
    def imap(self, name):
        raise NotImplementedError

    def deliver(self, name, size):
        """Whether a delivery is taken."""
        raise NotImplementedError

    def ask(self, recipient, size):
        """What quota-status says."""
        with socket.create_connection((self.host, self.status), timeout=30) as connection:
            request = f"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient={recipient}\nsize={size}\n\n"
            connection.sendall(request.encode())
            return connection.recv(1000).decode().strip()

    def append(self, name, size, mailbox="INBOX"):
        """What APPEND says: OK, or NO with its code."""
        with self.imap(name) as client:
            return outcome(client.append(mailbox, None, None, sized(size)))

    def copy(self, name, uid, mailbox):
        """What COPY says."""
        with self.imap(name) as client:
            client.select("INBOX")
            return outcome(client.copy(uid, mailbox))

    def quota(self, name):
        """What GETQUOTAROOT says of INBOX."""
        with self.imap(name) as client:
            return client.getquotaroot("INBOX")[1][1][0].decode()


def outcome(answer):
    word, [text] = answer
    code = re.match(rb"\[(\w+)", text or b"")
    return word if word == "OK" else f"{word} {code[1].decode() if code else ''}"


class Dovecot(Side):
    def __init__(self, program, root):
        self.root = root
        ports = []
        for _port in range(3):
            with socket.create_server(("127.0.0.1", 0)) as free:
                ports.append(free.getsockname()[1])
        self.lmtp, self.imap_port, self.status = ports
        root.chmod(0o755)
        user = pwd.getpwnam("nobody")
        (root / "mail").mkdir()
        os.chown(root / "mail", user.pw_uid, user.pw_gid)
        users = [f"{name}@example.test:{{PLAIN}}x:{user.pw_uid}:{user.pw_gid}::{root}/mail/{name}::" for name in NAMES]
        (root / "users").write_text("\n".join(users) + "\n")
        text = _DOVECOT.format(root=root, lmtp=self.lmtp, imap=self.imap_port, status=self.status)
        (root / "dovecot.conf").write_text(text)
        self.process = subprocess.Popen([program, "-F", "-c", root / "dovecot.conf"])
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.imap_port), timeout=1).close()
            except OSError:
                assert time.monotonic() < end, (root / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def close(self):
        self.process.terminate()
        self.process.wait()

    @contextlib.contextmanager
    def imap(self, name):
        with imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=30) as client:
            client.login(f"{name}@example.test", "x")
            yield client

    def deliver(self, name, size):
        with smtplib.LMTP("127.0.0.1", self.lmtp) as client:
            try:
                client.sendmail("a@b.test", [f"{name}@example.test"], sized(size))
            except (smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused):
                return False
            return True


class Ours(Side):
    status = STATUS

    def __init__(self, factory):
        self.server = factory.prepare(_OURS, "carol")
        self.host = self.server.site.host
        with (self.server.site.configuration / "master.cf").open("a", encoding="utf-8") as file:
            file.write(f"{self.host}:{STATUS} inet n - n - - quota-status\n")
        self.server.start()

    @contextlib.contextmanager
    def imap(self, name):
        address = f"{name}@example.test"
        port = self.server.site.ports.imaps
        with imaplib.IMAP4_SSL(self.host, port, ssl_context=self.server.tls, timeout=30) as client:
            client.login(address, self.server.passwords[address])
            yield client

    def deliver(self, name, size):
        with smtplib.SMTP(self.host, self.server.site.ports.smtp, timeout=30) as client:
            client.helo("x")
            client.mail("a@b.test")
            if client.rcpt(f"{name}@example.test")[0] != 250:
                return False
            return client.data(sized(size))[0] == 250


@pytest.fixture(scope="module")
def sides():
    program = shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None or os.geteuid() != 0:
        pytest.skip("dovecot is not installed (.ci/install-peers installs it), or cannot be started by this user")
    root = Path(tempfile.mkdtemp(prefix="dvq"))
    factory = ServerFactory()
    dovecot = Dovecot(program, root)
    yield dovecot, Ours(factory)
    dovecot.close()
    factory.close()
    shutil.rmtree(root, ignore_errors=True)


SCENES = {
    "an empty mailbox": [
        *[("ask", "bob@example.test", size) for size in (0, 1, 6000, 6001)],
        ("ask", "bob+ext@example.test", 6001),
        ("ask", "nobody@example.test", 1),
        ("ask", "bob@other.test", 1),
        ("ask", "", 1),
        ("append", "bob", 6001),
        ("quota", "bob"),
    ],
    "one that fills up": [
        ("append", "bob", 5000),
        ("append", "bob", 4000),
        *[("ask", "bob@example.test", size) for size in (0, 1240, 1241, 2264, 2265)],
        ("append", "bob", 1241),
        ("append", "bob", 1200),
        *[("ask", "bob@example.test", size) for size in (0, 40, 41, 1064, 1065)],
        ("quota", "bob"),
        ("copy", "bob", "3", "Sent"),
        ("copy", "bob", "3", "Trash"),
        ("copy", "bob", "1", "Trash"),
        ("append", "bob", 5000, "Junk"),
        ("quota", "bob"),
        ("ask", "bob@example.test", 1),
        ("deliver", "bob", 100),
    ],
    "one with many messages": [
        *[("append", "alice", 100)] * 20,
        ("ask", "alice@example.test", 1),
        ("append", "alice", 100),
        ("deliver", "alice", 100),
        ("copy", "alice", "1", "Junk"),
        ("quota", "alice"),
    ],
    "one delivery too many": [
        ("append", "carol", 5000),
        ("append", "carol", 5100),
        ("deliver", "carol", 200),
        ("ask", "carol@example.test", 0),
        ("deliver", "carol", 50),
    ],
}


@pytest.mark.parametrize("scene", SCENES)
def test_both_say_the_same(sides, scene):
    for verb, *arguments in SCENES[scene]:
        theirs, ours = (getattr(side, verb)(*arguments) for side in sides)
        assert ours == theirs, (verb, arguments)


def test_doveadm_has_the_same_columns(sides):
    dovecot, ours = sides
    command = ["doveadm", "-c", str(dovecot.root / "dovecot.conf"), "quota", "get", "-u", "alice@example.test"]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    mine = ours.server.site.administer("angarium", "quota", "get", "alice@example.test")
    assert [line.split() for line in mine.splitlines()] == [line.split() for line in theirs.splitlines()]
