"""Records what the pipe(8) of the Postfix on this machine hands to commands, and makes of them: ``… record_pipe.py``.

It wants root. One transport for each case; its command writes down what it got. ``pipe.json`` has for each case the
command's runs (arguments, environment, directory, input) and the outcome of each recipient. The directory is written as
ROOT, the queue id as QUEUE-ID, the date of a ``From `` line as DATE.
"""

from __future__ import annotations

import json
import re
import runpy
import shutil
import smtplib
import tempfile
import time
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent
HERE = GOLDEN / "pipe.json"

DUMP = """#!/usr/bin/python3
import json, os, sys, tempfile
data = sys.stdin.buffer.read()
told = {
    "argv": sys.argv[1:],
    "env": {name: value for name, value in os.environ.items() if name != "LC_CTYPE"},
    "cwd": os.getcwd(),
    "stdin": data.decode("latin-1"),
    "who": [os.getuid(), os.getgid(), os.getgroups()],
    "session": os.getsid(0) == os.getpid(),
}
handle, name = tempfile.mkstemp(dir="ROOT/out")
os.write(handle, json.dumps(told).encode())
os.rename(name, name + ".json")
"""
"""The command; its arguments come after ``CASE``."""

TEXT = "Subject: a\r\n\r\nFrom me\r\n>From you\r\n.dot\r\n..dots\r\nend\r\n"
LOOP = "Delivered-To: A@loop.test\r\nSubject: a\r\n\r\nx\r\n"
LONG = "Subject: a\r\n\r\n" + "y" * 3000 + "\r\n"
ENDLESS = "Subject: a\r\n\r\nno end of line"
EIGHT = "Subject: \u06cc\r\n\r\n\u0633\u0644\u0627\u0645\r\n"

S = "sender@Remote.Test"
ALL = (
    "$client_address ${client_helo} ${client_hostname} ${client_protocol} $(domain) a${extension}b "
    "${mailbox} ${nexthop} ${original_recipient} ${queue_id} ${recipient} ${sender} ${user}"
)

CASES: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    # attributes before argv; arguments of the command; sender and recipients' local parts; message
    "plain": ("", "", (S, "a"), TEXT),
    "all": ("", ALL, (S, "User+Ext"), TEXT),
    "all_folded": ("flags=hqu", ALL, (S, "User+Ext"), TEXT),
    "fold_h": ("flags=h", "$recipient $original_recipient $domain $nexthop $sender $user", (S, "User+Ext"), TEXT),
    "fold_u": ("flags=u", "$recipient $original_recipient $user $extension $mailbox $domain", (S, "User+Ext"), TEXT),
    "quote": ("flags=q", "$recipient $sender $user $mailbox", ('"s x"@remote.test', '"a b"'), TEXT),
    "unquoted": ("", "$recipient $sender $user $mailbox", ('"s x"@remote.test', '"a b"'), TEXT),
    "dash": ("", "-- $recipient -f $sender", ("s=-@remote.test", "a-"), TEXT),
    "two": ("", "-f $sender -- $recipient", (S, "a", "b+x", "c"), TEXT),
    "two_words": ("", "x${user}y $user.$extension ${nexthop} z", (S, "a+1", "b"), TEXT),
    "two_domain": ("", "$domain ${size}", (S, "a", "b"), TEXT),
    "one": ("", "$recipient", (S, "a", "b"), TEXT),
    "null": ("", "-f $sender -- $recipient", ("", "a"), TEXT),
    "null_text": ("null_sender=nobody flags=FR", "-f ${sender}", ("", "a"), TEXT),
    "null_empty": ("null_sender= flags=FR", "-f ${sender} x", ("", "a"), TEXT),
    "null_quoted": ("null_sender={a b} flags=q", "-f ${sender} x", ("", "a"), TEXT),
    "null_from": ("flags=FR", "", ("", "a"), TEXT),
    "b": ("flags=B", "", (S, "a"), TEXT),
    "d": ("flags=D", "", (S, "a+X"), TEXT),
    "f": ("flags=F", "", (S, "a"), TEXT),
    "f_quoted": ("flags=F", "", ('"s x"@remote.test', "a"), TEXT),
    "o": ("flags=O", "", (S, "a"), TEXT),
    "r": ("flags=R", "", (S, "a"), TEXT),
    "r_quoted": ("flags=R", "", ('"s x"@remote.test', "a"), TEXT),
    "dot": ("flags=.", "", (S, "a"), TEXT),
    "gt": ("flags=>", "", (S, "a"), TEXT),
    "everything": ("flags=BDFORXhqu.>", "$recipient", (S, "Al+Ext"), TEXT),
    "eol": ("flags=BFDOR eol=\\r\\n", "", (S, "a"), TEXT),
    "eol_octal": ("flags=R eol=\\073\\t", "", (S, "a"), TEXT),
    "eol_long": ("flags=R eol=-\\\\b", "", (S, "a"), ENDLESS),
    "endless": ("", "", (S, "a"), ENDLESS),
    "eight": ("", "", (S, "a"), EIGHT),
    "dollars": ("", "$$x $$$recipient a$b ${size:}x", (S, "a"), TEXT),
    "dollar": ("", "$$x $${recipient} 5$$", (S, "a"), TEXT),
    "conditional": ("", "${extension?+$extension} ${sender:none} ${extension:none} x", (S, "a"), TEXT),
    "conditional_ext": ("", "${extension?+$extension} ${extension:none} x", (S, "a+e"), TEXT),
    "braces": ("", "{ a b } {$recipient x} {}", (S, "a"), TEXT),
    "sasl": ("", "x${sasl_method} x${sasl_sender} x${sasl_username} ${client_port} x", (S, "a"), TEXT),
    "empty_words": ("", "${extension} ${sasl_username} end", (S, "a", "b"), TEXT),
    "unknown_macro": ("", "$nosuch", (S, "a"), TEXT),
    "directory": ("directory=/usr", "", (S, "a"), TEXT),
    "directory_less": ("directory=/no/such", "", (S, "a"), TEXT),
    "chroot_less": ("chroot=/no/such", "", (S, "a"), TEXT),
    "chroot": ("chroot=/ directory=usr", "", (S, "a"), TEXT),
    "group": ("user=nobody:daemon", "", (S, "a"), TEXT),
    "size_over": ("size=100", "", (S, "a"), LONG),
    "size_enough": ("size=100000", "", (S, "a"), LONG),
    "loop": ("flags=D", "", (S, "a"), LOOP),
    "loop_less": ("", "", (S, "a"), LOOP),
    "limit_d": ("flags=D", "", (S, "a"), TEXT),
    "limit_d2": ("flags=D", "", (S, "a", "b"), TEXT),
    "limit_o2": ("flags=O", "", (S, "a", "b"), TEXT),
    "bad_flag": ("flags=RZ", "", (S, "a"), TEXT),
    "extension_less": ("", "$recipient [$extension] $mailbox $user", (S, "+b", "a+"), TEXT),
    "alias": ("flags=DO", "$original_recipient $recipient $user", (S, "Old"), TEXT),
}
"""By name, which is the transport's and its domain's."""

SINGLE = {"one", "d", "o", "everything", "eol", "loop", "alias"}
"""With a recipient limit of 1."""

EXITS = (0, 1, *range(64, 79), 99, 127, 255)
SHELL = {
    **{f"exit{number}": f"exit {number}" for number in EXITS},
    "kill": "kill -9 $$$$",
    "term": "kill -15 $$$$",
    "said": "echo hello there; exit 0",
    "said_lines": "echo one; echo two >&2; exit 0",
    "said_failing": "echo hello there; exit 1",
    "said_wait": "echo hello there; exit 75",
    "code4": "echo 4.7.9 wait; exit 1",
    "code5": "echo 5.7.9 never; exit 75",
    "code2": "echo 2.7.9 fine; exit 75",
    "code_ok": "echo 5.7.9 never; exit 0",
    "code_alone": "echo 4.7.9; exit 1",
    "code_late": "echo x 4.7.9 wait; exit 67",
    "odd": "printf 'a\\001\\200\\tb\\r\\nc'; exit 69",
    "mute": "exec >&- 2>&-; exit 67",
    "unread": "exit 0",
    "unread_long": "exit 0",
    "background": "sleep 3 >/dev/null 2>&1 & exit 0",
    "closes_input": "exec <&-; exit 0",
    "hang": "sleep 60",
    "hang_background": "sleep 60 & exit 0",
    "hang_group": "trap '' TERM; sleep 60 & sleep 60",
    "hang_after": "exec <&- >&- 2>&-; sleep 60",
    "hang_said": "echo begun; sleep 60",
}
"""What a shell does; the name is the transport's."""

MISSING = {"missing": "argv=/no/such/command a", "not_a_program": "argv=/etc/passwd", "is_directory": "argv=/usr"}
FATAL = {
    "user_less": "argv=/bin/true",
    "user_unknown": "user=nosuchuser argv=/bin/true",
    "user_root": "user=root argv=/bin/true",
    "user_postfix": "user=postfix argv=/bin/true",
    "group_root": "user=nobody:root argv=/bin/true",
    "group_postfix": "user=nobody:postfix argv=/bin/true",
    "group_unknown": "user=nobody:nosuchgroup argv=/bin/true",
    "argv_less": "user=nobody",
    "attribute": "user=nobody color=red argv=/bin/true",
    "size_bad": "user=nobody size=big argv=/bin/true",
}
"""What pipe refuses to run at all."""


def lines_of_master(root: Path) -> list[str]:
    """The transports."""
    found = []
    for name, (attributes, words, _people, _text) in CASES.items():
        user = "" if "user=" in attributes else "user=nobody"
        found.append(f"{name} unix - n n - - pipe {attributes} {user} argv={root}/dump {words}")
    found += [f"{name} unix - n n - - pipe user=nobody argv=/bin/sh -c {{{words}}}" for name, words in SHELL.items()]
    found += [f"{name} unix - n n - - pipe user=nobody {rest}" for name, rest in MISSING.items()]
    return found + [f"{name} unix - n n - - pipe {rest}" for name, rest in FATAL.items()]


def submit(port: int, sender: str, recipients: list[str], text: str) -> None:
    """By SMTP."""
    with smtplib.SMTP("127.0.0.1", port, timeout=60, source_address=("127.0.0.2", 0)) as client:
        client.ehlo("Client.Test")
        client.sendmail(sender, recipients, text.encode(), mail_options=["SMTPUTF8"] if not text.isascii() else [])


_LINE = re.compile(r"(\w+): to=<([^>]*)>,(?: orig_to=<([^>]*)>,)? relay=([^,]*), .*dsn=(\S+), status=(\w+) \((.*)\)$")
_MARK = re.compile(r"^(From .*?  ?)(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})", re.MULTILINE)


def plain(text: str, root: Path) -> str:
    """Without what changes from time to time."""
    return _MARK.sub(r"\1DATE", text).replace(str(root), "ROOT")


def answers(log: str, root: Path) -> dict[str, list[str]]:
    """The outcomes, by transport."""
    found: dict[str, list[str]] = {}
    for line in log.splitlines():
        match = _LINE.search(line)
        if match is None:
            continue
        told = f"{match[2]} {match[4]} {match[6]} {match[5]} ({plain(match[7], root)})"
        name = match[2].rpartition("@")[2].partition(".")[0].lower()
        told = re.sub(r"\b[0-9A-F]{9,12}\b", "QUEUE-ID", told)
        if told not in found.setdefault(name, []):
            found[name].append(told)
    return {name: sorted(each) for name, each in found.items()}


def record() -> None:
    """Run Postfix and write the file."""
    policy = runpy.run_path(str(GOLDEN / "record_policy.py"))
    root = Path(tempfile.mkdtemp(prefix="pipe"))
    try:
        root.chmod(0o755)
        (root / "out").mkdir()
        (root / "out").chmod(0o1777)
        (root / "dump").write_text(DUMP.replace("ROOT", str(root)))
        (root / "dump").chmod(0o755)
        names = [*CASES, *SHELL, *MISSING, *FATAL]
        settings = {
            **policy["BASE"],
            "recipient_delimiter": "+",
            "virtual_alias_domains": "",
            "virtual_alias_maps": "inline:{Old@alias.test=New+Ext@alias.test}",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "transport_maps": "inline:{" + ", ".join(f"{name}.test={name}:Hop.Test" for name in names) + "}",
            "in_flow_delay": "0",
            "bounce_queue_lifetime": "0",
            "smtpd_authorized_xclient_hosts": "127.0.0.2",
            "minimal_backoff_time": "1000s",
            "transport_retry_time": "1000s",
            **{f"{name}_destination_recipient_limit": "1" for name in SINGLE},
            **{f"{name}_time_limit": "1s" for name in SHELL if name.startswith("hang")},
        }
        port = policy["free_ports"]()
        services = [f"127.0.0.1:{port} inet n - n - - smtpd", *lines_of_master(root), "discard unix - - n - - discard"]
        with policy["postfix"](settings, services, defer="smtp") as conf:
            record_cases(root, port, conf.parent / "log")
    finally:
        shutil.rmtree(root)


def record_cases(root: Path, port: int, log: Path) -> None:
    """Send everything."""
    told: dict[str, Any] = {}
    for name, (_attributes, _words, (sender, *people), text) in CASES.items():
        submit(port, sender, [f"{each}@{name.capitalize()}.Test" for each in people], text)
    for name in (*SHELL, *MISSING, *FATAL):
        submit(port, S, [f"a@{name}.test"], LONG * 100 if name == "unread_long" else TEXT)
    limit = time.monotonic() + 90
    everything = {*CASES, *SHELL, *MISSING, *FATAL}
    while time.monotonic() < limit and not everything <= answers(log.read_text(), root).keys():
        time.sleep(0.5)
    time.sleep(3)
    said = log.read_text()
    outcomes = answers(said, root)
    runs: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((root / "out").glob("*.json")):
        run = json.loads(path.read_text())
        who = re.search(r"for <[^>]*@(\w+)\.Test>", run["stdin"])
        name = who[1].lower() if who else "?"
        number = re.search(r"with \w+ id (\w+)", run["stdin"])
        if who is None:
            match = re.search(rf"{number[1] if number else 'x'}: to=<[^>]*@(\w+)\.\w+>", said)
            name = match[1].lower() if match else "?"
        text = json.dumps(run)
        if number:
            text = text.replace(number[1], "QUEUE-ID")
        run = json.loads(text.replace(str(root), "ROOT"))
        queue = str(log.parent / "queue")
        run["cwd"] = run["cwd"].replace(queue, "QUEUE")
        run["env"] = {key: value.replace(str(log.parent), "BASE") for key, value in run["env"].items()}
        run["stdin"] = plain(run["stdin"], root)
        runs.setdefault(name, []).append(run)
    for name in sorted(everything):
        ran = sorted(runs.get(name, []), key=lambda run: str(run["argv"]) + run["stdin"])
        told[name] = {"outcomes": outcomes.get(name, []), "runs": ran}
    HERE.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    warned = [line for line in said.splitlines() if "/pipe[" in line and ("fatal" in line or "warning" in line)]
    print("\n".join(plain(line, root) for line in warned))


if __name__ == "__main__":
    record()
