"""The expansion language of main.cf. Its agreement with Postfix is in tests/interop/test_postconf.py."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.config.error import ConfigError
from angarium.config.expansion import Expander, compare, compatibility_level, parse, references

VALUES = {
    "one": "1",
    "empty": "",
    "domain": "example.test",
    "nested": "<$domain>",
    "loop": "$loop",
    "a": "$b",
    "b": "$a",
}


def expand(text):
    return Expander(VALUES.get).expand(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$one-${one}-$(one)", "1-1-1"),
        ("$$one", "$one"),
        ("$unknown|", "|"),
        ("$nested", "<example.test>"),
        ("${one?yes}${empty?no}", "yes"),
        ("${empty:no}${one:yes}", "no"),
        ("${one?{a}:{b}}${empty?{a}:{b}}", "ab"),
        ("${empty?{a}:b}", "b"),
        ("${{$one} == {1} ? {same} : {other}}", "same"),
        ("${{10} < {9}}${{a10} < {a9}}", "true"),
        ("${{3.6} <level {3.10} ? {older} : {newer}}", "older"),
        ("${one?${empty?x}${domain?{deep}}}", "deep"),
    ],
)
def test_expands(text, expected):
    assert expand(text) == expected


@pytest.mark.parametrize("text", ["$", "${}", "${one", "$(one", "a$ b", "${a b}", "${one?{a}{b}}", "${one?{a}:{b}c}"])
def test_refuses_what_postfix_refuses(text):
    with pytest.raises(ConfigError):
        expand(text)


@pytest.mark.parametrize("text", ["$loop", "$a", "${loop?$loop}" * 3])
def test_a_name_that_refers_to_itself_ends_with_an_error(text):
    with pytest.raises(ConfigError, match="unreasonable macro call nesting"):
        expand(text)


def test_braces_cannot_nest_without_end():
    with pytest.raises(ConfigError, match="unreasonable"):
        parse("${one?" * 5000 + "}" * 5000)


def test_finds_the_names_in_every_branch():
    assert references("$a ${b?$c} ${d?{$e}:{$f}} ${{$g} == {$h} ? {$i} : {$j}} $$k") == set("abcdefghij")


def test_compares_numbers_of_any_length():
    assert compare("0" * 5000 + "7", "==", "7")
    assert compare("1" + "0" * 5000, ">", "9" * 5000)
    assert not compare("a", "==", "b")


@pytest.mark.parametrize("text", ["", "x", "3.x", "1.2.3.4", "3..6", "99999999"])
def test_refuses_a_level_that_is_none(text):
    with pytest.raises(ConfigError, match="malformed compatibility level"):
        compatibility_level(text)


def test_levels_are_ordered_part_by_part():
    assert compatibility_level("3") == (3, 0, 0)
    assert compatibility_level("3.6") < compatibility_level("3.10") < compatibility_level("4")


@settings(deadline=None)
@given(st.text(alphabet="${}()?:=<>!level ab_1", max_size=60))
def test_any_text_expands_or_is_a_config_error(text):
    try:
        result = expand(text)
    except ConfigError:
        return
    assert isinstance(result, str)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="$"), max_size=60))
def test_text_without_a_dollar_stays(text):
    assert expand(text) == text
