"""A before-queue content filter with a script: what it says depends on what it is told, and it remembers all of it.

``refused@…`` is refused at RCPT, ``sender-refused@…`` at MAIL, ``later@…`` at DATA. A message with ``Subject: spam``,
``busy``, ``gone`` (it hangs up), ``silent`` (it never answers) or ``long`` (an answer of two lines) ends that way.
"""

from __future__ import annotations

import socketserver
import threading

ANSWERS = {
    "spam": ("554 5.7.1 filter says spam",),
    "busy": ("450 4.2.0 filter is busy",),
    "long": ("250 2.0.0 first", "250 2.0.0 second"),
}


class Conversation(socketserver.StreamRequestHandler):
    """One connection; ``filter`` is set by ``Filter``."""

    filter: Filter
    later = False

    def setup(self) -> None:
        super().setup()
        self.said: list[str] = []
        self.filter.sessions.append(self.said)

    def handle(self) -> None:
        if self.filter.greeting:
            self.say(self.filter.greeting)
            while self.command():
                pass

    def say(self, *lines: str) -> None:
        for number, line in enumerate(lines):
            dash = "-" if number < len(lines) - 1 else " "
            self.wfile.write(f"{line[:3]}{dash}{line[4:]}\r\n".encode())

    def command(self) -> bool:
        raw = self.rfile.readline()
        line = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
        self.said.append(line if raw else "<closed>")
        word, _, rest = line.partition(" ")
        if word == "DATA":
            self.say("451 4.3.0 filter later" if self.later else "354 go on")
            return self.later or self.message()
        if word == "EHLO":
            self.say("250 filter.test", *(f"250 {keyword}" for keyword in self.filter.keywords))
        elif word == "QUIT":
            self.say("221 bye")
        elif word == "RCPT":
            self.later = "later@" in rest
            self.say("550 5.1.1 not that recipient" if "refused@" in rest else "250 2.1.5 filter ok")
        else:
            self.say("550 5.7.1 not that sender" if "sender-refused@" in rest else "250 2.0.0 filter ok")
        return bool(raw) and word != "QUIT"

    def message(self) -> bool:
        subject = ""
        while (raw := self.rfile.readline()) and raw != b".\r\n":
            line = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
            self.said.append(line)
            if line.startswith("Subject: "):
                subject = line[9:]
        self.said.append("." if raw else "<closed>")
        if subject == "silent":
            self.filter.released.wait(10)
        if subject in ("gone", "silent") or not raw:
            return False
        self.say(*ANSWERS.get(subject, ("250 2.0.0 filter took it",)))
        return True


class Filter:
    """Listens on a loopback port.

    Args:
        greeting: its first line; empty: it hangs up at once.
        keywords: of EHLO.
    """

    def __init__(self, greeting: str = "220 filter.test ESMTP", keywords: tuple[str, ...] = ()) -> None:
        self.greeting = greeting
        self.keywords = keywords
        self.sessions: list[list[str]] = []
        self.released = threading.Event()
        handler = type("Handler", (Conversation,), {"filter": self})
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def said(self) -> list[str]:
        """What it was told, one connection after the other: the end of one may come after the next has begun."""
        return [line for session in self.sessions for line in session]

    def close(self) -> None:
        """Stop."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


KINDS: dict[str, dict[str, object]] = {
    "PLAIN": {"keywords": ("8BITMIME",)},
    "XFORWARD": {
        "keywords": ("PIPELINING", "SIZE", "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT", "8BITMIME", "DSN")
    },
    "SOME": {"keywords": ("XFORWARD NAME ADDR",)},
    "BUSY": {"greeting": "421 too busy"},
    "RUDE": {"greeting": ""},
    "BARE": {"keywords": ()},
}
"""Kinds of filters that the golden files name: ``127.0.0.1:XFORWARD``."""
