"""Records the conversations in ``tests/golden/smtpd`` from a real Postfix.

    python tests/golden/record_smtpd.py [FILE ...]

It needs Debian's postfix and root, and runs a Postfix of its own in a temporary directory on loopback ports. A file
keeps its ``#`` and ``C`` lines; the ``S`` (what the server says) and ``L`` (what it logs) lines are recorded anew.

    # any remark
    #! smtpd_helo_required = yes      a parameter of the service
    C: EHLO client.test               a line that the client sends; consecutive ones are sent in one write
    C=: a\\r\\nb\\n                   octets, with Python's escapes and no line end added
    C: NOOP {{x*3000}}                the same with 3,000 times x
    T:                                the client begins TLS
    E:                                the client closes its side
    W:                                the client waits for a time limit
    F: MAIL FROM:<a@x.test>           what a before-queue filter hears (smtpd_proxy_filter = 127.0.0.1:KIND)
    S: 250 2.1.0 Ok                   a line of the server; <closed> when it hangs up, <nothing> when it waits
    L: connect from unknown[…]        a line of the log, without time and tag

Queue ids are written ``QUEUEID``. ``tests/unit/daemons/smtpd/test_golden.py`` plays the files against our server.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import runpy
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "smtpd"
FILTERS = runpy.run_path(str(HERE.parents[1] / "fakes" / "smtp_filter.py"))

MAIN_CF = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.test",
    "mydestination": "example.test",
    "mynetworks": "127.0.0.0/8",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "local_recipient_maps": "",
    "alias_maps": "",
    "local_transport": "discard:",
    "default_transport": "discard:",
    "smtputf8_enable": "yes",
    "smtpd_peername_lookup": "no",
    "smtpd_error_sleep_time": "0",
    "smtpd_forbid_bare_newline": "normalize",
    "smtpd_forbid_bare_newline_exclusions": "",
    "smtpd_forbid_unauth_pipelining": "yes",
    "smtpd_client_event_limit_exceptions": "",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_recipient_restrictions": "check_recipient_access inline:{{reject@example.test=REJECT}}, permit",
    "smtpd_sasl_type": "dovecot",
    "maillog_file_prefixes": "/tmp",
}
SERVICES = """\
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
discard unix - - n - - discard
error unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Dovecot(socketserver.StreamRequestHandler):
    """As much of Dovecot's authentication protocol as smtpd asks for; one password is right."""

    def handle(self) -> None:
        self.wfile.write(b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t1\nCUID\t1\nDONE\n")
        dialogues: dict[bytes, list[bytes]] = {}
        for raw in self.rfile:
            words = raw.rstrip(b"\n").split(b"\t")
            if words[0] == b"AUTH":
                number, method = words[1], words[2]
                response = next((word[5:] for word in words if word.startswith(b"resp=")), None)
                dialogues[number] = [method]
            elif words[0] == b"CONT":
                number, response = words[1], words[2]
            else:
                continue
            self.wfile.write(self.step(number, dialogues[number], response) + b"\n")

    @staticmethod
    def step(number: bytes, said: list[bytes], response: bytes | None) -> bytes:
        if response is not None:
            try:
                said.append(b64decode(response, validate=True))
            except ValueError:
                return b"FAIL\t" + number + b"\treason=Invalid base64 data"
        method, *answers = said
        if method.upper() == b"PLAIN":
            if not answers:
                return b"CONT\t" + number + b"\t"
            good = answers[0].endswith(b"\0alice\0secret")
        elif method.upper() == b"LOGIN":
            if len(answers) < 2:
                return b"CONT\t" + number + b"\t" + b64encode((b"Username:", b"Password:")[len(answers)])
            good = answers == [b"alice", b"secret"]
        else:
            return b"FAIL\t" + number + b"\treason=Unsupported authentication mechanism"
        return (b"OK\t" if good else b"FAIL\t") + number + b"\tuser=alice"


CLIENT_FIRST = ("wrappermode = yes", "smtpd_upstream_proxy_protocol")
"""Services with these have nothing to say before the client has."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postfix:
    """A Postfix of our own."""

    def __init__(self, directory: Path, files: list[Path]) -> None:
        self.directory = directory
        self.ports = {file: free_port() for file in files}
        self.filters: dict[Path, Any] = {}
        self.log = directory / "mail.log"
        config, queue, data = directory / "etc", directory / "spool", directory / "data"
        for path in (config, queue, data):
            path.mkdir()
        directory.chmod(0o755)
        shutil.chown(data, "postfix")
        certificate = directory / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mail.example.test", "-days", "9",
             "-keyout", certificate.with_suffix(".key"), "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        self.auth = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dovecot)
        self.auth.daemon_threads = True
        threading.Thread(target=self.auth.serve_forever, daemon=True).start()
        settings = MAIN_CF | {
            "queue_directory": str(queue),
            "data_directory": str(data),
            "maillog_file": str(self.log),
            "smtpd_tls_cert_file": str(certificate),
            "smtpd_tls_key_file": str(certificate.with_suffix(".key")),
            "smtpd_sasl_path": f"inet:127.0.0.1:{self.auth.server_address[1]}",
        }
        (config / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        master = [SERVICES]
        for file, port in self.ports.items():
            self.filters[file], text = with_filter(parameters(file))
            options = "".join(f"  -o {{ {line} }}\n" for line in text)
            master.append(f"127.0.0.1:{port} inet n - n - - smtpd -o syslog_name={file.stem}\n{options}")
        (config / "master.cf").write_text("".join(master))

    def command(self, *words: str) -> None:
        subprocess.run(["postfix", "-c", str(self.directory / "etc"), *words], check=True, capture_output=True)

    def lines(self, name: str) -> list[str]:
        """The log lines of one service, without time, host, tag and pid."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return re.findall(rf" {re.escape(name)}/smtpd\[\d+\]: (.*)", text)

    def wait_for_end(self, name: str) -> list[str]:
        for _ in range(100):
            lines = self.lines(name)
            if any(line.startswith("disconnect from") for line in lines):
                break
            time.sleep(0.05)
        return [line for line in self.lines(name) if not line.startswith("warning: dict_nis")]


def parameters(file: Path) -> list[str]:
    return [line[2:].strip() for line in file.read_text().splitlines() if line.startswith("#!")]


def with_filter(lines: list[str]) -> tuple[Any, list[str]]:
    """The filter that the parameters name by its kind, or None; and the parameters with its address."""
    for number, line in enumerate(lines):
        match = re.fullmatch(r"smtpd_proxy_filter = (.*127\.0\.0\.1:)([A-Z]+)", line)
        if match is not None:
            found = FILTERS["Filter"](**FILTERS["KINDS"][match[2]])
            return found, [*lines[:number], f"smtpd_proxy_filter = {match[1]}{found.port}", *lines[number + 1 :]]
    return None, lines


def normalise(line: str) -> str:
    line = re.sub(r"queued as [0-9A-F]+", "queued as QUEUEID", line)
    line = re.sub(r"\b[0-9A-F]{7,}: ", "QUEUEID: ", line)
    line = re.sub(r"( proxy 127\.0\.0\.1:)\d+", r"\1PORT", line)
    line = re.sub(r"\bid [0-9A-F]+;?$", "id QUEUEID", line)
    line = re.sub(r"\w{3}, +\d+ \w{3} \d{4} [0-9:]{8} [+-]\d{4} \(\w+\)", "DATE", line)
    line = re.sub(r"( bits\)) key-exchange .*", r"\1", line)
    line = re.sub(r"error:[0-9A-F]+:SSL routines::([^:]*):.*", r"error:SSL routines::\1:", line)
    line = re.sub(r"^(connect from \S+\[127\.0\.0\.1\]):\d{5}$", r"\1:PORT", line)
    return re.sub(r"for service \S+", "for service SERVICE", line)


class Recorder:
    """Plays one file against one port."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(0.4)
        self.out: list[str] = []

    def read(self) -> None:
        """Everything the server says until it is quiet or gone."""
        data = b""
        closed = False
        while True:
            try:
                piece = self.socket.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                break
            except OSError:
                piece = b""
            if not piece:
                closed = True
                break
            data += piece
        self.out += [f"S: {normalise(line)}" for line in data.decode("utf-8", "backslashreplace").split("\r\n")[:-1]]
        if closed:
            self.out.append("S: <closed>")
        elif not data:
            self.out.append("S: <nothing>")

    def play(self, lines: list[str]) -> list[str]:
        batch = b""
        if not any(line.startswith("#!") and any(word in line for word in CLIENT_FIRST) for line in lines):
            early = next((line for line in lines if line[:1] in "CTEW"), "") == "E:"
            if not early:
                self.read()
        for line in [*lines, ""]:
            if line.startswith("#"):
                continue
            if line.startswith("C"):
                batch += octets(line)
                self.out.append(line)
                continue
            if batch:
                with contextlib.suppress(OSError):
                    self.socket.sendall(batch)
                batch = b""
                self.read()
            if line.startswith("T:"):
                self.out.append(line)
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                self.socket.settimeout(5)
                try:
                    self.socket = context.wrap_socket(self.socket)
                except (OSError, ssl.SSLError):
                    self.out.append("S: <tls failed>")
                    break
                self.socket.settimeout(0.4)
                if "+" in line:
                    self.read()
            elif line.startswith("W:"):
                self.out.append(line)
                self.socket.settimeout(3)
                self.read()
                self.socket.settimeout(0.4)
            elif line.startswith("E:"):
                self.out.append(line)
                with contextlib.suppress(OSError):
                    self.socket.shutdown(socket.SHUT_WR)
                self.read()
        self.socket.close()
        return self.out


def octets(line: str) -> bytes:
    line = re.sub(r"\{\{(.)\*(\d+)\}\}", lambda match: match[1] * int(match[2]), line)
    if line.startswith("C=: "):
        return line[4:].encode().decode("unicode_escape").encode("latin-1")
    return line[3:].encode() + b"\r\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path)
    files = parser.parse_args().files or sorted(HERE.glob("*.txt"))
    with tempfile.TemporaryDirectory(prefix="golden") as temporary:
        postfix = Postfix(Path(temporary), files)
        postfix.command("start")
        try:
            time.sleep(1)
            for file in files:
                text = file.read_text().splitlines()
                head = [line for line in text if line.startswith("#")]
                script = [line for line in text if line[:1] in "CTESW" or line.startswith("#!")]
                recorded = Recorder(postfix.ports[file]).play(script)
                heard = postfix.filters[file].said if postfix.filters[file] is not None else []
                recorded += [f"F: {normalise(re.sub(r'PORT=[0-9]+', 'PORT=PORT', line))}" for line in heard]
                log = [f"L: {normalise(line)}" for line in postfix.wait_for_end(file.stem)]
                file.write_text("\n".join([*head, *recorded, *log]) + "\n")
                print(file.name, len(recorded), file=sys.stderr)
        finally:
            postfix.command("stop")


if __name__ == "__main__":
    main()
