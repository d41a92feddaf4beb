"""Who has to go when too many have not logged in."""

from __future__ import annotations

from angarium.auth.strangers import Strangers


class Connection:
    def __init__(self, strangers, *, known=False):
        self.known = known
        self.gone = False
        self._strangers = strangers
        strangers.enter(self)

    def give_way(self):
        self.gone = True
        self._strangers.leave(self)


def test_the_oldest_goes():
    strangers = Strangers(2)
    waiting = [Connection(strangers) for _ in range(4)]
    assert [one.gone for one in waiting] == [True, True, False, False]


def test_who_has_logged_in_or_ended_does_not_count():
    strangers = Strangers(2)
    first, second = Connection(strangers), Connection(strangers)
    first.known = True
    strangers.leave(second)
    third, fourth = Connection(strangers), Connection(strangers)
    assert not any(one.gone for one in (first, second, third, fourth))
    assert len(strangers) == 2
    Connection(strangers)
    assert [first.gone, third.gone, fourth.gone] == [False, True, False]


def test_no_limit():
    strangers = Strangers(0)
    assert not any(Connection(strangers).gone for _ in range(10))
    assert len(strangers) == 0
