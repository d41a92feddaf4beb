"""qshape counts and prints as Postfix's does: the same mail in both, the same table."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from angarium.commands import qshape
from angarium.mailqueue.interface import QueueName

REAL = Path("/usr/sbin/qshape")
MINUTE = 60

MAIL = (
    ("deferred", 2 * MINUTE, "alice@example.test", ("bob@slow.test", "carol@slow.test", "x@a.very.deep.example.org")),
    ("deferred", 12 * MINUTE, "", ("dan@slow.test", "eve@" + "long" * 12 + ".example.org")),
    ("deferred", 60 * MINUTE, "a@one.example.org", ("x@one.example.org", "postmaster")),
    ("deferred", 3000 * MINUTE, "a@TWO.example.org", ("x@two.example.org", "y@Two.Example.Org.")),
    ("deferred", 90 * MINUTE, "a@three.example.org", ("x@three.example.org", "x@.four.example.org", "x@five..test")),
    ("hold", 30 * MINUTE, "held@example.test", ("h@held.test",)),
    ("incoming", 7 * MINUTE, "new@example.test", ("n@new.test",)),
)


@pytest.fixture
def table(queue_site, capsys):
    def call(*words, status=0):
        assert qshape.main(["-c", str(queue_site.etc), *words]) == status
        out, err = capsys.readouterr()
        return out if not status else err

    return call


def fill(site):
    for queue, age, sender, recipients in MAIL:
        site.put(*recipients, sender=sender, queue=QueueName(queue), age=age + 5)


def record(kind: str, text: str) -> bytes:
    """A record of a Postfix queue file."""
    assert len(text) < 128
    return kind.encode() + bytes([len(text)]) + text.encode()


def fill_real(directory: Path) -> None:
    for number, (queue, age, sender, recipients) in enumerate(MAIL):
        place = directory / queue
        place.mkdir(exist_ok=True)
        path = place / f"ABCDEF{number}"
        path.write_bytes(
            record("C", f"{0:15d} {0:15d} {len(recipients):15d} {0:15d} {0:15d}")
            + record("T", f"{int(time.time() - age - 5)} 0")
            + record("S", sender)
            + b"".join(record("R", recipient) for recipient in recipients)
            + record("M", "")
            + record("X", "")
            + record("E", "")
        )
        path.chmod(0o700)
    (directory / "active").mkdir()
    (directory / "incoming").mkdir(exist_ok=True)


@pytest.mark.skipif(not REAL.exists(), reason="there is no Postfix here")
@pytest.mark.parametrize(
    "words",
    [
        ("deferred",),
        ("-s", "deferred"),
        ("-p", "-m", "2", "deferred"),
        ("-p", "-m", "1", "-w", "120", "hold", "deferred"),
        ("-l", "-b", "5", "-t", "30", "deferred"),
        ("-b", "3", "deferred"),
        ("-t", "2.5", "-b", "4", "deferred"),
        ("-w", "10", "-n", "1", "-N", "1", "deferred"),
        (),
        ("hold",),
        ("active",),
    ],
    ids=" ".join,
)
def test_as_the_real_one(table, queue_site, tmp_path, words):
    fill(queue_site)
    real = tmp_path / "real"
    real.mkdir()
    fill_real(real)
    arguments = [str(real / word) if word in ("hold", "deferred", "active") else word for word in words]
    if not words:
        arguments = [str(real / "incoming"), str(real / "active")]
    expected = subprocess.run([REAL, *arguments], capture_output=True, text=True, check=True).stdout
    assert ordered(table(*words)) == ordered(expected)


def ordered(text: str) -> tuple[str, list[str]]:
    """Heading and rows; of rows with the same total and length Perl's order is anybody's guess."""
    heading, *rows = text.splitlines()
    totals = [(row.split()[1], len(row.split()[0])) for row in rows]
    assert totals == sorted(totals, key=lambda pair: (-int(pair[0]), pair[1]))
    return heading, sorted(rows)


def test_an_empty_queue(table):
    heading, total = table().splitlines()
    assert heading.split() == ["T", "5", "10", "20", "40", "80", "160", "320", "640", "1280", "1280+"]
    assert total.split() == ["TOTAL", *["0"] * 11]
    assert len(heading) == len(total) == 80


def test_delivered_recipients_do_not_count(table, queue_site):
    queue_site.put("bob@slow.test", "done@done.test", done=("done@done.test",))
    assert "done.test" not in table("deferred")


def test_unknown_queues_and_options(table, queue_site, capsys):
    queue_site.put("bob@slow.test")
    assert qshape.main(["-c", str(queue_site.etc), "nowhere", "deferred", "maildrop"]) == 0
    out, err = capsys.readouterr()
    assert "slow.test" in out
    assert err == "Can't stat nowhere: No such file or directory\n"
    assert "Usage: qshape" in table("-x", status=qshape.FAILED)
    assert "Usage: qshape" in table("-h", status=qshape.FAILED)


def test_without_a_configuration(tmp_path, capsys):
    assert qshape.main(["-c", os.fspath(tmp_path / "none")]) == qshape.FAILED
    assert "main.cf" in capsys.readouterr().err
