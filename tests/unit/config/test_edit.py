"""Edits keep what is around them."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.config import edit
from angarium.config.error import ConfigError
from angarium.config.main_cf import parse_main_cf

MAIN = "# head\nrelayhost = a\n  b\n# inside\n  c\n\nbiff = no\nrelayhost = z\n"


def test_sets_every_occurrence_and_appends_what_is_new():
    text, repeated = edit.set_main(MAIN, {"relayhost": "new", "mydomain": "x.test"})
    assert text == "# head\nrelayhost = new\n# inside\n\nbiff = no\nrelayhost = new\nmydomain = x.test\n"
    assert repeated == ["relayhost"]


def test_removes_and_comments_out():
    assert edit.remove_main(MAIN, {"relayhost"}) == "# head\n# inside\n\nbiff = no\n"
    commented = "# head\n#relayhost = a\n#  b\n# inside\n#  c\n\nbiff = no\n#relayhost = z\n"
    assert edit.comment_main(MAIN, {"relayhost"}) == commented


def test_an_empty_file_can_be_added_to():
    assert edit.set_main("", {"a": "b"}) == ("a = b\n", [])


def test_replaces_a_file_at_once_and_keeps_its_mode(tmp_path):
    path = tmp_path / "main.cf"
    path.write_text("old\n")
    path.chmod(0o640)
    edit.replace_file(path, "new \udcff\n")
    assert path.read_bytes() == b"new \xff\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["main.cf"]  # noqa: PTH208  # the names alone


def test_a_file_that_cannot_be_replaced(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        edit.replace_file(tmp_path / "main.cf", "x")


LINES = st.lists(st.sampled_from(["a = 1", "b = 2", "  more", "# c", "", "  # d", "c=3", "a=9"]), max_size=12)


@settings(deadline=None)
@given(LINES, st.sampled_from(["a", "b", "z"]))
def test_what_is_set_is_read_and_the_rest_stays(lines, name):
    text = "".join(f"{line}\n" for line in lines)
    before = parse_main_cf(text, "x").settings
    after = parse_main_cf(edit.set_main(text, {name: "new"})[0], "x").settings
    assert after[name].value == "new"
    others = {key: setting.value for key, setting in before.items() if key != name}
    assert {key: setting.value for key, setting in after.items() if key != name} == others


@settings(deadline=None)
@given(LINES, st.sampled_from(["a", "b", "z"]))
def test_what_is_removed_or_commented_out_is_gone(lines, name):
    text = "".join(f"{line}\n" for line in lines)
    for change in (edit.remove_main, edit.comment_main):
        assert name not in parse_main_cf(change(text, {name}), "x").settings
