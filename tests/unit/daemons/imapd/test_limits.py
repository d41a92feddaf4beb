from __future__ import annotations

from angarium.daemons.imapd.limits import UserConnections


def test_user_connections():
    counter = UserConnections(2)
    assert [counter.enter("a", "::1") for _ in range(3)] == [True, True, False]
    assert counter.enter("a", "::2")
    counter.leave("a", "::1")
    assert counter.enter("a", "::1")
    assert all(UserConnections(0).enter("a", "b") for _ in range(100))
