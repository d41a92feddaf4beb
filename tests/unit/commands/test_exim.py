"""``angarium exim`` and ``angarium exiqgrep``: the queue as Exim shows it."""

from __future__ import annotations

import os

import pytest

from angarium.commands.angarium import main
from angarium.commands.exiqgrep import HELP
from angarium.mailqueue.interface import QueueName

HOUR = 3600


@pytest.fixture
def exim(queue_site, capfd):
    """Runs ``angarium exim …``; what it prints."""

    def call(*words, program="exim", status=0):
        assert (
            main(
                [program, *words, "-C", str(queue_site.etc)]
                if program == "exim"
                else [program, "-C", str(queue_site.etc), *words]
            )
            == status
        )
        return capfd.readouterr().out

    return call


def fill(site):
    first = site.put("bob@slow.test", "done@slow.test", age=3 * HOUR, done=("done@slow.test",), content=b"x" * 3000)
    second = site.put("dan@two.test", sender="", age=25 * 60, queue=QueueName.HOLD)
    return first, second


def test_listing(exim, queue_site):
    first, second = fill(queue_site)
    undelivered = (
        f" 3h  2.9K {first} <alice@example.test>\n          bob@slow.test\n\n"
        f"25m    24 {second} <> *** frozen ***\n          dan@two.test\n\n"
    )
    assert exim("-bpu") == undelivered
    everybody = undelivered.replace("bob@slow.test\n", "bob@slow.test\n        D done@slow.test\n")
    assert exim("-bp") == exim("-bpa") == exim("-bpr") == everybody
    assert exim("-bp", second) == undelivered[undelivered.index("25m") :]
    assert exim("-bpc") == "2\n"


def test_an_empty_queue(exim):
    assert exim("-bp") == ""
    assert exim("-bpc") == "0\n"


def test_freeze_thaw_and_remove(exim, queue_site):
    first, second = fill(queue_site)
    assert exim("-Mf", first, second) == f"Message {first} is now frozen\nMessage {second} is already frozen\n"
    assert queue_site.state() == {first: "hold", second: "hold"}
    assert exim("-Mt", first) == f"Message {first} is no longer frozen\n"
    assert exim("-Mt", first) == f"Message {first} is not frozen\n"
    assert exim("-M", second) == ""
    assert queue_site.state() == {first: "deferred", second: "deferred"}
    assert exim("-Mg", first) == ""
    assert queue_site.message(first).forced_expire
    assert exim("-Mrm", first, second) == f"Message {first} has been removed\nMessage {second} has been removed\n"
    assert queue_site.state() == {}
    assert exim("-Mrm", first, status=1) == f"Spool data file for {first} does not exist\n"
    assert f"{second}: removed\n" in queue_site.log.read_text()


def test_a_message_that_is_being_delivered_is_locked(exim, queue_site):
    queue_id = queue_site.put("bob@slow.test", queue=QueueName.ACTIVE)
    for option in ("-Mf", "-Mg", "-Mrm"):
        assert exim(option, queue_id, status=1) == f"Message {queue_id} is locked\n"
    assert queue_site.state() == {queue_id: "active"}


def test_looking_into_a_message(exim, queue_site):
    queue_id = queue_site.put("bob@slow.test")
    assert exim("-Mvh", queue_id) == "Subject: test\n"
    assert exim("-Mvb", queue_id) == "\nhello\n"
    assert exim("-Mvc", queue_id) == "Subject: test\n\nhello\n"


def test_wrong_calls(queue_site, capfd):
    assert main(["exim", "-C", str(queue_site.etc), "-Mrm"]) == 1
    assert capfd.readouterr().err == "exim: no message ids given after -Mrm option\n"
    assert main(["exim", "-C", str(queue_site.etc), "-Mrm", "a/b"]) == 1
    assert capfd.readouterr().err == "exim: malformed message id a/b after -Mrm option\n"


def test_trying_all(exim, queue_site):
    first, second = fill(queue_site)
    assert exim("-qff") == ""
    assert queue_site.state() == {first: "deferred", second: "deferred"}
    assert "as exim" in exim("-bV")


def test_addresses(exim, queue_site):
    with (queue_site.etc / "main.cf").open("a") as main_cf:
        main_cf.write(
            "mydestination =\nvirtual_alias_domains = alias.test\n"
            "virtual_alias_maps = inline:{{info@alias.test = bob@far.test}}\n"
            "transport_maps = inline:{{gone.test = error:no mail here}, {far.test = smtp:[192.0.2.1]}}\n"
        )
    (queue_site.etc / "master.cf").write_text(
        "smtp inet n - n - - smtpd\nsmtp unix - - n - - smtp\nerror unix - - n - - error\n"
    )
    assert exim("-bt", "info@alias.test") == (
        "bob@far.test\n    <-- info@alias.test\n  router = default, transport = smtp\n  host 192.0.2.1 [192.0.2.1]\n"
    )
    assert exim("-bv", "info@alias.test") == "info@alias.test verified\n"
    out = exim("-bv", "nobody@alias.test", status=2)
    assert out.startswith("nobody@alias.test failed to verify: 550 5.1.1")
    assert exim("-bt", "x@gone.test", status=2).startswith("x@gone.test is undeliverable: ")


def test_the_name_makes_the_program(queue_site, capfd, monkeypatch):
    queue_site.put("bob@slow.test")
    monkeypatch.setattr("sys.argv", ["/usr/local/bin/exim", "-C", str(queue_site.etc), "-bpc"])
    assert main() == 0
    assert capfd.readouterr().out == "1\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("-f", "^<ALICE@"), "a"),
        (("-f", "^<>$"), "b"),
        (("-r", "two"), "b"),
        (("-r", "done"), ""),
        (("-a", "-r", "done"), "a"),
        (("-s", "K$"), "a"),
        (("-y", "3600"), "b"),
        (("-o", "3600"), "a"),
        (("-z",), "b"),
        (("-x",), "a"),
        (("-R", "-o", "0"), "ba"),
    ],
)
def test_exiqgrep_finds(exim, queue_site, words, expected):
    first, second = fill(queue_site)
    names = {first: "a", second: "b"}
    assert "".join(names[each] for each in exim("-i", *words, program="exiqgrep").split()) == expected


def test_exiqgrep_shows(exim, queue_site):
    first, second = fill(queue_site)
    assert exim("-c", "-z", program="exiqgrep") == "1 matches out of 2 messages\n"
    assert exim("-z", program="exiqgrep") == f"25m    24 {second} <> *** frozen ***\n\t  dan@two.test\n\n"
    assert exim("-b", "-x", program="exiqgrep") == f"{first} From: <alice@example.test> To: bob@slow.test\n"
    assert exim("-h", program="exiqgrep") == HELP
    assert exim(status=1, program="exiqgrep") == HELP
    assert exim("-r", "(", status=1, program="exiqgrep") == ""


def test_anything_else_is_sendmail(queue_site, capfd):
    (queue_site.directory / "maildrop").mkdir()
    assert main(["exim", "-C", str(queue_site.etc), "-i"]) == os.EX_TEMPFAIL
    assert "Recipient addresses must be specified" in capfd.readouterr().err


@pytest.mark.parametrize("option", ["-bpi", "-bpri"])
def test_only_the_ids(exim, queue_site, option):
    first, second = fill(queue_site)
    assert exim(option) == f"{first}\n{second}\n"
    assert exim(option, second) == f"{second}\n"


def test_the_log_of_a_message_that_nobody_knows(exim):
    assert exim("-Mvl", "ABC123", status=1) == ""
