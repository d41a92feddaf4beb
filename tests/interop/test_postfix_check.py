"""Our ``postfix check`` beside the real one: the same files with wrong owners and rights, the same lines."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REAL = shutil.which("postfix", path="/usr/sbin:/usr/bin:/bin")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(REAL is None and not os.environ.get("CI"), reason="needs Postfix"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Postfix checks owners as root alone"),
]

OURS = ("is not supported yet", "has no effect", "[", "/spool")
"""Findings that Postfix has not; the queue directory belongs to mail_owner here, and no command is set-gid."""


def lines(text):
    """The complaints of the script, without dates, names and process ids."""
    found = {line.partition(" warning: ")[2] for line in text.splitlines() if "postfix-script" in line}
    return {line for line in found if line and not any(mark in line for mark in OURS)}


@pytest.fixture
def installation():
    """A configuration of Postfix's own in a directory that its daemons can reach."""
    import tempfile

    top = Path(tempfile.mkdtemp(prefix="check"))
    for name in ("etc", "spool", "lib"):
        (top / name).mkdir()
    top.chmod(0o755)
    os.chown(top / "lib", pwd.getpwnam("postfix").pw_uid, 0)
    (top / "etc" / "main.cf").write_text(
        f"compatibility_level = 3.6\nqueue_directory = {top}/spool\ndata_directory = {top}/lib\n"
        f"myhostname = a.example.test\nmaillog_file = {top}/log\nmaillog_file_prefixes = {top}\n"
    )
    for name in ("master.cf", "postfix-files"):
        shutil.copy(f"/etc/postfix/{name}", top / "etc" / name)
    os.utime(top / "etc" / "main.cf", (1_000_000_000, 1_000_000_000))
    yield top
    shutil.rmtree(top)


def test_files_with_wrong_owners_and_rights(installation):
    etc, lib = installation / "etc", installation / "lib"
    for path in (etc / "foreign", etc / "open", lib / "open"):
        path.write_text("x")
    os.chown(etc / "foreign", pwd.getpwnam("nobody").pw_uid, 0)
    (etc / "open").chmod(0o666)
    (lib / "open").chmod(0o664)
    (etc / "link").symlink_to("/etc/passwd")
    (etc / "inner").symlink_to("main.cf")
    (etc / "deep").mkdir(mode=0o755)
    (etc / "deep" / "open").write_text("x")
    (etc / "deep" / "open").chmod(0o620)
    real = subprocess.run([REAL, "-c", etc, "check"], capture_output=True, text=True, timeout=60)
    theirs = (installation / "log").read_text()
    ours = subprocess.run(
        [Path(sys.executable).with_name("postfix"), "-c", etc, "check"], capture_output=True, text=True, timeout=60
    )
    assert ours.returncode == real.returncode == 0
    assert lines(theirs)
    assert lines(ours.stderr) == lines(theirs)
    assert lines((installation / "log").read_text()[len(theirs) :]) == lines(theirs)


def test_missing_directories_are_made(installation):
    done = subprocess.run([Path(sys.executable).with_name("postfix"), "-c", installation / "etc", "check"])
    assert done.returncode == 0
    assert (installation / "spool" / "pid").is_dir()
