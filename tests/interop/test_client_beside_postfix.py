"""The SMTP client beside Postfix's: the same mail and the same settings of a transport, to the same scripted server.

Each case is a transport of its own, ``NAME unix - - n - - smtp -o …``, in a Postfix and in our server; what the server
hears, and what the log says of each recipient, must be the same. Queue ids, ports and Received headers are left out.
"""

from __future__ import annotations

import asyncio
import os
import re
import smtplib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from tests.interop.relaypeer import PostfixPeer, refusal
from tests.unit.agents.smtp.fakes import CLOSE, FakeServer

pytestmark = pytest.mark.interop

ALL = ("PIPELINING", "SIZE 0", "8BITMIME", "DSN", "SMTPUTF8", "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT")
SEVEN = ("PIPELINING", "SIZE 0")
PLAIN = (
    "Subject: x\r\nFrom: <a@x.test>\r\nTo: <b@x.test>\r\nMessage-ID: <1@x.test>\r\n"
    "Date: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
)


@dataclass(frozen=True)
class Case:
    """One message through one transport."""

    options: tuple[str, ...] = ()
    ehlo: tuple[str, ...] = ALL
    script: Mapping[str, object] = field(default_factory=dict)
    message: str | bytes = PLAIN + "\r\nhello\r\n"
    parameters: tuple[str, ...] = ()
    sender: str = "s@x.test"
    local: str = "r"
    command: str = "smtp"
    operands: str = ""


XFORWARD = "smtp_send_xforward_command=yes"
CASES = {
    "plain": Case(),
    "xforward": Case((XFORWARD,)),
    "xforwardlmtp": Case(("lmtp_send_xforward_command=yes",), command="lmtp"),
    "xforwardsome": Case((XFORWARD,), ("XFORWARD NAME HELO",)),
    "xforwardnone": Case((XFORWARD,), SEVEN),
    "xforwardrefused": Case((XFORWARD,), script={"XFORWARD": "550 5.7.1 not for you"}),
    "xforwardlost": Case((XFORWARD,), script={"XFORWARD": CLOSE}),
    "xforwardslow": Case((XFORWARD,), ("XFORWARD NAME ADDR PROTO",)),
    "quote": Case(sender='"two words"@x.test', local='"a b"'),
    "noquote": Case(("smtp_quote_rfc821_envelope=no",), sender='"two words"@x.test', local='"a b"'),
}
HEAD = PLAIN + "MIME-Version: 1.0\r\n"
EIGHT = (
    "grüße = 1 \r\n\ttab\t\r\n"
    + "ü" * 40
    + " "
    + "x" * 30
    + "\r\n"
    + "y" * 73
    + "\r\n"
    + "z" * 72
    + " \r\n.\r\n..dot\r\n\x7f\x01end=\r\n"
)
TEXT8 = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
MULTIPART = (
    HEAD
    + "Content-Type: multipart/mixed; boundary=b1\r\nContent-Transfer-Encoding: 8bit\r\nX-After: 1\r\n\r\nprämbel\r\n"
    "--b1\r\n" + TEXT8 + "X-Part: 1\r\n\r\n" + EIGHT + "--b1\r\n\r\nkein Kopf ü\r\n"
    "--b1\r\nContent-Transfer-Encoding: base64\r\n\r\nw7w=\r\n"
    "--b1\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + HEAD + TEXT8 + "\r\nü\r\n"
    '--b1\r\nContent-Type: multipart/alternative; boundary="b 2"\r\nContent-Transfer-Encoding: BINARY\r\n\r\n'
    "--b 2\r\nContent-Transfer-Encoding: binary\r\n\r\nä\r\n--b 2--\r\nzwischenö\r\n"
    "--b1--\r\nepilög\r\n"
)
CASES |= {
    "mimeeight": Case((), SEVEN, message=HEAD + TEXT8 + "\r\n" + EIGHT, parameters=("BODY=8BITMIME",)),
    "mimeunsaid": Case((), SEVEN, message=HEAD + TEXT8 + "\r\n" + EIGHT),
    "mimelabelled": Case((), SEVEN, message=HEAD + TEXT8 + "\r\n" + EIGHT, parameters=("BODY=7BIT",)),
    "mimekept": Case((), message=HEAD + TEXT8 + "\r\n" + EIGHT, parameters=("BODY=8BITMIME",)),
    "mimeoff": Case(
        ("disable_mime_output_conversion=yes",),
        SEVEN,
        message=HEAD + TEXT8 + "\r\n" + EIGHT,
        parameters=("BODY=8BITMIME",),
    ),
    "mimenolabel": Case((), SEVEN, message=PLAIN + "\r\nü\r\n", parameters=("BODY=8BITMIME",)),
    "mimebinary": Case((), SEVEN, message=HEAD + "Content-Transfer-Encoding: binary (c)\r\n\r\nü\r\n"),
    "mimetwice": Case(
        (),
        SEVEN,
        message=HEAD + "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 7bit\r\nX: 1\r\n\r\nü\r\n",
        parameters=("BODY=8BITMIME",),
    ),
    "mimetwiceover": Case(
        (),
        SEVEN,
        message=HEAD + "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding:\r\n 8bit\r\nX: 1\r\n\r\nü\r\n",
    ),
    "mimemultipart": Case((), SEVEN, message=MULTIPART, parameters=("BODY=8BITMIME",)),
    "mimemultipartlmtp": Case((), SEVEN, message=MULTIPART, parameters=("BODY=8BITMIME",), command="lmtp"),
    "mimedigest": Case(
        (),
        SEVEN,
        message=HEAD
        + "Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n"
        + HEAD
        + TEXT8
        + "\r\nü\r\n--d--\r\n",
    ),
    "mimepartial": Case(
        (),
        SEVEN,
        message=HEAD
        + "Content-Type: message/partial\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: ü\r\n\r\nü\r\n",
    ),
    "mimestatus": Case(
        (),
        SEVEN,
        message=HEAD
        + "Content-Type: message/delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\nA: ü\r\n\r\nü\r\n",
    ),
    "mimerfc822": Case((), SEVEN, message=HEAD + "Content-Type: message/rfc822\r\n\r\n" + HEAD + TEXT8 + "\r\nü\r\n"),
    "mimenobody": Case((), SEVEN, message=HEAD + TEXT8, parameters=("BODY=8BITMIME",)),
    "mimenoblank": Case((), SEVEN, message=HEAD + TEXT8 + "not a headerü\r\nü\r\n", parameters=("BODY=8BITMIME",)),
    "mimecut": Case((), SEVEN, message=MULTIPART[: MULTIPART.index("--b1--")], parameters=("BODY=8BITMIME",)),
    "mimepartnoblank": Case(
        (),
        SEVEN,
        message=HEAD
        + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        + TEXT8
        + "--b\r\n"
        + TEXT8
        + "no header ü\r\nü\r\n--b--\r\n",
    ),
    "mimelong": Case((), SEVEN, message=HEAD + TEXT8 + "\r\n" + "ü" * 1500 + "\r\n" + "a" * 1500 + "\r\n"),
    "utf8": Case(
        message=PLAIN.replace("Subject: x", "Subject: grüße") + "\r\nx\r\n", parameters=("SMTPUTF8", "BODY=8BITMIME")
    ),
    "utf8unused": Case(ehlo=SEVEN, parameters=("SMTPUTF8",)),
    "utf8needed": Case(
        ehlo=SEVEN,
        message=PLAIN.replace("Subject: x", "Subject: grüße") + "\r\nx\r\n",
        parameters=("SMTPUTF8", "BODY=8BITMIME"),
    ),
    "utf8body": Case(ehlo=SEVEN, message=HEAD + TEXT8 + "\r\nü\r\n", parameters=("SMTPUTF8", "BODY=8BITMIME")),
    "utf8part": Case(
        ehlo=SEVEN,
        message=HEAD
        + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Description: ü\r\n\r\nx\r\n--b--\r\n",
        parameters=("SMTPUTF8",),
    ),
    "utf8sender": Case(ehlo=SEVEN, sender="ü@x.test", parameters=("SMTPUTF8",)),
    "utf8without8bit": Case(ehlo=("SMTPUTF8",), sender="ü@x.test", parameters=("SMTPUTF8", "BODY=8BITMIME")),
}
FILTER = "smtp_delivery_status_filter=regexp:{{/^(.*) replaced.*/ %s}}"
CASES |= {
    "filtersent": Case((FILTER % "2.1.0 other $1",), script={"DOT": "250 2.0.0 replaced"}),
    "filterwrong": Case((FILTER % "4.1.0 no",), script={"DOT": "250 2.0.0 replaced"}),
    "filtersoft": Case((FILTER % "4.5.6 for now",), script={"RCPT": "550 5.1.1 replaced"}),
    "filterhard": Case((FILTER % "5.5.6 for good",), script={"RCPT": "450 4.1.1 replaced"}),
    "filtertextless": Case((FILTER % "4.5.6",), script={"RCPT": "550 5.1.1 replaced"}),
    "filterbad": Case((FILTER % "nonsense",), script={"RCPT": "550 5.1.1 replaced"}),
    "filterlost": Case(("smtp_delivery_status_filter=regexp:{{/^4.4.2 (.*)/ 5.4.2 $1}}",), script={"RCPT": CLOSE}),
}
CASES |= {
    "bind": Case(("smtp_bind_address=127.0.0.7",)),
    "bindwrong": Case(("smtp_bind_address=192.0.2.7",)),
    "bindenforced": Case(("smtp_bind_address=192.0.2.7", "smtp_bind_address_enforce=yes")),
    "discardmaps": Case(("smtp_discard_ehlo_keyword_address_maps=inline:{{127.0.0.1=dsn,size}}",)),
    "discardsilent": Case(("smtp_discard_ehlo_keyword_address_maps=inline:{{127.0.0.1=dsn silent-discard}}",)),
    "discardmiss": Case(
        ("smtp_discard_ehlo_keyword_address_maps=inline:{{127.0.0.2=dsn}}", "smtp_discard_ehlo_keywords=smtputf8, dsn")
    ),
    "discardlmtp": Case(("lmtp_discard_lhlo_keyword_address_maps=inline:{{127.0.0.1=dsn,size}}",), command="lmtp"),
    "pix": Case(script={"GREETING": "220 *****2***0**"}),
    "pixempty": Case(script={"GREETING": "220 "}),
    "pixbut": Case(script={"GREETING": "220 **** ESMTP"}),
    "pixnone": Case(("smtp_pix_workarounds=",), script={"GREETING": "220 ****"}),
    "pixdot": Case(
        ("smtp_pix_workaround_threshold_time=0s", "smtp_pix_workaround_delay_time=1s"), script={"GREETING": "220 ****"}
    ),
    "pixmaps": Case(("smtp_pix_workaround_maps=inline:{{127.0.0.1=delay_dotcrlf}}",), script={"GREETING": "220 ****"}),
    "reply": Case(("smtp_reply_filter=regexp:{{/^550 (.*)/ 450 4.1.1 softened $1}}",), script={"RCPT": "550 5.1.1 no"}),
    "replyehlo": Case(("smtp_reply_filter=regexp:{{/^250-DSN/ 250-X-NOTHING}}",)),
    "replylines": Case(
        ("smtp_reply_filter=regexp:{{/^250-two/ 250-2}}",), script={"DOT": "250-one\r\n250-two\r\n250 2.0.0 three"}
    ),
    "verifyhost": Case(script={"EHLO": "250 peer.test"}),
}
CASES |= {
    "flags": Case(operands="flags=DORX"),
    "flagslmtp": Case(operands="flags=DR", command="lmtp", local='"a b"', sender='"c d"@x.test'),
    "flagsloop": Case(operands="flags=D", message="Delivered-To: R@flagsloop.test\r\n" + PLAIN + "\r\nx\r\n"),
    "flagsno": Case(operands="flags=R", message="Delivered-To: r@flagsno.test\r\n" + PLAIN + "\r\nx\r\n"),
}
LOGGED = re.compile(
    r" (postfix/\S+)\[\d+\]: \w+: to=<([^>]*)@(\w+)\.test>, (.*), delay=\S+ delays=\S+, "
    r"dsn=(\S+), status=(\w+) \((.*)\)"
)
WARNED = re.compile(
    r"(?:smtp|lmtp)\[\d+\]: (?:warning: |\w+: )?((?:host|enabling|127\.|smtp_connect_addr|discarding).*)"
)


def normalized(text: str) -> str:
    text = re.sub(r"\b(ADDR|IDENT|PORT|SIZE)=\S+", r"\1=X", text)  # SIZE counts Received headers
    return re.sub(r"(127\.0\.0\.1\[127\.0\.0\.1\]):\d+", r"\1:PORT", text)


def heard(server: FakeServer) -> dict[str, object]:
    messages = []
    for message in server.messages:
        head, blank, body = message.decode("utf-8", "surrogateescape").partition("\r\n\r\n")
        lines = re.split(r"\r\n(?![ \t])", head)
        messages.append("\r\n".join(line for line in lines if not line.startswith("Received:")) + blank + body)
    commands = [normalized(command) for command in server.commands if command not in ("QUIT", "RSET")]
    return {"commands": commands, "messages": messages}


def send(host: str, port: int, name: str, case: Case) -> None:
    message = case.message.encode() if isinstance(case.message, str) else case.message
    with smtplib.SMTP(host, port, timeout=30, local_hostname="client.example", source_address=(host, 0)) as client:
        client.ehlo()
        client.command_encoding = "utf-8"
        assert client.docmd("MAIL", " ".join([f"FROM:<{case.sender}>", *case.parameters]))[0] == 250
        code, text = client.docmd("RCPT", f"TO:<{case.local}@{name}.test>")
        assert code == 250, text
        code, text = client.data(message)
        assert code == 250, text


async def observe(place, start) -> dict[str, dict[str, object]]:
    """What the servers of all cases heard and the log said; ``start(transports, routes)`` runs the mail system."""
    servers = {name: FakeServer(case.script, case.ehlo, lmtp=case.command == "lmtp") for name, case in CASES.items()}
    for server in servers.values():
        await server.__aenter__()
    transports = "".join(
        f"{name} unix - - n - - {case.command}\n  -o smtp_tls_security_level=none\n"
        + "".join(f"  -o {{ {option} }}\n" for option in case.options)
        + (f"  {case.operands}\n" if case.operands else "")
        for name, case in CASES.items()
    )
    inet = {"smtp": "", "lmtp": "inet:"}
    routes = (
        "inline:{"
        + " ".join(
            f"{{{name}.test={name}:{inet[case.command]}[127.0.0.1]:{servers[name].port}}}"
            for name, case in CASES.items()
        )
        + "}"
    )
    host, port, read_log = await asyncio.to_thread(start, transports, routes)
    for name, case in CASES.items():
        await asyncio.to_thread(send, host, port, name, case)
    end = time.monotonic() + 30
    log = ""
    while not CASES.keys() <= {match[3] for match in LOGGED.finditer(log)}:
        if time.monotonic() > end:
            missing = CASES.keys() - {match[3] for match in LOGGED.finditer(log)}
            pytest.fail(f"{missing}\n" + "\n".join(line for line in log.splitlines() if re.search("warn|fatal", line)))
        await asyncio.sleep(0.05)
        log = read_log()
    seen = {name: heard(server) for name, server in servers.items()}
    for server in servers.values():
        await server.__aexit__()
    for line in log.splitlines():
        if (match := LOGGED.search(line)) and match[3] in seen:
            seen[match[3]]["outcome"] = [normalized(each) for each in (*match.groups()[:2], *match.groups()[3:])]
    place.update(normalized(match[1]) for match in WARNED.finditer(log))
    return seen


def test_the_same_is_said_and_logged(peer, servers):
    peer("postfix")
    if refusal():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(refusal())
    common = {
        **{f"{name}_destination_recipient_limit": "1" for name, case in CASES.items() if case.operands},
        "notify_classes": "",
        "relay_domains": " ".join(f"{name}.test" for name in CASES),
        "smtpd_peername_lookup": "no",
    }
    ours_too, theirs_too = set(), set()

    peers = []

    def postfix(transports, routes):
        system = PostfixPeer({**common, "transport_maps": routes, "smtp_tls_security_level": "none"}, transports)
        peers.append(system)
        system.__enter__()
        return "127.0.0.1", system.port, lambda: system.log

    def angarium(transports, routes):
        server = servers.prepare(
            {
                **common,
                "transport_maps": routes,
                "myhostname": "peer.test",
                "mynetworks": "127.0.0.0/8",
                "relayhost": "",
            }
        )
        master = server.site.configuration / "master.cf"
        master.write_text(master.read_text() + transports)
        server.start()

        return server.site.host, server.site.ports.smtp, server.log

    try:
        theirs = asyncio.run(asyncio.wait_for(observe(theirs_too, postfix), 120))
    finally:
        for system in peers:
            system.__exit__()
    ours = asyncio.run(asyncio.wait_for(observe(ours_too, angarium), 120))
    different = [
        (name, what, ours[name].get(what), theirs[name].get(what))
        for name in CASES
        for what in ("commands", "messages", "outcome")
        if ours[name].get(what) != theirs[name].get(what)
    ]
    assert not different, "\n".join(
        f"{name} {what}\nours   {our}\ntheirs {their}" for name, what, our, their in different
    )
    theirs_too = {line.replace("EHLO_MASK_SMTPUTF8", "SMTPUTF8") for line in theirs_too}  # Postfix 3.7 forgot its name
    assert ours_too - theirs_too == set()
    assert theirs_too - ours_too == set()
