"""Nothing is created, read or run with rights that the recipient lacks: trees and commands of hostile users.

The server is root's, the users are not; what they have prepared in their trees points at what only root may touch.
"""

from __future__ import annotations

import json
import os
import smtplib
import stat
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")

SECONDS = 25.0
UID, GID = 20301, 20302
SPY = """#!/usr/bin/python3
import json, os, sys
found = {}
for name in ("/proc/self/status", "SECRET/file", "/etc/shadow", "ROOT/spool/queue.db", "ROOT/etc/passwords"):
    try:
        found[name] = open(name).read()[:2000]
    except OSError as error:
        found[name] = type(error).__name__
found["descriptors"] = {}
for number in range(1024):
    try:
        found["descriptors"][number] = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        pass
try:
    os.kill(os.getppid(), 0)
    found["kill"] = "may"
except OSError:
    found["kill"] = "may not"
try:
    os.setuid(0)
    found["root"] = "again"
except OSError:
    found["root"] = "never"
json.dump(found, open("ROOT/out/told.tmp", "w"))
os.rename("ROOT/out/told.tmp", "ROOT/out/told")
"""


@pytest.fixture
def server(servers):
    """A server with trees for one user, and a directory that is root's alone."""
    server = servers.prepare({"mail_owner": "nobody", "worker_processes": "1", "maximal_queue_lifetime": "0"})
    root = server.site.root
    root.chmod(0o755)
    for name, mode in (("secret", 0o700), ("out", 0o1777), ("vmail", 0o755)):
        (root / name).mkdir()
        (root / name).chmod(mode)
    (root / "secret" / "file").write_text("only for root\n")
    (root / "secret" / "file").chmod(0o666)  # its directory is closed
    os.chown(root / "vmail", UID, GID)
    return server


def start(server, names, *lines):
    root = server.site.root
    main, master = (server.site.configuration / name for name in ("main.cf", "master.cf"))
    maps = ", ".join(f"{name}@trees.test={path}" for name, path in names.items())
    main.write_text(main.read_text() + "transport_maps = inline:{trees.test=trees:, spy.test=spy:}\n")
    master.write_text(
        master.read_text()
        + "trees unix - n n - - virtual -o virtual_mailbox_format=files\n"
        + f"  -o virtual_mailbox_base={root}/vmail -o virtual_uid_maps=static:{UID} -o virtual_gid_maps=static:{GID}\n"
        + f"  -o {{ virtual_mailbox_maps = inline:{{{maps}}} }} -o deliver_lock_attempts=1\n"
        + "".join(lines)
    )
    server.start()


def send(server, *recipients):
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        client.sendmail("s@elsewhere.test", recipients, "Subject: here\r\n\r\nmail\r\n")


def outcomes(server, *recipients):
    deadline = time.monotonic() + SECONDS
    while True:
        lines = {
            line.partition("to=<")[2].partition(">")[0]: line.partition("status=")[2]
            for line in server.log().splitlines()
            if "status=" in line
        }
        if set(recipients) <= lines.keys():
            return lines
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)


def everything(root):
    """Each file with owner, mode and text."""
    return {
        str(path): (status.st_uid, status.st_gid, status.st_mode, path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
        for status in (path.lstat(),)
    }


def test_trees_that_lead_elsewhere(server):
    root = server.site.root
    base, secret = root / "vmail", root / "secret"
    traps = {
        "maildir": "a/",
        "new": "b/",
        "mailbox": "c",
        "file": "d",
        "lock": "e",
        "above": "../secret/f/",
        "box": "../secret/g",
        "linked": "h",
    }
    (base / "a").symlink_to(secret)
    for name in ("tmp", "cur"):
        (base / "b" / name).mkdir(parents=True)
    (base / "b" / "new").symlink_to(secret)
    (base / "c").symlink_to(secret / "made")
    (base / "d").symlink_to(secret / "file")
    (base / "e").write_text("")
    (base / "e.lock").symlink_to(secret / "lock")
    (root / "out" / "roots").write_text("")
    os.link(root / "out" / "roots", base / "h")
    for path in base.rglob("*"):
        if path != base / "h":
            os.chown(path, UID, GID, follow_symlinks=False)
    before = everything(secret)
    start(server, traps)
    recipients = [f"{name}@trees.test" for name in traps]
    send(server, *recipients)
    told = outcomes(server, *recipients)
    assert [each for each in recipients if told[each].startswith("sent")] == []
    assert everything(secret) == before
    assert (root / "out" / "roots").read_text() == ""
    made = [path for path in base.rglob("*") if path.lstat().st_uid != UID and path != base / "h"]
    assert made == []


def test_what_is_made_belongs_to_the_recipient_and_is_closed_to_others(server):
    base = server.site.root / "vmail"
    start(server, {"a": "x/y/a/", "b": "b"})
    send(server, "a@trees.test", "b@trees.test")
    outcomes(server, "a@trees.test", "b@trees.test")
    made = list(base.rglob("*"))
    assert len(made) == 8
    for path in made:
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (UID, GID)
        assert not stat.S_IMODE(status.st_mode) & 0o077


def test_a_command_that_looks_around(server):
    root = server.site.root
    script = root / "spy"
    script.write_text(SPY.replace("ROOT", str(root)).replace("SECRET", str(root / "secret")))
    script.chmod(0o755)
    start(server, {}, f"spy unix - n n - - pipe user=daemon argv={script}\n")
    send(server, "a@spy.test")
    assert outcomes(server, "a@spy.test")["a@spy.test"] == "sent (delivered via spy service)"
    told = json.loads((root / "out" / "told").read_text())
    status = dict(line.split(":\t", 1) for line in told.pop("/proc/self/status").splitlines() if ":\t" in line)
    uid = Path(root / "out" / "told").stat().st_uid
    assert status["Uid"].split() == [str(uid)] * 4
    assert len(set(status["Gid"].split())) == 1
    assert status["Groups"].split() == [status["Gid"].split()[0]]
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0
    assert told.pop("root") == "never"
    assert told.pop("kill") == "may not"  # who started it is root's, and out of reach
    descriptors = told.pop("descriptors")
    assert {name for name in descriptors if int(name) < 3} == {"0", "1", "2"}
    assert [name for name in descriptors if int(name) >= 3] == []
    assert set(told.values()) <= {"PermissionError", "FileNotFoundError"}
