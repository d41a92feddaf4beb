"""Records what the local(8) of the Postfix on this machine makes of its recipients: ``… record_local.py``.

It wants root: the users of ``FORWARDS`` are made in a mount namespace, with a password file of its own, and their homes
in a temporary directory. A line of ``local.txt`` is a recipient, and what the log says of one of its deliveries:
address, status, code, text. The directory is written as ``ROOT``, a new message's queue id as ``QUEUE-ID``.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOLDEN = Path(__file__).parent
HERE = GOLDEN / "local.txt"
FIRST_UID = 20001

EXITS = (1, *range(64, 79), 99)
ALIASES = {
    **{f"exit{number}": f'"|exit {number}"' for number in EXITS},
    "args": '"|/usr/bin/printf %s x"',
    "bad": "a b c",
    "chain1": "chain2",
    "chain2": "chain3, dave",
    "chain3": "dave",
    "code": '"|echo 4.7.9 wait; exit 1"',
    "code5": '"|echo 5.7.9 never; exit 75"',
    "code2": '"|echo 2.7.9 fine; exit 75"',
    "codeok": '"|echo 5.7.9 never; exit 0"',
    "dir": "ROOT",
    "empty": '""',
    "file": "ROOT/spool/f1",
    "include": ":include:ROOT/lists/plain",
    "includeless": ":include:/no/such",
    "included": ":include:ROOT/lists/mixed",
    "kill": '"|kill -9 $$"',
    "list": "ext@remote.test, daemon",
    "loop1": "loop2",
    "loop2": "loop1",
    "maildir": "ROOT/spool/m/",
    "missing": '"|/no/such/cmd a b"',
    "multi": "nobody, daemon, nobody",
    "mute": '"|exec >&- 2>&-; exit 67"',
    "null": "/dev/null",
    "out": '"|echo hello there; exit 1"',
    "owner-list": "root",
    "owner-self": "daemon",
    "plain": "plain",
    "quiet": '"|(echo 1;echo 2) >&2; exit 69"',
    "self": "self",
    "sink": '"|cat >/dev/null"',
    "slash": "\\daemon",
    "slashed": "\\slashes",
    "slashes": "daemon",
    "stranger": "nosuchuser",
    "tilde": "~/x",
    "twice": '"|exit 0", "|exit 0", /dev/null, /dev/null',
    "two": "one@remote.test, two@remote.test",
    "unread": '"|exit 0"',
    "user": "nobody",
}
FORWARDS: dict[str, str | None] = {
    "alice": "\\alice, ext@remote.test\n",
    "bob": '"|exit 67"\n',
    "carol": "~/mbox\n",
    "dave": "",
    "eve": "ext@remote.test\n",
    "frank": None,
    "gina": "gina\n",
    "hal": "alice\n",
    "ivan": '|/usr/bin/env\n# comment\n"|pwd;id"',
    "jill": ":include:~/inc\n",
    "karl": "daemon, daemon, karl, |false",
    "lena": "ROOT/home/lena/M/",
    "mona": "|env >ROOT/home/mona/env; pwd; cat >ROOT/home/mona/msg",
    "nina": "alice,, bob\n\n  carol",
    "otto": "ext@remote.test\n",
    "paul": "# nothing\n",
    "quin": "multi\n",
}
"""Users and their ``.forward``; eve's belongs to alice, otto's is world-writable, frank has no home."""

LISTS = {"plain": "daemon\n", "mixed": 'daemon\n# x\n"|exit 0"\n/tmp/x\nalice\n'}
RECIPIENTS = (*ALIASES, *FORWARDS, "nosuch", "daemon+ext", "dave+ext", "user+ext", "root", "NOBODY", "mailer-daemon")


def prepare(root: Path, owned: bool) -> None:
    """Homes, lists and spool; ``owned`` gives each home to its user."""
    for name in ("home", "lists", "spool"):
        (root / name).mkdir()
    (root / "spool").chmod(0o1777)
    for name, text in LISTS.items():
        (root / "lists" / name).write_text(text)
    for number, (name, text) in enumerate(FORWARDS.items()):
        if text is None:
            continue
        home = root / "home" / name
        home.mkdir()
        forward = home / ".forward"
        forward.write_text(text.replace("ROOT", str(root)))
        if owned:
            os.chown(forward, FIRST_UID if name == "eve" else FIRST_UID + number, FIRST_UID + number)
            os.chown(home, FIRST_UID + number, FIRST_UID + number)
        if name == "otto":
            forward.chmod(0o666)


def _submit(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60, source_address=("127.0.0.2", 0)) as connection:
        stream = connection.makefile("rwb")
        people = [f"RCPT TO:<{name}@local.test>" for name in RECIPIENTS]
        message = "Subject: a\r\n\r\nFrom me\r\n>From you\r\nb\r\n."
        for command in (None, "EHLO c", "MAIL FROM:<s@remote.test>", *people, "DATA", message, "QUIT"):
            if command is not None:
                stream.write(command.encode() + b"\r\n")
                stream.flush()
            while (reply := stream.readline().decode())[3:4] == "-":
                pass
            assert reply[:1] in "23", (command, reply)


_LINE = re.compile(r"(\w+): to=<([^>]*)>,(?: orig_to=<([^>]*)>,)? relay=local, .*dsn=(\S+), status=(\w+) \((.*)\)$")


def _answers(log: str, root: Path) -> list[str]:
    first = re.search(r"(\w+): client=", log)
    assert first is not None
    lines: list[str] = []
    for line in log.splitlines():
        match = _LINE.search(line)
        if match is None or match[1] != first[1]:
            continue
        text = re.sub(r"forwarded as \w+", "forwarded as QUEUE-ID", match[6]).replace(str(root), "ROOT")
        lines.append(f"{match[3] or match[2]} -> {match[2]} {match[5]} {match[4]} ({text})")
    return sorted(lines)


def record() -> None:
    """Run Postfix and write the file."""
    policy = runpy.run_path(str(GOLDEN / "record_policy.py"))
    root = Path(os.environ["RECORD_ROOT"])
    aliases = root / "aliases"
    aliases.write_text("".join(f"{name}: {value}\n" for name, value in ALIASES.items()).replace("ROOT", str(root)))
    settings = {
        **policy["BASE"],
        "alias_maps": f"hash:{aliases}",
        "local_recipient_maps": "",
        "mail_spool_directory": str(root / "spool"),
        "transport_maps": "inline:{{remote.test=discard:x}}",
        "myorigin": "local.test",
        "in_flow_delay": "0",
        "local_destination_concurrency_limit": "20",
    }
    subprocess.run(["postalias", f"hash:{aliases}"], check=True)
    port = policy["free_ports"]()
    services = [
        f"127.0.0.1:{port} inet n - n - - smtpd",
        "local unix - n n - - local",
        "discard unix - - n - - discard",
    ]
    with policy["postfix"](settings, services, defer="") as conf:
        _submit(port)
        limit = time.monotonic() + 30
        log = ""
        while time.monotonic() < limit and log.count("status=") < len(RECIPIENTS) + 20:
            time.sleep(0.5)
            log = (conf.parent / "log").read_text()
        time.sleep(3)
        log = (conf.parent / "log").read_text()
    HERE.write_text("\n".join(_answers(log, root)) + "\n")


def main() -> None:
    """Make the users, in a namespace of our own, then record."""
    if "RECORD_ROOT" in os.environ:
        record()
        return
    root = Path(tempfile.mkdtemp(prefix="local"))
    try:
        root.chmod(0o755)
        prepare(root, owned=True)
        users = Path("/etc/passwd").read_text()
        for number, name in enumerate(FORWARDS):
            uid = FIRST_UID + number
            users += f"{name}:x:{uid}:{uid}:{name}:{root}/home/{name}:/bin/bash\n"
        (root / "passwd").write_text(users)
        script = f'mount --bind {root}/passwd /etc/passwd && exec "$0" "$1"'
        environment = {**os.environ, "RECORD_ROOT": str(root)}
        command = ["unshare", "-m", "sh", "-c", script, sys.executable, __file__]
        subprocess.run(command, check=True, env=environment)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
