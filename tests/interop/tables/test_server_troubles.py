"""The real server when its databases do not answer: mail waits, nothing bounces, and others are served."""

import smtplib
import socket
import time

import pytest


def session(server, recipient):
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        client.ehlo("client.example")
        client.mail("someone@elsewhere.example")
        return client.rcpt(recipient)


def settled(server, recipient):
    """The code that ten answers in a row have: each worker has to find out by itself that a database is back."""
    end = time.monotonic() + 20
    codes = [0]
    while (codes[-10:] != codes[-1:] * 10 or codes[-1] == 451) and time.monotonic() < end:
        codes.append(session(server, recipient)[0])
        time.sleep(0.02)
    return codes[-1]


@pytest.fixture
def silent():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


def test_mail_waits_while_databases_are_down_and_comes_when_they_are_back(servers, mariadb, postgres, tmp_path):
    """Aliases in MariaDB, mailboxes in PostgreSQL; both refuse the password at first."""
    mariadb.sql(
        "CREATE DATABASE late; CREATE TABLE late.alias (address varchar(99), goto varchar(99));"
        "INSERT INTO late.alias VALUES ('all@example.test', 'alice@example.test');"
    )
    postgres.sql("CREATE DATABASE late")
    postgres.sql(
        "CREATE TABLE mailbox (username text, maildir text); "
        "INSERT INTO mailbox VALUES ('alice@example.test', 'alice/')",
        "late",
    )
    (tmp_path / "aliases.cf").write_text(
        f"hosts = unix:{mariadb.socket}\nuser = late\npassword = pw one\ndbname = late\nretry_interval = 1\n"
        "query = SELECT goto FROM alias WHERE address = '%s'\n"
    )
    (tmp_path / "mailboxes.cf").write_text(
        f"hosts = 127.0.0.1:{postgres.port}\nuser = late\npassword = pw two\ndbname = late\nretry_interval = 1\n"
        "query = SELECT maildir FROM mailbox WHERE username = '%s'\n"
    )
    server = servers.start(
        {
            "virtual_mailbox_domains": "example.test",
            "virtual_mailbox_maps": f"pgsql:{tmp_path}/mailboxes.cf",
            "virtual_alias_maps": f"mysql:{tmp_path}/aliases.cf",
        }
    )
    code, text = session(server, "all@example.test")
    assert code == 451, text
    mariadb.sql("CREATE USER 'late'@'localhost' IDENTIFIED BY 'pw one'; GRANT SELECT ON late.* TO 'late'@'localhost';")
    postgres.sql("CREATE ROLE late LOGIN PASSWORD 'pw two'")
    postgres.sql("GRANT SELECT ON mailbox TO late", "late")
    assert settled(server, "all@example.test") == 250
    assert settled(server, "nobody@example.test") == 550
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=10) as client:
        client.sendmail("someone@elsewhere.example", ["all@example.test"], "Subject: late\r\n\r\nhello\r\n")
    end = time.monotonic() + 10
    while "status=sent" not in server.log() and time.monotonic() < end:
        time.sleep(0.05)
    log = server.log()
    assert "to=<alice@example.test>, orig_to=<all@example.test>" in log
    assert "status=sent" in log
    assert "status=bounced" not in log
    assert "warning: mysql:" in log
    assert "pw one" not in log
    assert "pw two" not in log


def test_a_hung_database_holds_up_its_own_recipients_alone(servers, silent, tmp_path):
    (tmp_path / "hung.cf").write_text(
        f"hosts = 127.0.0.1:{silent}\ndbname = x\nconnect_timeout = 3\nquery = SELECT '%s'\ndomain = slow.test\n"
    )
    server = servers.start({"virtual_alias_maps": f"directory:aliases pgsql:{tmp_path}/hung.cf"})
    with socket.create_connection((server.site.host, server.site.ports.smtp), 30) as stalled:
        stalled.sendall(b"EHLO c\r\nMAIL FROM:<>\r\n")
        time.sleep(0.2)
        stalled.sendall(b"RCPT TO:<x@slow.test>\r\n")
        begun = time.monotonic()
        assert session(server, "alice@example.test")[0] == 250
        assert time.monotonic() - begun < 2
    code, _ = session(server, "x@slow.test")
    assert code in (451, 454, 554)
