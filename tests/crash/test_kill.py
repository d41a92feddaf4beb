"""``kill -9`` under load over SMTP and IMAP APPEND: nothing acknowledged is lost, nothing is half there or twice."""

from __future__ import annotations

import pytest


def run(scene, rounds: int, roles) -> None:
    stage = scene(roles)
    stage.rounds(rounds)
    stage.load.stop()
    stage.settle()
    found = stage.check()
    assert len(found) >= len(stage.load.acknowledged) > rounds
    print(f"{len(stage.load.acknowledged)} acknowledged, {len(found)} stored, refused: {dict(stage.load.refused)}")


@pytest.mark.parametrize("roles", [("network", "qmgr"), ("all",)], ids=["two processes", "one process"])
def test_killed_a_few_times(scene, roles):
    run(scene, 3, roles)


@pytest.mark.slow
def test_killed_two_hundred_times(scene):
    run(scene, 200, ("network", "qmgr"))
