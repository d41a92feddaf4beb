"""sendmail -bs stands alone: what it says, and what it hands on. The replies were recorded from Postfix 3.7."""

import os
import re
import socket
import threading
from pathlib import Path

import pytest

from angarium.commands.sendmail_smtp import converse
from angarium.protocols.pickup.session import End, PickupSession, Piece

HEAD = b"220 mail.test ESMTP Postfix\r\n"
EHLO = b"""250-mail.test
250-PIPELINING
250-SIZE 10240000
250-VRFY
250-ETRN
250-ENHANCEDSTATUSCODES
250-8BITMIME
250-DSN
250-SMTPUTF8
250 CHUNKING
""".replace(b"\n", b"\r\n")
MESSAGE = b"Subject: x\n\nb\n..dot\n.\n"


@pytest.fixture
def site(tmp_path):
    spool = tmp_path / "spool"
    (spool / "maildrop").mkdir(parents=True)
    (tmp_path / "main.cf").write_text(
        f"compatibility_level = 3.6\nqueue_directory = {spool}\nmyhostname = mail.test\nmaillog_file = {tmp_path}/log\n"
        "smtpd_relay_restrictions = reject\nsmtpd_recipient_restrictions = reject\nsmtpd_tls_security_level = encrypt\n"
        "smtpd_sasl_auth_enable = yes\nsmtpd_peername_lookup = no\nlocal_recipient_maps = static:\n"
    )
    (tmp_path / "master.cf").write_text("")
    return tmp_path


def hold(site: Path, commands: bytes, *, as_file: bool = True) -> bytes:
    """The session's output for input that is there at once, from a file or a pipe."""
    out = site / "out"
    if as_file:
        (site / "in").write_bytes(commands)
        source = os.open(site / "in", os.O_RDONLY)
    else:
        source, writer = os.pipe()
        os.write(writer, commands)
        os.close(writer)
    sink = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        assert converse(str(site), source, sink) == 0
    finally:
        os.close(source)
        os.close(sink)
    return re.sub(rb"queued as [0-9A-F]+", b"queued as ID", out.read_bytes())


def dropped(site: Path):
    """The submissions in maildrop, each with its message."""
    found = []
    for path in (site / "spool" / "maildrop").iterdir():
        events = PickupSession().receive_data(path.read_bytes())
        message = b"".join(each.data for each in events if isinstance(each, Piece))
        found.append((next(each.submission for each in events if isinstance(each, End)), message))
    return sorted(found, key=lambda each: each[0].recipients)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("as_file", [True, False])
def test_mail_is_taken_without_a_server_and_without_restrictions(site, line_end, as_file):
    commands = b"EHLO x\nMAIL FROM:<a@z.test>\nRCPT TO:<nosuch>\nRCPT TO:<b@far.test>\nDATA\n" + MESSAGE + b"QUIT\n"
    assert hold(site, commands.replace(b"\n", line_end), as_file=as_file) == (
        HEAD + EHLO + b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"
        b"250 2.0.0 Ok: queued as ID\r\n221 2.0.0 Bye\r\n"
    )
    [(submission, message)] = dropped(site)
    assert (submission.sender, submission.full_name) == ("a@z.test", "")
    assert submission.recipients == ("nosuch", "b@far.test")
    received, rest = message.split(b"Subject", 1)
    assert re.fullmatch(
        rb"Received: from x \(localhost \[127\.0\.0\.1\]\)\r\n"
        rb"\tby mail\.test \(Postfix\) with ESMTP id [0-9A-F]{10};\r\n\t.* .*\r\n",
        received,
    )
    assert rest == b": x\r\n\r\nb\r\n.dot\r\n"


def test_recipients_who_want_to_hear_different_things(site):
    hold(
        site,
        b"EHLO x\nMAIL FROM:<> BODY=8BITMIME RET=HDRS ENVID=env\nRCPT TO:<a@far.test> NOTIFY=SUCCESS\n"
        b'RCPT TO:<"b c"@far.test>\nRCPT TO:<d@far.test> NOTIFY=SUCCESS\nBDAT 3 LAST\nab\nQUIT\n',
    )
    one, other = dropped(site)
    assert (one[0].recipients, int(one[0].notify)) == (('"b c"@far.test',), 0)
    assert (other[0].recipients, int(other[0].notify)) == (("a@far.test", "d@far.test"), 2)
    for submission, message in (one, other):
        assert (submission.sender, submission.envid) == ("", "env")
        assert (submission.ret.value, submission.body.value) == ("HDRS", "8BITMIME")
        assert message.endswith(b"ab\r\n")


def test_what_a_session_alone_does_not_have(site):
    assert hold(site, b"HELO x\nAUTH PLAIN\nSTARTTLS\nXCLIENT A=b\nFOO\nVRFY x\n") == (
        HEAD + b"250 mail.test\r\n503 5.5.1 Error: authentication not enabled\r\n"
        b"502 5.5.1 Error: command not implemented\r\n550 5.7.0 Error: insufficient authorization\r\n"
        b"500 5.5.2 Error: command not recognized\r\n252 2.0.0 x\r\n"
    )
    assert hold(site, b"") == HEAD
    assert hold(site, b"root:x:0:0\n") == HEAD + b"221 2.7.0 Error: I can break rules, too. Goodbye.\r\n"


def test_pickups_refusal_is_the_reply(site):
    (site / "spool" / "public").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(site / "spool" / "public" / "pickup"))
        listener.listen()
        listener.settimeout(10)

        def refuse():
            client, _ = listener.accept()
            with client:
                while not client.recv(65536).endswith(b"Z00000000"):
                    pass
                client.sendall(b"554 5.7.1 User x(1) is not allowed to submit mail\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        said = hold(site, b"HELO x\nMAIL FROM:<>\nRCPT TO:<a>\nDATA\n.\nQUIT\n")
        thread.join()
    assert said.endswith(b"554 5.7.1 User x(1) is not allowed to submit mail\r\n221 2.0.0 Bye\r\n")


def test_a_message_that_cannot_be_kept_is_refused_for_now(site):
    (site / "spool" / "maildrop").rmdir()
    said = hold(site, b"HELO x\nMAIL FROM:<>\nRCPT TO:<a>\nDATA\n.\nQUIT\n")
    assert said.endswith(b"451 4.3.0 Error: queue file write error\r\n221 2.0.0 Bye\r\n")


def test_without_a_configuration(tmp_path, capsys):
    assert converse(str(tmp_path / "nosuch")) == 75
    assert "No such file or directory" in capsys.readouterr().err


def test_verp_when_the_machine_itself_may_ask_for_it(site):
    commands = b"EHLO x\nMAIL FROM:<l@z.test> XVERP=-=\nRCPT TO:<b@far.test>\nDATA\n" + MESSAGE + b"QUIT\n"
    assert b"555 5.5.4 Unsupported option: XVERP=-=\r\n" in hold(site, commands)
    with (site / "main.cf").open("a") as file:
        file.write("smtpd_authorized_verp_clients = 127.0.0.1\n")
    said = hold(site, commands)
    assert EHLO.replace(b"250-ENHANCED", b"250-XVERP\r\n250-ENHANCED") in said
    assert [submission.verp for submission, _message in dropped(site)] == ["-="]
