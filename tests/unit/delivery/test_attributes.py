"""Attributes of master.cf, and who may not run commands."""

from __future__ import annotations

import contextlib
import grp
import pwd
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.config.error import ConfigError
from angarium.config.master_cf import parse_master_cf
from angarium.delivery.actor import NOBODY, Reserved, actor
from angarium.delivery.attributes import PIPE, SPAWN, Attributes, read_attributes, unescape

DAEMON = pwd.getpwnam("daemon")


def test_all():
    text = "FLAGS=DR user=a:b chroot=/c directory=d eol=\\r\\n null_sender= size=12 argv=/x -y user=z"
    expected = Attributes("a", ("/x", "-y", "user=z"), "b", frozenset("DR"), "/c", "d", b"\r\n", "", 12)
    assert Attributes.parse(text.split(), PIPE) == expected
    assert Attributes.parse(["user=a", "argv=x"], SPAWN) == Attributes("a", ("x",))


@pytest.mark.parametrize(
    ("operands", "said"),
    [
        ("user=a: argv=/x", "missing group in user= command-line attribute"),
        ("user= argv=/x", "missing user= command-line attribute"),
        ("user=a", "missing argv= command-line attribute"),
        ("user=a size=-1 argv=/x", "bad size= value: -1"),
        ("user=a flags=DZ argv=/x", "unknown flag: Z"),
        ("user=a argv", "unknown attribute name: argv"),
    ],
)
def test_faults(operands, said):
    with pytest.raises(ConfigError) as caught:
        Attributes.parse(operands.split(), PIPE, "master.cf", 3)
    assert (caught.value.text, caught.value.line) == (said, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("\\a\\b\\f\\n\\r\\t\\v\\\\", b"\a\b\f\n\r\t\v\\"), ("\\0a\\1234\\9", b"\0aS49"), ("x\\", b"x\\"), ("\\q", b"q")],
)
def test_escapes(text, expected):
    assert unescape(text) == expected


@settings(max_examples=100)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=12), max_size=6))
def test_anything_is_read_or_refused(words):
    with contextlib.suppress(ConfigError):
        assert Attributes.parse([*words, "user=a", "argv=b"], PIPE).argv


def test_who_may_not():
    group = grp.getgrnam("daemon").gr_gid
    assert actor("daemon", "", NOBODY).uid == DAEMON.pw_uid
    for reserved, said in (
        (Reserved("daemon", DAEMON.pw_uid), "mail system owner daemon"),
        (Reserved("m", -1, group), f"mail system owner m group id {group}"),
        (Reserved("m", setgid_group="g", setgid=group), f"mail system g group id {group}"),
    ):
        with pytest.raises(ConfigError, match=said):
            actor("daemon", "", reserved)
    for user, wanted, said in (
        ("root", "", "root privileges"),
        ("daemon", "root", "privileged group id 0"),
        ("nosuch", "", "unknown user name: nosuch"),
        ("daemon", "nosuch", "unknown group name: nosuch"),
        ("a\0b", "", "unknown user name"),
    ):
        with pytest.raises(ConfigError, match=said):
            actor(user, wanted, NOBODY)


def test_those_of_a_configuration():
    reserved = Reserved.of("daemon", "nosuch")
    assert (reserved.uid, reserved.setgid) == (DAEMON.pw_uid, -1)
    assert Reserved.of("nosuch", "daemon").uid == -1


def test_the_examples_of_the_packaged_master_cf_are_right():
    lines = (Path(__file__).parents[3] / "packaging" / "postfix" / "master.cf").read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if "Commands: pipe(8)" in line)
    examples = [line[1:] for line in lines[at:] if re.match(r"#(\s{2,}|\w)", line)]
    entries = parse_master_cf("\n".join(examples) + "\n", "master.cf").services
    assert [entry.name for entry in entries][:3] == ["files", "maildrop", "dovecot"]
    for entry in entries:
        if entry.command != "virtual":
            known = {"pipe": PIPE, "spawn": SPAWN}[entry.command]
            assert isinstance(read_attributes(entry, known), Attributes)
