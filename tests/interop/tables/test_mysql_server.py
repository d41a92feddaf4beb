"""The real server with its domains, mailboxes and aliases in MariaDB, in the schemas that people use."""

import smtplib
import time

import pytest

POSTFIXADMIN = """
CREATE TABLE domain (domain varchar(255) NOT NULL PRIMARY KEY, description varchar(255) NOT NULL DEFAULT '',
  transport varchar(255) NOT NULL DEFAULT 'virtual', backupmx tinyint(1) NOT NULL DEFAULT 0,
  active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE mailbox (username varchar(255) NOT NULL PRIMARY KEY, password varchar(255) NOT NULL DEFAULT '',
  name varchar(255) NOT NULL DEFAULT '', maildir varchar(255) NOT NULL, quota bigint NOT NULL DEFAULT 0,
  local_part varchar(255) NOT NULL, domain varchar(255) NOT NULL, active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE alias (address varchar(255) NOT NULL PRIMARY KEY, goto text NOT NULL, domain varchar(255) NOT NULL,
  active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE alias_domain (alias_domain varchar(255) NOT NULL PRIMARY KEY, target_domain varchar(255) NOT NULL,
  active tinyint(1) NOT NULL DEFAULT 1);
"""


@pytest.fixture(scope="module")
def postfixadmin(mariadb):
    """PostfixAdmin's tables (their columns that queries use), with domains and people."""
    mariadb.sql("CREATE DATABASE vertical CHARACTER SET utf8mb4")
    mariadb.sql(POSTFIXADMIN, "vertical")
    mariadb.sql(
        """
        INSERT INTO domain (domain) VALUES ('example.test');
        INSERT INTO mailbox (username, maildir, local_part, domain) VALUES
          ('alice@example.test', 'example.test/alice/', 'alice', 'example.test'),
          ('bob@example.test', 'example.test/bob/', 'bob', 'example.test');
        INSERT INTO alias (address, goto, domain) VALUES ('sales@example.test', 'alice@example.test,bob@example.test',
          'example.test'), ('alice@example.test', 'alice@example.test', 'example.test'),
          ('bob@example.test', 'bob@example.test', 'example.test');
        CREATE USER 'mail'@'%' IDENTIFIED BY 'pa ss';
        GRANT SELECT ON vertical.* TO 'mail'@'%';
        """,
        "vertical",
    )
    return mariadb


def test_mail_for_an_alias_in_mysql_reaches_the_mailboxes(postfixadmin, servers, tmp_path):
    queries = {
        "domains": "SELECT domain FROM domain WHERE domain='%s' AND backupmx = '0' AND active = '1'",
        "mailboxes": "SELECT maildir FROM mailbox WHERE username='%s' AND active = '1'",
        "aliases": "SELECT goto FROM alias WHERE address='%s' AND active = '1'",
    }
    for name, query in queries.items():
        (tmp_path / f"{name}.cf").write_text(
            f"hosts = unix:{postfixadmin.socket}\nuser = mail\npassword = pa ss\ndbname = vertical\nquery = {query}\n"
        )
    server = servers.start(
        {
            "virtual_mailbox_domains": f"proxy:mysql:{tmp_path}/domains.cf",
            "virtual_mailbox_maps": f"mysql:{tmp_path}/mailboxes.cf",
            "virtual_alias_maps": f"mysql:{tmp_path}/aliases.cf",
        }
    )
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=10) as client:
        client.ehlo("client.example")
        client.mail("someone@elsewhere.example")
        assert client.rcpt("nobody@example.test")[0] == 550
        assert client.rcpt("o'neil\"--@example.test")[0] in (501, 550)
        assert client.rcpt("Sales@Example.Test")[0] == 250
        code, text = client.data("Subject: by way of a database\r\n\r\nhello\r\n")
        assert code == 250, text
    end = time.monotonic() + 10
    while server.log().count("status=sent") < 2 and time.monotonic() < end:
        time.sleep(0.05)
    log = server.log()
    assert "to=<alice@example.test>, orig_to=<Sales@Example.Test>" in log
    assert "to=<bob@example.test>, orig_to=<Sales@Example.Test>" in log
    assert "pa ss" not in log


def test_a_quota_in_mysql_is_in_force_at_once(postfixadmin, servers, tmp_path):
    queries = {
        "mailboxes": "SELECT maildir FROM mailbox WHERE username='%s' AND active = '1'",
        "quotas": "SELECT quota FROM mailbox WHERE username='%s' AND active = '1'",
    }
    for name, query in queries.items():
        (tmp_path / f"{name}.cf").write_text(
            f"hosts = unix:{postfixadmin.socket}\nuser = mail\npassword = pa ss\ndbname = vertical\nquery = {query}\n"
        )
    server = servers.start(
        {
            "virtual_mailbox_domains": "inline:{example.test=x}",
            "virtual_mailbox_maps": f"mysql:{tmp_path}/mailboxes.cf",
            "virtual_alias_maps": "",
            "mailstore_quota_maps": f"mysql:{tmp_path}/quotas.cf",
        }
    )
    (server.site.root / "lib" / "directory.sqlite").unlink()

    def answer():
        with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=10) as client:
            client.ehlo("client.example")
            client.mail("someone@elsewhere.example", ["size=5000"])
            return client.rcpt("alice@example.test")[0]

    assert answer() == 250
    postfixadmin.sql("UPDATE mailbox SET quota = 4000 WHERE username = 'alice@example.test'", "vertical")
    assert answer() == 552
    postfixadmin.sql("UPDATE mailbox SET quota = 1048576 WHERE username = 'alice@example.test'", "vertical")
    assert answer() == 250
