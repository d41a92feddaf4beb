"""A stage for local(8): one scene of ``localscenes`` played by the Postfix of this machine, or by our server.

Wants root. The users of a scene are made in a mount namespace with a password and a group file of its own, their homes
and everything else in a temporary directory. What is observed is the same for both: the outcomes and warnings in the
log, the messages that reach the outside (forwarded mail, reports), the files that were made with owner, group and mode.

``python -m tests.interop.localstage record [SCENE …]`` has Postfix play them and writes ``tests/golden/local_scenes``;
``… postfix SCENE`` and ``… ours SCENE`` print what was observed.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import re
import runpy
import shutil
import socket
import socketserver
import stat
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.interop.localodd import ODD
from tests.interop.localscenes import SCENES, Mail, Scene, Thing
from tests.interop.localworlds import world

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDED = GOLDEN / "local_scenes"
EVERY = SCENES | ODD
FIRST_UID = 20001
USERS = ("alice", "bob", "carol", "dave", "eve", "lister", "homeless", "blocked")
"""Users of every scene; homeless has a home that is not there, blocked one that he may not enter."""

_LIMIT = 60.0


# -- the outside


class _Outside(socketserver.ThreadingTCPServer):
    """An SMTP server that takes everything and keeps it."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.messages: list[tuple[str, list[str], str]] = []


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Outside)
        sender, people = "", []
        self.wfile.write(b"220 outside\r\n")
        while line := self.rfile.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"MAIL":
                sender, people = line.decode().partition("<")[2].partition(">")[0], []
            elif verb == b"RCPT":
                people.append(line.decode().partition("<")[2].partition(">")[0])
            elif verb == b"DATA":
                self.wfile.write(b"354 go\r\n")
                text = b""
                while (piece := self.rfile.readline()) not in (b".\r\n", b""):
                    text += piece
                server.messages.append((sender, people, text.decode("utf-8", "replace")))
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")


# -- the scene


def prepare(scene: Scene, root: Path) -> None:
    """Homes, lists and spool of a scene."""
    root.chmod(0o755)
    for name in ("home", "lists", "spool", "out"):
        (root / name).mkdir()
    for name in ("spool", "out"):
        (root / name).chmod(0o1777)
    for number, name in enumerate(everybody(scene)):
        if name == "homeless":
            continue
        home = root / "home" / name
        home.mkdir(mode=0o700 if name == "blocked" else 0o755)
        os.chown(home, 0 if name == "blocked" else FIRST_UID + number, FIRST_UID + number)
    for entry in scene.files:
        _place(entry, root, everybody(scene))


def everybody(scene: Scene) -> tuple[str, ...]:
    """The users of a scene."""
    return USERS + scene.users


def scene_of(name: str) -> Scene:
    """A scene by its name; ``random-N`` is made up."""
    if name.startswith("random-"):
        return world(int(name.removeprefix("random-")))
    return EVERY[name]


def _place(entry: Thing, root: Path, people: tuple[str, ...]) -> None:
    path = root / entry.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if entry.kind == "file":
        path.write_bytes(placed(entry.text, root).encode("utf-8", "surrogateescape") * entry.times)
    elif entry.kind == "directory":
        path.mkdir(exist_ok=True)
    elif entry.kind == "fifo":
        os.mkfifo(path)
    elif entry.kind == "link":
        path.symlink_to(placed(entry.text, root))
    elif entry.kind == "hardlink":
        os.link(placed(entry.text, root), path)
    if entry.owner in people:
        uid = FIRST_UID + people.index(entry.owner)
    else:
        uid = 29999 if entry.owner == "stranger" else pwd.getpwnam(entry.owner).pw_uid
    group = grp.getgrnam(entry.group).gr_gid if entry.group else uid
    os.chown(path, uid, group, follow_symlinks=False)
    if entry.mode is not None:
        path.chmod(entry.mode)
    if entry.age:
        os.utime(path, (time.time() - entry.age,) * 2)


def placed(text: str, root: Path) -> str:
    """``ROOT`` is the directory."""
    return text.replace("ROOT", str(root))


def write_users(root: Path, people: tuple[str, ...]) -> None:
    """The password and group files that the namespace gets."""
    users, groups = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
    for number, name in enumerate(people):
        uid = FIRST_UID + number
        users += f"{name}:x:{uid}:{uid}:{name}:{root}/home/{name}:/bin/sh\n"
        groups += f"{name}:x:{uid}:\n"
    users += f"rootish:x:0:0:rootish:{root}/home/rootish:/bin/sh\n"
    users += f"nowhere:x:{FIRST_UID + 50}:{FIRST_UID + 50}:nowhere::/bin/sh\n"
    groups += f"extra:x:{FIRST_UID + 60}:alice,bob\n"
    (root / "passwd").write_text(users)
    (root / "group").write_text(groups)


# -- what is seen


_QUEUE = re.compile(r"/tmp/golden\w+/queue|/tmp/loc\w+/spool")


def normal(text: str, root: Path) -> str:
    """Without what differs from one time to the next."""
    text = _QUEUE.sub("QUEUE", text.replace(str(root), "ROOT"))
    text = re.sub(r"forwarded as \w+", "forwarded as QUEUE-ID", text)
    return re.sub(r"\b1\d{9}\.[PV]\S+", "UNIQUE", text)


_OUTCOME = re.compile(r"\w+: to=<([^>]*)>,(?: orig_to=<([^>]*)>,)? relay=([^,]*), .*dsn=(\S+), status=(\w+) \((.*)\)$")


def outcomes(log: str, root: Path) -> list[str]:
    """What became of each recipient, but for those outside."""
    lines = []
    for line in log.splitlines():
        match = _OUTCOME.search(line)
        if match and not match[3].startswith("127.0.0.1"):
            origin = f" (of {match[2]})" if match[2] else ""
            lines.append(normal(f"{match[1]}{origin} {match[3]} {match[5]} {match[4]} {match[6]}", root))
    return sorted(line for line in lines if len(line) < _LONGEST)


_LONGEST = 1000
"""Of an outcome: Postfix's log cuts longer lines."""

_PARTICULAR = re.compile(r"\(0,lock[^)]*\)|(?<=warning: )[0-9A-F]{8,}: ")
_THEIRS = ("error: ", "warning: cannot find username for uid", "warning: pipe_command")
"""What Postfix says twice, in words that name its own parts."""


def warnings(log: str, root: Path) -> list[str]:
    """What local warned of; each once."""
    found = re.findall(r"/local\[\d+\]: (?:[0-9A-F]+: )?((?:warning|error|fatal): .*)$", log, re.MULTILINE)
    lines = {_PARTICULAR.sub("", normal(line, root)).replace("fatal: ", "warning: ") for line in found}
    return sorted(line for line in lines if not line.startswith(_THEIRS) and " is unavailable. " not in line)


def outside(messages: list[tuple[str, list[str], str]], root: Path, *, bodies: bool = False) -> list[dict[str, Any]]:
    """What reached the outside: envelope, Delivered-To headers, and of a report what it says of whom."""
    told = []
    for sender, people, text in messages:
        lines = text.replace("\r\n ", " ").replace("\r\n    ", " ").splitlines()
        header = lines[: lines.index("")] if "" in lines else lines
        seen: dict[str, Any] = {"from": sender, "to": sorted(people)}
        seen["delivered"] = [line for line in header if line.startswith("Delivered-To:")]
        fields = ("Final-Recipient", "Original-Recipient", "Action", "Status", "Diagnostic-Code")
        report = [line for line in lines if line.startswith(fields)] if sender in ("", "double-bounce") else []
        explained = re.findall(r"^(<[^>]*>(?: \(expanded from\s+<[^>]*>\))?):", text, re.MULTILINE) if report else []
        fields = "\n".join(normal(re.sub(r"\s+", " ", line), root) for line in report)
        seen["report"] = sorted(re.split(r"\n(?=Final-Recipient)", fields)) if fields else []
        seen["explained"] = sorted(normal(re.sub(r"\s+", " ", each), root) for each in explained)
        if bodies:
            seen["text"] = normal(_anonymous(text.replace("\r\n", "\n")), root)
        told.append(seen)
    return sorted(told, key=json.dumps)


def made(root: Path, *, bodies: bool) -> list[str]:
    """Files with owner, group and mode, and the content of those in ``out`` and ``spool``, and in homes if wanted."""
    lines = []
    for top in ("home", "spool", "out", "mail"):
        for path in sorted((root / top).rglob("*")):
            status = path.lstat()
            kind = stat.filemode(status.st_mode)
            name = re.sub(r"/1\d{9}\.V\S+", "/UNIQUE", str(path.relative_to(root)))
            line = f"{name} {kind} {_user(status.st_uid)} {_group(status.st_gid)}"
            if (stat.S_ISREG(status.st_mode) and (top != "home" or (bodies and "/." not in name))) or name.endswith(
                "UNIQUE"
            ):
                text = content(path, root)
                line += f" {text!r}" if len(text) < _LONGEST * 20 else f" {len(text)} {zlib.crc32(os.fsencode(text))}"
            lines.append(line)
    return sorted(set(lines))


def content(path: Path, root: Path) -> str:
    """A file's text, without dates and the headers that two servers do not share."""
    text = path.read_bytes().decode("utf-8", "surrogateescape").replace(str(root), "ROOT")
    text = re.sub(r"(?m)(From .+)  \w{3} \w{3} [ \d]\d [\d:]{8} \d{4}$", r"\1  DATE", text)
    text = _anonymous(text)
    if re.match(r"From .+  DATE", text):  # who of several recipients of a message comes first is nobody's business
        text = "\n".join(sorted(re.split(r"\n(?=From .+  DATE$)", text.removesuffix("\n"), flags=re.MULTILINE))) + "\n"
    return re.sub(r"\b127\.\d+\.\d+\.\d+\b", "CLIENT", _QUEUE.sub("QUEUE", text))


def _anonymous(text: str) -> str:
    text = re.sub(r"(?m)^(Received|Message-I[dD]|Date|Arrival-Date):.*\n(?:[ \t].*\n)*", "", text)
    return re.sub(r"\b[0-9A-F]{9,}(?:\.\d+/)?", "QUEUE-ID", text)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


# -- the players


def submit(host: str, port: int, sender: str, recipients: list[str], text: str) -> str:
    """One message by SMTP; the reply that refused it."""
    with socket.create_connection((host, port), timeout=60, source_address=("127.0.0.2", 0)) as connection:
        stream = connection.makefile("rwb")

        def say(command: str | None) -> str:
            if command is not None:
                stream.write(command.encode("utf-8", "surrogateescape") + b"\r\n")
                stream.flush()
            while (reply := stream.readline().decode())[3:4] == "-":
                pass
            return "" if reply[:1] in "23" else f"{(command or '')[:100]}: {reply.strip()}"

        utf8 = " SMTPUTF8" if not "".join((sender, *recipients)).isascii() else ""
        body = re.sub(r"(?m)^\.", "..", text).replace("\n", "\r\n")
        if body and not body.endswith("\r\n"):
            body += "\r\n"
        people = [f"RCPT TO:<{each}>" for each in recipients]
        for command in (None, "EHLO client.test", f"MAIL FROM:<{sender}>{utf8}", *people, "DATA", f"{body}."):
            if refusal := say(command):
                return refusal
        return say("QUIT")


def settings_of(scene: Scene, root: Path, port: int) -> dict[str, str]:
    """main.cf of a scene, beside what a server needs to run."""
    common = {
        "compatibility_level": "3.6",
        "myhostname": "mail.example.test",
        "mydomain": "example.test",
        "myorigin": "local.test",
        "mydestination": "local.test",
        "mynetworks": "127.0.0.0/8",
        "inet_protocols": "ipv4",
        "smtpd_peername_lookup": "no",
        "local_recipient_maps": "",
        "virtual_alias_maps": "",
        "virtual_mailbox_domains": "",
        "alias_maps": f"hash:{root}/aliases",
        "mail_spool_directory": str(root / "spool"),
        "recipient_delimiter": "+",
        "transport_maps": f"inline:{{ {{ outside.test = smtp:[127.0.0.1]:{port} }} }}",
        "default_privs": "daemon",
        "local_destination_concurrency_limit": "1",
        "deliver_lock_delay": "1s",
        "deliver_lock_attempts": "5",  # more than messages that come to one mailbox at once
        "smtp_tls_security_level": "none",
    }
    return common | {name: placed(value, root).replace("PORT", str(port)) for name, value in scene.settings.items()}


def play(scene: Scene, host: str, port: int, command: list[str], sendmail: list[str], read: Any) -> list[str]:
    """Send the messages of a scene, one after the other, and wait until nothing moves; what was refused."""
    refused = []
    for step in scene.steps:
        if not isinstance(step, Mail):
            settle(command, read)
        if step == "flush":
            subprocess.run([*command, "-f"], check=True)
        elif isinstance(step, str):  # ask what would become of mail for somebody
            addresses = [f"{name}@local.test" for name in step.split()]
            asked = [*sendmail, "-bv", "-f", "s@outside.test", *addresses]
            subprocess.run(asked, check=True, stdout=sys.stderr)
        else:
            people = [f"{name}@local.test" for name in step.recipients]
            refused.append(submit(host, port, step.sender, people, step.text))
        if scene.ordered or not isinstance(step, Mail):
            settle(command, read)
    settle(command, read)
    return [each for each in refused if each]


def settle(command: list[str], read: Any) -> None:
    """Wait until the log stands still and nothing is under way: twice, for one may follow from the other."""
    end, before, quiet, idle = time.monotonic() + _LIMIT, "", 0, 0
    while idle < 2:
        assert time.monotonic() < end, read()
        time.sleep(0.1)
        now = read()
        quiet = quiet + 1 if now == before else 0
        idle = idle if quiet else 0
        before = now
        if quiet >= _STILL:
            listed = subprocess.run([*command, "-j"], capture_output=True, text=True, check=False).stdout
            moves = any(json.loads(line)["queue_name"] in ("active", "incoming") for line in listed.splitlines())
            idle = 0 if moves else idle + 1
            quiet = 1


_STILL = 4
"""Looks at the log that find nothing new in it."""


def _log(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "backslashreplace")


def observe(
    root: Path, log: str, messages: list[tuple[str, list[str], str]], refused: list[str], *, bodies: bool
) -> dict[str, Any]:
    """All that is compared."""
    return {
        **({"refused": refused} if refused else {}),
        "outcomes": outcomes(log, root),
        "warnings": warnings(log, root),
        "outside": outside(messages, root, bodies=bodies),
        "files": made(root, bodies=bodies),
    }


@contextlib.contextmanager
def _serving() -> Iterator[_Outside]:
    with _Outside() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()


def aliases(scene: Scene, root: Path) -> None:
    """The alias file, built by Postfix's own postalias; a second one belongs to lister."""
    for name, text in (("aliases", scene.aliases), ("aliases2", scene.aliases2)):
        if not text:
            (root / name).write_text("")
        else:
            (root / name).write_bytes(placed(text, root).encode("utf-8", "surrogateescape"))
        subprocess.run(["postalias", "-c", "/etc/postfix", f"hash:{root}/{name}"], check=True)
    for name in ("aliases2", "aliases2.db"):
        os.chown(root / name, FIRST_UID + USERS.index("lister"), -1)


def by_postfix(scene: Scene, root: Path) -> dict[str, Any]:
    """What Postfix makes of a scene."""
    policy = runpy.run_path(str(GOLDEN / "record_policy.py"))
    aliases(scene, root)
    with _serving() as sink:
        port = policy["free_ports"]()
        settings = settings_of(scene, root, sink.server_address[1])
        settings |= {"in_flow_delay": "0", "inet_interfaces": "127.0.0.1"}
        services = [f"127.0.0.1:{port} inet n - n - - smtpd", "local unix - n n - - local"]
        services += ["smtp unix - - n - - smtp", "discard unix - - n - - discard", *scene.services]
        with policy["postfix"](settings, services, defer="") as conf, contextlib.redirect_stdout(sys.stderr):
            log = conf.parent / "log"
            refused = play(
                scene,
                "127.0.0.1",
                port,
                ["postqueue", "-c", str(conf)],
                ["/usr/sbin/sendmail", "-C", str(conf)],
                lambda: _log(log),
            )
            return observe(root, _log(log), sink.messages, refused, bodies=scene.bodies)


def by_ours(scene: Scene, root: Path) -> dict[str, Any]:
    """What our server makes of it."""
    from tests.conftest import own_address  # not needed by the recorder

    from angarium.demo.site import Site

    aliases(scene, root)
    with _serving() as sink:
        settings = settings_of(scene, root, sink.server_address[1]) | {"mail_owner": "postfix", "worker_processes": "1"}
        place = Path(tempfile.mkdtemp(prefix="loc"))
        site = Site(place, host=own_address(), parameters=settings)
        try:
            site.prepare(())
            place.chmod(0o755)
            master = (site.configuration / "master.cf").read_text()
            if "\nlocal " not in master:
                master += "local unix - n n - - local\n"
            (site.configuration / "master.cf").write_text(master + "".join(f"{line}\n" for line in scene.services))
            site.administer("postfix", "start")
            try:
                sendmail = [site.command("sendmail")[0], "-C", str(site.configuration)]
                refused = play(
                    scene, site.host, site.ports.smtp, site.command("postqueue"), sendmail, lambda: _log(site.log)
                )
            finally:
                subprocess.run(site.command("postfix", "stop"), check=False, capture_output=True)
            return observe(root, _log(site.log), sink.messages, refused, bodies=scene.bodies)
        finally:
            sys.stderr.write(_log(site.log))
            shutil.rmtree(place)


def staged(player: str, name: str) -> dict[str, Any]:
    """What a player makes of a scene, in a namespace of its own."""
    root = Path(tempfile.mkdtemp(prefix="stage"))
    try:
        write_users(root, everybody(scene_of(name)))
        script = f'mount --bind {root}/passwd /etc/passwd && mount --bind {root}/group /etc/group && exec "$0" "$@"'
        inside = [sys.executable, "-m", "tests.interop.localstage", "inside", player, name, str(root)]
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, *inside],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
        )
        assert done.returncode == 0, done.stderr
        if "-v" in sys.argv:
            sys.stderr.write(done.stderr)
        seen: dict[str, Any] = json.loads(done.stdout)
        return seen
    finally:
        shutil.rmtree(root)


def main() -> None:
    """See the module."""
    words = [word for word in sys.argv[1:] if word != "-v"]
    if words[0] == "inside":
        scene, root = scene_of(words[2]), Path(words[3])
        prepare(scene, root)
        with contextlib.redirect_stdout(sys.stderr):
            seen = (by_postfix if words[1] == "postfix" else by_ours)(scene, root)
        json.dump(seen, sys.stdout)
    elif words[0] == "record":
        RECORDED.mkdir(exist_ok=True)
        for name in words[1:] or EVERY:
            try:
                seen = staged("postfix", name)
            except AssertionError as error:
                sys.stderr.write(f"{name}: {error}\n")
                continue
            (RECORDED / f"{name}.json").write_text(json.dumps(seen, indent=1, ensure_ascii=False) + "\n")
    else:
        print(json.dumps(staged(words[0], words[1]), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
