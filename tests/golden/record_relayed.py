"""Records what the Postfix on this machine delivers of messages that it rewrites, filters, copies or redirects.

``python tests/golden/record_relayed.py`` runs one (it wants root) between a client and a sink that writes down what it
is told: for each case of ``CASES`` the commands and the message that arrived, in ``relayed.json``. Dates, queue ids,
addresses and ports are replaced, so that two runs and two servers can be compared.

A case is a service of its own: what its smtpd overrides, in Postfix its cleanup too. ``SINK`` and ``FILTER`` stand for
the next hops ``[address]:port`` of the sink and of the content filter; both are the same sink on two ports.
"""

# ruff: noqa: E501, SIM905 - a message is written as it is sent, a table as it stands in main.cf

from __future__ import annotations

import json
import re
import runpy
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
REWRITING = runpy.run_path(str(HERE / "record_rewriting.py"))
regexp, table = REWRITING["regexp"], REWRITING["table"]
LOCAL, REMOTE = "local", "127.0.0.9"
SETTINGS = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.test",
    "mydomain": "example.test",
    "myorigin": "example.test",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "relayhost": "SINK",
    "alias_maps": "",
    "local_recipient_maps": "",
    "virtual_alias_maps": "",
    "virtual_alias_domains": "",
    "virtual_mailbox_domains": "",
    "virtual_mailbox_maps": "",
    "recipient_delimiter": "+",
    "smtpd_peername_lookup": "no",
    "smtp_tls_security_level": "none",
    "smtpd_tls_security_level": "none",
    "smtpd_tls_received_header": "no",
    "smtp_host_lookup": "native",
    "append_dot_mydomain": "no",
}
PLAIN = "Message-Id: <1@x.test>\nDate: d\nFrom: f@x.test\nTo: t@x.test\nSubject: a\n\nbody\n"
ACCESS = "smtpd_recipient_restrictions"


@dataclass(frozen=True)
class Case:
    """One message into one service."""

    settings: dict[str, str]
    message: str = PLAIN
    sender: str = "s@x.test"
    recipients: tuple[str, ...] = ("r@x.test",)
    client: str = REMOTE
    parameters: str = ""
    options: tuple[str, ...] = ()


CASES = {
    "untouched": Case(
        {}, "Subject: \u00f6\nTo : joe, (c) amy\nX:y\n\n\u0633\u0644\u0627\u0645\n.\n", parameters="BODY=8BITMIME"
    ),
    "encoding": Case({}, "Content-Transfer-Encoding: 8BIT\nSubject: a\n\n\u0633\n"),
    "encoding_over": Case({}, "Content-Transfer-Encoding:  binary\n\n\u0633\n", parameters="BODY=7BIT"),
    "encoding_comment": Case({}, "Content-Transfer-Encoding: 8bit (c)\n\n\u0633\n"),
    "encoding_qp": Case({}, "Content-Transfer-Encoding: quoted-printable\n\nb\n", parameters="BODY=8BITMIME"),
    "encoding_not": Case({"detect_8bit_encoding_header": "no"}, "Content-Transfer-Encoding: 8bit\n\nb\n"),
    "completed": Case({}, "To: joe, Amy <amy>\nFrom: me\n\nb\n", "me", ("joe", "amy"), LOCAL),
    "dsn": Case({}, parameters="RET=HDRS ENVID=e1", options=("NOTIFY=FAILURE,DELAY ORCPT=rfc822;o@x.test",)),
    "canonical": Case(
        {"canonical_maps": table("joe@example.test=Joe.Doe@example.test", "r@x.test=r2@x.test")},
        "From: Joe <joe>\nTo: r@x.test,\n\tother@x.test (r@x.test)\n\nb\n",
        "joe",
        ("r@x.test", "r+e@x.test"),
        LOCAL,
    ),
    "canonical_remote": Case({"canonical_maps": table("f@x.test=g@x.test", "s@x.test=s2@x.test")}),
    "masqueraded": Case(
        {"masquerade_domains": "example.test", "masquerade_exceptions": "root"},
        "From: joe@host.example.test, root@host.example.test\nTo: r@host.example.test\n\nb\n",
        "joe@host.example.test",
        ("r@host.example.test",),
        LOCAL,
    ),
    "aliases": Case(
        {"virtual_alias_maps": table("r@x.test=a@x.test b@x.test", "b@x.test=c@x.test")},
        recipients=("r+e@x.test", "c@x.test"),
    ),
    "alias_dsn": Case(
        {"virtual_alias_maps": table("r@x.test=a@x.test")}, options=("NOTIFY=FAILURE ORCPT=rfc822;o@x.test",)
    ),
    "copies": Case(
        {
            "always_bcc": "arch@x.test",
            "sender_bcc_maps": table("s@x.test=sent@x.test"),
            "recipient_bcc_maps": table("r@x.test=copy@x.test"),
        }
    ),
    "content_filter": Case({"content_filter": "scan:FILTER", "virtual_alias_maps": table("r@x.test=a@x.test")}),
    "content_filter_local": Case({"content_filter": "scan:FILTER"}, "To: joe\n\nb\n", client=LOCAL),
    "header_filter": Case({"header_checks": regexp("/^Subject: a/ FILTER scan:FILTER")}),
    "header_filter_over": Case(
        {"content_filter": "smtp:SINK", "header_checks": regexp("/^Subject: a/ FILTER scan:FILTER")}
    ),
    "header_redirect": Case(
        {
            "header_checks": regexp("/^Subject: a/ REDIRECT al@x.test"),
            "virtual_alias_maps": table("al@x.test=not@x.test", "r@x.test=exp@x.test"),
            "canonical_maps": table("al@x.test=neither@x.test"),
        },
        recipients=("r@x.test", "q@x.test"),
        options=("ORCPT=rfc822;o@x.test", ""),
    ),
    "header_redirect_filter": Case(
        {"header_checks": regexp("/^From: / FILTER scan:FILTER", "/^Subject: a/ REDIRECT al@x.test")}
    ),
    "header_bcc": Case(
        {"header_checks": regexp("/^Subject: a/ BCC al@x.test"), "virtual_alias_maps": table("al@x.test=copy@x.test")}
    ),
    "header_edits": Case(
        {
            "header_checks": regexp(
                "/^Received: from client/ IGNORE",
                "/^Subject: (.*)/ REPLACE Subject: [$1]",
                "/^To: / PREPEND X-Before: To",
            )
        },
        "Received: from client a\n\tb\n" + PLAIN,
    ),
    "body_edits": Case(
        {"body_checks": regexp("/^secret/ REPLACE ***", "/^gone/ IGNORE", "/^tail/ PREPEND head")},
        PLAIN + "secret one\ngone\n.dot\ntail\n",
    ),
    "access_redirect": Case(
        {
            ACCESS: "check_recipient_access " + table("r@x.test=REDIRECT al@x.test"),
            "virtual_alias_maps": table("al@x.test=not@x.test", "q@x.test=z@x.test"),
        },
        recipients=("q@x.test", "r@x.test"),
    ),
    "access_prepend": Case(
        {
            ACCESS: "check_sender_access "
            + table("s@x.test=PREPEND X-One: 1")
            + ", check_recipient_access "
            + table("r@x.test=PREPEND X-Two: 2"),
            "header_checks": regexp("/^X-One: / PREPEND X-Zero: 0"),
        }
    ),
    "access_filter": Case({ACCESS: "check_recipient_access " + table("r@x.test=FILTER scan:FILTER")}),
    "access_bcc": Case(
        {
            ACCESS: "check_recipient_access " + table("r@x.test=BCC copy@x.test"),
            "virtual_alias_maps": table("copy@x.test=box@x.test"),
        }
    ),
    "generic": Case(
        {"content_filter": "gen:SINK"},
        "From: Joe <joe@inside.test>\nReply-To: amy+x@inside.test\nTo: r@x.test, who@inside.test\nSender: n@inside.test\n"
        "X-From: joe@inside.test\n\njoe@inside.test\n",
        "joe@inside.test",
        ("amy@inside.test", "r@x.test", "any@all.test"),
    ),
    "generic_null": Case({"content_filter": "gen:SINK"}, sender="", recipients=("joe@inside.test",)),
    "overrides": Case(
        {
            "receive_override_options": "no_address_mappings,no_header_body_checks",
            "virtual_alias_maps": table("r@x.test=a@x.test"),
            "always_bcc": "arch@x.test",
            "header_checks": regexp("/./ REJECT"),
        }
    ),
    "remote_domain": Case({"header_checks": regexp("/^Bcc: / WARN")}, "Bcc: b\nTo: joe\n\nb\n"),
    "discarded": Case({"header_checks": regexp("/^Subject: a/ DISCARD")}),
    "refused": Case({"header_checks": regexp("/^Subject: a/ REJECT 5.7.9 not here")}),
    "refused_body": Case({"body_checks": regexp("/^body/ REJECT 4.7.9 not now")}),
    "persian": Case(
        {
            "canonical_maps": table(
                "\u06a9\u0627\u0631\u0628\u0631@\u0646\u0645\u0648\u0646\u0647.\u0627\u06cc\u0631\u0627\u0646=\u0639\u0644\u06cc@\u0646\u0645\u0648\u0646\u0647.\u0627\u06cc\u0631\u0627\u0646"
            )
        },
        "From: \u06a9\u0627\u0631\u0628\u0631@\u0646\u0645\u0648\u0646\u0647.\u0627\u06cc\u0631\u0627\u0646\nTo: \u0639\u0644\u06cc\n\nb\n",
        "\u06a9\u0627\u0631\u0628\u0631@\u0646\u0645\u0648\u0646\u0647.\u0627\u06cc\u0631\u0627\u0646",
        client=LOCAL,
        parameters="SMTPUTF8",
    ),
}
GENERIC = table(
    "joe@inside.test=joe.doe@outside.test",
    "amy@inside.test=amy@outside.test",
    "@inside.test=all@outside.test",
    "any@all.test=@outside.test",
)


@dataclass
class Sink:
    """Takes every message, and keeps what it was told."""

    host: str
    ports: dict[str, int] = field(default_factory=dict)
    taken: list[dict[str, object]] = field(default_factory=list)

    def hop(self, name: str) -> str:
        """``[host]:port``."""
        return f"[{self.host}]:{self.ports[name]}"


def hops(text: str, sink: Sink) -> str:
    """``scan:FILTER`` -> ``scan:[127.0.0.1]:1``; the word FILTER of a table stays."""
    return re.sub(r"(?<![A-Z])(?:(?<=:)FILTER|SINK)(?![A-Z])", lambda match: sink.hop(match[0].lower()), text)


def sorted_words(text: str) -> str:
    """The parameters of MAIL and RCPT in the order of the alphabet, which nobody prescribes."""
    address, _, rest = text.partition("> ")
    return " ".join((address + ">" * bool(rest), *sorted(rest.split())))


class Session(socketserver.StreamRequestHandler):
    """One connection to a sink."""

    state: Sink
    port: str

    def handle(self) -> None:
        """Take messages until QUIT."""
        self.say("220 sink.test ESMTP")
        mail, recipients = "", []
        while line := self.rfile.readline():
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            verb = text[:4].upper()
            if verb == "EHLO":
                self.say("250-sink.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN")
            elif verb == "DATA":
                self.say("354 go")
                taken = {"port": self.port, "mail": mail, "recipients": sorted(recipients), "content": self.content()}
                self.state.taken.append(taken)
                mail, recipients = "", []
                self.say("250 2.0.0 taken")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                if verb == "MAIL":
                    mail, recipients = sorted_words(text[10:]), []
                elif verb == "RCPT":
                    recipients.append(sorted_words(text[8:]))
                self.say("250 2.1.0 ok")

    def content(self) -> str:
        """The message."""
        data = b""
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            data += line[1:] if line.startswith(b".") else line
        return data.decode("utf-8", "surrogateescape")

    def say(self, text: str) -> None:
        """One reply."""
        self.wfile.write(text.encode() + b"\r\n")


@contextmanager
def sink(host: str = "127.0.0.1") -> Iterator[Sink]:
    """A sink that runs."""
    state = Sink(host)
    servers = []
    for name in ("sink", "filter"):
        handler = type("Session", (Session,), {"state": state, "port": name})
        server = socketserver.ThreadingTCPServer((host, 0), handler)
        server.daemon_threads = True
        state.ports[name] = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.append(server)
    try:
        yield state
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def send(host: str, port: int, case: Case) -> str:
    """Submit a case; the reply that decides."""
    source = host if case.client == LOCAL else case.client
    with socket.create_connection((host, port), 20, (source, 0)) as connection:
        stream = connection.makefile("rwb")

        def answer() -> str:
            while True:
                reply = stream.readline().decode().rstrip()
                if reply[3:4] != "-":
                    return reply

        reply = answer()
        options = (*case.options, *[""] * len(case.recipients))
        lines = [f".{line}" if line.startswith(".") else line for line in case.message.split("\n")[:-1]]
        commands = [
            "EHLO client.test",
            f"MAIL FROM:<{case.sender}> {case.parameters}".rstrip(),
            *(f"RCPT TO:<{to}> {option}".rstrip() for to, option in zip(case.recipients, options, strict=False)),
            "DATA",
            "\r\n".join([*lines, "."]),
        ]
        for command in commands:
            stream.write(command.encode() + b"\r\n")
            stream.flush()
            reply = answer()
            if reply[0] not in "23":
                break
        return reply


def delivered(taken: list[dict[str, object]], reply: str, host: str) -> dict[str, object]:
    """What came of a case, without what differs between two runs."""
    return {
        "reply": re.sub(r"queued as \w+", "queued", reply),
        "messages": sorted((normal(each, host) for each in taken), key=json.dumps),
    }


def normal(message: dict[str, object], host: str) -> dict[str, object]:
    """A delivered message, the same for any queue id, date, size and address."""
    content = str(message["content"]).replace("\r\n", "\n")
    content = re.sub(r"\w{3}, [ \d]\d \w{3} \d{4} [\d:]{8} [+-]\d{4} \(\w+\)", "DATE", content)
    content = re.sub(r"<\d{14}\.\w+@", "<TIME.QID@", content)
    content = re.sub(r"\bid [0-9A-F]{6,}", "id QID", content)
    content = content.replace(f"unknown [{host}]", "unknown [LOCAL]").replace(f"localhost [{host}]", "unknown [LOCAL]")
    mail = re.sub(r" SIZE=\d+", "", str(message["mail"]))
    return {**message, "mail": mail, "content": content}


def services(host: str, first: int, sink_state: Sink) -> list[str]:
    """The lines of master.cf for the cases."""
    lines = []
    for number, case in enumerate(CASES.values()):
        options = [f"  -o {{ {key} = {hops(value, sink_state)} }}" for key, value in case.settings.items()]
        lines += [f"{host}:{first + number} inet n - n - - smtpd -o cleanup_service_name=c{number}", *options]
        lines += [f"c{number} unix n - n - 0 cleanup", *options]
    lines += ["scan unix - - n - - smtp", "gen unix - - n - - smtp", f"  -o {{ smtp_generic_maps = {GENERIC} }}"]
    return lines


def record() -> None:
    """Run Postfix and write the file."""
    root = Path(tempfile.mkdtemp(prefix="relayed"))
    root.chmod(0o755)
    host, first = "127.0.0.1", REWRITING["POLICY"]["free_ports"]()
    for name in ("conf", "queue", "data"):
        (root / name).mkdir()
    shutil.chown(root / "data", "postfix")
    results: dict[str, object] = {}
    with sink() as state:
        settings = {
            **SETTINGS,
            "relayhost": state.hop("sink"),
            "inet_interfaces": host,
            "inet_protocols": "ipv4",
            "queue_directory": str(root / "queue"),
            "data_directory": str(root / "data"),
            "maillog_file": str(root / "log"),
            "maillog_file_prefixes": str(root),
        }
        (root / "conf" / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        rest = [
            f"{name} unix {'n' if name in ('pickup', 'cleanup', 'qmgr', 'showq') else '-'} - n - "
            f"{'0' if name in ('cleanup', 'bounce', 'defer', 'trace') else '1'} {command}"
            for name, command in (
                *((each, each) for each in "pickup cleanup qmgr verify proxymap showq error anvil scache smtp".split()),
                *(("rewrite", "trivial-rewrite"), ("bounce", "bounce"), ("defer", "bounce"), ("trace", "bounce")),
                *(("retry", "error"), ("relay", "smtp")),
            )
        ]
        lines = [
            *services(host, first, sink_state=state),
            *rest,
            "postlog unix-dgram n - n - 1 postlogd",
        ]
        (root / "conf" / "master.cf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        subprocess.run(["postfix", "-c", root / "conf", "start"], check=True, timeout=60, capture_output=True)
        try:
            time.sleep(1)
            for number, (name, case) in enumerate(CASES.items()):
                state.taken.clear()
                reply = send(host, first + number, case)
                empty = False
                while not empty:
                    time.sleep(0.1)
                    listed = subprocess.run(
                        ["postqueue", "-c", root / "conf", "-p"], capture_output=True, text=True, check=True
                    )
                    empty = "empty" in listed.stdout or "MAILER-DAEMON" in listed.stdout
                results[name] = delivered(state.taken, reply, host)
        finally:
            subprocess.run(["postfix", "-c", root / "conf", "stop"], check=False, timeout=60, capture_output=True)
            print((root / "log").read_text())
            shutil.rmtree(root)
    text = json.dumps(results, indent=1, ensure_ascii=False)
    (HERE / "relayed.json").write_text(text + "\n", encoding="utf-8", errors="surrogateescape")


if __name__ == "__main__":
    record()
