import asyncio
import json
import os
import socket

import pytest

from angarium.runtime.log import (
    FileLog,
    MemoryLog,
    ServiceLog,
    SyslogLog,
    json_formatter,
    open_log,
    printable,
    text_formatter,
)


def test_a_line_has_the_shape_that_log_readers_match(tmp_path):
    log = FileLog(tmp_path / "mail.log", text_formatter("mx"))
    ServiceLog(log, "postfix/smtpd").info("connect from unknown[127.0.0.1]")
    line = (tmp_path / "mail.log").read_text()
    stamp, rest = line[:15], line[15:]
    assert rest == f" mx postfix/smtpd[{os.getpid()}]: connect from unknown[127.0.0.1]\n"
    assert stamp[3] == " "
    assert stamp[9:].count(":") == 2
    log.close()


def test_a_dovecot_tag_stands_as_it_is(tmp_path):
    log = FileLog(tmp_path / "mail.log", text_formatter("mx"))
    ServiceLog(log, "dovecot: imap-login").info("Login: user=<a>")
    assert (tmp_path / "mail.log").read_text().endswith(" mx dovecot: imap-login: Login: user=<a>\n")
    log.close()


def test_levels_are_words_in_the_text():
    sink = MemoryLog()
    log = ServiceLog(sink, "postfix/qmgr")
    log.warning("slow")
    log.fatal("gone")
    assert sink.lines == ["postfix/qmgr: warning: slow", "postfix/qmgr: fatal: gone"]


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\x00b", "a\x7fb"])
def test_what_is_not_printable_becomes_a_question_mark(text):
    assert printable(text) == "a?b"


def test_lines_of_one_turn_are_written_together(tmp_path):
    log = FileLog(tmp_path / "mail.log", text_formatter("mx"))

    async def talk():
        service = ServiceLog(log, "postfix/smtpd")
        service.info("one")
        service.info("two")
        before = (tmp_path / "mail.log").stat().st_size
        await asyncio.sleep(0)
        return before

    assert asyncio.run(talk()) == 0
    assert len((tmp_path / "mail.log").read_text().splitlines()) == 2
    log.close()


def test_json_carries_the_event(tmp_path):
    log = FileLog(tmp_path / "mail.log", json_formatter("mx"))
    ServiceLog(log, "postfix/qmgr").info("4F2A: removed", queue_id="4F2A")
    event = json.loads((tmp_path / "mail.log").read_text())
    assert event["text"] == "4F2A: removed"
    assert event["queue_id"] == "4F2A"
    assert event["level"] == "info"
    log.close()


def test_reopen_follows_a_rotation(tmp_path):
    log = open_log(str(tmp_path / "mail.log"), "text", "mx")
    service = ServiceLog(log, "postfix/master")
    service.info("before")
    (tmp_path / "mail.log").rename(tmp_path / "mail.log.1")
    log.reopen()
    service.info("after")
    log.flush()
    assert "before" in (tmp_path / "mail.log.1").read_text()
    assert (tmp_path / "mail.log").read_text().endswith("after\n")
    log.close()


def test_a_sink_that_cannot_be_written_to_counts():
    log = FileLog(None, text_formatter("mx"))
    os.close(log._descriptor)
    log._descriptor = os.open("/dev/full", os.O_WRONLY)
    ServiceLog(log, "postfix/smtpd").info("x")
    assert log.lost == 1
    log.close()


def test_octets_that_are_no_text_never_fail_a_log_line():
    """Clients choose what HELO says; a log that raised would fail whoever logs."""
    line = json_formatter("mail")(
        "info", "postfix/smtpd", "helo=<\udcff>", {"helo": "\udcff", "all": ["\ud800", {"\udcff": 1}]}
    )
    assert json.loads(line)["text"] == "helo=<?>"
    assert json.loads(line)["all"] == ["?", {"?": 1}]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make links of others")
def test_root_follows_no_link_of_others_to_the_log(tmp_path):
    (tmp_path / "shadow").touch()
    link = tmp_path / "mail.log"
    link.symlink_to(tmp_path / "shadow")
    FileLog(link, text_formatter("mx")).close()  # the administrator's own
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with pytest.raises(PermissionError, match="a link that is not root's"):
        FileLog(link, text_formatter("mx"))


@pytest.mark.parametrize(("facility", "priority"), [("mail", 22), ("local3", 158), ("security", 38)])
def test_syslog_has_the_facility_and_the_severity(tmp_path, facility, priority):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as logger:
        logger.bind(str(tmp_path / "log"))
        log = SyslogLog(str(tmp_path / "log"), facility)
        log.write("info", "postfix/smtpd", "connect from x", {})
        log.reopen()  # closes
        line = logger.recv(1000).decode()
    assert line.startswith(f"<{priority}>")
    assert line.endswith(f" postfix/smtpd[{os.getpid()}]: connect from x")
