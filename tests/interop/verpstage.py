"""A stage for VERP: one scene of ``verpscenes`` played by the Postfix of this machine, or by our server.

All mail goes to an SMTP server of the stage, which refuses recipients whose name begins with ``no``, defers those whose
name begins with ``later``, and keeps the rest. What is observed is the same for both: what was said to that server,
the messages that it got (reports with all their text, less ids and dates), and the log's outcomes and notices.

Postfix is started by root alone. Nothing outside of loopback is spoken to.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import own_address
from tests.interop.relaypeer import PostfixPeer
from tests.interop.verpscenes import Scene, Submission

from angarium.demo.site import Site

_LIMIT = 60.0
HOST = "mail.example.test"


# -- the outside


class Outside(socketserver.ThreadingTCPServer):
    """An SMTP server with opinions about recipients. ``said`` is MAIL and RCPT of each transaction, with the reply."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.said: list[str] = []
        self.messages: list[tuple[str, list[str], str]] = []
        self.patient = True

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def reply_to(self, address: str) -> bytes:
        """What a recipient is answered."""
        if address.startswith("no"):
            return b"550 5.1.1 nobody of this name\r\n"
        return b"450 4.2.1 later\r\n" if self.patient and address.startswith("later") else b"250 2.1.5 ok\r\n"


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Outside)
        sender, people, mail = "", [], ""
        self.wfile.write(b"220 outside.test ESMTP\r\n")
        while line := self.rfile.readline():
            verb = line.split()[0].upper() if line.split() else b""
            answer = b"250 2.0.0 ok\r\n"
            address = line.decode("utf-8", "replace").partition("<")[2].partition(">")[0]
            if verb == b"EHLO":
                answer = b"250-outside.test\r\n250-8BITMIME\r\n250-XVERP\r\n250 SMTPUTF8\r\n"
            elif verb == b"MAIL":
                sender, people, mail = address, [], line.decode().strip()
            elif verb == b"RCPT":
                answer = server.reply_to(address)
                server.said.append(f"{mail} {line.decode().strip()} -> {answer.decode().strip()}")
                people += [address] if answer.startswith(b"2") else []
            elif verb == b"DATA" and not people:
                answer = b"503 5.5.1 no\r\n"
            elif verb == b"DATA":
                self.wfile.write(b"354 go\r\n")
                text = b""
                while (piece := self.rfile.readline()) not in (b".\r\n", b""):
                    text += piece
                server.messages.append((sender, people, text.decode("utf-8", "replace")))
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(answer)


@contextmanager
def outside() -> Iterator[Outside]:
    """The server, serving."""
    with Outside() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()


# -- the two players


class Player:
    """A server of either kind, running.

    Attributes:
        commands: the words of a command with its configuration directory, without its options.
        read: the mail log.
    """

    def __init__(
        self,
        outside: Outside,
        address: tuple[str, int],
        commands: Callable[[str], list[str]],
        sendmail: list[str],
        read: Callable[[], str],
    ) -> None:
        self.outside = outside
        self.address = address
        self.commands = commands
        self.sendmail = sendmail
        self.read = read
        self.asked: list[str] = []

    def run(self, name: str, *words: str) -> str:
        """What a command prints."""
        done = subprocess.run([*self.commands(name), *words], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def queue(self) -> list[dict[str, Any]]:
        """What ``postqueue -j`` says."""
        done = subprocess.run([*self.commands("postqueue"), "-j"], capture_output=True, text=True, check=False)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def play(self, scene: Scene) -> None:
        """Do what the scene says, and wait after each step until nothing moves."""
        for step in scene.steps:
            if isinstance(step, Submission):
                self.submit(step)
            elif step == "relent":
                self.outside.patient = False
            elif step == "restart":
                self.run("postfix", "stop")
                self.run("postfix", "start")
            elif step == "wait":
                time.sleep(2.2)
            elif step == "postcat":
                self.asked = sorted(self.run("postcat", "-q", "-e", each["queue_id"]) for each in self.queue())
            else:
                self.run(*step.split())
            self.settle()

    def submit(self, what: Submission) -> None:
        """Hand in a message, by SMTP or by sendmail."""
        if what.sendmail:
            command = [*self.sendmail, *what.sendmail, "-f", what.sender, *what.recipients]
            subprocess.run(command, input=what.text.encode(), check=True)
            return
        with socket.create_connection(self.address, timeout=60) as connection:
            stream = connection.makefile("rwb")

            def say(command: str | None) -> None:
                if command is not None:
                    stream.write(command.encode() + b"\r\n")
                    stream.flush()
                while (reply := stream.readline().decode())[3:4] == "-":
                    pass
                assert reply[:1] in "23", (command, reply)

            say(None)
            say("EHLO client.test")
            say(f"MAIL FROM:<{what.sender}> {what.parameters}".rstrip())
            for each in what.recipients:
                address, _, parameters = each.partition("|")
                say(f"RCPT TO:<{address}> {parameters}".rstrip())
            say("DATA")
            say(what.text.replace("\n", "\r\n") + ".")
            say("QUIT")

    def settle(self) -> None:
        """Wait until the log stands still and nothing is under way."""
        end, before, quiet = time.monotonic() + _LIMIT, "", 0
        while quiet < 6:
            assert time.monotonic() < end, self.read()
            time.sleep(0.1)
            now = self.read()
            quiet = quiet + 1 if now == before else 0
            before = now
            if quiet == 6 and any(each["queue_name"] in ("active", "incoming") for each in self.queue()):
                quiet = 0


def _settings(scene: Scene, root: Path, port: int) -> dict[str, str]:
    common = {
        "myhostname": HOST,
        "mydomain": "example.test",
        "myorigin": "example.test",
        "mydestination": "",
        "mynetworks": "127.0.0.0/8",
        "inet_protocols": "ipv4",
        "virtual_alias_maps": "",
        "virtual_mailbox_domains": "",
        "recipient_delimiter": "+",
        "relayhost": f"[127.0.0.1]:{port}",
        "smtp_tls_security_level": "none",
        "smtpd_tls_security_level": "none",
        "smtpd_authorized_verp_clients": "127.0.0.0/8",
        "smtpd_peername_lookup": "no",
        "in_flow_delay": "0",
        "smtp_destination_rate_delay": "0",
        "default_destination_concurrency_limit": "1",
    }
    own = {name: value.replace("ROOT", str(root)).replace("PORT", str(port)) for name, value in scene.settings.items()}
    return common | own


@contextmanager
def postfix(scene: Scene, sink: Outside, root: Path) -> Iterator[Player]:
    """The real Postfix."""
    with PostfixPeer(
        _settings(scene, root, sink.port), "".join(f"{line.replace('ROOT', str(root))}\n" for line in scene.services)
    ) as peer:
        etc = str(peer.root / "etc")

        def command(name: str) -> list[str]:
            return [f"/usr/sbin/{name}", "-c", etc]

        yield Player(sink, ("127.0.0.1", peer.port), command, ["/usr/sbin/sendmail", "-C", etc], lambda: peer.log)


@contextmanager
def ours(scene: Scene, sink: Outside, root: Path) -> Iterator[Player]:
    """Our server."""
    place = Path(tempfile.mkdtemp(prefix="verp"))
    settings = _settings(scene, root, sink.port) | {"worker_processes": "1"}
    if scene.services:  # deliveries in the name of users need a mail_owner who is none of them
        settings |= {"mail_owner": "postfix"}
    site = Site(place, host=own_address(), parameters=settings)
    try:
        site.prepare(())
        place.chmod(0o755)
        master = site.configuration / "master.cf"
        master.write_text(
            master.read_text() + "".join(f"{line.replace('ROOT', str(root))}\n" for line in scene.services)
        )
        site.administer("postfix", "start")
        try:
            sendmail = [site.command("sendmail")[0], "-C", str(site.configuration)]
            yield Player(sink, (site.host, site.ports.smtp), site.command, sendmail, site.log.read_text)
        finally:
            subprocess.run(site.command("postfix", "stop"), check=False, capture_output=True)
    finally:
        shutil.rmtree(place)


# -- what is seen


_OUTCOME = re.compile(
    r"/(\w+)\[\d+\]: [0-9A-F]+: (to=<[^>]*>,(?: orig_to=<[^>]*>,)? relay=[^,]*),.* (dsn=\S+, status=.*)$"
)
_QMGR = re.compile(r"/(?:qmgr|bounce)\[\d+\]: (?:[0-9A-F]+): ((?:from|sender|postmaster).*)$")
_WARNING = re.compile(r"/(?:qmgr|bounce|cleanup|smtpd|pickup)\[\d+\]: ((?:warning|error|fatal|panic): .*)$")
_RECORD = re.compile(r"^(?:sender|verp_delimiters|(?:original_|done_)?recipient): .*$", re.MULTILINE)
_SKIPPED = (
    *("warning: dict_nis", "warning: /etc/"),
    *("warning: [built-in]: zero result", "warning: for instructions see", "warning: please reduce time unit"),
)
"""What is said of the machine, and of a delay_warning_time of a second."""


def normal(text: str, root: Path, port: int) -> str:
    """Without what differs from one time to the next."""
    text = text.replace(str(root), "ROOT").replace(str(port), "PORT")
    text = re.sub(r"\b127\.\d+\.\d+\.\d+\b", "HOST", text)
    text = re.sub(r"\w{3}, [ \d]\d \w{3} \d{4} [0-9:]{8} [+-]\d{4} \(\w+\)", "DATE", text)
    text = re.sub(r"Message-I[dD]: <\d{14}\.[0-9A-F]+@", "Message-Id: <STAMP@", text)
    text = re.sub(r"\b[0-9A-F]{9,}(\.\d{10})?(/|\b)", r"QUEUEID\2", text)
    text = re.sub(r"userid \d+", "userid N", text)
    text = re.sub(r"conn_use=\d+, ", "", text)
    text = re.sub(r"\bsize=\d+, nrcpt=\d+", "size=N, nrcpt=N", text)
    return re.sub(r"(delay(?:s)?)=[0-9./]+, ", "", text)


def observe(scene: Scene, player: Player, root: Path) -> dict[str, Any]:
    """All that is compared."""

    def clean(text: str) -> str:
        return normal(text, root, player.outside.port)

    log = player.read().splitlines()
    outcomes = [" ".join(match.groups()) for line in log if (match := _OUTCOME.search(line))]
    notices = [match[1] for line in log if (match := _QMGR.search(line))]
    warnings = [match[1] for line in log if (match := _WARNING.search(line)) and not match[1].startswith(_SKIPPED)]
    files = {str(each.relative_to(root)): clean(each.read_text()) for each in sorted(root.rglob("*")) if each.is_file()}

    def sifted(lines: list[str]) -> list[str]:
        """What is deferred may be tried more often by the one than by the other: postsuper, a new start."""
        return sorted(set(lines) if scene.deferred else lines)

    return {
        "said": sifted([clean(text) for text in player.outside.said]),
        "messages": sorted([sender, people, clean(text)] for sender, people, text in player.outside.messages),
        "outcomes": sifted([clean(text) for text in outcomes]),
        "notices": sifted([clean(text) for text in notices]),
        "warnings": sorted(map(clean, warnings)),
        "files": files,
        "asked": ["\n".join(_RECORD.findall(clean(text))) for text in player.asked],
    }


def staged(who: Callable[..., Any], scene: Scene) -> dict[str, Any]:
    """What a player makes of a scene."""
    root = Path(tempfile.mkdtemp(prefix="stage"))
    root.chmod(0o777)
    (root / "keep").write_text(scene.script)
    try:
        with outside() as sink, who(scene, sink, root) as player:
            player.play(scene)
            return observe(scene, player, root)
    finally:
        shutil.rmtree(root)
