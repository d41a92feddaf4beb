"""What a compromised mail_owner could make root do at the next start, and what a child keeps of root's."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest

from angarium.master.listeners import bind_unix
from angarium.master.node import make_directories
from angarium.master.pidfile import PidFile
from angarium.master.privileges import Owner

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
NOBODY = Owner("nobody", 65534, 65534)


@pytest.mark.parametrize("name", ["private", "maildrop", "pid", "private/bus"])
def test_a_link_in_place_of_a_directory_is_not_followed(tmp_path, name):
    target = tmp_path / "etc"
    target.mkdir(mode=0o755)
    spool = tmp_path / "spool"
    make_directories(spool)
    (spool / "private" / "bus").rmdir()
    if name != "private/bus":
        (spool / name).rmdir()
    (spool / name).symlink_to(target)
    with pytest.raises(OSError, match=name):
        make_directories(spool, (os.getuid(), os.getgid()))
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


@root_only
def test_the_owner_gets_the_directories_but_not_that_of_the_pid_file(tmp_path):
    make_directories(tmp_path, (NOBODY.uid, NOBODY.gid))
    assert (tmp_path / "private" / "bus").stat().st_uid == NOBODY.uid
    assert (tmp_path / "pid").stat().st_uid == 0


@root_only
def test_files_are_given_away_only_when_they_are_what_they_seem(tmp_path):
    shadow = tmp_path / "shadow"
    shadow.write_text("root's")
    (tmp_path / "queue.db-link").symlink_to(shadow)
    with pytest.raises(OSError, match="symbolic links"):
        NOBODY.own_file(tmp_path / "queue.db-link")
    os.link(shadow, tmp_path / "queue.db-hard")
    NOBODY.own_file(tmp_path / "queue.db-hard")
    assert shadow.stat().st_uid == 0
    (tmp_path / "queue.db").touch()
    NOBODY.own_file(tmp_path / "queue.db")
    assert (tmp_path / "queue.db").stat().st_uid == NOBODY.uid
    NOBODY.own_file(tmp_path / "queue.db-gone")


def test_the_pid_file_is_no_way_to_empty_others(tmp_path):
    (tmp_path / "pid").mkdir()
    victim = tmp_path / "passwd"
    victim.write_text("root:x")
    file = PidFile(tmp_path)
    file.path.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        file.acquire()
    file.path.unlink()
    os.link(victim, file.path)
    with pytest.raises(PermissionError, match="not a file of the master's own"):
        file.acquire()
    assert victim.read_text() == "root:x"


def test_who_the_master_is_says_the_lock_and_not_the_text(tmp_path):
    (tmp_path / "pid").mkdir()
    code = (
        "import os, sys; from pathlib import Path; from angarium.master.pidfile import PidFile\n"
        "file = PidFile(Path(sys.argv[1])); file.acquire(); os.pwrite(file._descriptor, b'1', 0)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        assert PidFile(tmp_path).running() == other.pid
        other.stdin.close()


def test_a_socket_is_open_to_all_without_a_chmod(tmp_path):
    listener = bind_unix(tmp_path / "pickup")
    listener.close()
    assert stat.S_IMODE((tmp_path / "pickup").stat().st_mode) == 0o666


CONFINED = """
import os, resource
from angarium.master.privileges import confine
confine(["TZ", "LANG=C", "MISSING"])
print(sorted(os.environ.items()), resource.getrlimit(resource.RLIMIT_CORE))
print([line for line in open("/proc/self/status") if line.startswith("NoNewPrivs")][0].split()[1])
"""


def test_a_child_keeps_nothing_of_roots_environment_that_is_not_named():
    environment = {**os.environ, "TZ": "Asia/Tehran", "LANG": "fa_IR", "LD_PRELOAD": "", "SECRET": "x"}
    done = subprocess.run([sys.executable, "-c", CONFINED], env=environment, capture_output=True, text=True, check=True)
    kept, privileges = done.stdout.splitlines()
    assert kept == "[('LANG', 'C'), ('PATH', '/usr/bin:/bin'), ('TZ', 'Asia/Tehran')] (0, 0)"
    assert privileges == "1"


HANGING = """
import asyncio, time
from angarium.master.watchdog import Watchdog
async def main():
    Watchdog(0.3).guard(asyncio.get_running_loop())
    await asyncio.sleep(0.6)
    print("turned", flush=True)
    time.sleep(30)
asyncio.run(main())
"""


def test_the_watchdog_ends_a_loop_that_stands_still_and_no_other():
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGALRM, "turned\n")
