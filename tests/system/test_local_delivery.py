"""Mail for system users, on a running server: with root's local process, and without root for ourselves alone."""

from __future__ import annotations

import getpass
import os
import pwd
import signal
import smtplib
import time
from pathlib import Path

import pytest

SECONDS = 20.0
LINE = "local              unix  y       n       n       -       -       local\n"


def prepared(servers, **settings):
    """A server, not started yet, that has mail for ``local.test``; mailboxes are in ``users``."""
    base = {"mydestination": "local.test", "local_recipient_maps": "", "worker_processes": "1"}
    server = servers.prepare(base | settings)
    root = server.site.root
    root.chmod(0o711)
    (root / "users").mkdir()
    (root / "users").chmod(0o1777)
    for name, text in (
        ("main.cf", f"mail_spool_directory = {root}/users\nalias_maps = texthash:{root}/aliases\n"),
        ("master.cf", LINE),
    ):
        with (server.site.configuration / name).open("a") as file:
            file.write(text)
    return server


def send(server, *recipients, text="Subject: here\r\n\r\nFrom us\r\n"):
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        client.sendmail("s@elsewhere.test", recipients, text)


def outcome(server, start):
    """The rest of the log line that has ``start``, once it is there."""
    deadline = time.monotonic() + SECONDS
    while True:
        for line in server.log().splitlines():
            if start in line and "status=" in line:
                return line.partition("relay=")[2].partition(",")[0] + " " + line.partition("status=")[2]
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")
def test_each_delivery_has_the_rights_of_its_user(servers):
    server = prepared(servers, mail_owner="nobody", default_privs="daemon")
    users = server.site.root / "users"
    (server.site.root / "aliases").write_text(
        f'who "|(id -un; id -Gn) > {users}/who; exit 0"\nfile {users}/file\n'
        'list bin, alice@example.test\nfails "|exit 67"\n'
    )
    server.start()
    send(server, *(f"{name}@local.test" for name in ("bin", "who", "file", "list", "fails", "stranger", "root")))
    assert outcome(server, "to=<bin@local.test>, relay") == "local sent (delivered to mailbox)"
    assert (users / "bin").stat().st_uid == pwd.getpwnam("bin").pw_uid
    assert outcome(server, "to=<who@local.test>").startswith("local sent (delivered to command: (id -un")
    assert (users / "who").read_text() == "daemon\ndaemon\n"
    assert outcome(server, "to=<file@local.test>").startswith("local sent (delivered to file")
    assert (users / "file").stat().st_uid == pwd.getpwnam("daemon").pw_uid
    assert outcome(server, "to=<list@local.test>").startswith("local sent (forwarded as ")
    assert outcome(server, "to=<alice@example.test>, orig_to=<list@local.test>").startswith("virtual sent")
    assert outcome(server, "to=<fails@local.test>") == "local bounced (user unknown)"
    assert outcome(server, "to=<stranger@local.test>") == 'local bounced (unknown user: "stranger")'
    assert outcome(server, "to=<root@local.test>") == "local sent (delivered to mailbox)"


def test_without_root_only_our_own_mail_is_delivered(servers):
    me = getpass.getuser()
    server = prepared(servers)
    (server.site.root / "aliases").write_text("")
    other = next(each.pw_name for each in pwd.getpwall() if each.pw_uid not in (0, os.geteuid()))
    server.start()
    send(server, f"{me}@local.test", f"{other}@local.test")
    assert outcome(server, f"to=<{me}@local.test>") == "local sent (delivered to mailbox)"
    text = (server.site.root / "users" / me).read_text()
    assert text.startswith("From s@elsewhere.test  ")
    assert text.endswith("\n\n>From us\n\n")
    assert outcome(server, f"to=<{other}@local.test>").startswith("local deferred (")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")
def test_the_local_process_is_replaced_and_survives_a_reload(servers):
    server = prepared(servers, mail_owner="nobody", mailbox_command='cat > "$HOME.$USER"; id -un >&2; exit 75')
    (server.site.root / "aliases").write_text("")
    server.start()
    master = int((server.site.root / "spool" / "pid" / "master.pid").read_text())
    (local,) = (pid for pid in children(master) if Path(f"/proc/{pid}").stat().st_uid == 0)
    os.kill(local, signal.SIGKILL)
    send(server, "bin@local.test")
    # Waiting in the backlog of the socket, which the master keeps open.
    assert outcome(server, "to=<bin@local.test>").startswith("local deferred (temporary failure. Command output: ")
    assert "Command output: bin" in server.log() or "Permission denied bin" in server.log()
    server.site.administer("postfix", "reload")
    until = time.monotonic() + SECONDS
    while True:
        try:
            send(server, "daemon@local.test")
        except smtplib.SMTPResponseException as error:
            if error.smtp_code != 421 or time.monotonic() > until:  # 421: a worker that is on its way out
                raise
        else:
            break
    assert outcome(server, "to=<daemon@local.test>").startswith("local deferred (temporary failure. Command output: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")
def test_addresses_are_probed_and_explained_by_what_would_become_of_them(servers):
    server = prepared(
        servers,
        mail_owner="nobody",
        default_privs="daemon",
        smtpd_recipient_restrictions="reject_unverified_recipient",
        smtpd_reject_unlisted_recipient="no",
        mailbox_command_maps="inline:{ {games = exit 0} }",
    )
    (server.site.root / "aliases").write_text(
        'list bin@local.test, x@elsewhere.test\ncmd "|exit 67"\nnobodys stranger@local.test\n'
    )
    server.start()
    said = {}
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        client.ehlo()
        client.mail("s@elsewhere.test")
        for name in ("bin", "list", "cmd", "games", "stranger", "nobodys"):
            said[name] = client.rcpt(f"{name}@local.test")
    assert {name: code for name, (code, _text) in said.items()} == {
        "bin": 250,
        "list": 250,
        "cmd": 250,
        "games": 250,
        "stranger": 450,
        "nobodys": 450,
    }
    assert b'unknown user: "stranger"' in said["nobodys"][1]

    def explained(name):
        question = ("--from", "s@elsewhere.test", "--to", f"{name}@local.test", "--client", "127.0.0.1")
        return server.site.administer("angarium", "explain", *question)

    users = server.site.root / "users"
    assert f"<bin@local.test> delivers to mailbox {users}/bin, with the rights of bin" in explained("bin")
    text = explained("list")
    assert f"alias list: bin@local.test, x@elsewhere.test [texthash:{server.site.root}/aliases]" in text
    assert "<x@elsewhere.test> forwards to x@elsewhere.test" in text
    assert "<cmd@local.test> delivers to command: exit 67, with the rights of daemon" in explained("cmd")
    assert "<games@local.test> delivers to command: exit 0, with the rights of games" in explained("games")
    assert '<stranger@local.test> bounced: 5.1.1 unknown user: "stranger"' in explained("nobodys")
    assert not any(users.iterdir())


def children(pid):
    """The processes that a process has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
