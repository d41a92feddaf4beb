"""VERP from the client to the reports, beside a real Postfix: the same scenes are played by both, with the same end."""

from __future__ import annotations

import pytest
from tests.interop.relaypeer import refusal
from tests.interop.verpscenes import SCENES
from tests.interop.verpstage import ours, postfix, staged

pytestmark = pytest.mark.interop

FIRST = ("xverp", "sendmail")
"""Three recipients of whom two bounce, asked for by SMTP and by the sendmail command: in every run of the tests."""


@pytest.mark.parametrize(
    "name", [name if name in FIRST else pytest.param(name, marks=pytest.mark.slow) for name in SCENES]
)
def test_a_scene_ends_as_with_postfix(name, peer):
    peer("postfix")
    if refusal():
        pytest.skip(refusal())
    theirs = staged(postfix, SCENES[name])
    seen = staged(ours, SCENES[name])
    for part, expected in theirs.items():
        assert seen[part] == expected, part
    assert theirs["said"] or theirs["files"]
