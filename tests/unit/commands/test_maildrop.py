"""What was submitted while no server ran, in postqueue, postsuper and postcat: as Postfix 3.7 shows maildrop."""

from __future__ import annotations

import json
import os
import re

import pytest

from angarium.commands import postcat, postqueue, postsuper
from angarium.protocols.pickup import frames

DOWN = (
    "postqueue: warning: Mail system is down -- accessing queue directly "
    "(Connect to the Postfix showq service: No such file or directory)\n"
)


def submission(*records, content: bytes = b"Subject: x\r\n\r\nbody\r\n") -> bytes:
    parts = [frames.frame(frames.VERSION_RECORD, frames.VERSION), *(frames.frame(*each) for each in records)]
    return b"".join([*parts, frames.frame(frames.DATA, content), frames.frame(frames.END)])


ADDRESSED = submission(
    (frames.SENDER, b"me@x.test"), (frames.FULL_NAME, b"Me"), (frames.RECIPIENT, b"a@x.test, B <b@x.test>")
)
EXTRACTED = submission((frames.SENDER, b""), (frames.EXTRACT, b""), content=b"To: c@x.test\r\nBcc: d\r\n\r\nb\r\n")


@pytest.fixture
def drop(tmp_path):
    """Puts a file into the maildrop directory."""
    directory = tmp_path / "spool" / "maildrop"
    directory.mkdir(parents=True)
    (tmp_path / "main.cf").write_text(f"queue_directory = {tmp_path}/spool\nmaillog_file = {tmp_path}/log\n")
    (tmp_path / "master.cf").write_text("")

    def put(name: str, data: bytes, mode: int = 0o744) -> None:
        path = directory / name
        path.write_bytes(data)
        path.chmod(mode)
        os.utime(path, (1_795_507_389, 1_795_507_389))

    return put


@pytest.fixture
def run(tmp_path, capfd):
    def call(command, *arguments):
        status = command.main(["-c", str(tmp_path), *arguments])
        out, err = capfd.readouterr()
        return status, re.sub(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d( \d{4})?", "TIME", out), err.replace(DOWN, "")

    return call


def test_it_is_listed(run, drop):
    drop("AB", ADDRESSED)
    drop("CD", EXTRACTED)
    drop("begun", ADDRESSED, 0o600)
    drop("cut", ADDRESSED[:-3])
    drop("nonsense", b"nonsense" * 10)
    drop("left.bad", ADDRESSED)
    listed = (
        "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n"
        "AB               20 TIME  me@x.test\n"
        "                                         a@x.test\n"
        "                                         b@x.test\n"
        "\n"
        "CD               27 TIME  MAILER-DAEMON\n"
        "                                         c@x.test\n"
        "                                         d\n"
        "\n"
        "-- 0 Kbytes in 2 Requests.\n"
    )
    assert run(postqueue, "-p") == (0, listed, "")
    first, second = map(json.loads, run(postqueue, "-j")[1].splitlines())
    assert first == {
        "queue_name": "maildrop",
        "queue_id": "AB",
        "arrival_time": 1795507389,
        "message_size": 20,
        "forced_expire": False,
        "sender": "me@x.test",
        "recipients": [{"address": "a@x.test"}, {"address": "b@x.test"}],
    }
    assert second["sender"] == "MAILER-DAEMON"


def test_it_is_shown(run, drop, tmp_path):
    drop("AB", ADDRESSED)

    def shown(place):
        return (
            f"*** ENVELOPE RECORDS {place} ***\nmessage_arrival_time: TIME\nnamed_attribute: rewrite_context=local\n"
            "sender_fullname: Me\nsender: me@x.test\nrecipient: a@x.test\nrecipient: b@x.test\n"
            f"*** MESSAGE CONTENTS {place} ***\nSubject: x\n\nbody\n"
            f"*** HEADER EXTRACTED {place} ***\n*** MESSAGE FILE END {place} ***\n"
        )

    assert run(postcat, "-q", "AB") == (0, shown("maildrop/AB"), "")
    path = str(tmp_path / "spool" / "maildrop" / "AB")
    assert run(postcat, path) == (0, shown(path), "")
    assert run(postcat, "-hq", "AB")[1] == "Subject: x\n"
    assert run(postcat, "-b", path)[1] == "\nbody\n"
    assert run(postcat, "-q", "ABC")[0] == 1


def test_other_files(run, tmp_path):
    (tmp_path / "other").write_text("x")
    (tmp_path / "main.cf").write_text(f"queue_directory = {tmp_path}/spool\nmaillog_file = {tmp_path}/log\n")
    (tmp_path / "master.cf").write_text("")
    other = f"postcat: warning: {tmp_path}/other: input is not a valid queue file\n"
    assert run(postcat, f"{tmp_path}/other") == (0, "", other)
    missing = f"postcat: fatal: open {tmp_path}/nosuch: No such file or directory\n"
    assert run(postcat, f"{tmp_path}/nosuch") == (1, "", missing)
    assert run(postcat)[2] == "postcat: warning: stdin: input is not a valid queue file\n"
    assert run(postcat, "-s", "x", "-q", "A") == (1, "", "postcat: fatal: bad offset: x\n")


def test_it_is_deleted_from_the_queue_that_is_named(run, drop):
    for name in ("AB", "CD", "EF"):
        drop(name, ADDRESSED)
    assert run(postsuper, "-d", "ALL")[2] == "postsuper: Deleted: 0 messages\n"
    assert run(postsuper, "-d", "AB")[2] == "postsuper: Deleted: 0 messages\n"
    assert run(postsuper, "-d", "AB", "maildrop")[2] == "postsuper: AB: removed\npostsuper: Deleted: 1 message\n"
    assert run(postsuper, "-h", "ALL", "maildrop")[2] == "postsuper: Placed on hold: 0 messages\n"
    assert run(postsuper, "-d", "ALL", "maildrop")[2] == "postsuper: Deleted: 2 messages\n"
    assert run(postqueue, "-p")[1] == "Mail queue is empty\n"
