"""The view without a server: what a client that follows the responses believes is what the snapshot says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.daemons.imapd.updates import Dialect, render_difference
from angarium.daemons.imapd.view import Snapshot, View, difference, keeping_vanished
from angarium.mailstore.interface import Changes, MessageState
from angarium.protocols.imap.sequence import SequenceSet

SEEN = frozenset({"\\Seen"})
NONE: frozenset[str] = frozenset()


def states(*uids, modseq=1, flags=NONE):
    return [MessageState(uid, modseq, flags) for uid in uids]


def test_difference_of_equal_snapshots_is_empty():
    one = Snapshot.build(states(1, 2), 1)
    assert difference(one, one).empty
    assert difference(one, Snapshot.build(states(1, 2), 5)).empty


def test_expunge_exists_and_flags_in_order():
    old = Snapshot.build(states(1, 2, 3, 4), 1)
    new = old.after(Changes([MessageState(4, 2, SEEN), MessageState(9, 3, NONE)], [1, 3], 3))
    found = difference(old, new)
    assert render_difference(old, found, new, Dialect(uid=True, modseq=True)) == (
        b"* 1 EXPUNGE\r\n* 2 EXPUNGE\r\n* 3 EXISTS\r\n* 2 FETCH (UID 4 FLAGS (\\Seen) MODSEQ (2))\r\n"
    )


def test_vanished_messages_keep_their_numbers_while_expunge_is_withheld():
    view = View(Snapshot.build(states(1, 2, 3), 1))
    latest = view.snapshot.after(Changes(states(4, modseq=2), [2], 2))
    shown, found = view.advance(latest, expunge=False)
    assert list(shown.uids) == [1, 2, 3, 4]
    assert (list(found.vanished), found.exists) == ([], 4)
    shown, found = view.advance(latest, expunge=True)
    assert (list(shown.uids), found.vanished, found.exists) == ([1, 3, 4], [1], -1)
    assert view.snapshot is latest


def test_what_is_held_back_is_worked_out_once():
    """A client that fetches one by one, with an EXPUNGE to be told: each FETCH went through the whole mailbox."""
    view = View(Snapshot.build(states(1, 2, 3), 1))
    latest = view.snapshot.after(Changes((), [2], 2))
    shown, _found = view.advance(latest, expunge=False)
    again, found = view.advance(latest, expunge=False)
    assert again is shown
    assert found.empty
    newer = latest.after(Changes(states(4, modseq=3), (), 3))
    shown, found = view.advance(newer, expunge=False)
    assert list(shown.uids) == [1, 2, 3, 4]
    assert found.exists == 4
    shown, found = view.advance(newer, expunge=True)
    assert (shown is newer, found.vanished) == (True, [1])


def test_numbers_that_do_not_exist():
    view = View(Snapshot.build(states(5, 7), 1))
    with pytest.raises(IndexError):
        view.positions(SequenceSet(((3, 3),)), uid=False)
    assert list(view.positions(SequenceSet(((6, 0),)), uid=True)) == [1]
    assert list(view.positions(SequenceSet(((100, 0),)), uid=True)) == [1]
    with pytest.raises(IndexError):
        View(Snapshot.build((), 1)).positions(SequenceSet(((1, 0),)), uid=False)


def test_snapshots_do_not_change():
    old = Snapshot.build(states(1, 2), 1)
    old.with_states([MessageState(1, 2, SEEN)], 2)
    assert (list(old.modseqs), old.flags) == ([1, 1], [NONE, NONE])


class Client:
    """Believes what it is told."""

    def __init__(self, count):
        self.flags = [None] * count

    def hear(self, data):
        for line in data.split(b"\r\n")[:-1]:
            words = line.split(b" ")
            number = int(words[1])
            if words[2] == b"EXPUNGE":
                del self.flags[number - 1]
            elif words[2] == b"EXISTS":
                assert number >= len(self.flags)
                self.flags += [None] * (number - len(self.flags))
            else:
                self.flags[number - 1] = b"Seen" in line


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "flag", "expunge"]), st.integers(0, 12), st.booleans(), st.booleans()),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 8), STEPS)
def test_a_client_that_follows_believes_the_truth(count, steps):
    truth = dict.fromkeys(range(1, count + 1), NONE)
    latest = Snapshot.build(states(*truth), 1)
    view = View(latest)
    client = Client(count)
    uidnext = count + 1
    modseq = 1
    for action, choice, look, expunge in steps:
        modseq += 1
        if action == "add":
            truth[uidnext] = NONE
            latest = latest.after(Changes([MessageState(uidnext, modseq, NONE)], (), modseq))
            uidnext += 1
        elif truth:
            uid = sorted(truth)[choice % len(truth)]
            if action == "flag":
                truth[uid] = SEEN - truth[uid]
                latest = latest.after(Changes([MessageState(uid, modseq, truth[uid])], (), modseq))
            else:
                del truth[uid]
                latest = latest.after(Changes((), [uid], modseq))
        if look:
            before = view.snapshot
            shown, found = view.advance(latest, expunge=expunge)
            client.hear(render_difference(before, found, shown, Dialect()))
            assert len(client.flags) == len(shown)
    before = view.snapshot
    shown, found = view.advance(latest, expunge=True)
    client.hear(render_difference(before, found, shown, Dialect()))
    assert shown is latest
    assert list(shown.uids) == sorted(truth)
    for told, uid in zip(client.flags, sorted(truth), strict=True):
        assert told is None or told == (truth[uid] == SEEN)


@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)))
def test_keeping_vanished_keeps_all(old, new):
    before = Snapshot.build(states(*sorted(old)), 1)
    after = Snapshot.build(states(*sorted(new), modseq=2), 2)
    assert list(keeping_vanished(before, after).uids) == sorted(old | new)


def test_many_changes_at_once_are_found_like_few():
    old = Snapshot.build(states(*range(1, 1001)), 1)
    for gone in (range(1, 1001), range(1, 1001, 2), range(1, 65), range(936, 1001), range(500, 565)):
        new = old.after(Changes([MessageState(1001, 2, NONE)], list(gone), 2))
        found = difference(old, new)
        assert list(found.vanished) == [uid - 1 for uid in gone]
        assert found.exists == len(new)


@settings(max_examples=100)
@given(
    st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)), st.sets(st.integers(61, 70)), st.sets(st.integers(1, 70))
)
def test_difference_is_what_the_sets_say(old, gone, fresh, flagged):
    before = Snapshot.build(states(*sorted(old)), 1)
    after = Snapshot.build([MessageState(uid, 1 + (uid in flagged), NONE) for uid in sorted((old - gone) | fresh)], 2)
    found = difference(before, after)
    assert [before.uids[at] for at in found.vanished] == sorted(old & gone)
    assert [after.uids[at] for at in found.changed] == sorted((old - gone) & flagged)
    assert found.exists == (len(after) if fresh else -1)
