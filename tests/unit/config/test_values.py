"""Typed values: rules and messages of Postfix."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.config import values
from angarium.config.error import ConfigError


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [("300", "s", 300), ("5m", "s", 300), ("2", "h", 7200), ("1D", "s", 86400), ("1w", "s", 604800), ("0", "d", 0)],
)
def test_times(text, unit, expected):
    assert values.seconds("x", text, unit) == expected


@pytest.mark.parametrize("text", ["", "5x", "s", "-1s", "1.5h", "9999999w", "٣s", "5 m"])
def test_bad_times(text):
    with pytest.raises(ConfigError, match="parameter x: bad time value or unit"):
        values.seconds("x", text)


@pytest.mark.parametrize("text", ["", "5x", "0x10", "1e3", "99999999999", "--1", "٣"])
def test_bad_integers(text):
    with pytest.raises(ConfigError, match="bad numerical configuration: x = "):
        values.integer("x", text)


def test_ranges_and_strings():
    with pytest.raises(ConfigError, match=r"invalid trigger_timeout: 0 \(min 1\)"):
        values.seconds("trigger_timeout", "0", "s", 1)
    with pytest.raises(ConfigError, match="bad string length 0 < 1: myorigin = "):
        values.string("myorigin", "", 1)
    assert values.integer("x", "-3") == -3
    assert values.size("x", str(2**40)) == 2**40


def test_booleans_and_choices():
    assert [values.boolean("x", text) for text in ("yes", "YES", "no")] == [True, True, False]
    with pytest.raises(ConfigError, match="bad boolean configuration: biff = maybe"):
        values.boolean("biff", "maybe")
    assert values.choice("x", "JSON", ("text", "json")) == "json"
    with pytest.raises(ConfigError, match="invalid x value: y"):
        values.choice("x", "y", ("text", "json"))


def test_names_keep_braces_together():
    assert values.names("a, b\tc,,d") == ["a", "b", "c", "d"]
    assert values.names("inline:{{k=two words}, {x=y}} hash:/a") == ["inline:{{k=two words}, {x=y}}", "hash:/a"]
    assert values.names("a {b c") == ["a", "{b c"]


@settings(deadline=None)
@given(st.text(alphabet="ab{}, \t\n", max_size=40))
def test_names_lose_nothing_but_separators(text):
    kept = "".join(values.names(text))
    assert [char for char in kept if char not in ", \t\n"] == [char for char in text if char not in ", \t\n"]
