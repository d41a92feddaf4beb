"""main.cf: settings with their places, and what is wrong with a line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.config.error import ConfigError
from angarium.config.lines import decode
from angarium.config.main_cf import parse_main_cf, read_main_cf, split_name_value


def test_settings_know_their_line():
    main = parse_main_cf("# c\na = 1\nb=2\n  3\n", "/etc/postfix/main.cf")
    assert main.settings["b"].value == "2  3"
    assert main.settings["b"].place == "/etc/postfix/main.cf:3"
    assert main.settings["a"].line == 2


def test_the_last_setting_of_a_name_counts_and_the_others_are_told():
    main = parse_main_cf("a = 1\nb = 2\na = 3\n", "main.cf")
    assert main.settings["a"].value == "3"
    assert main.warnings == ["main.cf, line 3: overriding earlier entry: a=1"]
    assert [(setting.value, line) for setting, line in main.overridden] == [("1", 3)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("relayhost\n", "x, line 1: missing '=' after attribute name: \"relayhost\""),
        ("\n= y\n", 'x, line 2: missing attribute name: "= y"'),
        ("a b = c\n", "x, line 1: missing '=' after attribute name: \"a b = c\""),
    ],
)
def test_says_what_is_missing_and_where(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_main_cf(text, "x")
    assert str(caught.value) == message


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="No such file or directory"):
        read_main_cf(tmp_path / "main.cf")


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_settings_or_a_config_error(data):
    try:
        main = parse_main_cf(decode(data), "x")
    except ConfigError as error:
        if error.line == 0:
            raise
    else:
        for name, setting in main.settings.items():
            assert name
            assert not any(char.isspace() for char in name)
            assert setting.value == setting.value.strip()


@settings(deadline=None)
@given(st.from_regex(r"[a-z0-9_]{1,12}", fullmatch=True), st.text(alphabet="ab $,{}=#", max_size=30))
def test_what_is_written_is_read(name, value):
    assert split_name_value(f"{name} = {value}") == (name, value.strip())


def test_a_warning_shows_no_password():
    names = ("password", "db_password", "passwrd", "bind_pw", "x_bind_pw", "client_secret")
    text = "".join(f"{name} = first\n{name} = second\n" for name in names)
    warnings = parse_main_cf(text, "x.cf").warnings
    assert len(warnings) == len(names)
    assert not any("first" in each or "second" in each for each in warnings)
    assert "earlier entry: pass_through=a" in parse_main_cf("pass_through = a\npass_through = b\n", "x").warnings[0]
