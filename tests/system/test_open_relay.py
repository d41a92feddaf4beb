"""Addresses that have made other servers open relays, from a stranger, against a whole server: none goes elsewhere."""

from __future__ import annotations

import socket

import pytest

STRANGER = "127.9.9.9"
OURS = [
    b"<bob@example.test>",
    b"<bob@example.test.>",
    b"<bob@EXAMPLE.TEST>",
    b"<@evil.test:bob@example.test>",
    b"<postmaster>",
]
THEIRS = [
    b"<victim@evil.test>",
    b"<victim@EVIL.test.>",
    b"victim@evil.test",
    b"<victim%evil.test@example.test>",
    b"<victim%evil.test@mail.example.test>",
    b"<victim%evil.test%mail.example.test@mail.example.test>",
    b"<victim%evil.test@[127.0.0.1]>",
    b"<victim%evil.test@localhost>",
    b"<victim%evil.test@relay.test>",
    b"<victim%evil.test>",
    b"<evil.test!victim@example.test>",
    b"<evil.test!victim@relay.test>",
    b"<a!b!victim%evil.test@mail.example.test>",
    b"<evil.test!victim>",
    b"<@example.test:victim@evil.test>",
    b"<@example.test,@x.test:victim@evil.test>",
    b'<"victim@evil.test"@example.test>',
    b'<"victim@evil.test"@relay.test>',
    b'<"victim%evil.test"@example.test>',
    b'<"evil.test!victim"@example.test>',
    b'<"victim@evil.test">',
    b"<victim@evil.test@example.test>",
    b"<victim@evil.test@relay.test>",
    b"<bob@example.test@evil.test>",
    b"<victim@evil.test@[127.0.0.1]>",
    b"<victim@[127.0.0.1]>",
    b"<victim@[IPv6:::1]>",
    b"<victim@[0x7f.1]>",
    b"<victim@[evil.test]>",
    b"<victim@evil.test:25>",
    b"<victim@evil.test\0@example.test>",
    b"<victim@evil.test%00@example.test>",
    b"<victim\\@evil.test@example.test>",
    b"<victim\\@evil.test>",
    b"<victim@evil.test,bob@example.test>",
    b"<bob@example.test> ,<victim@evil.test>",
    b"<<victim@evil.test>@example.test>",
    b"<(c)victim@evil.test(@example.test)>",
    b'<"victim"@"example.test"@evil.test>',
    b"<victim@evil.test >",
    b"<victim@sub.example.test>",
    "<victim@evil\u3002test>".encode(),
    "<victim@evil\uff0etest>".encode(),
    "<victim@evil.test\uff20example.test>".encode(),
    "<bob@example\u3002test>".encode(),
    b"<victim@>",
]


def answers(server, recipients, extension):
    """The reply to RCPT for each, each in a session of its own."""
    found = {}
    for recipient in recipients:
        with socket.create_connection(
            (server.site.host, server.site.ports.smtp), 20, source_address=(STRANGER, 0)
        ) as connection:
            lines = connection.makefile("rb")

            def reply(lines=lines):
                while (line := lines.readline())[3:4] == b"-":
                    pass
                return line

            reply()
            commands = b"EHLO c.test\r\n", b"MAIL FROM:<s@remote.test>" + extension + b"\r\n"
            for command in (*commands, b"RCPT TO:" + recipient + b"\r\n"):
                connection.sendall(command)
                last = reply()
            found[recipient] = last
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"relay_domains": "relay.test", "resolve_dequoted_address": "no", "mydestination": "$myhostname, localhost"},
    ],
    ids=["defaults", "relay domains"],
)
def test_no_address_leads_elsewhere(servers, settings):
    server = servers.start({"mynetworks": "127.0.0.2/32", "smtpd_client_connection_rate_limit": "0", **settings})
    for extension in (b"", b" SMTPUTF8"):
        for recipient, reply in answers(server, THEIRS, extension).items():
            assert reply[:1] in (b"4", b"5"), (recipient, reply)
        for recipient, reply in answers(server, OURS, extension).items():
            assert reply[:3] == b"250", (recipient, reply)
