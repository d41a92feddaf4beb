"""What the checks find in delivery to users of this system."""

from __future__ import annotations

import os

import pytest

from angarium.commands.check import engine, users

OURS = {rule.id for rule in users.RULES}
MASTER = "smtp inet n - n - - smtpd\nsmtp unix - - n - - smtp\n"
LOCAL = "local unix - n n - - local\n"
MAIN = "myhostname = mail.example.test\nmail_owner = root\nmydestination = example.test\nalias_maps =\n"
SPOOL = "mail_spool_directory = /tmp\n"


@pytest.fixture
def check(tmp_path):
    """``check(main, master)`` -> texts of what is found, by this family alone."""

    def run(main, master=LOCAL):
        (tmp_path / "main.cf").write_text(MAIN + main)
        (tmp_path / "master.cf").write_text(MASTER + master)
        return [f"{each.rule.id}: {each.text}" for each in engine.run(tmp_path) if each.rule.id in OURS]

    return run


FOUND = {
    SPOOL: [],
    SPOOL + "alias_maps = inline:{a=b}\n": [],
    SPOOL + "alias_maps = tcp:127.0.0.1:1\n": [
        "alias-table-refused: alias_maps: tcp:127.0.0.1:1: tcp map is not allowed for security-sensitive data"
    ],
    SPOOL + "alias_maps = unionmap:{inline:{a=b}, proxy:unix:p}\n": [
        "alias-table-refused: alias_maps: proxy:unix:p: proxy map is not allowed for security-sensitive data"
    ],
    SPOOL + "default_privs = nosuchuser\n": ["default-privs: default_privs = nosuchuser: there is no such user"],
    SPOOL + "default_privs = root\n": ["default-privs: default_privs = root: that is root"],
    "mail_spool_directory = /no/such\n": ["mail-spool: mail_spool_directory = /no/such is no directory"],
    "mail_spool_directory = /no/such\nhome_mailbox = Maildir/\n": [],
    SPOOL + "mailbox_size_limit = 100\n": [
        "mailbox-smaller-than-messages: mailbox_size_limit (100) is smaller than message_size_limit (10240000)"
    ],
    SPOOL + "mailbox_size_limit = 0\n": [],
    "mydestination =\ndefault_privs = root\n": [],
    "local_transport = virtual\ndefault_privs = root\n": [],
}


@pytest.mark.parametrize("main", FOUND)
def test_settings(check, main):
    assert check(main) == FOUND[main]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_of_an_alias_file(check, tmp_path):
    path = tmp_path / "aliases"
    path.write_text("a b\n")
    os.chown(path, 54399, 0)
    (said,) = check(f"{SPOOL}alias_maps = texthash:{path}\n")
    assert said == (
        f"alias-table-owner: alias_maps: texthash:{path} belongs to user 54399, who is not in the password file"
    )
