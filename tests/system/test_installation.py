"""A stranger's first hour: ``angarium init`` on a Debian system, its real ports, its own sendmail.

Everything happens in namespaces of the test's own, on an overlay of this machine's root: files and ports of the
machine itself stay as they are. Only root can make such a place.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

INSIDE = Path(__file__).with_name("installation.py")


@pytest.fixture
def stage(tmp_path):
    """``stage(task)``: what ``installation.py`` prints, in a place of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a root directory of his own")
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", sys.executable, str(INSIDE)]
    try:
        done = subprocess.run([*unshare, "probe", str(tmp_path)], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no unshare(1)")
    if done.returncode != 0:
        pytest.skip(f"no namespaces or overlays here: {done.stderr.strip().splitlines()[-1:]}")

    def play(task):
        done = subprocess.run([*unshare, task, str(tmp_path)], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()[-1]

    return play


def test_from_nothing_to_a_message_read_over_imap(stage):
    assert stage("install") == "all is well"


@pytest.mark.slow
def test_deliveries_of_a_server_that_may_become_nobody_else(stage):
    told = stage("unprivileged")
    assert "failed" not in told
    assert int(told.split(" passed")[0].split()[-1]) >= 10
