"""What the checks find in services for commands and for mailbox files."""

from __future__ import annotations

import os

import pytest

from angarium.commands.check import delivery, engine

OURS = {rule.id for rule in delivery.RULES}
MASTER = "smtp inet n - n - - smtpd\nsmtp unix - - n - - smtp\nvirtual unix - n n - - virtual\n"
MAIN = "myhostname = mail.example.test\nmail_owner = root\n"


@pytest.fixture
def check(tmp_path):
    """``check(main, master)`` -> texts of what is found, by this family alone."""

    def run(main, master):
        (tmp_path / "main.cf").write_text(MAIN + main)
        (tmp_path / "master.cf").write_text(MASTER + master)
        return [f"{each.rule.id}: {each.text}" for each in engine.run(tmp_path) if each.rule.id in OURS]

    return run


USED = "transport_maps = inline:{a.test=drop:}\n"
COMMANDS = {
    "user=daemon argv=/bin/true": [],
    "user=daemon argv=true": [],
    "flags=DRhu user=nosuchuser argv=/no/such": [
        "command-user: drop/unix: unknown user name: nosuchuser",
        "command-program: drop/unix: /no/such is not there, or cannot be executed",
        "command-recipient-limit: drop/unix: the flag D needs drop_destination_recipient_limit = 1",
    ],
    "user=root argv=/bin/true": ["command-user: drop/unix: user= command-line attribute specifies root privileges"],
    "user=daemon colour=red argv=/bin/true": ["command-attributes: drop/unix: unknown attribute name: colour=red"],
    "flags=Z user=daemon argv=/bin/true": ["command-attributes: drop/unix: unknown flag: Z"],
    "argv=/bin/true": ["command-attributes: drop/unix: missing user= command-line attribute"],
    "user=daemon": ["command-attributes: drop/unix: missing argv= command-line attribute"],
}


@pytest.mark.parametrize("attributes", COMMANDS)
def test_commands(check, attributes):
    assert check(USED, f"drop unix - n n - - pipe {attributes}\n") == COMMANDS[attributes]


def test_lines_that_nothing_uses_may_stay(check):
    stock = "maildrop unix - n n - - pipe flags=DRXhu user=nosuchuser argv=/no/such -d ${recipient}\n"
    assert check("", stock) == []
    assert len(check("virtual_transport = maildrop\nmaildrop_destination_recipient_limit = 1\n", stock)) == 2


def test_spawn(check):
    line = "policy unix - n n - 0 spawn user=daemon flags=D argv=/bin/true\n"
    assert check("", line) == ["command-attributes: policy/unix: unknown attribute name: flags=D"]
    assert len(check("", "policy unix - n n - 0 spawn user=nosuchuser argv=/no/such\n")) == 2


def test_a_copied_configuration_with_trees_is_told_what_becomes_of_them(check):
    main = "virtual_mailbox_base = /nonexistent/v\nvirtual_uid_maps = static:5000\nvirtual_gid_maps = static:5000\n"
    (said,) = check(main, "")
    assert said == (
        "trees-not-used: virtual_uid_maps is set, but mail for virtual_mailbox_domains goes to the mailstore, "
        "not to Maildirs or mailbox files"
    )
    missing = "files-base-missing: virtual/unix: virtual_mailbox_base = /nonexistent/v is no directory"
    assert check(main + "virtual_mailbox_format = files\n", "") == [missing]
    there = main.replace("/nonexistent/v", "/tmp")
    assert check(there + "virtual_mailbox_format = files\n", "") == []
    assert check(there, "files unix - n n - - virtual -o virtual_mailbox_format=files\n") == []


def test_files(check):
    main = "virtual_mailbox_format = files\nvirtual_mailbox_limit = 100\n"
    said = check(main, "imap inet n - n - - imapd\n")
    assert [each.partition(":")[0] for each in said] == [
        "files-smaller-than-messages",
        "files-without-base",
        "files-without-owner",
        "files-without-owner",
        "files-not-served",
    ]
    assert said[0].endswith("virtual_mailbox_limit (100) is smaller than message_size_limit (10240000)")
    assert said[2].endswith("virtual/unix: virtual_mailbox_format = files needs virtual_uid_maps")


def test_a_format_that_there_is_not(tmp_path):
    (tmp_path / "main.cf").write_text("virtual_mailbox_format = maildir\n")
    (tmp_path / "master.cf").write_text(MASTER)
    found = [(each.rule.id, each.line) for each in engine.run(tmp_path) if each.line]
    assert found == [("bad-value", 1)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root is never whom a command runs as")
def test_without_root_commands_may_be_our_own(tmp_path):
    import getpass

    me = getpass.getuser()
    (tmp_path / "main.cf").write_text(f"mail_owner = {me}\n{USED}")
    (tmp_path / "master.cf").write_text(f"{MASTER}drop unix - n n - - pipe user={me} argv=/bin/true\n")
    assert not [each for each in engine.run(tmp_path) if each.rule.id == "command-user"]
