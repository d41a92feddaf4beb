"""``kill -9`` under load over SMTP, IMAP APPEND and sendmail: nothing acknowledged is lost, half there or doubled."""

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


@pytest.mark.parametrize(
    "roles",
    [("network", "qmgr"), ("all",), ("child",)],
    ids=["two processes", "one process", "master and its children"],
)
def test_killed_a_few_times(scene, roles):
    run(scene, 3, roles)


@pytest.mark.slow
@pytest.mark.parametrize("roles", [("network", "qmgr"), ("child",)], ids=["two processes", "master and its children"])
def test_killed_two_hundred_times(scene, roles):
    run(scene, 200, roles)
