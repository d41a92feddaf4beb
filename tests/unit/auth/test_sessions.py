"""Sessions by account and address, in one worker and in several."""

from __future__ import annotations

from angarium.auth.sessions import UserSessions
from angarium.runtime.counts import SharedCounts


def test_sessions_of_one_worker() -> None:
    sessions = UserSessions("imap", 2)
    assert [sessions.enter("a", "::1") for _ in range(3)] == [True, True, False]
    assert sessions.enter("a", "::2")
    sessions.leave("a", "::1")
    assert sessions.enter("a", "::1")
    assert sessions.statistics() == {"sessions": 3}
    unlimited = UserSessions("imap", 0)
    assert all(unlimited.enter("a", "b") for _ in range(100))


def test_sessions_of_several_workers_count_together() -> None:
    counts = SharedCounts(2)
    assert (counts.reserve(), counts.reserve()) == (0, 1)
    one, other = UserSessions("pop3", 2, counts.column(0)), UserSessions("pop3", 2, counts.column(1))
    imap = UserSessions("imap", 2, counts.column(1))
    assert one.enter("a", "::1")
    assert other.enter("a", "::1")
    assert not one.enter("a", "::1")
    assert not other.enter("a", "::1")
    assert imap.enter("a", "::1")
    one.leave("a", "::1")
    assert other.enter("a", "::1")
