"""pipe, spawn and trees of Maildirs and mailboxes on a running server: with root's process, and without root."""

from __future__ import annotations

import getpass
import json
import os
import pwd
import re
import runpy
import smtplib
import socket
import subprocess
import time
from pathlib import Path

import pytest

from angarium.commands import sendmail_script

SECONDS = 25.0
RECORD = runpy.run_path(str(Path(__file__).parents[1] / "golden" / "record_pipe.py"))
ROOT = os.geteuid() == 0
OWNER = "nobody" if ROOT else getpass.getuser()
ACTOR = "daemon" if ROOT else getpass.getuser()
root_only = pytest.mark.skipif(not ROOT, reason="only root can become others")

POLICY = """#!/usr/bin/python3
import os, sys
asked = {}
for line in sys.stdin:
    name, _, value = line.strip().partition("=")
    asked[name] = value
    if not line.strip():
        print(f"action=REJECT {asked['recipient']} is refused by uid {os.getuid()}\\n", flush=True)
"""
FILTER = """#!/bin/sh
cat > ROOT/out/in.$$ || exit 75
trap 'rm -f ROOT/out/in.$$' 0
grep -q '^X-Refuse' ROOT/out/in.$$ && { echo Message content rejected; exit 69; }
{ echo 'X-Filtered: yes'; cat ROOT/out/in.$$; } | ROOT/sendmail -G -i "$@"
"""


def prepared(servers, master, **settings):
    """A server, not started yet, with these lines of master.cf; ``ROOT`` in them and in settings is its directory."""
    base = {"mail_owner": OWNER, "worker_processes": "1", "mydestination": "", "maximal_queue_lifetime": "0"}
    server = servers.prepare(base | settings)
    root = server.site.root
    root.chmod(0o755)
    for name, mode in (("out", 0o1777), ("vmail", 0o755)):
        (root / name).mkdir()
        (root / name).chmod(mode)
    script(root / "dump", RECORD["DUMP"].replace("ROOT", str(root)))
    for name, text in (("main.cf", ""), ("master.cf", "\n".join(master) + "\n")):
        path = server.site.configuration / name
        path.write_text((path.read_text() + text).replace("ROOT", str(root)))
    return server


def script(path, text):
    path.write_text(text)
    path.chmod(0o755)


def send(server, *recipients, sender="s@elsewhere.test", text="Subject: here\r\n\r\nFrom us\r\n"):
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        return client.sendmail(sender, recipients, text)


def outcome(server, start):
    """The rest of the log line that has ``start``, once it is there."""
    line = logged(server, start, "status=")
    return line.partition("relay=")[2].partition(",")[0] + " " + line.partition("status=")[2]


def logged(server, *words):
    deadline = time.monotonic() + SECONDS
    while True:
        for line in server.log().splitlines():
            if all(word in line for word in words):
                return line
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)


def runs(server):
    found = [json.loads(path.read_text()) for path in (server.site.root / "out").glob("*.json")]
    return sorted(found, key=lambda run: run["argv"])


def test_a_command_gets_the_message_with_the_rights_of_its_user(servers):
    line = f"dump unix - n n - - pipe flags=DRhu user={ACTOR} argv=ROOT/dump -f ${{sender}} -- ${{recipient}} $size"
    wrong = "wrong unix - n n - - pipe user=nosuchuser argv=/bin/true"
    hang = f"hang unix - n n - - pipe user={ACTOR} argv=/bin/sh -c {{ sleep 60 & sleep 60 }}"
    server = prepared(
        servers,
        [line, wrong, hang],
        transport_maps="inline:{dump.test=dump:, wrong.test=wrong:, hang.test=hang:}",
        dump_destination_recipient_limit="1",
        hang_time_limit="1s",
        export_environment="MAIL_CONFIG, COLOUR=red",
    )
    server.start()
    send(server, "One@Dump.Test", "two@dump.test", "a@wrong.test", "a@hang.test")
    assert outcome(server, "to=<One@Dump.Test>") == "dump sent (delivered via dump service)"
    assert outcome(server, "to=<two@dump.test>") == "dump sent (delivered via dump service)"
    one, two = runs(server)
    assert one["argv"][:4] == ["-f", "s@elsewhere.test", "--", "one@dump.test"]
    assert int(one["argv"][4]) > 100
    assert one["stdin"].startswith("Return-Path: <s@elsewhere.test>\nDelivered-To: One@Dump.Test\nReceived: from ")
    assert one["stdin"].endswith("\nSubject: here\n\nFrom us\n")
    assert two["argv"][3] == "two@dump.test"
    entry = pwd.getpwnam(ACTOR)
    assert one["who"][:2] == [entry.pw_uid, entry.pw_gid]
    if ROOT:
        assert one["who"][2] == [entry.pw_gid]
    assert one["session"]
    assert one["cwd"] == str(server.site.root / "spool")
    assert one["env"] == {"PATH": "/usr/bin:/bin", "COLOUR": "red", "MAIL_CONFIG": str(server.site.configuration)}
    assert outcome(server, "to=<a@wrong.test>") == "wrong deferred (unknown mail transport error)"
    logged(server, "postfix/pipe", "fatal: ", "unknown user name: nosuchuser")
    assert outcome(server, "to=<a@hang.test>") == 'hang bounced (Command time limit exceeded: "/bin/sh")'


@root_only
def test_nobody_gets_the_rights_of_the_mail_system(servers):
    lines = [
        "owner unix - n n - - pipe user=nobody argv=/bin/true",
        "super unix - n n - - pipe user=root argv=/bin/true",
        "group unix - n n - - pipe user=daemon:root argv=/bin/true",
        "jail unix - n n - - pipe user=daemon chroot=/ directory=usr argv=/bin/pwd",
        "nojail unix - n n - - pipe user=daemon chroot=/no/such argv=/bin/pwd",
        "limits unix - n n - - pipe user=daemon argv=/bin/sh -c {ulimit -n; umask; echo <&3; echo $$PPID | wc -l}",
    ]
    names = [line.partition(" ")[0] for line in lines]
    ways = ", ".join(f"{name}.test={name}:" for name in names)
    server = prepared(servers, lines, transport_maps=f"inline:{{{ways}}}")
    server.start()
    send(server, *(f"a@{name}.test" for name in names))
    for name in ("owner", "super", "group"):
        assert outcome(server, f"to=<a@{name}.test>") == f"{name} deferred (unknown mail transport error)"
    logged(server, "fatal: user= command-line attribute specifies mail system owner nobody")
    logged(server, "fatal: user= command-line attribute specifies root privileges")
    logged(server, "fatal: user= command-line attribute specifies privileged group id 0")
    assert outcome(server, "to=<a@jail.test>") == "jail sent (delivered via jail service (/usr))"
    assert outcome(server, "to=<a@nojail.test>") == "nojail deferred (temporary failure)"
    logged(server, "fatal: cannot change root directory to /no/such")
    assert outcome(server, "to=<a@limits.test>").startswith("limits sent (delivered via limits service (1024 0077 ")
    assert "Bad file descriptor" in outcome(server, "to=<a@limits.test>")


REPORTS = {  # recorded from Postfix's
    "ok": ("/bin/echo fine", "relayed 2.0.0 X-Postfix; delivery via ok: delivered via ok service (fine)"),
    "final": ("/bin/true", "delivered 2.0.0 X-Postfix; delivery via final: delivered via final service"),
    "bad": ("/bin/sh -c { echo very bad; echo two; exit 69 }", "failed 5.3.0 x-unix; very bad two"),
    "code": ("/bin/sh -c { echo 5.7.8 not you; exit 1 }", "failed 5.7.8 x-unix; not you"),
    "silent": ("/bin/sh -c { exit 67 }", "failed 5.1.1 x-unix; user unknown"),
    "wait": ("/bin/sh -c { echo later; exit 75 }", "failed 4.3.0 x-unix; later"),
    "hang": ("/bin/sleep 60", "failed 5.3.0 x-unix; internal software error"),
}


def test_the_sender_is_told_as_postfix_tells_him(servers):
    lines = [
        f"{name} unix - n n - - pipe {'flags=X' if name == 'final' else ''} user={ACTOR} argv={command}"
        for name, (command, _told) in REPORTS.items()
    ]
    lines.append(f"sink unix - n n - - pipe user={ACTOR} null_sender= argv=ROOT/dump ${{sender}}")
    ways = ", ".join(f"{name}.test={name}:" for name in (*REPORTS, "sink"))
    server = prepared(servers, lines, transport_maps=f"inline:{{{ways}}}", hang_time_limit="1s")
    server.start()
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        for name in REPORTS:
            client.ehlo()
            client.mail("s@sink.test")
            client.rcpt(f"a@{name}.test", ["NOTIFY=SUCCESS,FAILURE"])
            client.data("Subject: a\r\n\r\nx\r\n")
    deadline = time.monotonic() + SECONDS
    while len(runs(server)) < len(REPORTS):
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)
    told = {}
    for run in runs(server):
        assert run["argv"] == [""]
        fields = dict(re.findall(r"^([A-Z][\w-]+): (.*(?:\n .*)*)", run["stdin"], re.MULTILINE))
        name = fields["Final-Recipient"].partition("@")[2].removesuffix(".test")
        diagnostic = " ".join(fields["Diagnostic-Code"].split())
        told[name] = f"{fields['Action']} {fields['Status']} {diagnostic}"
    assert told == {name: text for name, (_command, text) in REPORTS.items()}


def test_trees_beside_the_mailstore(servers):
    me = pwd.getpwnam("bin" if ROOT else getpass.getuser())
    lines = ["trees unix - n n - - virtual", "  -o virtual_mailbox_format=files"]
    server = prepared(
        servers,
        lines,
        virtual_mailbox_domains="directory:domains, trees.test",
        virtual_mailbox_maps="directory:accounts, inline:{d@trees.test=a/d/, m@trees.test=m, low@trees.test=low/}",
        virtual_uid_maps=f"inline:{{low@trees.test=99}}, static:{me.pw_uid}",
        virtual_gid_maps=f"static:{me.pw_gid}",
        virtual_minimum_uid="1",
        transport_maps="inline:{trees.test=trees:}",
    )
    path = server.site.configuration / "master.cf"
    base = server.site.root / "vmail"
    path.write_text(path.read_text() + f"  -o virtual_mailbox_base={base} -o virtual_minimum_uid=1\n")
    text = "  -o {virtual_mailbox_maps=inline:{d@trees.test=a/d/, m@trees.test=m, low@trees.test=low/}}\n"
    path.write_text(path.read_text() + text)
    if ROOT:
        os.chown(base, me.pw_uid, me.pw_gid)
    server.start()
    send(server, "d@trees.test", "m@trees.test", "alice@example.test")
    assert outcome(server, "to=<d@trees.test>") == "trees sent (delivered to maildir)"
    assert outcome(server, "to=<m@trees.test>") == "trees sent (delivered to mailbox)"
    assert outcome(server, "to=<alice@example.test>") == "virtual sent (delivered to mailbox)"
    (delivered,) = (base / "a" / "d" / "new").iterdir()
    assert delivered.read_text().startswith(
        "Return-Path: <s@elsewhere.test>\nX-Original-To: d@trees.test\nDelivered-To: d@trees.test\nReceived: "
    )
    for each in (delivered, base / "a", base / "a" / "d" / "cur", base / "m"):
        assert (each.stat().st_uid, each.stat().st_gid) == (me.pw_uid, me.pw_gid)
        assert not each.stat().st_mode & 0o077
    assert (base / "m").read_text().endswith("\n\n>From us\n\n")
    assert (base.stat().st_uid, base.stat().st_gid) == (me.pw_uid, me.pw_gid)
    sendmail = Path(server.site.command("sendmail")[0])
    asked = ("-bv", "-f", "alice@example.test", "m@trees.test", "no@trees.test")
    subprocess.run([sendmail, "-C", server.site.configuration, *asked], check=True)
    logged(server, "to=<m@trees.test>", "status=deliverable (delivers to mailbox)")
    logged(server, "to=<no@trees.test>", 'status=undeliverable (unknown user: "no@trees.test")')


@pytest.mark.interop
def test_dovecot_reads_what_is_delivered(servers, peer):
    doveadm = peer("doveadm")
    me = pwd.getpwnam(ACTOR)
    server = prepared(
        servers,
        [
            "trees unix - n n - - virtual -o virtual_mailbox_format=files -o virtual_minimum_uid=1",
            f"  -o virtual_mailbox_base=ROOT/vmail -o virtual_uid_maps=static:{me.pw_uid}",
            f"  -o virtual_gid_maps=static:{me.pw_gid}",
            "  -o { virtual_mailbox_maps = inline:{a@trees.test=md/, b@trees.test=box} }",
        ],
        transport_maps="inline:{trees.test=trees:}",
    )
    base = server.site.root / "vmail"
    if ROOT:
        os.chown(base, me.pw_uid, me.pw_gid)
    server.start()
    text = "Subject: one\r\n\r\nFrom here\r\nto there\r\n"
    for _ in range(2):
        send(server, "a@trees.test", "b@trees.test", text=text)
    deadline = time.monotonic() + SECONDS
    while server.log().count("status=sent") < 4:
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)
    conf = server.site.root / "dovecot.conf"
    conf.write_text(
        "log_path = /dev/stderr\nfirst_valid_uid = 0\nfirst_valid_gid = 0\n"
        f"mail_uid = {ACTOR}\nmail_gid = {me.pw_gid}\n"
        f"mail_home = {base}\nbase_dir = {base}/run\nstats_writer_socket_path =\n"
    )
    for place in (f"maildir:{base}/md", f"mbox:{base}/folders:INBOX={base}/box"):
        said = subprocess.run(
            [
                doveadm,
                "-c",
                conf,
                "-o",
                f"mail_location={place}",
                "fetch",
                "hdr.subject body",
                "mailbox",
                "INBOX",
                "all",
            ],
            env={**os.environ, "USER": ACTOR, "HOME": str(base)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert said.count("hdr.subject: one\n") == 2
        assert said.count("From here\nto there\n") == 2


def test_a_policy_service_that_spawn_runs(servers):
    line = f"policyd-spf unix - n n - 0 spawn user={ACTOR} argv=/usr/bin/python3 ROOT/policy"
    server = prepared(
        servers, [line], smtpd_recipient_restrictions="check_policy_service unix:private/policyd-spf, permit"
    )
    script(server.site.root / "policy", POLICY)
    server.start()
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        send(server, "alice@example.test")
    uid = pwd.getpwnam(ACTOR).pw_uid
    (refusal,) = caught.value.recipients.values()
    said = f"554 5.7.1 <alice@example.test>: Recipient address rejected: alice@example.test is refused by uid {uid}"
    assert f"{refusal[0]} {refusal[1].decode()}" == said


def test_spawn_is_bounded(servers):
    host = servers.prepare().site.host
    with socket.socket() as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    lines = [
        f"{host}:{port} inet n n n - 1 spawn user={ACTOR} argv=/bin/sh -c {{ read x; echo $x; sleep 60 & sleep 60 }}",
        "broken unix - n n - 1 spawn user=nosuchuser argv=/bin/true",
    ]
    server = prepared(servers, lines, command_time_limit="1s")
    server.start()
    began = time.monotonic()
    for word in (b"one\n", b"two\n"):  # the second waits until the first was killed
        with socket.create_connection((host, port), timeout=30) as client:
            client.sendall(word)
            with client.makefile("rb") as stream:
                assert stream.readlines() == [word]
    assert time.monotonic() - began > 1.5
    logged(server, "postfix/spawn", "/bin/sh: process id ", ": command time limit exceeded")
    logged(server, "postfix/spawn", "command /bin/sh killed by signal 9")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.site.root / "spool" / "private" / "broken"))
        logged(server, "postfix/spawn", "fatal: unknown user name: nosuchuser")


def test_a_simple_content_filter(servers):
    line = (
        f"filter unix - n n - 10 pipe flags=Rq user={ACTOR} null_sender= "
        "argv=ROOT/filter -f ${sender} -- ${recipient}"
    )
    server = prepared(servers, [line])
    root = server.site.root
    sendmail_script.write(root / "sendmail")
    script(root / "filter", FILTER.replace("ROOT", str(root)))
    path = server.site.configuration / "master.cf"
    smtp = f"{server.site.host}:{server.site.ports.smtp}"
    lines = path.read_text().splitlines()
    at = next(number for number, each in enumerate(lines) if each.startswith(smtp))
    lines.insert(at + 1, "  -o content_filter=filter:dummy")
    path.write_text("\n".join(lines) + "\n")
    server.start()
    send(server, "alice@example.test", "bob@example.test")
    assert outcome(server, "to=<alice@example.test>, relay=filter") == "filter sent (delivered via filter service)"
    assert outcome(server, "to=<bob@example.test>, relay=virtual") == "virtual sent (delivered to mailbox)"
    send(server, "alice@example.test", text="Subject: a\r\nX-Refuse: yes\r\n\r\nx\r\n")
    said = "status=bounced (service unavailable. Command output: Message content rejected )"
    assert logged(server, "relay=filter", said)


@pytest.mark.interop
def test_the_policy_service_for_spf(servers, peer):
    line = f"policyd-spf unix - n n - 0 spawn user={ACTOR} argv={peer('policyd-spf')}"
    filed = "drop unix - n n - - pipe user=daemon argv=ROOT/dump"
    server = prepared(
        servers,
        [line, filed.replace("daemon", ACTOR)],
        smtpd_recipient_restrictions="check_policy_service unix:private/policyd-spf, permit",
        transport_maps="inline:{drop.test=drop:}",
        mynetworks="127.0.0.1",
    )
    server.start()
    send(server, "a@drop.test")
    assert outcome(server, "to=<a@drop.test>") == "drop sent (delivered via drop service)"
    (run,) = runs(server)
    assert "SPF" in run["stdin"].partition("\nSubject:")[0]


@pytest.mark.interop
def test_maildrop_and_dovecot_lda(servers, peer):
    maildrop, lda = peer("maildrop"), "/usr/lib/dovecot/dovecot-lda"
    subprocess.run([maildrop, "-v"], check=True, capture_output=True)
    if not Path(lda).exists():
        pytest.skip("dovecot-lda is not here")
    lines = [
        f"maildrop unix - n n - - pipe flags=DRXhu user={ACTOR} argv={maildrop} ROOT/vmail/filter",
        f"dovecot unix - n n - - pipe flags=DRhu user={ACTOR} argv={lda}",
        "  -c ROOT/dovecot.conf -e -f ${sender} -a ${original_recipient} -m INBOX",
    ]
    server = prepared(
        servers,
        lines,
        transport_maps="inline:{drop.test=maildrop:, lda.test=dovecot:}",
        maildrop_destination_recipient_limit="1",
        dovecot_destination_recipient_limit="1",
    )
    root = server.site.root
    (root / "vmail").chmod(0o1777)
    (root / "vmail" / "filter").write_text(f'to "{root}/vmail/dropped"\n')
    (root / "vmail" / "filter").chmod(0o600)
    if ROOT:
        os.chown(root / "vmail" / "filter", pwd.getpwnam(ACTOR).pw_uid, pwd.getpwnam(ACTOR).pw_gid)
    (root / "dovecot.conf").write_text(
        f"mail_location = mbox:{root}/vmail/lda:INBOX={root}/vmail/inbox\nlog_path = /dev/stderr\n"
        f"mail_home = {root}/vmail/home\nfirst_valid_uid = 0\nfirst_valid_gid = 0\n"
        f"hostname = x.test\npostmaster_address = p@x.test\nbase_dir = {root}/vmail/run\nstats_writer_socket_path =\n"
    )
    server.start()
    send(server, "a@drop.test", "b@lda.test")
    assert outcome(server, "to=<a@drop.test>") == "maildrop sent (delivered via maildrop service)"
    assert "Delivered-To: a@drop.test" in (root / "vmail" / "dropped").read_text()
    assert outcome(server, "to=<b@lda.test>").startswith("dovecot sent (delivered via dovecot service")
    assert "Delivered-To: b@lda.test" in (root / "vmail" / "inbox").read_text()
