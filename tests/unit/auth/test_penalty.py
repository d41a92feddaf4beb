"""The penalty for wrong passwords, and the networks that are exempt."""

from __future__ import annotations

import pytest

from angarium.auth.penalty import LoginPenalty, Networks


def test_networks():
    networks = Networks(["127.0.0.0/8", "[::1]/128", "192.0.2.7"])
    assert all(address in networks for address in ("127.3.2.1", "::1", "192.0.2.7", "::ffff:127.0.0.1"))
    assert not any(address in networks for address in ("192.0.2.8", "::2", "", "nonsense"))
    with pytest.raises(ValueError, match="not appear"):
        Networks(["nonsense"])


def test_the_penalty_grows_ends_and_is_forgotten():
    penalty = LoginPenalty(Networks(["127.0.0.0/8"]))
    delays = []
    for _ in range(5):
        penalty.failed("192.0.2.1", 100.0)
        delays.append(penalty.delay("192.0.2.1", 101.0))
    assert delays == [2.0, 4.0, 8.0, 15.0, 15.0]
    assert penalty.delay("192.0.2.1", 100.0 + 3600) == 0
    penalty.succeeded("192.0.2.1")
    assert penalty.delay("192.0.2.1", 101.0) == 0
    penalty.failed("127.0.0.1", 100.0)
    assert penalty.delay("127.0.0.1", 100.0) == 0


def test_an_ipv6_client_is_its_network():
    """It may take any of 2^64 addresses, one for each guess."""
    penalty = LoginPenalty(Networks([]))
    penalty.failed("2001:db8:1:2::1", 100.0)
    penalty.failed("2001:db8:1:2:ffff::2%eth0", 100.0)
    assert penalty.delay("2001:db8:1:2:3:4:5:6", 100.0) == 4
    assert penalty.delay("2001:db8:1:3::1", 100.0) == 0
    penalty.failed("::ffff:192.0.2.1", 100.0)
    assert penalty.delay("192.0.2.1", 100.0) == 2
    penalty.failed("no:address", 100.0)
    assert penalty.delay("no:address", 100.0) == 2
