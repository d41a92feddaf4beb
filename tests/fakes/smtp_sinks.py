"""SMTP servers with a script, one on each of several loopback addresses, in threads of their own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping

CLOSE = "CLOSE"


class Sinks:
    """Answers each verb with 250, or with what the address's script says: a reply, or ``CLOSE``.

    ``GREETING`` and ``DOT`` are steps of their own. Replies go out in one piece, whatever was pipelined.
    """

    def __init__(
        self, scripts: Mapping[str, Mapping[str, str]], port: int = 0, more_ports: tuple[int, ...] = ()
    ) -> None:
        self._listeners: list[socket.socket] = []
        self.port = port
        for address, script in scripts.items():
            for number in (None, *more_ports):
                listener = socket.create_server((address, self.port if number is None else number))
                self.port = self.port or listener.getsockname()[1]
                self._listeners.append(listener)
                threading.Thread(target=self._accept, args=(listener, script), daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket, script: Mapping[str, str]) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(connection, script), daemon=True).start()

    def _serve(self, connection: socket.socket, script: Mapping[str, str]) -> None:
        with connection, contextlib.suppress(OSError), connection.makefile("rwb") as stream:

            def say(step: str, default: str) -> bool:
                text = script.get(step, default)
                if text == CLOSE:
                    return False
                stream.write(text.encode() + b"\r\n")
                stream.flush()
                return True

            if not say("GREETING", "220 sink.test ESMTP"):
                return
            while line := stream.readline():
                verb = line.split(b":")[0].split()[0].decode().upper()
                defaults = {"EHLO": "250-sink.test\r\n250 8BITMIME", "DATA": "354 go", "QUIT": "221 bye"}
                if not say(verb, defaults.get(verb, "250 2.0.0 ok")) or verb == "QUIT":
                    return
                if verb == "DATA" and script.get("DATA", "354").startswith("354"):
                    while stream.readline() not in (b".\r\n", b""):
                        pass
                    if not say("DOT", "250 2.0.0 taken"):
                        return
