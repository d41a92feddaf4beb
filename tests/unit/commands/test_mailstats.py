"""mailstats counts what the log says."""

import io
import sys

from angarium.commands import mailstats

LOG = """\
Nov 24 10:00:00 mail postfix/smtpd[1]: connect from a.test[192.0.2.1]
Nov 24 10:00:00 mail postfix/smtpd[1]: 4F2A00: client=a.test[192.0.2.1]
Nov 24 10:00:00 mail postfix/cleanup[1]: 4F2A00: message-id=<x@y>
Nov 24 10:00:00 mail postfix/qmgr[2]: 4F2A00: from=<s@a.test>, size=2000, nrcpt=2 (queue active)
Nov 24 10:00:01 mail postfix/virtual[2]: 4F2A00: to=<b@c.test>, relay=virtual, delay=1, dsn=2.0.0, status=sent (ok)
Nov 24 10:00:01 mail postfix/smtp[2]: 4F2A00: to=<d@e.test>, relay=e.test[192.0.2.2]:25, delay=1, status=deferred (no)
Nov 24 10:00:02 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from a.test[192.0.2.1]: 550 5.1.1 <n@c.test>: no; from=<>
Nov 24 10:00:03 mail postfix/smtpd[1]: NOQUEUE: reject: CONNECT from b.test[192.0.2.3]: 554 5.7.1 no; proto=SMTP
Nov 24 10:01:00 mail postfix/pickup[3]: 4F2A01: uid=0 from=<root>
Nov 24 10:01:00 mail postfix/qmgr[2]: 4F2A01: from=<root@c.test>, size=500, nrcpt=1 (queue active)
Nov 24 10:01:00 mail postfix/cleanup[2]: 4F2A01: hold: header Subject: x from local; from=<root>
Nov 24 10:01:01 mail postfix/qmgr[2]: 4F2A00: from=<s@a.test>, size=2000, nrcpt=2 (queue active)
Nov 24 10:01:02 mail postfix/smtp[2]: 4F2A00: to=<d@e.test>, relay=e.test[192.0.2.2]:25, delay=9, status=sent (250 ok)
Nov 24 10:01:02 mail postfix/qmgr[2]: 4F2A00: removed
Nov 24 10:01:03 mail postfix/lmtp[2]: 4F2A01: to=<f@g.test>, relay=x[private/x], delay=1, status=sent (ok)
not a line of a log
"""
TABLE = """\
 M   msgsfr  bytes_from   msgsto    bytes_to  msgsrej msgsdis msgsqur  Mailer
 0        1          2K        1          2K        2       0       1  esmtp
 1        0          0K        1          1K        0       0       0  lmtp
 2        1          1K        1          2K        0       0       0  local
=====================================================================
 T        2          3K        3          5K        2       0       1
 C        1                    1                    1
"""


def test_for_people(tmp_path, capsys):
    path = tmp_path / "log"
    path.write_text(LOG)
    assert mailstats.main(["-f", str(path)]) == 0
    first, _, rest = capsys.readouterr().out.partition("\n")
    assert first.startswith("Statistics from ")
    assert " Nov 24 10:00:00 " in first
    assert rest == TABLE
    assert mailstats.main(["-o", "-f", str(path)]) == 0
    assert "esmtp" not in capsys.readouterr().out


def test_for_programs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(LOG))
    assert mailstats.main(["-P", "-f", "-"]) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert rows == [
        "0 1 2000 1 2000 2 0 1 esmtp",
        "1 0 0 1 500 0 0 0 lmtp",
        "2 1 500 1 2000 0 0 0 local",
        "T 2 2500 3 4500 2 0 1",
        "C 1 1 1",
    ]


def test_a_log_that_is_not_there(tmp_path, capsys):
    assert mailstats.main(["-f", str(tmp_path / "no")]) == 66
    (tmp_path / "main.cf").write_text(f"maillog_file = {tmp_path}/log\nmaillog_file_prefixes = /\n")
    assert mailstats.main(["-C", str(tmp_path)]) == 66
    assert mailstats.main(["-Z"]) == 64
    assert "mailstats: fatal:" in capsys.readouterr().err
