"""The process that starts commands dies under a running server: the mail waits, nothing runs on, the next goes out."""

from __future__ import annotations

import getpass
import os
import pwd
import signal
import smtplib
import time
from pathlib import Path

SECONDS = 25.0
ROOT = os.geteuid() == 0
OWNER = "nobody" if ROOT else getpass.getuser()
ACTOR = "daemon" if ROOT else getpass.getuser()
FIRST_HANGS = """#!/bin/sh
cat >/dev/null
mkdir ROOT/out/begun 2>/dev/null || exit 0
echo $$ $PPID $(cat /proc/$PPID/cmdline | tr '\\0' ' ') >ROOT/out/new
mv ROOT/out/new ROOT/out/who
exec sleep 600
"""


def waited(server, condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)


def test_the_mail_of_a_starter_that_is_killed_waits(servers):
    settings = {"mail_owner": OWNER, "worker_processes": "1", "mydestination": ""}
    server = servers.prepare(settings | {"transport_maps": "inline:{run.test=run:}"})
    root = server.site.root
    root.chmod(0o755)
    (root / "out").mkdir()
    (root / "out").chmod(0o1777)
    (root / "run").write_text(FIRST_HANGS.replace("ROOT", str(root)))
    (root / "run").chmod(0o755)
    with (server.site.configuration / "master.cf").open("a") as file:
        file.write(f"run unix - n n - - pipe user={ACTOR} argv={root}/run\n")
    server.start()
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        client.sendmail("s@elsewhere.test", ["a@run.test"], "Subject: here\r\n\r\nx\r\n")
    waited(server, (root / "out" / "who").exists)
    command, starter, program = (root / "out" / "who").read_text().split(maxsplit=2)
    assert Path(f"/proc/{command}").stat().st_uid == pwd.getpwnam(ACTOR).pw_uid
    assert "starter.py" in program or ROOT  # who is not root may not look
    os.kill(int(starter), signal.SIGKILL)
    waited(server, lambda: "status=deferred (temporary failure)" in server.log())
    assert "fatal: the process that starts commands died" in server.log()
    waited(server, lambda: not Path(f"/proc/{command}").exists())
    server.site.administer("postqueue", "-f")
    waited(server, lambda: "status=sent (delivered via run service)" in server.log())
