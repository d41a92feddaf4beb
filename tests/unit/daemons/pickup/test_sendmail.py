import errno
import os
import pwd
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import angarium
from angarium.protocols.pickup import frames
from angarium.protocols.pickup.frames import frame

ME = pwd.getpwuid(os.getuid()).pw_name
MESSAGE = b"Subject: hi\n\nbody\n"


def stored(message):
    return message.content.read()


def headers(message):
    return stored(message).partition(b"\r\n\r\n")[0].decode().split("\r\n")


def test_a_message_is_queued_with_the_kernels_idea_of_who_sent_it(bench):
    done = bench.sendmail_up("joe@local.test", "bob", text=MESSAGE)
    assert (done.returncode, done.stderr) == (0, b"")
    (message,) = bench.queue.messages
    assert message.envelope.sender == f"{ME}@example.test"
    assert [(each.address, each.original) for each in message.envelope.recipients] == [
        ("joe@local.test", "joe@local.test"),
        ("bob@example.test", "bob"),
    ]
    assert message.prefix.startswith(
        b"Received: by mail.example.test (Postfix, from userid %d)\r\n\tid 4F2A0;" % os.getuid()
    )
    assert stored(message).startswith(b"Subject: hi\r\nMessage-Id: <")
    assert stored(message).endswith(b"\r\n\r\nbody\r\n")
    assert f"postfix/pickup: 4F2A0: uid={os.getuid()} from=<{ME}>" in bench.log.lines


def test_sender_and_full_name_and_delivery_status_options(bench):
    done = bench.sendmail_up(
        "-f",
        "me@here.test",
        "-F",
        "Joe (X) Q.",
        "-N",
        "failure,delay",
        "-R",
        "hdrs",
        "-V",
        "env1",
        "x@y.test",
        text=MESSAGE,
    )
    assert done.returncode == 0
    (message,) = bench.queue.messages
    envelope = message.envelope
    assert (envelope.sender, envelope.ret.value, envelope.envid) == ("me@here.test", "HDRS", "env1")
    assert envelope.recipients[0].notify == 4 | 8
    assert 'From: "Joe (X) Q." <me@here.test>' in headers(message)


@pytest.mark.parametrize("words", [("a\x7fb@x.test",), ("-f", "a\bb@x.test", "joe@x.test"), ("a\n\bb@x.test",)])
def test_control_characters_get_nowhere(bench, words):
    done = bench.sendmail_up(*words, text=MESSAGE)
    assert (done.returncode, bench.queue.messages) == (69, [])
    assert b"a control character" in done.stderr


@pytest.mark.parametrize("options", [("-G",), ("-G", "-v")])
def test_headers_of_a_gateway_are_a_strangers(bench, options):
    """The second goes through the whole command, which knows -v; the first would go through the client as well."""
    assert bench.sendmail_up(*options, "bob", text=b"From: joe\nTo: bob\n\nx\n").returncode == 0
    assert headers(bench.queue.messages[0]) == ["From: joe", "To: bob"]
    assert bench.queue.messages[0].envelope.recipients[0].address == "bob@example.test"
    assert bench.queue.messages[0].envelope.traced == ("-v" in options)


@pytest.mark.parametrize(
    ("option", "delimiters"), [("-XV", "-+"), ("-XV+=", "+="), ("-V", "-+"), ("-V-=", "-="), ("-XV!!", "!!")]
)
@pytest.mark.parametrize("bench", [{"default_verp_delimiters": "-+", "verp_delimiter_filter": "+-=!"}], indirect=True)
def test_verp_is_asked_for(bench, option, delimiters):
    assert bench.sendmail_up(option, "-f", "list@x.test", "joe@x.test", text=MESSAGE).returncode == 0
    assert bench.queue.messages[0].envelope.verp == delimiters


def test_no_verp_unless_asked_for(bench):
    bench.sendmail_up("-V", "envelope", "joe@x.test", text=MESSAGE)
    assert bench.queue.messages[0].envelope.verp == ""


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("-XV", "-f", ""), "(0): -V option requires non-null sender address"),
        (("-XV+=", "-f", "<>"), "(0): -V option requires non-null sender address"),
        (("-XV%%", "-f", ""), "-V requires two characters from -=+"),
        (("-XV+", "-f", "list@x.test"), "-V requires two characters from -=+"),
    ],
)
def test_verp_that_cannot_be(bench, words, complaint, running):
    bench.run(lambda: None)
    done = (bench.sendmail_up if running else bench.sendmail)(*words, "joe@x.test", text=MESSAGE)
    assert (done.returncode, bench.queue.messages) == (75, [])
    assert done.stderr.decode() == f"sendmail: fatal: {complaint.replace('(0)', f'({os.getuid()})')}\n"
    assert list((bench.root / "maildrop").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (b"-XV%%\0-f\0l@x.test\0joe@x.test\0", "75\nsendmail: fatal: -V requires two characters from -=+\n"),
        (
            b"-XV\0-f\0\0joe@x.test\0",
            f"75\nsendmail: fatal: ({os.getuid()}): -V option requires non-null sender address\n",
        ),
        (b"-XV\0-f\0l@x.test\0joe@x.test\0", "0\n"),
    ],
)
def test_verp_of_a_client_that_leaves_its_command_line_to_pickup(bench, words, answer):
    data = frame(b"V", b"1") + frame(b"a", words) + frame(b"i", MESSAGE) + frame(b"Z")
    assert bench.exchange(data).decode() == answer


def test_the_null_sender(bench):
    bench.sendmail_up("-f", "<>", "joe@x.test", text=MESSAGE)
    assert bench.queue.messages[0].envelope.sender == ""
    assert "From: MAILER-DAEMON" in headers(bench.queue.messages[0])


def test_recipients_of_the_headers_join_those_of_the_command_line(bench):
    text = b'To: alice@x.test, "Bob X" <bob@x.test> (c), grp: info@x.test;\nCc: joe\nBcc: root\nSubject: a\n\nb\n'
    assert bench.sendmail_up("-t", "extra@x.test", text=text).returncode == 0
    addresses = [each.original for each in bench.queue.messages[0].envelope.recipients]
    assert addresses == ["extra@x.test", "alice@x.test", "bob@x.test", "info@x.test", "joe", "root"]
    assert b"Bcc" not in stored(bench.queue.messages[0])


def test_resent_headers_alone_count_when_there_are_any(bench):
    text = b"To: alice@x.test\nResent-Bcc: q@x.test\n\nb\n"
    bench.sendmail_up("-t", text=text)
    assert [each.original for each in bench.queue.messages[0].envelope.recipients] == ["q@x.test"]


@pytest.mark.parametrize(
    ("words", "text", "status", "complaint"),
    [
        ((), MESSAGE, 75, b"Recipient addresses must be specified on the command line or via the -t option"),
        (("-t",), MESSAGE, 75, b"No recipient addresses found in message header"),
        (("-Z", "joe"), MESSAGE, 75, b"usage: sendmail [options]"),
        (("-bX", "joe"), MESSAGE, 75, b"unsupported: -bX"),
    ],
)
def test_wrong_calls_end_as_postfix_ends_them(bench, words, text, status, complaint):
    done = bench.sendmail_up(*words, text=text)
    assert (done.returncode, bench.queue.messages) == (status, [])
    assert complaint in done.stderr


@pytest.mark.parametrize(
    ("words", "text", "body"),
    [
        ((), b"Subject: a\r\n\r\nb\r\n.\r\nafter\r\n", b"b\r\n"),
        (("-i",), b"Subject: a\n\nb\n.\nafter\n", b"b\r\n.\r\nafter\r\n"),
        (("-oi",), b"Subject: a\n\nb\n.\n..\n", b"b\r\n.\r\n..\r\n"),
        ((), b"Subject: a\n\nno line feed", b"no line feed\r\n"),
        ((), b"From x Mon\n>From y\nSubject: a\n\nb\n.", b"b\r\n"),
        ((), b"Subject: a\n\nb\rc\n", b"b c\r\n"),
    ],
)
def test_standard_input_becomes_wire_form(bench, words, text, body):
    bench.sendmail_up(*words, "joe@x.test", text=text)
    head, _, tail = stored(bench.queue.messages[0]).partition(b"\r\n\r\n")
    assert head.startswith(b"Subject: a\r\n")
    assert tail == body


def test_a_large_message_is_spooled(bench):
    line = b"0123456789" * 9 + b"\n"
    bench.sendmail_up(
        "-i", "joe@x.test", text=b"Subject: a\nMessage-Id: <x@y>\nDate: d\nFrom: f@x.test\n\n" + line * 20000
    )
    content = bench.queue.messages[0].content
    assert content.size > 1_800_000
    assert content.path.parent == bench.root / "spool"


@pytest.mark.parametrize("bench", [{"message_size_limit": "100000"}], indirect=True)
def test_a_message_over_the_limit_is_refused(bench):
    done = bench.sendmail_up("joe@x.test", text=b"Subject: a\n\n" + b"x" * 200000)
    assert (done.returncode, bench.queue.messages) == (75, [])
    assert b"message file too big" in done.stderr


@pytest.mark.parametrize("bench", [{"authorized_submit_users": "!" + ME + ", static:all"}], indirect=True)
def test_who_may_not_submit_is_told(bench):
    done = bench.sendmail_up("joe@x.test", text=MESSAGE)
    assert (done.returncode, bench.queue.messages) == (75, [])
    assert b"is not allowed to submit mail" in done.stderr


def test_a_full_disk_is_temporary(bench):
    bench.queue.error = OSError(errno.ENOSPC, "No space left on device")
    done = bench.sendmail_up("joe@x.test", text=MESSAGE)
    assert (done.returncode, done.stderr.strip()[-30:]) == (
        75,
        b"Error: queue file write error"[-30:],
    ) or done.returncode == 75


def test_what_is_dropped_while_nobody_listens_is_taken_at_the_start(bench):
    assert bench.sendmail("joe@x.test", text=MESSAGE).returncode == 75
    bench.run(lambda: None)
    maildrop = bench.root / "maildrop"
    assert stat.S_IMODE(maildrop.stat().st_mode) == 0o1733
    assert bench.sendmail("joe@x.test", text=MESSAGE).returncode == 0
    assert len(list(maildrop.iterdir())) == 1
    bench.run(lambda: None)
    assert [each.envelope.recipients[0].address for each in bench.queue.messages] == ["joe@x.test"]
    assert list(maildrop.iterdir()) == []


def test_a_drop_that_makes_no_sense_is_kept_aside(bench):
    bench.run(lambda: None)
    maildrop = bench.root / "maildrop"
    whole = frame(b"V", b"1") + frame(b"R", b"joe@x.test") + frame(b"D", b"A: b\r\n")
    (maildrop / "cut").write_bytes(whole)
    (maildrop / "link").symlink_to("/etc/passwd")
    (maildrop / "one").write_bytes(whole + frame(b"Z"))
    os.link(maildrop / "one", maildrop / "two")
    (maildrop / "begun").write_bytes(whole)
    (maildrop / "abandoned").write_bytes(whole)
    os.utime(maildrop / "abandoned", (0, 0))
    for name in ("cut", "one"):
        (maildrop / name).chmod(0o744)
    bench.run(lambda: None)
    assert bench.queue.messages == []
    assert sorted(each.name for each in maildrop.iterdir()) == [
        "begun",
        "cut.bad",
        "link.bad",
        "one.bad",
        "two.bad",
    ]


def test_a_client_that_goes_away_half_way_leaves_nothing(bench):
    answer = bench.exchange(frame(b"V", b"1") + frame(b"R", b"joe@x.test") + b"D0000", half_close=True)
    assert answer == b""
    assert bench.queue.messages == []


def test_a_client_that_talks_nonsense_is_told(bench):
    assert bench.exchange(b"GET / HTTP/1.0\r\n\r\n").startswith(b"501 5.5.2 malformed submission")


def test_a_client_that_half_closes_gets_its_answer(bench):
    data = frame(b"V", b"1") + frame(b"R", b"joe@x.test") + frame(b"D", b"A: b\r\n") + frame(frames.END)
    assert bench.exchange(data, half_close=True) == b"250 2.0.0 4F2A0\n"


def test_nothing_heavy_is_imported():
    def loaded(code):
        done = subprocess.run([sys.executable, "-c", code + "; print(*sys.modules)"], capture_output=True, text=True)
        return set(done.stdout.split())

    heavy = [
        "asyncio",
        "apsw",
        "cryptography",
        "msgspec",
        "dns",
        "re",
        "socket",
        "pathlib",
        "dataclasses",
        "enum",
        "typing",
    ]
    fresh = loaded("import sys, angarium.commands.sendmail") - loaded("import sys")
    assert not fresh & set(heavy)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("running", [True, False])
def test_an_unprivileged_user_can_submit(bench, running):
    source = Path(angarium.__file__).parents[1]
    nobody = pwd.getpwnam("nobody")

    def become(command, **options):
        return subprocess.run(
            command,
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            capture_output=True,
            timeout=60,
            **options,
        )

    environment = {"PYTHONPATH": str(source), "PATH": "/usr/bin:/bin"}
    for interpreter in (sys.executable, "/usr/bin/python3"):
        try:
            probe = become([interpreter, "-c", "import angarium.commands.sendmail"], env=environment)
        except OSError:
            continue
        if probe.returncode == 0:
            break
    else:
        pytest.skip("no interpreter here is open to other users")
    bench.root.chmod(0o755)
    bench.run(lambda: None)
    command = [interpreter, "-m", "angarium.commands.sendmail", "-C", str(bench.root / "etc"), "joe@x.test"]

    def submit():
        return become(command, input=MESSAGE, env=environment)

    done = bench.run(submit) if running else submit()
    assert (done.returncode, done.stderr) == (0, b"")
    bench.run(lambda: None)
    assert bench.queue.messages[0].envelope.sender == "nobody@example.test"
    assert b"from userid %d)" % nobody.pw_uid in bench.queue.messages[0].prefix


VERIFIED = {
    "virtual_mailbox_domains": "vbox.test",
    "virtual_mailbox_maps": "inline:{alice@vbox.test=x}",
    "virtual_alias_domains": "valias.test",
    "virtual_alias_maps": "inline:{{info@valias.test=alice@vbox.test, o@other.test}}",
    "relayhost": "[smart.test]",
}


@pytest.mark.parametrize("bench", [VERIFIED], indirect=True)
def test_bv_reports_by_mail_what_would_be_done(bench):
    done = bench.sendmail_up("-f", "me@x.test", "-bv", "info@valias.test", "zed@vbox.test", "nobody@valias.test")
    assert done.returncode == 0
    assert done.stdout == b"Mail Delivery Status Report will be mailed to <me@x.test>.\n"
    (message,) = bench.queue.messages
    assert (message.envelope.sender, message.envelope.recipients[0].address) == ("", "me@x.test")
    text = re.sub(r"\r\n {4,}", " ", stored(message).decode())  # unfolded
    assert "Subject: Mail Delivery Status Report\r\n" in text
    for line in (
        "<alice@vbox.test> (expanded from <info@valias.test>): delivery via virtual: delivers to mailbox",
        (
            "<o@other.test> (expanded from <info@valias.test>): "
            "delivery via smtp: goes to [smart.test] (relayhost: [smart.test])"
        ),
        "<zed@vbox.test>: delivery via virtual: User unknown in virtual mailbox table",
        "Final-Recipient: rfc822; nobody@valias.test\r\nOriginal-Recipient: rfc822;nobody@valias.test\r\n",
        (
            "Action: undeliverable\r\nStatus: 5.1.1\r\nDiagnostic-Code: X-Postfix; "
            "delivery via error: User unknown in virtual alias table"
        ),
        "Original-Recipient: rfc822;info@valias.test\r\nAction: deliverable\r\nStatus: 2.0.0",
    ):
        assert line in text
    assert any("status=undeliverable (User unknown in virtual mailbox table)" in line for line in bench.log.lines)
