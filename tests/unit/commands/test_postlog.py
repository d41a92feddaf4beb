"""postlog writes records as Postfix's does."""

from __future__ import annotations

import io
import re

import pytest

from angarium.commands import postlog


@pytest.fixture
def run(queue_site, capsys, monkeypatch):
    """Runs it; the lines of the log from the tag on, without the process id."""
    monkeypatch.setattr(postlog, "_PAUSE", 0)

    def call(*words, stdin=b"", status=0):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        assert postlog.main(["-c", str(queue_site.etc), *words]) == status
        if status:
            return capsys.readouterr().err
        lines = queue_site.log.read_text().splitlines()
        return [re.sub(r"^\w{3} [ \d]\d [\d:]{8} mail (\S+)\[\d+\]: ", r"\1: ", line) for line in lines]

    return call


def test_words_are_one_record(run):
    assert run("hello", "there") == ["postfix/postlog: hello there"]


def test_lines_of_standard_input(run):
    assert run("-t", "backup", stdin=b"one\ntwo \xff\n\nlast") == [
        "backup: one",
        "backup: two \ufffd",
        "backup: ",
        "backup: last",
    ]


@pytest.mark.parametrize(
    ("priority", "before"),
    [
        ("info", ""),
        ("warn", "warning: "),
        ("warning", "warning: "),
        ("error", "error: "),
        ("fatal", "fatal: "),
        ("panic", "panic: "),
    ],
)
def test_priorities(run, priority, before):
    assert run("-i", "-p", priority, "x") == [f"postfix/postlog: {before}x"]


def test_wrong_calls(run):
    assert "usage: postlog" in run("-z", status=1)
    assert "severity" in run("-p", "loud", "x", status=1)
