"""What workers share of each other's log-ins."""

import multiprocessing
import os

from hypothesis import given
from hypothesis import strategies as st

from angarium.auth.cache import AuthCache
from angarium.auth.shared import SharedSuccesses


def two_workers(ttl=60.0, negative_ttl=60.0):
    shared = SharedSuccesses()
    return AuthCache(10, ttl, negative_ttl, shared), AuthCache(10, ttl, negative_ttl, shared)


def test_a_success_is_known_to_the_others_until_its_time():
    one, other = two_workers()
    mac = one.mac("a", "p", "h")
    assert other.get(mac, 0) is None
    one.put(mac, True, 0)
    assert other.get(mac, 59) is True
    assert other.get(mac, 60) is None
    assert other.statistics() == {"entries": 0, "hits": 1, "misses": 2}


def test_a_failure_and_another_password_are_not():
    one, other = two_workers()
    one.put(one.mac("a", "p", "h"), False, 0)
    one.put(one.mac("a", "q", "h"), True, 0)
    assert other.get(other.mac("a", "p", "h"), 1) is None
    assert other.get(other.mac("a", "q", "another hash"), 1) is None
    assert other.get(other.mac("b", "q", "h"), 1) is None


def test_nothing_is_shared_where_nothing_is_cached():
    shared = SharedSuccesses()
    for cache in (AuthCache(0, 60, 60, shared), AuthCache(10, 0, 60, shared)):
        mac = cache.mac("a", "p", "h")
        cache.put(mac, True, 0)
        assert cache.get(mac, 1) is None
        assert not shared.holds(mac, 1)


def test_a_child_tells_its_parent():
    shared = SharedSuccesses()
    mac = os.urandom(32)
    child = multiprocessing.get_context("fork").Process(target=shared.add, args=(mac, 10.0))
    child.start()
    child.join()
    assert shared.holds(mac, 9.0)


def test_the_first_to_be_forgotten_gives_way():
    shared = SharedSuccesses()
    macs = [bytes(4) + bytes([number]) * 28 for number in range(3)]
    for mac, until in zip(macs, (30.0, 10.0, 20.0), strict=True):
        shared.add(mac, until)
    assert [shared.holds(mac, 5.0) for mac in macs] == [True, False, True]
    shared.add(macs[0], 40.0)
    assert [shared.holds(mac, 5.0) for mac in macs] == [True, False, True]


@given(st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.floats(1, 100)), max_size=50))
def test_what_was_not_added_is_not_there(added):
    shared = SharedSuccesses()
    for mac, until in added:
        shared.add(mac, until)
    assert not shared.holds(bytes(range(32)), 0.5) or bytes(range(32)) in dict(added)
    if added:
        assert shared.holds(added[-1][0], 0.5)
