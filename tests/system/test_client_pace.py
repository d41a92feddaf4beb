"""The pace of deliveries, as main.cf sets it: a transport's rate delay, from main.cf to the server at the other end."""

from __future__ import annotations

import asyncio
import smtplib
import time

from tests.unit.agents.smtp.fakes import FakeServer


class TimedServer(FakeServer):
    """Notes when each message has come."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def _reply(self, command, default):
        if command == "DOT":
            self.times.append(time.monotonic())
        return super()._reply(command, default)


def test_a_transport_waits_between_two_deliveries(servers):
    async def scenario():
        async with TimedServer() as sink:
            server = servers.prepare(
                {
                    "mynetworks": "127.0.0.0/8",
                    "smtp_tls_security_level": "none",
                    "slow_transport_rate_delay": "1s",
                    "transport_maps": f"static:slow:[127.0.0.1]:{sink.port}",
                }
            )
            master = server.site.configuration / "master.cf"
            master.write_text(master.read_text() + "slow unix - - n - - smtp\n")
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(send, server)
            while len(sink.times) < 3:
                await asyncio.sleep(0.05)
            return sink.times

    one, two, three = asyncio.run(asyncio.wait_for(scenario(), 30))
    assert two - one >= 0.9
    assert three - two >= 0.9


def send(server):
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        for number in range(3):
            client.sendmail("a@x.test", [f"b@d{number}.test"], "Subject: x\r\n\r\nx\r\n")
