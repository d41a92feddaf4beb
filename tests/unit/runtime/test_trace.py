import asyncio
import os
import re
import shutil
import time

import pytest

from angarium.runtime.log import MemoryLog, ServiceLog, session_log
from angarium.runtime.trace import SEGMENTS, TracedLog, TraceStore, search, segments

EVERYTHING = re.compile(rb"\[")


def found(directory, pattern=EVERYTHING, since=0.0):
    return list(search(directory, pattern, since))


def test_outside_a_loop_a_record_is_written_at_once(tmp_path):
    store = TraceStore(tmp_path / "trace", 1 << 20)
    store.add("postfix/smtpd", "4A: client=x", {"session": "1.1"})
    [record] = found(tmp_path / "trace")
    assert (record.tag, record.text, record.event, record.pid) == (
        "postfix/smtpd", "4A: client=x", {"session": "1.1"}, os.getpid(),
    )  # fmt: skip
    assert (tmp_path / "trace").stat().st_mode & 0o777 == 0o700
    store.close()


def test_in_a_loop_records_wait_for_each_other(tmp_path):
    async def run():
        store = TraceStore(tmp_path, 1 << 20)
        store.add("t", "one", {})
        store.add("t", "two", {})
        assert segments(tmp_path) == []
        while not segments(tmp_path):
            await asyncio.sleep(0.01)
        store.add("t", "three", {})
        store.close()

    asyncio.run(run())
    assert [record.text for record in found(tmp_path)] == ["one", "two", "three"]


def test_the_store_keeps_its_bound_and_the_newest(tmp_path):
    limit = 2 << 20
    store = TraceStore(tmp_path, limit)
    for number in range(40_000):
        store.add("t", f"{number} " + "x" * 100, {})
        assert number % 1000 or sum(path.stat().st_size for path in segments(tmp_path)) <= limit + limit // SEGMENTS
    store.close()
    numbers = [int(record.text.split()[0]) for record in found(tmp_path)]
    assert numbers == list(range(numbers[0], 40_000))
    assert len(numbers) > 5_000


def test_two_writers_share_the_segments(tmp_path):
    one, other = TraceStore(tmp_path, 1 << 20), TraceStore(tmp_path, 1 << 20)
    for number in range(2_000):
        one.add("one", f"{number} " + "x" * 100, {})
        other.add("other", f"{number} " + "x" * 100, {})
    for store in (one, other):
        store.close()
        assert store.lost == 0
    texts = [(record.tag, int(record.text.split()[0])) for record in found(tmp_path)]
    assert ("one", 1_999) in texts
    assert ("other", 1_999) in texts
    assert sum(path.stat().st_size for path in segments(tmp_path)) <= (1 << 20) * (SEGMENTS + 2) // SEGMENTS


def test_one_that_has_slept_goes_on_where_the_others_are(tmp_path):
    sleeper, busy = TraceStore(tmp_path, 1 << 20), TraceStore(tmp_path, 1 << 20)
    sleeper.add("t", "asleep", {})
    for _number in range(20_000):
        busy.add("t", "x" * 100, {})
    before = len(segments(tmp_path))
    for number in range(5):
        sleeper.add("t", f"awake {number}", {})
    assert [record.text for record in found(tmp_path, re.compile(b"awake"))] == [f"awake {n}" for n in range(5)]
    assert len(segments(tmp_path)) - before <= 1
    sleeper.close()
    busy.close()


def test_segments_that_somebody_removed_are_begun_anew(tmp_path):
    store = TraceStore(tmp_path / "trace", 1 << 20)
    store.add("t", "before", {})
    shutil.rmtree(tmp_path / "trace")
    store.add("t", "after", {})
    store.close()
    assert [record.text for record in found(tmp_path / "trace")] == ["after"]
    assert store.lost == 0


def test_what_is_too_old_goes(tmp_path, monkeypatch):
    day = 86400.0
    now = time.time() - 40 * day
    monkeypatch.setattr(time, "time", lambda: now)
    store = TraceStore(tmp_path, 1 << 20, 16 * day)
    for number in range(40):
        store.add("t", f"day {number}", {})
        os.utime(segments(tmp_path)[-1], (now, now))  # as the kernel would have it
        now += day
    other = TraceStore(tmp_path, 1 << 20, 16 * day)
    other.add("t", "day 40", {})
    kept = [int(record.text.split()[1]) for record in found(tmp_path)]
    assert kept == list(range(kept[0], 41))
    assert 16 <= 40 - kept[0] <= 18
    now -= 100 * day  # the clock was wrong
    store.add("t", "day -60", {})
    assert found(tmp_path, re.compile(b"day -60"))
    store.close()
    other.close()


def test_a_write_that_was_cut_off_costs_only_what_it_lacks(tmp_path, monkeypatch):
    store = TraceStore(tmp_path, 1 << 20)
    store.add("t", "one", {})
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
    store.add("t", "two", {})
    monkeypatch.setattr(os, "write", write)
    store.add("t", "three", {})
    store.close()
    assert [record.text for record in found(tmp_path)] == ["one", "three"]
    assert store.lost == 1


def test_what_is_no_utf8_is_kept_readable(tmp_path):
    store = TraceStore(tmp_path, 1 << 20)
    store.add("t", "from=<b\udce4r@x>", {"recipient": "\udcff", "uid": 3})
    store.close()
    [record] = found(tmp_path)
    assert record.text == "from=<b?r@x>"
    assert record.event == {"recipient": "?", "uid": 3}


def test_a_line_that_is_cut_off_is_passed_over(tmp_path):
    store = TraceStore(tmp_path, 1 << 20)
    store.add("t", "one", {})
    [segment] = segments(tmp_path)
    with segment.open("ab") as file:
        file.write(b'[1.0,2,"t","tw\n[1e30,2,"t","when?",{}]\n\0\0\xff[[\n')
    store.add("t", "three", {})
    store.close()
    assert [record.text for record in found(tmp_path)] == ["one", "three"]


def test_since(tmp_path):
    store = TraceStore(tmp_path, 1 << 20)
    store.add("t", "one", {})
    store.close()
    [record] = found(tmp_path)
    assert found(tmp_path, since=record.time) == [record]
    assert found(tmp_path, since=record.time + 1) == []


@pytest.mark.parametrize("trap", ["link", "names", "fifo"])
def test_only_a_plain_file_with_one_name_is_written_to(tmp_path, trap):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    place = tmp_path / "trace"
    place.mkdir()
    segment = place / "trace.00000001"
    if trap == "link":
        segment.symlink_to(victim)
    elif trap == "names":
        segment.hardlink_to(victim)
    else:
        os.mkfifo(segment)
    store = TraceStore(place, 1 << 20)
    store.add("t", "one", {})
    store.close()
    assert store.lost == 1
    assert victim.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's directory")
def test_root_makes_nothing_in_anothers_directory(tmp_path):
    place = tmp_path / "trace"
    place.mkdir()
    os.chown(place, 65534, 65534)
    store = TraceStore(place, 1 << 20)
    store.add("t", "one", {})
    assert (store.lost, list(place.iterdir())) == (1, [])
    (place / "trace.00000001").touch()
    os.chown(place / "trace.00000001", 65534, 65534)
    for number in range(2_000):
        store.add("t", f"{number} " + "x" * 100, {})
    store.close()
    assert [path.name for path in place.iterdir()] == ["trace.00000001"]
    assert found(place)[0].text.startswith("0 ")
    assert segments(place)[0].stat().st_size < (3 << 20) // SEGMENTS, "no more than twice the size, as the owner sleeps"


def test_a_directory_that_cannot_be_written_loses_records_and_nothing_else(tmp_path):
    (tmp_path / "file").write_text("")
    sink = MemoryLog()
    store = TraceStore(tmp_path / "file" / "trace", 1 << 20)
    log = ServiceLog(TracedLog(sink, store), "t")
    log.info("one")
    assert sink.lines == ["t: one"]
    assert store.lost == 1


def test_details_are_for_the_store_alone(tmp_path):
    sink = MemoryLog()
    store = TraceStore(tmp_path, 1 << 20)
    log = ServiceLog(TracedLog(sink, store), "t")
    assert log.detailed
    log.detail("hidden", source="main.cf:1")
    log.warning("seen")
    assert sink.lines == ["t: warning: seen"]
    assert [(record.text, record.event) for record in found(tmp_path)] == [
        ("hidden", {"source": "main.cf:1"}),
        ("warning: seen", {}),
    ]
    store.close()


def test_each_session_has_a_name_where_somebody_sees_it(tmp_path):
    sink = MemoryLog()
    plain = ServiceLog(sink, "t")
    assert session_log(plain) is plain
    store = TraceStore(tmp_path, 1 << 20)
    traced = ServiceLog(TracedLog(sink, store), "t")
    one, other = session_log(traced), session_log(traced)
    one.info("a", queue_id="4A")
    other.warning("b")
    one.detail("c")
    store.close()
    sessions = [record.event["session"] for record in found(tmp_path)]
    assert sessions[0] == sessions[2] != sessions[1]
