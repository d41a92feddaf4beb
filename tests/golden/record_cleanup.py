"""Records what the Postfix on this machine makes of messages: ``python tests/golden/record_cleanup.py``.

A file in ``cleanup/`` is one message: lines ``#! key = value`` say how it came in, then follows the message as it was
sent, a line ``=====``, and what Postfix queued: the recipients, then header and body. The queue id is ``QID`` there,
dates are ``DATE``, the user's id is ``UID``.
"""

from __future__ import annotations

import os
import re
import runpy
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).parent / "cleanup"
POLICY = runpy.run_path(str(Path(__file__).parent / "record_policy.py"))
SETTINGS = {
    **POLICY["BASE"],
    "local_recipient_maps": "",
    "virtual_mailbox_maps": "",
    "relay_recipient_maps": "",
    "mynetworks": "127.0.0.0/8",
    "transport_maps": "",
    "append_dot_mydomain": "yes",
    "hopcount_limit": "5",
    "virtual_alias_expansion_limit": "20",
    "virtual_alias_maps": "inline:{{info@valias.test = alice@vbox.test, bob@vbox.test}, {u@valias.test=joe},"
    " {@catch.test=bob@vbox.test}, {@dom.test=@vbox.test}, {grow@vbox.test=grow@vbox.test, a@x.test},"
    " {m1@vbox.test=m1@vbox.test m2@vbox.test}, {m2@vbox.test=m3@vbox.test}, {m3@vbox.test=m1@vbox.test c@x.test},"
    ' {q@vbox.test="a b"@x.test}, {z@vbox.test=z@x.test, Z@x.test}}',
}
LOCAL, REMOTE = "127.0.0.1", "127.0.0.9"

CASES: dict[str, tuple[dict[str, str], str]] = {
    "remote_plain": ({}, "Message-Id: <1@x>\nSubject: a\n\nbody\n"),
    "remote_two": ({"to": "a@x.test b@x.test"}, "Subject: a\n\nbody\n"),
    "remote_nothing": ({}, ""),
    "remote_only_body": ({}, "\nbody\n"),
    "remote_no_header": ({}, "no header\nline\n"),
    "remote_leading_space": ({}, " lead\nx\n"),
    "remote_header_then_body": ({}, "A: b\nnot a header\n"),
    "remote_header_only": ({}, "A: b\n"),
    "remote_from_line": ({}, "From x y\nhello\n"),
    "remote_from_lines": ({}, ">From x y\nA: b\n\nFrom z\n"),
    "remote_dropped": ({}, "Bcc: x\n y\nA: b\nReturn-Path: <z>\nContent-Length: 5\nResent-Bcc: q\nBcc : r\n\nBcc: s\n"),
    "remote_bare_addresses": ({}, "To: joe\nFrom: amy\n\nb\n"),
    "remote_resent": ({}, "Resent-To: joe@x.test\n\nb\n"),
    "remote_helo": ({"helo": "[127.0.0.9]"}, "A: b\n\nc\n"),
    "remote_smtp": ({"helo": "old.test", "verb": "HELO"}, "A: b\n\nc\n"),
    "remote_null_sender": ({"from": ""}, "A: b\n\nc\n"),
    "remote_bare_recipients": ({"to": "joe joe@short x!y", "from": "amy"}, "A: b\n\nc\n"),
    "remote_quoted": ({"to": '"a b"@x.test'}, "A: b\n\nc\n"),
    "remote_folding": ({}, "Subject: a\n b\n\tc\nX: d\n\ne\n"),
    "remote_odd_headers": ({}, "A : b\nC: \nD:e\n!#$: f\n\ng\n"),
    "remote_dots": ({}, "A: b\n\n.\n..\n.x\n"),
    "local_plain": ({"client": LOCAL}, "Subject: a\n\nbody\n"),
    "local_complete": ({"client": LOCAL}, "Message-Id: <1@x>\nDate: d\nFrom: f@x.test\n\nbody\n"),
    "local_nothing": ({"client": LOCAL}, ""),
    "local_no_header": ({"client": LOCAL}, "no header\n"),
    "local_from_line": ({"client": LOCAL}, "From x y\nhello\n"),
    "local_null_sender": ({"client": LOCAL, "from": ""}, "A: b\n\nc\n"),
    "local_resent": ({"client": LOCAL}, "Resent-To: joe@x.test\nMessage-Id: <1@x>\n\nb\n"),
    "local_bare": ({"client": LOCAL}, "To: joe\nCc: amy (x), <bob>, c@short\nFrom: f@x.test\nSubject: joe\n\nb\n"),
    "local_names": (
        {"client": LOCAL},
        'To: Joe Doe <joe>\nReply-To: "Q, X" <q>\nSender: s\nErrors-To: e\nX-To: x\n\nb\n',
    ),
    "local_whole": ({"client": LOCAL}, 'To: "A" <a@x.test> (c),\n b@y.test\nFrom: f@x.test\n\nb\n'),
    "hops_3": ({}, "Received: from a by b; c\n" * 3 + "\nb\n"),
    "hops_4": ({}, "Received: from a by b; c\n" * 4 + "\nb\n"),
    "alias_two": ({"to": "info+e@valias.test"}, "A: b\n\nc\n"),
    "alias_bare": ({"to": "u@valias.test"}, "A: b\n\nc\n"),
    "alias_domain": ({"to": "x+y@dom.test q+z@catch.test"}, "A: b\n\nc\n"),
    "alias_itself": ({"to": "grow@vbox.test"}, "A: b\n\nc\n"),
    "alias_circle": ({"to": "m1@vbox.test"}, "A: b\n\nc\n"),
    "alias_quoted": ({"to": "q@vbox.test"}, "A: b\n\nc\n"),
    "alias_case": ({"to": "z@vbox.test Z@vbox.test"}, "A: b\n\nc\n"),
    "duplicates": ({"to": "a@x.test A@x.test a@x.test b@x.test"}, "A: b\n\nc\n"),
    "sendmail_plain": ({"argv": "joe@x.test"}, "Subject: a\n\nbody\n"),
    "sendmail_name": ({"argv": "-f me@here.test -F Joe_(X)_Q. joe@x.test"}, "Subject: a\n\nbody\n"),
    "sendmail_dot": ({"argv": "joe@x.test"}, "Subject: a\n\nb\n.\nafter\n"),
    "sendmail_ignore_dot": ({"argv": "-i joe@x.test"}, "Subject: a\n\nb\n.\nafter\n"),
    "sendmail_from_lines": ({"argv": "-i joe@x.test"}, "From x\n>From y\nSubject: a\n\nFrom z\n"),
    "sendmail_headers": (
        {"argv": "-i -t extra"},
        'To: alice@x.test, "Bob X" <bob> (c), grp: info@x.test;\nCc: joe\nBcc: root\nSubject: a\n\nb\n',
    ),
    "sendmail_resent": ({"argv": "-i -t"}, "To: alice@x.test\nResent-To: b@x.test\nResent-Bcc: q@x.test\n\nb\n"),
    "sendmail_null": ({"argv": "-f <> joe@x.test"}, "\nbody"),
    "sendmail_empty": ({"argv": "-i joe@x.test"}, ""),
    "sendmail_no_header": ({"argv": "-i joe@x.test"}, "hello there\n"),
}


def submit(port: int, how: dict[str, str], message: str) -> str:
    """Send over SMTP; the last reply."""
    with socket.create_connection(("127.0.0.1", port), 20, (how.get("client", REMOTE), 0)) as connection:
        stream = connection.makefile("rwb")

        def answer() -> str:
            while True:
                reply = stream.readline().decode().rstrip()
                if reply[3:4] != "-":
                    return reply

        reply = answer()
        commands = [
            f"{how.get('verb', 'EHLO')} {how.get('helo', 'client.test')}",
            f"MAIL FROM:<{how.get('from', 's@x.test')}>",
        ]
        commands += (
            [f"RCPT TO:<{each}>" for each in how["to"].split(" ")]
            if '"' not in how["to"]
            else [f"RCPT TO:<{how['to']}>"]
        )
        lines = [f".{line}" if line.startswith(".") else line for line in message.split("\n")[:-1]]
        for command in (*commands, "DATA", "\r\n".join([*lines, "."])):
            stream.write(command.encode() + b"\r\n")
            stream.flush()
            reply = answer()
        return reply


def queued(configuration: Path, queue_id: str) -> str:
    """What was queued: recipients, header, body."""
    done = subprocess.run(["postcat", "-c", configuration, "-q", queue_id], capture_output=True, text=True, check=True)
    head, _, rest = done.stdout.partition("*** MESSAGE CONTENTS")
    content, _, extracted = rest.partition("\n")[2].partition("*** HEADER EXTRACTED")
    fields = [line.split(": ", 1) for line in (head + extracted).split("\n") if "recipient: " in line]
    recipients = [f"{fields[at + 1][1]} < {fields[at][1]}\n" for at in range(0, len(fields), 2)]
    return "".join(recipients) + "\n" + normal(content, queue_id)


def normal(text: str, queue_id: str) -> str:
    """Without what differs between two runs."""
    text = re.sub(r"\w{3}, [ \d]\d \w{3} \d{4} [\d:]{8} [+-]\d{4} \(\w+\)", "DATE", text)
    text = re.sub(r"<\d{14}\.", "<TIME.", text).replace(queue_id, "QID")
    return text.replace(f"userid {os.getuid()}", "userid UID")


def record() -> None:
    """Run Postfix and write the files."""
    port = POLICY["free_ports"]()
    HERE.mkdir(exist_ok=True)
    with POLICY["postfix"](SETTINGS, [f"127.0.0.1:{port} inet n - n - - smtpd"]) as configuration:
        log = configuration.parent / "log"
        for name, (given, message) in CASES.items():
            how = {"to": "a@x.test", **given} if "argv" not in given else given
            if "argv" in how:
                argv = [each.replace("_", " ") for each in how["argv"].split()]
                before = log.read_text().count("postfix/pickup")
                subprocess.run(["sendmail", "-C", configuration, *argv], input=message.encode(), check=True, timeout=20)
                while log.read_text().count("postfix/pickup") == before:
                    time.sleep(0.05)
                time.sleep(0.2)
                queue_id = re.findall(r"postfix/pickup\[\d+\]: (\w+): uid", log.read_text())[-1]
                result = queued(configuration, queue_id)
            else:
                reply = submit(port, how, message)
                found = re.search(r"queued as (\w+)", reply)
                result = queued(configuration, found[1]) if found else reply + "\n"
            options = "".join(f"#! {key} = {value}\n" for key, value in how.items())
            (HERE / f"{name}.txt").write_text(f"{options}{message}=====\n{result}")


if __name__ == "__main__":
    record()
