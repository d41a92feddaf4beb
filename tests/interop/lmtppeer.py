"""A Dovecot of the tests' own that takes mail over LMTP, on a unix socket and on TCP; bob is over quota."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

_CONFIGURATION = """\
base_dir = {base}/run
log_path = {base}/log
info_log_path = {base}/log
protocols = lmtp
ssl = no
mail_location = maildir:{base}/mail/%u
first_valid_uid = 1
postmaster_address = postmaster@example.test
hostname = store.example.test
quota_full_tempfail = {tempfail}
mail_plugins = quota
plugin {{
  quota = maildir:User quota
}}
passdb {{
  driver = passwd-file
  args = {base}/users
}}
userdb {{
  driver = passwd-file
  args = {base}/users
}}
service lmtp {{
  chroot =
  unix_listener {path} {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
{users}
"""


class DovecotPeer:
    """Started by ``with``.

    Args:
        program: dovecot's path.
        path: of its unix socket.
        names: the users; ``bob@…`` has no room.
        tempfail: a full mailbox is for now only.
    """

    def __init__(self, program: str, path: Path, *names: str, tempfail: bool = False) -> None:
        self._program = program
        self._path = path
        self._names = names
        self._tempfail = tempfail
        # Short, for its unix sockets, and where another user can reach it.
        self.root = Path(tempfile.mkdtemp(prefix="dvc"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def mail(self, name: str) -> list[str]:
        """A user's messages."""
        return sorted(path.read_text(encoding="utf-8") for path in (self.root / "mail" / name / "new").glob("*"))

    def __enter__(self) -> Self:
        self.root.chmod(0o755)
        mail = self.root / "mail"
        mail.mkdir()
        root = os.geteuid() == 0
        user = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.geteuid())
        if root:
            os.chown(mail, user.pw_uid, user.pw_gid)
        lines = [
            f"{name}:{{PLAIN}}x:{user.pw_uid}:{user.pw_gid}::{mail}/{name}::"
            + ("userdb_quota_rule=*:bytes=10" if name.startswith("bob@") else "")
            for name in self._names
        ]
        (self.root / "users").write_text("\n".join(lines) + "\n")
        users = "" if root else f"default_login_user = {user.pw_name}\ndefault_internal_user = {user.pw_name}"
        (self.root / "dovecot.conf").write_text(
            _CONFIGURATION.format(
                base=self.root,
                path=self._path,
                port=self.port,
                users=users,
                tempfail="yes" if self._tempfail else "no",
            )
        )
        self._process = subprocess.Popen([self._program, "-F", "-c", self.root / "dovecot.conf"])
        end = time.monotonic() + 30
        while self._process.poll() is None and time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except ConnectionRefusedError:
                time.sleep(0.02)
                continue
            return self
        self.__exit__()
        raise AssertionError((self.root / "log").read_text())

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
        shutil.rmtree(self.root, ignore_errors=True)
