import asyncio

import pytest

from angarium.model.lookup import NOT_FOUND, Found, TemporaryError
from angarium.tables.maps import AddressMatch, Maps, access_address, find_address, host_keys, network_keys
from angarium.tables.opener import TableOpener


def maps(*names):
    return Maps.open("virtual_alias_maps", names, TableOpener(lambda _text: None))


def find(address, *names, delimiters="+", local=()):
    async def is_local(domain):
        return domain in local

    return asyncio.run(find_address(maps(*names), address, delimiters, is_local))


@pytest.mark.parametrize(
    ("table", "extension"),
    [
        ("inline:{u+e@x.test=1, u@x.test=2, u+e=3, u=4, @x.test=5}", ""),
        ("inline:{u@x.test=1, u+e=3, u=4, @x.test=5}", "+e"),
        ("inline:{u+e=1, u=4, @x.test=5}", ""),
        ("inline:{u=1, @x.test=5}", "+e"),
        ("inline:{@x.test=1}", ""),
    ],
)
def test_the_order_of_keys_is_that_of_virtual5(table, extension):
    match = find("u+e@x.test", table, local=["x.test"])
    assert match == AddressMatch(Found("1", table), extension)


def test_bare_users_stand_for_local_domains_alone():
    assert find("u@x.test", "inline:{u=1}") is NOT_FOUND
    assert isinstance(find("u@x.test", "inline:{u=1}", local=["x.test"]), AddressMatch)


def test_patterns_see_whole_addresses_alone():
    assert find("u+e@x.test", "regexp:{{/^u@x/ 1}, {/^@x/ 2}}") is NOT_FOUND
    assert isinstance(find("u+e@x.test", "regexp:{{/^u/ 1}}"), AddressMatch)


def test_the_first_table_that_cannot_be_asked_ends_the_search():
    assert isinstance(find("u@x.test", "fail:down", "inline:{u@x.test=1}"), TemporaryError)
    assert isinstance(find("u@x.test", "inline:{u@x.test=1}", "fail:down"), AddressMatch)


def test_keys_of_hosts_and_networks():
    assert list(host_keys("a.b.test", bare=True)) == ["a.b.test", "b.test", "test"]
    assert list(host_keys("a.b.test", bare=False)) == ["a.b.test", ".b.test", ".test"]
    assert list(network_keys("192.0.2.1")) == ["192.0.2.1", "192.0.2", "192.0", "192"]
    assert list(network_keys("2001:db8::1")) == ["2001:db8::1", "2001:db8", "2001"]


def test_access5_asks_domains_before_the_user():
    def ask(table, address="u+e@sub.x.test"):
        return asyncio.run(access_address(maps(table), address, "+", bare_parents=True))

    assert ask("inline:{x.test=1, u@=2}").value == "1"
    assert ask("inline:{test=1, u@=2}").value == "1"
    assert ask("inline:{u+e@=1, u@=2}").value == "1"
    assert ask("inline:{u@=1}").value == "1"
    assert ask("inline:{u@sub.x.test=1, sub.x.test=2}").value == "1"
