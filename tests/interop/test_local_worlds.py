"""Worlds that are made up, played by Postfix and by our server: the same becomes of everybody's mail in both."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from tests.interop.localstage import staged

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@pytest.mark.parametrize("number", [200, 202])
def test_a_world_ends_as_with_postfix(number):
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("only root can make users in a namespace")
    if shutil.which("postalias", path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
        pytest.skip("postalias is not installed (.ci/install-peers installs it)")
    name = f"random-{number}"
    theirs, ours = staged("postfix", name), staged("ours", name)
    assert ours["outcomes"] == theirs["outcomes"]
    assert ours["warnings"] == theirs["warnings"]
    assert _told(ours) == _told(theirs)
    assert _places(ours) == _places(theirs)


def _told(seen):
    """Who outside got what; whose report names whom first is nobody's business."""
    return [{key: value for key, value in each.items() if key != "text"} for each in seen["outside"]]


def _places(seen):
    """Files with mode, owner and group."""
    return [" ".join(line.split(" ")[:4]) for line in seen["files"]]
