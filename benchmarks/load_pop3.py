"""POP3 load: RETR of every message, one after the other or pipelined."""

from __future__ import annotations

import socket

from benchmarks.servers import DOMAIN, PASSWORD

_END = b"\r\n.\r\n"


class Connection:
    """One POP3 connection that is logged in."""

    def __init__(self, port: int, user: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._line()
        self._command(f"USER {user}@{DOMAIN}")
        self._command(f"PASS {PASSWORD}")
        self.count = int(self._command("STAT").split()[1])

    def retrieve_in_lockstep(self, count: int) -> None:
        """RETR 1 to ``count``, each after the end of the one before."""
        for number in range(1, count + 1):
            self._socket.sendall(b"RETR %d\r\n" % number)
            data = self._socket.recv(65536)
            while not data.endswith(_END):
                data = data[-16:] + self._socket.recv(65536)

    def retrieve_pipelined(self, count: int) -> None:
        """All RETRs at once."""
        self._socket.sendall(b"".join(b"RETR %d\r\n" % number for number in range(1, count + 1)))
        ended, tail = 0, b""
        while ended < count:
            data = self._socket.recv(1 << 20)
            if not data:
                msg = f"closed after {ended} messages"
                raise RuntimeError(msg)
            joined = tail + data
            ended += joined.count(_END)
            tail = joined[-4:]
        assert ended == count

    def quit(self) -> None:
        """QUIT."""
        self._command("QUIT")
        self._socket.close()

    def _command(self, text: str) -> str:
        self._socket.sendall(text.encode() + b"\r\n")
        return self._line()

    def _line(self) -> str:
        data = b""
        while not data.endswith(b"\r\n"):
            data += self._socket.recv(4096)
        if not data.startswith(b"+OK"):
            raise RuntimeError(data.decode("utf-8", "replace"))
        return data.decode()
