import os
import re
import time
from datetime import datetime

import pytest

from angarium.commands import angarium_trace
from angarium.commands.angarium_output import Failure
from angarium.commands.trace_story import Story, key_pattern, queue_id_of, stories
from angarium.runtime.trace import Record, TraceStore, search


def store(tmp_path, *events):
    """A store with these events, a second apart."""
    kept = TraceStore(tmp_path, 1 << 20)
    for text, event in events:
        kept.add("postfix/x", text, event)
    kept.close()

    def find(pattern):
        return search(tmp_path, pattern)

    return find


def texts(story):
    return [record.text for record in story.records]


def said(session, text, queue_id=None):
    return text, {"session": session} | ({"queue_id": queue_id} if queue_id else {})


@pytest.mark.parametrize(
    ("key", "text", "matches"),
    [
        ("bob@x.test", "to=<bob@x.test>, relay", True),
        ("bob@x.test", "to=<BOB@X.test>, relay", True),
        ("bob@x.test", "to=<bigbob@x.test>, relay", False),
        ("bob@x.test", "to=<bob@x.test.example>, relay", False),
        ("bob@x.test", "from bob@x.test.", True),
        ('"a b"@x.test', 'to=<"a b"@x.test>', True),
        ("4A93730000", "4A93730000: removed", True),
        ("4A93730000", "14A93730000: removed", False),
        ("4a93730000", "4A93730000: removed", False),
        ("<1.2@x>", "message-id=<1.2@x>", True),
        ("1.2@x", "message-id=<1.2@x>", True),
        ("پیام@نامه.test", "to=<پیام@نامه.test>", True),
        (".*@x", "to=<bob@x>", False),
        ("ünö@x.test", "to=<ÜNÖ@X.test>", True),
        ("straße@x.test", "to=<Straße@x.test>", True),
        ("a%b@x.test", "to=<axb@x.test>", False),
        ("b\udce4r@x.test", "to=<b?r@x.test>", False),
    ],
)
def test_a_key_is_found_as_a_whole(tmp_path, key, text, matches):
    find = store(tmp_path, (text, {}))
    assert bool(list(find(key_pattern(key)))) is matches


@pytest.mark.parametrize(
    ("text", "event", "expected"),
    [
        ("4A93730000: removed", {}, "4A93730000"),
        ("NOQUEUE: reject", {"queue_id": "NOQUEUE"}, ""),
        ("NOQUEUE: reject", {}, ""),
        ("warning: x", {"queue_id": "4A93730000"}, "4A93730000"),
        ("connect from a[1.2.3.4]", {}, ""),
        ("3XyTzQ1c2Pz1Bc: removed", {}, "3XyTzQ1c2Pz1Bc"),
    ],
)
def test_whose_an_event_is(text, event, expected):
    assert queue_id_of(Record(0.0, 1, "t", text, event)) == expected


def test_a_message_with_its_part_of_the_session(tmp_path):
    find = store(
        tmp_path,
        said("1.1", "connect from a[1.2.3.4]"),
        said("9.9", "connect from z[4.3.2.1]"),
        said("1.1", "NOQUEUE: permit: <a@x>", "NOQUEUE"),
        said("1.1", "AAAAA1: client=a[1.2.3.4]", "AAAAA1"),
        ("AAAAA1: message-id=<one@x>", {}),
        ("AAAAA1: removed", {}),
        said("1.1", "NOQUEUE: reject: <b@x>", "NOQUEUE"),
        said("1.1", "BBBBB2: client=a[1.2.3.4]", "BBBBB2"),
        ("BBBBB2: message-id=<two@x>", {}),
        said("9.9", "disconnect from z[4.3.2.1]"),
        said("1.1", "disconnect from a[1.2.3.4]"),
    )
    [one] = stories(find, "<one@x>", 10)
    assert one.queue_ids == ("AAAAA1",)
    assert texts(one) == [
        "connect from a[1.2.3.4]",
        "NOQUEUE: permit: <a@x>",
        "AAAAA1: client=a[1.2.3.4]",
        "AAAAA1: message-id=<one@x>",
        "AAAAA1: removed",
        "disconnect from a[1.2.3.4]",
    ]
    [two] = stories(find, "BBBBB2", 10)
    assert texts(two) == [
        "connect from a[1.2.3.4]",
        "NOQUEUE: reject: <b@x>",
        "BBBBB2: client=a[1.2.3.4]",
        "BBBBB2: message-id=<two@x>",
        "disconnect from a[1.2.3.4]",
    ]


def test_a_session_name_that_comes_again_is_another_session(tmp_path):
    find = store(
        tmp_path,
        said("1.1", "connect from old[1.1.1.1]"),
        said("1.1", "disconnect from old[1.1.1.1]"),
        said("1.1", "connect from new[2.2.2.2]"),
        said("1.1", "AAAAA1: client=new[2.2.2.2]", "AAAAA1"),
        said("1.1", "disconnect from new[2.2.2.2]"),
        said("1.1", "connect from newer[3.3.3.3]"),
    )
    [story] = stories(find, "AAAAA1", 10)
    assert texts(story) == [
        "connect from new[2.2.2.2]", "AAAAA1: client=new[2.2.2.2]", "disconnect from new[2.2.2.2]",
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["AAAAA1", "BBBBB2", "CCCCC3", "<one@x>"])
def test_what_a_message_became_belongs_to_it(tmp_path, key):
    find = store(
        tmp_path,
        ("AAAAA1: message-id=<one@x>", {}),
        ("AAAAA1: to=<b@x>, relay=127.0.0.1[127.0.0.1]:10024, status=sent (250 2.0.0 Ok: queued as BBBBB2)", {}),
        ("BBBBB2: message-id=<one@x>", {}),
        ("BBBBB2: sender non-delivery notification: CCCCC3", {}),
        ("CCCCC3: from=<>, size=1", {}),
        ("DDDDD4: from=<other@x>, size=1", {}),
    )
    [story] = stories(find, key, 10)
    assert set(story.queue_ids) == {"AAAAA1", "BBBBB2", "CCCCC3"}


def test_the_newest_of_many(tmp_path):
    find = store(tmp_path, *((f"AAAA{number:02d}: from=<a@x>", {}) for number in range(30)))
    assert [story.queue_ids for story in stories(find, "a@x", 3)] == [("AAAA27",), ("AAAA28",), ("AAAA29",)]


def test_links_that_run_in_a_circle_end(tmp_path):
    find = store(
        tmp_path,
        ("AAAAA1: forwarded as BBBBB2", {}),
        ("BBBBB2: forwarded as AAAAA1", {}),
    )
    [story] = stories(find, "AAAAA1", 10)
    assert story.queue_ids == ("AAAAA1", "BBBBB2")


def test_nothing_is_known():
    assert stories(lambda _pattern: [], "AAAAA1", 10) == []


def test_what_a_stranger_said_is_no_command_for_the_terminal():
    said = Record(1.0, 1, "postfix/smtpd", "helo=<\x1b]0;x\x07\u009b2J>", {"source": "a\x1b[2J", "queue_id": "4F2A1B"})
    text = "\n".join(angarium_trace._lines([Story(("4F2A1B",), (said,))], "postfix/"))
    assert text.endswith("smtpd  helo=<?]0;x??2J> [a?[2J]")


def test_who_was_refused_ten_thousand_times_is_looked_for_a_few_times(tmp_path):
    events = [said(f"{n}.1", "NOQUEUE: reject: RCPT: to=<bob@x.test>", "NOQUEUE") for n in range(10_000)]
    find = store(tmp_path, *events)
    looks = []

    def counting(pattern):
        looks.append(pattern)
        return find(pattern)

    assert len(stories(counting, "bob@x.test", 10)) == 10
    assert len(looks) < 20


def test_a_pattern_that_matches_everything_comes_to_an_end(tmp_path):
    find = store(tmp_path, ("one", {}), ("two", {}))
    assert len(list(find(re.compile(b"")))) == 2


@pytest.mark.parametrize(
    ("text", "ago"), [("90m", 5400), ("2d", 2 * 86400), ("2026-11-24T12:00:00+01:00", None), ("13:00", None)]
)
def test_forms_of_since(text, ago):
    moment = angarium_trace._since(text)
    if ago is not None:
        assert abs(time.time() - ago - moment) < 60
    elif len(text) == 5:
        assert f"{datetime.fromtimestamp(moment).astimezone():%H:%M}" == text
    else:
        assert moment == 1795518000


@pytest.mark.parametrize("text", ["yesterday", "25:00", "0001-01-01", "-1h", "1e300"])
def test_what_is_no_time(text):
    with pytest.raises(Failure) as caught:
        angarium_trace._since(text)
    assert caught.value.status == os.EX_DATAERR
