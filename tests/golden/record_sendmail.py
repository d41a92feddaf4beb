"""Records what the sendmail of the Postfix on this machine does with its command line: ``… record_sendmail.py``.

It wants root, and a Postfix that is down: what is taken lies in maildrop then, where postcat shows the envelope and the
message. An entry of ``sendmail.json`` is a case: its arguments, standard input and environment, the exit
status, both outputs, and the records that were left, if any.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "sendmail.json"
PLAIN = "Subject: a\n\nbody\n"
LISTED = 'To: alice@x.test, "Bob X" <bob@x.test> (c), grp: info@x.test;\nCc: joe\nBcc: root\nSubject: a\n\nb\n'
RESENT = "To: alice@x.test\nResent-To: r@x.test\nResent-Bcc: q@x.test\nSubject: a\n\nb\n"
ADDRESS = "a@x.test"

_OTHER = re.compile(r"\*\*\*|message_arrival_time|message_size|named_attribute: rewrite_context=local")
"""Records that say nothing of the command line."""

ADDRESSED = r"""
 | -i | -oi | -ti | -m | -om | -oem | -e m | -x | -ox | -c | -G | -U | -h 3 | -p x | -L tag | -Am | -Ac | -A m
-O x=y | -o7 | -o8 | -o q | -n | -s | -d | -E | -Z | -tt | -bm | -bH | -bh | -bX | -bt | -bD | -bi | -bp | -I
-R full | -R HDRS | -R bad | -N never | -N success,failure | -N Delay | -N never,success | -N x | -N ''
-V env1 | -V 'a b+c' | -V '' | -V += | -V LONG | -XV | -XV+= | -XV+ | -X log | -B 8bitmime | -B 7BIT | -B 9BIT
-f me@x.test | -fme@x.test | -r me@x.test | -f '' | -f '<>' | -f 'Foo <me@x.test>' | -f me | -f 'a b'
-f '<me@x.test> (c)' | -F 'Joe Q. X' | -FJoe | -F '' | -f a@x.test -f b@x.test | -ba | -q | -qSx | -q5x
b@x.test -i | -- -i | - | -io x | -v -f me@x.test | -bv -f me@x.test | -a | -bs | -f x@y@z | -J x
"""
"""Options before an address, as the shell has them, between bars; LONG is a long word."""

WHOLE = r"""
 | -f | -b | -t | -bv | -X | 'a, b@x.test' | 'foo bar' | 'Foo <b@x.test>' | '' | '"a' | -qI | -qS | -qR
-bp -bi | -I -bp | a@x.test a@x.test | '<a@x.test>' | 'a@x.test (c)' | '\root' | 'a b@x.test'
"""
"""Whole command lines."""

INPUTS = (
    ("-t", 'To: alice@x.test, "Bob X" <bob@x.test> (c), grp: info@x.test;\nCc: joe\nBcc: root\nSubject: a\n\nb\n'),
    ("-t", "To: alice@x.test\nResent-To: r@x.test\nResent-Bcc: q@x.test\nSubject: a\n\nb\n"),
    (
        "-t a@x.test",
        'To: alice@x.test, "Bob X" <bob@x.test> (c), grp: info@x.test;\nCc: joe\nBcc: root\nSubject: a\n\nb\n',
    ),
    ("-t", "Subject: a\n\nb\n"),
    ("-t", "To: \n\nb\n"),
    ("a@x.test", ""),
    ("a@x.test", "no header"),
    ("a@x.test", "A: b\n\nc\n.\nd\n"),
    ("-i a@x.test", "A: b\n\nc\n.\nd\n"),
    ("a@x.test", "A: b\n\nc\n."),
    ("a@x.test", ".\n"),
    ("a@x.test", "A: b\r\n\r\nc\r\n.\r\nd\r\n"),
    ("a@x.test", "From me Mon\n>From you\nA: b\n\nc\n"),
    ("a@x.test", "A: b\n\n..\n"),
    ("a@x.test", "A: b\n\nc\rd\n"),
    ("a@x.test", "\n\nb\n"),
    ("-t", "To: a@x.test\n , b@x.test\nSubject: a\n\nb\n"),
    ("-t", "To: a@x.test\nb\n\nTo: c@x.test\n"),
    ("-t", "to: undisclosed-recipients:;\nbcc: z@x.test\n\n"),
    ("-t", "Apparently-To: a@x.test\n\nb\n"),
    ("-t", "To: a@x.test\nResent-From: me@x.test\nSubject: a\n\nb\n"),
    ("-t", "To: a@x.test\nResent-From: me@x.test\nResent-To: r@x.test\n\nb\n"),
    ("-t", "Resent-Bcc: a@x.test\nTo: z@x.test\n\nb\n"),
    ("-t", "To: grp: a@x.test, b@x.test;\nBcc: grp: c@x.test;\n\nb\n"),
    ("-t", "To: a@x.test; b@x.test\n\nb\n"),
    ("-t", "To: a@x.test b@x.test\n\nb\n"),
    ("-t", "TO: a@x.test\nTo: b@x.test\nCC: c@x.test\nBCC: d@x.test\n\nb\n"),
    ("-t", "From x@y Tue Nov 24\nTo: a@x.test\n\nb\n"),
    ("'a@x.test\n'", "A: b\n\nc\n"),
    ("'a@x.test\nb@x.test'", "A: b\n\nc\n"),
    ("' a@x.test '", "A: b\n\nc\n"),
    ("-f 'me@x.test\n' a@x.test", "A: b\n\nc\n"),
    ("-f ' me@x.test ' a@x.test", "A: b\n\nc\n"),
    ("-f '@x.test' a@x.test", "A: b\n\nc\n"),
    ("-f 'me@[127.0.0.1]' a@x.test", "A: b\n\nc\n"),
    ("-f '\"a b\"@x.test' a@x.test", "A: b\n\nc\n"),
    ("-f 'a, b@x.test' a@x.test", "A: b\n\nc\n"),
    ("-F 'Joe, Q' a@x.test", "A: b\n\nc\n"),
    ("-F 'a\tb<c>' a@x.test", "A: b\n\nc\n"),
    ("-N 'failure, delay' a@x.test", "A: b\n\nc\n"),
    ("-N FAILURE -N DELAY a@x.test", "A: b\n\nc\n"),
    ("-R '' a@x.test", "A: b\n\nc\n"),
    ("-V 'x+y=z' a@x.test", "A: b\n\nc\n"),
    ("-toi", "To: a@x.test\n\nc\n.\nd\n"),
    ("-oiee -t", "To: a@x.test\n\nc\n.\nd\n"),
    ("-t -i -- b@x.test", "To: a@x.test\n\nc\n"),
    ("-odb -oQ/tmp -oee a@x.test", "A: b\n\nc\n"),
)

ENVIRONMENTS = ({"NAME": "Env Name"}, {"LOGNAME": "somebody"}, {"NAME": ""}, {"USER": "else"})


def _command_lines(text: str) -> list[list[str]]:
    return [shlex.split(each.replace("LONG", "x" * 101)) for each in text.replace("\n", " | ").split(" | ")[1:-1]]


def calls() -> list[dict[str, Any]]:
    """Each case: its arguments, standard input and environment."""
    found = [{"words": [*words, ADDRESS], "input": PLAIN, "env": {}} for words in _command_lines(ADDRESSED)]
    found += [{"words": words, "input": PLAIN, "env": {}} for words in _command_lines(WHOLE)]
    found += [{"words": shlex.split(words), "input": text, "env": {}} for words, text in INPUTS]
    found += [{"words": [ADDRESS], "input": PLAIN, "env": env} for env in ENVIRONMENTS]
    return found


def normal(text: str, root: str) -> str:
    """Without what depends on the run, and on the server's being down."""
    text = re.sub(r"\b[0-9A-F]{9,}\b", "ID", text.replace(root, "ROOT"))
    return text.replace("postdrop: warning: unable to look up public/pickup: No such file or directory\n", "")


def left(maildrop: Path, etc: Path) -> dict[str, Any] | None:
    """What is in maildrop: the envelope's records, and the message."""
    for path in maildrop.iterdir():
        show = ["/usr/sbin/postcat", "-c", str(etc), str(path)]
        text = subprocess.run(show, capture_output=True, check=True).stdout.decode(errors="surrogateescape")
        path.unlink()
        head, body, tail = (part for part in re.split(r"\*\*\* (?:MESSAGE CONTENTS|HEADER EXTRACTED).*\n", text))
        envelope = [line for line in (head + tail).splitlines() if not _OTHER.match(line)]
        return {"envelope": envelope, "message": body}
    return None


def main() -> None:
    """Write the file."""
    root = Path(tempfile.mkdtemp(prefix="rec"))
    try:
        for name in ("etc", "lib", "spool"):
            (root / name).mkdir()
        root.chmod(0o755)
        shutil.chown(root / "lib", "postfix")
        etc = root / "etc"
        (etc / "main.cf").write_text(
            f"compatibility_level=3.6\nqueue_directory={root}/spool\ndata_directory={root}/lib\n"
            f"command_directory=/usr/sbin\ndaemon_directory=/usr/lib/postfix/sbin\nmail_owner=postfix\n"
            f"setgid_group=postdrop\nmaillog_file={root}/log\nmaillog_file_prefixes={root}\nmyhostname=mail.test\n"
            f"alias_database=\nalias_maps=\n"
        )
        (etc / "master.cf").write_text("pickup unix n - n 60 1 pickup\n")
        subprocess.run(["/usr/sbin/postfix", "-c", str(etc), "check"], check=False, capture_output=True)
        found = []
        for call in calls():
            command = ["/usr/sbin/sendmail", "-C", str(etc), *call["words"]]
            environment = {"PATH": os.environ["PATH"], "MAIL_LOGTAG": "sendmail", **call["env"]}
            done = subprocess.run(
                command, input=call["input"].encode(), capture_output=True, env=environment, timeout=60
            )
            found.append(
                {
                    **call,
                    "status": done.returncode,
                    "out": normal(done.stdout.decode(), str(root)),
                    "err": normal(done.stderr.decode(), str(root)),
                    "left": left(root / "spool" / "maildrop", etc),
                }
            )
        HERE.write_text("[\n" + ",\n".join(json.dumps(each, ensure_ascii=False) for each in found) + "\n]\n")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
