"""Records what the virtual(8) of the Postfix on this machine makes of Maildir and mbox trees: ``… record_virtual.py``.

It wants root. ``virtual.json`` has the outcome of each recipient, the files below virtual_mailbox_base afterwards with
owner, group and mode, and the text of some. The directory is written as ROOT, the name of a file in a Maildir as NAME,
dates as DATE.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import smtplib
import stat
import tempfile
import time
from pathlib import Path

GOLDEN = Path(__file__).parent
HERE = GOLDEN / "virtual.json"
UID, GID, OTHER = 20101, 20102, 20103

TEXT = "Subject: a\r\n\r\nFrom me\r\n>From you\r\n.dot\r\nend\r\n"
ENDLESS = "Subject: a\r\n\r\nno end of line"
EIGHT = "Subject: \u06cc\r\n\r\n\u0633\u0644\u0627\u0645\r\n"
S = "sender@Remote.Test"

MAILBOXES = {
    "maildir": "maildir/",
    "mbox": "mbox",
    "deepdir": "a/b/deepdir/",
    "deepbox": "c/d/deepbox",
    "absolute": "/absolute/",
    "slashes": "sl//ash///",
    "dots": "dots/../dotted/",
    "spaces": "with space/",
    "isdir": "isdir",
    "isfile": "isfile/",
    "partfile": "isfile/below/",
    "partbox": "isfile/box",
    "symlink": "symlink",
    "symdir": "symdir/",
    "hard": "hard",
    "others": "others",
    "othersdir": "othersdir/",
    "fifo": "fifo",
    "device": "device",
    "locked": "locked",
    "rootdir": "rootdir/x/",
    "rootbox": "rootdir/box",
    "rootown": "rootdir/own",
    "uidless": "uidless/",
    "uidlow": "uidlow/",
    "uidbad": "uidbad/",
    "uidnegative": "uidnegative/",
    "uidhuge": "uidhuge/",
    "uidblank": "uidblank/",
    "gidless": "gidless/",
    "gidbad": "gidbad/",
    "gidzero": "gidzero/",
    "plus": "plus/",
    "plus+kept": "kept/",
    "Upper": "upper/",
    "halfdir": "halfdir/",
    "full": "full",
    "nearly": "nearly",
    "big": "big/",
    "loose": "loose",
    "dot": ".",
    "slash": "/",
}
"""By local part."""

USERS = {
    "uidless": None,
    "uidlow": "50",
    "uidbad": "abc",
    "uidnegative": "-5",
    "uidhuge": "99999999999",
    "uidblank": "20101 x",
}
GROUPS = {"gidless": None, "gidbad": "x7", "gidzero": "0"}

SENDS: list[tuple[str, str, str, str]] = [
    *(("tree", S, name, TEXT) for name in MAILBOXES if name not in ("full", "nearly", "big", "loose")),
    ("tree", S, "nosuch", TEXT),
    ("tree", S, "plus+ext", TEXT),
    ("tree", S, "mbox", ENDLESS),
    ("tree", "", "mbox", TEXT),
    ("tree", '"s x"@remote.test', "mbox", TEXT),
    ("tree", "", "maildir", ENDLESS),
    ("tree", S, "maildir", EIGHT),
    ("tree", S, "MAILDIR", TEXT),
    ("tree", S, "old", TEXT),
    ("all", S, "anybody", TEXT),
    ("all", S, "some+body", TEXT),
    ("limit", S, "full", TEXT),
    ("limit", S, "nearly", TEXT),
    ("limit", S, "big", TEXT),
    ("loose", S, "loose", TEXT),
    ("fail", S, "maildir", TEXT),
    ("failuid", S, "maildir", TEXT),
    ("failgid", S, "maildir", TEXT),
    ("regexp", S, "maildir", TEXT),
    ("regexp2", S, "maildir", TEXT),
    ("base", S, "baseless", TEXT),
    ("empty", S, "maildir", TEXT),
    ("flock", S, "flocked", TEXT),
]
"""Service, sender, local part, message."""

OVERRIDES = {
    "tree": {},
    "all": {"virtual_mailbox_maps": "inline:{{@all.test=catch/}}"},
    "limit": {"virtual_mailbox_limit": "2000", "message_size_limit": "2000"},
    "loose": {"strict_mailbox_ownership": "no"},
    "fail": {"virtual_mailbox_maps": "fail:x"},
    "failuid": {"virtual_uid_maps": "fail:x"},
    "failgid": {"virtual_gid_maps": "fail:x"},
    "regexp": {"virtual_mailbox_maps": "regexp:ROOT/regexp"},
    "regexp2": {"virtual_mailbox_maps": "regexp:ROOT/regexp2"},
    "base": {"virtual_mailbox_base": "ROOT/nosuch", "virtual_mailbox_maps": "static:x/"},
    "empty": {"virtual_mailbox_base": ""},
    "flock": {"virtual_mailbox_lock": "flock", "virtual_mailbox_maps": "static:flocked"},
}
SETTINGS = {
    "virtual_mailbox_base": "ROOT/vmail",
    "virtual_mailbox_maps": "hash:ROOT/maps",
    "virtual_uid_maps": "hash:ROOT/uids",
    "virtual_gid_maps": f"hash:ROOT/gids static:{GID}",
    "virtual_mailbox_lock": "fcntl, dotlock",
    "deliver_lock_attempts": "2",
    "deliver_lock_delay": "1s",
    "recipient_delimiter": "+",
}


def own(path: Path, uid: int = UID, gid: int = GID) -> None:
    """Give it away, if we are root."""
    if os.geteuid() == 0:
        os.chown(path, uid, gid, follow_symlinks=False)


def prepare(root: Path, ours: int = UID, group: int = GID) -> None:
    """What is there before."""
    base = root / "vmail"
    base.mkdir()
    base.chmod(0o775)
    own(base, ours, group)
    for name in ("isdir", "othersdir", "rootdir", "target", "halfdir"):
        (base / name).mkdir()
    for name in ("isfile", "hard", "others", "locked", "locked.lock", "linked", "full", "nearly", "loose"):
        (base / name).write_text({"full": "x" * 1999 + "\n", "nearly": "x" * 1700 + "\n"}.get(name, ""))
    (base / "rootdir" / "own").write_text("")
    (base / "symlink").symlink_to("linked")
    (base / "symdir").symlink_to("target")
    os.link(base / "hard", base / "hard2")
    os.mkfifo(base / "fifo")
    (base / "device").symlink_to("/dev/null")
    (base / "halfdir" / "tmp").mkdir()
    for path in base.rglob("*"):
        own(path, ours, group)
    for name in ("others", "othersdir", "loose"):
        own(base / name, OTHER, group)
    (base / "othersdir").chmod(0o770)
    (base / "loose").chmod(0o660)
    own(base / "rootdir", 0, 0)
    (base / "rootdir").chmod(0o755)
    own(base / "device", 0, 0)
    for table, text in tables(ours).items():
        (root / table).write_text(text)


def tables(ours: int = UID) -> dict[str, str]:
    """The sources of the tables."""
    services = list(OVERRIDES)
    names = {f"{name.lower()}@{service}.test": path for name, path in MAILBOXES.items() for service in services}
    users = {f"{name.lower()}@{service}.test": USERS.get(name, str(ours)) for name in MAILBOXES for service in services}
    users |= {f"@{service}.test": str(ours) for service in ("all", "base", "flock")}
    groups = {f"{name}@tree.test": value for name, value in GROUPS.items()}
    return {
        "maps": "".join(f"{key}\t{value}\n" for key, value in names.items()),
        "uids": "".join(f"{key}\t{value}\n" for key, value in users.items() if value is not None),
        "gids": "".join(f"{key}\t{value}\n" for key, value in groups.items() if value is not None),
        "regexp": "/^(.*)@/ $1/\n",
        "regexp2": "/^(.*)@/ fixed/\n",
    }


_LINE = re.compile(
    r"to=<([^>]*)>,(?: orig_to=<([^>]*)>,)? relay=([^,]*), .*dsn=(\S+), status=(\w+) \((.*)\)$", re.MULTILINE
)


def plain(text: str, root: Path) -> str:
    """Without what changes from time to time."""
    text = text.replace(str(root), "ROOT")
    text = re.sub(r"\b\d{10}\.V\w+I\w+M\d+\.[\w.-]+", "NAME", text)
    text = re.sub(r"\b\d{10}\.P\d+\.[\w.-]+", "NAME", text)
    text = re.sub(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}", "DATE", text)
    text = re.sub(r"\w{3}, [ \d]?\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}(?: \(\w+\))?", "DATE", text)
    return re.sub(r"(with \w+ id )\w+", r"\1QUEUE-ID", text)


def listing(base: Path, root: Path) -> dict[str, str]:
    """The files and directories, with whose they are; ``1`` of the owner's stands for what the maps say."""
    found = {}
    for path in sorted(base.rglob("*")):
        status = path.lstat()
        kind = stat.filemode(status.st_mode)
        found[plain(str(path.relative_to(base)), root)] = f"{kind} {status.st_uid} {status.st_gid}"
    return found


def texts(base: Path, root: Path) -> dict[str, list[str]]:
    """What is in the files that are not empty."""
    found: dict[str, list[str]] = {}
    for path in sorted(base.rglob("*")):
        if stat.S_ISREG(path.lstat().st_mode) and path.stat().st_size:
            name = plain(str(path.relative_to(base)), root)
            found.setdefault(name, []).append(plain(path.read_bytes().decode("latin-1"), root))
    return {name: sorted(each) for name, each in found.items()}


def record() -> None:
    """Run Postfix and write the file."""
    policy = runpy.run_path(str(GOLDEN / "record_policy.py"))
    root = Path(tempfile.mkdtemp(prefix="virtual"))
    try:
        root.chmod(0o755)
        prepare(root)
        os.system(f"for each in maps uids gids; do postmap hash:{root}/$each; done")
        settings = {
            **policy["BASE"],
            **SETTINGS,
            "virtual_mailbox_domains": ", ".join(f"{name}.test" for name in OVERRIDES),
            "virtual_alias_domains": "",
            "virtual_alias_maps": "inline:{old@tree.test=mbox@tree.test}",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtpd_reject_unlisted_recipient": "no",
            "transport_maps": "inline:{" + ", ".join(f"{name}.test={name}:" for name in OVERRIDES) + "}",
            "in_flow_delay": "0",
            "bounce_queue_lifetime": "0",
            "minimal_backoff_time": "1000s",
        }
        settings = {name: value.replace("ROOT", str(root)) for name, value in settings.items()}
        port = policy["free_ports"]()
        services = [f"127.0.0.1:{port} inet n - n - - smtpd", "discard unix - - n - - discard"]
        for name, overrides in OVERRIDES.items():
            services.append(f"{name} unix - n n - - virtual")
            services += [f"  -o {{ {key} = {value} }}".replace("ROOT", str(root)) for key, value in overrides.items()]
        with policy["postfix"](settings, services, defer="smtp") as conf:
            log = conf.parent / "log"
            for service, sender, name, text in SENDS:
                with smtplib.SMTP("127.0.0.1", port, timeout=60, source_address=("127.0.0.2", 0)) as client:
                    client.ehlo("Client.Test")
                    options = [] if text.isascii() else ["SMTPUTF8"]
                    client.sendmail(sender, [f"{name}@{service}.test"], text.encode(), mail_options=options)
            limit = time.monotonic() + 60
            while time.monotonic() < limit and log.read_text().count("status=") < len(SENDS):
                time.sleep(0.5)
            time.sleep(4)
            lines = [match.groups() for match in _LINE.finditer(log.read_text())]
        outcomes = sorted(
            {
                f"{to} {orig or ''} {relay} {status} {dsn} ({plain(text, root)})"
                for to, orig, relay, dsn, status, text in lines
            }
        )
        told = {"outcomes": outcomes, "files": listing(root / "vmail", root), "texts": texts(root / "vmail", root)}
        HERE.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    record()
