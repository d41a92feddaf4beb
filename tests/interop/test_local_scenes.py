"""Our local(8) makes of each scene what Postfix's has made of it: ``tests/golden/local_scenes``, through the server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest
from tests.interop.localstage import EVERY, RECORDED, staged

pytestmark = [pytest.mark.interop, pytest.mark.slow]

PROGRAMS = {"procmail": "procmail", "maildrop": "maildrop"}
"""Scenes that need a program which is not always there."""


@pytest.fixture(scope="session")
def namespaces(peer_path):
    """Root that may have a mount namespace of its own."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("only root can make users in a namespace")
    if peer_path("postalias") is None:
        pytest.skip("postalias is not installed (.ci/install-peers installs it)")


@pytest.fixture(scope="session")
def peer_path():
    def find(name):
        return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")

    return find


@pytest.mark.parametrize("name", EVERY)
def test_a_scene_ends_as_with_postfix(name, namespaces, peer_path):
    if name in PROGRAMS and peer_path(PROGRAMS[name]) is None:
        pytest.skip(f"{PROGRAMS[name]} is not installed (.ci/install-peers installs it)")
    recorded = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
    seen = staged("ours", name)
    for part in ("outcomes", "warnings", "outside", "files"):
        assert seen[part] == recorded[part], part
