"""Records what the commands of the Postfix on this machine say while it is down. It wants root.

An entry of ``commands.json`` is a call of ``CALLS`` (``ROOT`` is a directory with a main.cf, a queue and a file
``folder``): its words and standard input, the exit status, both outputs, and the lines that it added to the log.
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

HERE = Path(__file__).parent / "commands.json"

CALLS = """
postkick
postkick public qmgr
postkick public qmgr W
postkick bogus qmgr W
postkick public nosuch W
postkick -Z
postlock
postlock -l fcntl,dotlock
postlock -l
postlock ROOT/folder echo held
postlock ROOT/folder false
postlock ROOT/folder sh -c 'exit 77'
postlock ROOT/folder sh -c 'kill -9 $$'
postlock ROOT/folder /nosuch/cmd
postlock ROOT/nosuch/dir true
postlock -l bogus ROOT/folder true
postlock -l flock ROOT/folder echo x
postlog hello world
postlog -p warn -t tagx hi
postlog -p error hi
postlog -p fatal -t x bye
postlog -p panic x
postlog -p bogus hi
postlog -p info a b  c
postlog -t
postlog -Z
postqueue
postqueue -p
postqueue -j
postqueue -Z
postqueue -p x
postqueue -pf
postqueue -i
postqueue -i x/y
postqueue -s 'bad site'
postqueue -s x.test
postqueue -f
postqueue --help
postqueue -c
postsuper
postsuper -Z
postsuper -d
postsuper -d x/y
postsuper -d NOPE123
postsuper -d ALL
postsuper -d ALL nosuch
postsuper -h ALL
postsuper -H ALL
postsuper -r ALL
postsuper -e ALL
postsuper -f ALL
postsuper -d ALL hold
postsuper -p
postsuper -s
postsuper --help
postsuper -c
postsuper -c rel -d ALL
postsuper -H ALL deferred
postsuper -d corrupt/ABC
postcat -q NOPE123
postcat -q x/y
postcat -q
postcat -Z
postcat -bh -q NOPE123
postcat -eq NOPE123
postcat ROOT/nosuch
postcat --help
postcat -c
postdrop -Z
postdrop --help
postlog --help
postlog -p INFO hi
postlog -p Warn hi
postlock --help
postkick --help
postkick -c
postmap --help
postalias --help
postalias
postalias -Z
postalias hash:ROOT/nosuch
postalias -q a hash:ROOT/nosuch
postmap -Z
postmap hash:ROOT/nosuch
postmap -q a hash:ROOT/nosuch
postmap -q a static:x
postmap -q a inline:{a=b}
postmap -q b inline:{a=b}
postmap -s inline:{a=b}
postmap -q a bogus:x
postconf -h nosuch_parameter
"""


def calls() -> list[list[str]]:
    """The words of each call."""
    return [shlex.split(line) for line in CALLS.strip().splitlines()]


def prepare(root: Path, owner: str) -> Path:
    """A configuration directory with its queue."""
    for name in ("etc", "lib", "spool"):
        (root / name).mkdir()
    (root / "folder").touch()
    root.chmod(0o755)
    (root / "etc" / "main.cf").write_text(
        f"compatibility_level = 3.6\nqueue_directory = {root}/spool\ndata_directory = {root}/lib\n"
        f"command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = {owner}\n"
        f"setgid_group = postdrop\nmaillog_file = {root}/lib/log\nmaillog_file_prefixes = {root}\n"
        "myhostname = mail.test\nalias_database =\nalias_maps =\nrelay_domains =\ndeliver_lock_attempts = 1\n"
        "mailbox_delivery_lock = fcntl, dotlock\n"
    )
    (root / "etc" / "master.cf").write_text(
        "pickup unix n - n 60 1 pickup\nqmgr unix n - n 300 1 qmgr\nshowq unix n - n - - showq\n"
    )
    return root / "etc"


def normal(text: str, root: Path) -> str:
    """Without what depends on the run."""
    return text.replace(str(root), "ROOT").replace("/private/tmp", "/tmp")


def logged(root: Path) -> list[str]:
    """The log's lines, without time, host and process; the log is emptied."""
    path = root / "lib" / "log"
    text = path.read_text() if path.exists() else ""
    path.unlink(missing_ok=True)
    return [re.sub(r"^.{15} \S+ ([^\[]+)\[\d+\]", r"\1", normal(line, root)) for line in text.splitlines()]


def main() -> None:
    """Write the file."""
    root = Path(tempfile.mkdtemp(prefix="rec"))
    found: list[dict[str, Any]] = []
    try:
        etc = prepare(root, "postfix")
        shutil.chown(root / "lib", "postfix")
        subprocess.run(["/usr/sbin/postfix", "-c", str(etc), "check"], check=False, capture_output=True)
        for program, *words in calls():
            (root / "lib" / "log").unlink(missing_ok=True)
            arguments = [word.replace("ROOT", str(root)) for word in words]
            path = shutil.which(program, path="/usr/sbin:/usr/bin")
            done = subprocess.run(
                [program, "-c", str(etc), *arguments],
                executable=path,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                env={"PATH": os.environ["PATH"]},
            )
            found.append(
                {
                    "words": [program, *words],
                    "status": done.returncode,
                    "out": normal(done.stdout, root),
                    "err": normal(done.stderr, root),
                    "log": logged(root),
                }
            )
        HERE.write_text("[\n" + ",\n".join(json.dumps(each) for each in found) + "\n]\n")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
