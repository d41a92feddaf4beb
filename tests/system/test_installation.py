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


def test_from_nothing_to_a_message_read_over_imap(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can make a root directory of his own")
    stage = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", sys.executable, str(INSIDE)]
    try:
        done = subprocess.run([*stage, "probe", str(tmp_path)], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no unshare(1)")
    if done.returncode != 0:
        pytest.skip(f"no namespaces or overlays here: {done.stderr.strip().splitlines()[-1:]}")
    done = subprocess.run([*stage, "install", str(tmp_path)], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all is well"
