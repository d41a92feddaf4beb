"""The master's pid file and its lock."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from angarium.master.pidfile import AlreadyRunningError, PidFile

OTHER = """
import sys
from pathlib import Path
from angarium.master.pidfile import PidFile
file = PidFile(Path(sys.argv[1]))
file.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def queue_directory(tmp_path):
    (tmp_path / "pid").mkdir()
    return tmp_path


def test_nobody_runs_at_first_and_after_the_end(queue_directory):
    file = PidFile(queue_directory)
    assert file.running() is None
    file.acquire()
    assert file.path.read_text() == f"{os.getpid():32}\n"
    file.release()
    assert file.running() is None


def test_another_process_is_seen_and_respected(queue_directory):
    command = [sys.executable, "-c", OTHER, str(queue_directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        assert PidFile(queue_directory).running() == other.pid
        with pytest.raises(AlreadyRunningError):
            PidFile(queue_directory).acquire()
        other.kill()
        other.wait()
        assert PidFile(queue_directory).running() is None
