"""Where the Postfix on this machine sends addresses, and what it says to RCPT, beside what was recorded from one.

Our own resolver and policy are held to the recordings in ``tests/unit``; here the recordings are held to the peer. It
takes root, for Postfix starts no other way.
"""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@pytest.fixture
def recorder(peer):
    """The recording programs, on a machine that has Postfix."""
    peer("postfix")
    if os.geteuid() != 0:
        pytest.skip("Postfix wants root to start")
    return lambda name: runpy.run_path(str(GOLDEN / name))


def recorded(directory):
    """(case, line) -> what was recorded for it."""
    found = {}
    for path in (GOLDEN / directory).glob("*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith("#") and " -> " in line:
                key, _, answer = line.partition(" -> ")
                found[path.stem, key] = answer
    return found


def test_routes_and_replies(recorder):
    module = recorder("record_routing.py")
    expected = recorded("routing")
    answers = {
        (name, line): f"{resolution} -> {reply}" for name, line, resolution, reply in module["answers"](module["CASES"])
    }
    assert len(module["CASES"]) >= 50
    assert len(answers) >= 450
    assert answers == expected


def test_lists_and_policy_services(recorder):
    module = recorder("record_lists.py")
    expected = recorded("lists")
    server = module["PolicyServer"]()
    try:
        answers = {(name, line): reply for name, line, reply in module["answers"](module["CASES"])}
    finally:
        server.close()
    assert answers == expected


def test_destinations(recorder):
    module = recorder("record_delivery.py")
    lines = (GOLDEN / "delivery.txt").read_text(encoding="utf-8").splitlines()
    assert module["answers"]() == dict(line.split(" -> ", 1) for line in lines)


def test_verification(recorder):
    module = recorder("record_verify.py")
    assert module["answers"]() == recorded("verify")
