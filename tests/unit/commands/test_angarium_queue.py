"""``angarium queue``: what it finds, prints, changes and returns; and the filters."""

from __future__ import annotations

import io
import json
import os

import pytest

from angarium.commands.angarium import main
from angarium.commands.queue_filter import FilterError, QueueFilter, Span, address_test, parse_age, parse_span
from angarium.mailqueue.interface import QueueName

HOUR = 3600


@pytest.fixture
def queue(queue_site, capsys, monkeypatch):
    """Runs ``angarium queue …``; what it prints, when it ends with ``status``."""

    def call(*words, status=0, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        assert main(["-c", str(queue_site.etc), "queue", *words]) == status
        out, err = capsys.readouterr()
        return err if status and not out else out

    return call


def test_listing(queue, queue_site):
    first = queue_site.put("bob@slow.test", "carol@slow.test", age=2 * HOUR, content=b"x" * 3000)
    second = queue_site.put("dan@two.test", sender="", queue=QueueName.HOLD)
    assert queue("list").splitlines() == [
        f"{first:<12} deferred   2h  2.9K  alice@example.test -> bob@slow.test and 1 more",
        "    try again later",
        f"{second:<12} hold       0m    24  <> -> dan@two.test",
    ]
    values = json.loads(queue("list", "--json"))
    assert [value["queue_id"] for value in values] == [first, second]
    assert values[0]["recipients"] == [
        {"address": "bob@slow.test", "delay_reason": "try again later"},
        {"address": "carol@slow.test", "delay_reason": "try again later"},
    ]
    assert values[1]["sender"] == ""
    assert queue("list", "--limit", "1").startswith(first)
    assert json.loads(queue("list", second, "--json"))[0]["queue_id"] == second
    assert queue("list", "--age", "1w") == ""
    assert json.loads(queue("list", "--age", "1w", "--json")) == []


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (("--sender", "Alice@example.test"), "ac"),
        (("--sender", "<>"), "b"),
        (("--sender", "a*@example.test"), "ac"),
        (("--recipient", "BOB@slow.test"), "a"),
        (("--recipient", "@slow.test"), "ab"),
        (("--recipient", "done@slow.test"), ""),
        (("--domain", "slow.test"), "ab"),
        (("--domain", ".test"), "abc"),
        (("--domain", "test"), ""),
        (("--age", "1h"), "ab"),
        (("--age", ":1h"), "c"),
        (("--age", "1h:3h"), "a"),
        (("--size", "1K"), "c"),
        (("--size", ":1K"), "ab"),
        (("--reason", "REFUSED"), "b"),
        (("--queue", "hold"), "c"),
        (("--queue", "hold", "--queue", "deferred"), "abc"),
        (("--domain", "slow.test", "--reason", "later"), "a"),
        (("--domain", "slow.test", "--recipient", "bob@*"), "a"),
    ],
)
def test_filters(queue, queue_site, filters, expected):
    ids = {
        queue_site.put("bob@slow.test", "done@slow.test", age=2 * HOUR, done=("done@slow.test",)): "a",
        queue_site.put("carol@slow.test", sender="", age=50 * HOUR, reason="Connection refused"): "b",
        queue_site.put("dan@two.test", queue=QueueName.HOLD, content=b"x" * 2000): "c",
    }
    found = [ids[value["queue_id"]] for value in json.loads(queue("list", "--json", *filters))]
    assert "".join(found) == expected


@pytest.mark.parametrize(
    "filters", [("--age", "2x"), ("--age", ":"), ("--size", "big"), ("--sender", ""), ("--recipient", "x" * 2000)]
)
def test_filters_that_make_no_sense(queue, filters):
    assert queue("list", *filters, status=os.EX_DATAERR).startswith("angarium: not ")


def test_top(queue, queue_site):
    queue_site.put("bob@slow.test", "carol@slow.test", age=3 * HOUR)
    queue_site.put("dan@two.test", sender="", reason="refused")
    assert queue("top").splitlines() == [
        "COUNT  SIZE  AGE  DOMAIN",
        "2      24    3h   slow.test",
        "1      24    0m   two.test",
    ]
    assert [value["reason"] for value in json.loads(queue("top", "--by", "reason", "--json"))] == [
        "try again later",
        "refused",
    ]
    assert [value["sender"] for value in json.loads(queue("top", "--by", "sender", "--json"))] == [
        "<>",
        "alice@example.test",
    ]
    assert json.loads(queue("top", "--by", "queue", "--json"))[0]["count"] == 2
    assert len(json.loads(queue("top", "--limit", "1", "--json"))) == 1
    assert queue("top", "--domain", "no.test") == ""


def test_show(queue, queue_site):
    queue_id = queue_site.put("bob@slow.test", "done@slow.test", done=("done@slow.test",))
    text = queue("show", queue_id)
    assert "Recipient:    bob@slow.test: try again later\nRecipient:    done@slow.test: done\n\nSubject: test\n" in text
    value = json.loads(queue("show", queue_id, "--json"))
    assert (value["header"], value["queue_name"]) == ("Subject: test\n", "deferred")
    assert queue("show", "ABCDEF", status=os.EX_NOINPUT) == "angarium: ABCDEF: no such message in the queue\n"


def test_suspend_resume_and_bounce(queue, queue_site):
    queue_id = queue_site.put("bob@slow.test")
    assert queue("suspend", queue_id) == f"{queue_id}: put on hold\n1 message put on hold\n"
    assert queue_site.state() == {queue_id: "hold"}
    assert queue("resume", "--queue", "hold") == f"{queue_id}: released from hold\n1 message released from hold\n"
    assert queue_site.state() == {queue_id: "deferred"}
    queue("suspend", "--all")
    assert json.loads(queue("bounce", queue_id, "--json")) == {
        "action": "bounce",
        "dry_run": False,
        "count": 1,
        "messages": [queue_id],
    }
    assert queue_site.state() == {queue_id: "deferred"}
    assert queue_site.message(queue_id).forced_expire
    log = queue_site.log.read_text()
    for text in ("placed on hold", "released from hold", "expired"):
        assert f"{queue_id}: {text}\n" in log


def test_delete_and_undelete(queue, queue_site):
    ids = [queue_site.put(f"user{number}@slow.test") for number in range(3)]
    spam = queue_site.put("x@spam.test")
    assert queue("delete", "--domain", "slow.test", "--dry-run").endswith("3 messages would be deleted\n")
    assert len(queue_site.state()) == 4
    assert queue("delete", "--domain", "slow.test").endswith("3 messages deleted\n")
    assert queue_site.state() == {spam: "deferred"}
    assert [value["queue_id"] for value in json.loads(queue("list", "--deleted", "--json"))] == ids
    assert "    deleted " in queue("list", "--deleted")
    assert queue("undelete", "--recipient", "user1@slow.test") == f"{ids[1]}: undeleted\n1 message undeleted\n"
    assert queue("undelete", "-", stdin=f"{ids[0]}\n").startswith(ids[0])
    assert queue_site.state() == {ids[0]: "deferred", ids[1]: "deferred", spam: "deferred"}
    assert queue("delete", "--forever", ids[2], ids[0]).endswith("2 messages deleted\n")
    assert queue("list", "--deleted") == ""


def test_nothing_is_kept_when_that_is_wanted(queue, queue_site):
    with (queue_site.etc / "main.cf").open("a") as main_cf:
        main_cf.write("deleted_queue_lifetime = 0\n")
    queue_site.put("bob@slow.test")
    queue("delete", "--all")
    assert queue("list", "--deleted") == ""


def test_which_messages_must_be_said(queue, queue_site):
    queue_site.put("bob@slow.test")
    for verb in ("suspend", "resume", "bounce", "delete", "undelete"):
        assert "which messages?" in queue(verb, status=os.EX_USAGE)
    assert queue("delete", "../x", status=os.EX_DATAERR) == "angarium: not a queue id: '../x'\n"
    assert queue("delete", "-", status=os.EX_DATAERR, stdin="\n") == "angarium: no queue ids on standard input\n"
    assert queue("delete", "ABCDEF", status=os.EX_NOINPUT) == "0 messages deleted\n"
    assert len(queue_site.state()) == 1


def test_a_queue_that_cannot_be_read(queue, queue_site):
    (queue_site.directory / "queue.db").write_text("garbage" * 100)
    assert "queue.db" in queue("list", status=os.EX_TEMPFAIL)
    assert "queue.db" in queue("delete", "--all", status=os.EX_TEMPFAIL)


def test_no_configuration(tmp_path, capsys):
    assert main(["-c", str(tmp_path / "none"), "queue", "list"]) == os.EX_CONFIG
    assert "main.cf" in capsys.readouterr().err


def test_spans_and_ages():
    assert parse_span("2h:1d", parse_age) == Span(7200, 86400)
    assert 7199 not in parse_span("2h", parse_age)
    assert 7200 in parse_span("2h", parse_age)
    assert not QueueFilter()
    with pytest.raises(FilterError):
        parse_age("-1")


def test_a_pattern_is_no_regular_expression():
    test = address_test("a[b]+*@x.test")
    assert test("A[b]+c@x.test")
    assert not test("abb@x.test")
    assert not address_test("*" * 500 + "x")("a" * 5000)
