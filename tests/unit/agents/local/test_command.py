"""Commands that hang, flood, or ignore their input."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

import pytest

from angarium.agents.local.commandline import arguments, environment
from angarium.delivery.command import CommandRules
from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User
from angarium.model.content import ContentLostError

SOMEBODY = User("somebody", os.geteuid() or 54321, os.getegid() or 54322)


@pytest.fixture
def outcome(commands):
    """What becomes of a command line."""

    def outcome(command, pieces=(b"x\n",), limit=20.0):
        rules = CommandRules(arguments(command), {"PATH": "/usr/bin:/bin"}, "/", limit, SOMEBODY, shell=command)
        status, dsn, text, *_said = asyncio.run(commands.run(command, pieces, rules))
        return f"{status.value} {dsn} {text}"

    return outcome


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("cat -n", ["cat", "-n"]),
        ("exit 1", ["sh", "-c", "exit 1"]),
        ('cat "x"', ["sh", "-c", 'cat "x"']),
        ("", ["sh", "-c", ""]),
    ],
)
def test_the_shell_is_used_when_it_must_be(command, expected):
    assert arguments(command) == expected


def test_a_shell_of_the_administrators():
    assert arguments("cat", "/bin/rsh -c") == ["/bin/rsh", "-c", "cat"]


def test_what_strangers_choose_is_filtered():
    assert environment({"SENDER": "a;$(b)@c", "EXTENSION": ""}, {"TZ": "UTC"}, "abc@") == {
        "PATH": "/usr/bin:/bin",
        "TZ": "UTC",
        "SENDER": "a___b_@c",
    }


def test_a_hanging_command_is_killed_with_its_children(outcome):
    begun = time.monotonic()
    with pytest.raises(DeliveryError) as caught:
        outcome("sleep 60 & sleep 60", limit=0.2)
    assert caught.value.text == 'Command time limit exceeded: "sleep 60 & sleep 60"'
    assert time.monotonic() - begun < 10


def test_a_command_that_makes_progress_may_take_its_time(outcome):
    assert outcome("for i in 1 2 3 4 5 6; do sleep 0.15; echo; done", limit=0.6).startswith("sent ")


def test_a_flood_is_bounded(outcome):
    said = outcome("head -c 3000000 /dev/zero | tr '\\0' a; exit 1")
    assert said.startswith("bounced 5.3.0 Command died")
    assert len(said) < 5000


def test_a_flood_without_end_is_cut_off(outcome):
    with pytest.raises(DeliveryError):
        outcome("yes", limit=0.2)


def test_much_that_nobody_reads(outcome):
    assert outcome("exit 0", [b"x" * 65536] * 100) == "sent 2.0.0 delivered to command: exit 0"


def test_much_that_is_read_and_written(outcome):
    assert outcome("cat", [b"x" * 65536] * 100) == "sent 2.0.0 delivered to command: cat"


def test_output_that_cannot_be_shown(outcome):
    assert outcome("printf 'a\\001\\377b'; exit 69") == "bounced 5.3.0 service unavailable. Command output: a__b"


def test_a_command_never_takes_a_part_of_a_message_for_the_whole(outcome):
    """One that were told the end of its input would act on what it has."""

    def shrinking():
        yield b"Subject: x\n" + b"x\n" * 100_000
        raise ContentLostError("the file became shorter")

    with tempfile.TemporaryDirectory() as directory:
        taken = Path(directory) / "taken"
        Path(directory).chmod(0o777)
        with pytest.raises(DeliveryError, match=r"4\.3\.0 temporary failure"):
            outcome(f"while read line; do :; done; : > {taken}", shrinking())
        time.sleep(0.2)
        assert not taken.exists()
