"""FETCH responses about flags: which messages are marked recent, whatever the shape of the positions."""

from __future__ import annotations

from array import array

import pytest

from angarium.daemons.imapd.updates import flag_words, numbers, render_states
from angarium.daemons.imapd.view import Snapshot

SEEN = frozenset({"\\Seen"})
SNAPSHOT = Snapshot(array("I", [2, 3, 5, 8, 9]), array("Q", [1, 2, 3, 4, 5]), [SEEN, frozenset(), SEEN, SEEN, SEEN], 5)


@pytest.mark.parametrize("positions", [range(5), list(range(5)), range(1, 4), [0, 2, 4], range(0), []])
@pytest.mark.parametrize("recent", [(), ((1, 100),), ((3, 6),), ((2, 3), (8, 10)), ((100, 200),)])
def test_recent_stands_where_it_belongs(positions, recent):
    told = dict(zip(positions, flag_words(SNAPSHOT, positions, recent), strict=True))
    for at, words in told.items():
        flags = set(SNAPSHOT.flags[at])
        if any(low <= SNAPSHOT.uids[at] < high for low, high in recent):
            flags.add("\\Recent")
        assert set(words.decode()[1:-1].split()) == flags


def test_a_response_for_each_position():
    assert numbers(range(1, 3)) == range(2, 4)
    wanted = b"* 2 FETCH (UID 3 FLAGS () MODSEQ (2))\r\n* 4 FETCH (UID 8 FLAGS (\\Seen) MODSEQ (4))\r\n"
    assert render_states(SNAPSHOT, [1, 3], uid=True, modseq=True, recent=()) == wanted
    assert render_states(SNAPSHOT, range(0), uid=True, modseq=False, recent=()) == b""
