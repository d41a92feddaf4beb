"""The cache of outcomes: what it remembers, for how long, and that it holds no password."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.auth.cache import AuthCache


def test_it_remembers_until_the_ttl() -> None:
    cache = AuthCache(10, 60, 5)
    right, wrong = cache.mac("a", "p", "h"), cache.mac("a", "q", "h")
    assert cache.get(right, 0) is None
    cache.put(right, True, 0)
    cache.put(wrong, False, 0)
    assert cache.get(right, 59) is True
    assert cache.get(wrong, 4) is False
    assert cache.get(wrong, 5) is None
    assert cache.get(right, 60) is None
    assert cache.statistics() == {"entries": 2, "hits": 2, "misses": 3}


def test_it_is_bounded_and_forgets_the_longest_unused() -> None:
    cache = AuthCache(2, 60, 60)
    macs = [cache.mac("a", str(number), "h") for number in range(3)]
    cache.put(macs[0], True, 0)
    cache.put(macs[1], True, 0)
    assert cache.get(macs[0], 1)
    cache.put(macs[2], True, 1)
    assert cache.get(macs[1], 1) is None
    assert cache.get(macs[0], 1)
    assert cache.get(macs[2], 1)


def test_it_can_be_off() -> None:
    for cache in (AuthCache(0, 60, 60), AuthCache(10, 0, 0)):
        mac = cache.mac("a", "p", "h")
        cache.put(mac, True, 0)
        cache.put(mac, False, 0)
        assert cache.get(mac, 0) is None


def test_two_processes_have_two_keys() -> None:
    assert AuthCache(1, 1, 1).mac("a", "p", "h") != AuthCache(1, 1, 1).mac("a", "p", "h")


_CACHE = AuthCache(1, 1, 1)
_FIELDS = st.tuples(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))


@settings(max_examples=100)
@given(_FIELDS, _FIELDS)
def test_equal_macs_mean_equal_fields(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (_CACHE.mac(*one) == _CACHE.mac(*other)) == (one == other)
