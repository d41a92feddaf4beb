"""Records what the smtp client of the Postfix on this machine makes of destinations: ``… record_delivery.py``.

One smtp service for each case, chrooted so that it asks the name server that has a script, and SMTP servers with a
script on loopback addresses. A line of ``delivery.txt`` is a case's name and what the log says of its recipient.
"""

from __future__ import annotations

import re
import runpy
import socket
import time
from pathlib import Path

GOLDEN = Path(__file__).parent
HERE = GOLDEN / "delivery.txt"
POLICY = runpy.run_path(str(GOLDEN / "record_policy.py"))
NAME_SERVER = runpy.run_path(str(GOLDEN.parent / "fakes" / "dns_server.py"))
SINKS = runpy.run_path(str(GOLDEN.parent / "fakes" / "smtp_sinks.py"))
SERVFAIL, CLOSE = NAME_SERVER["SERVFAIL"], SINKS["CLOSE"]
SERVER_ADDRESS = "127.53.53.2"
PORT = 2525

GOOD, DEAD = "127.66.0.10", "127.66.0.99"
SCRIPTS = {
    GOOD: {},
    "127.66.0.11": {"GREETING": "554 5.3.2 go away"},
    "127.66.0.12": {"GREETING": "421 4.3.2 busy"},
    "127.66.0.13": {"RCPT": "450 4.2.1 later"},
    "127.66.0.14": {"RCPT": "550 5.1.1 nobody"},
    "127.66.0.15": {"EHLO": "502 what", "HELO": "501 5.5.0 bad helo"},
    "127.66.0.16": {"MAIL": "553 5.1.8 bad sender"},
    "127.66.0.17": {"DATA": "451 4.3.0 not now"},
    "127.66.0.18": {"DOT": "554 5.6.0 bad content"},
    "127.66.0.19": {"GREETING": CLOSE},
    "127.66.0.20": {"MAIL": CLOSE},
    "127.66.0.21": {"RCPT": CLOSE},
    "127.66.0.22": {"DOT": CLOSE},
    "127.66.0.24": {"EHLO": "502 what"},
    "127.66.0.25": {"RCPT": "550 nobody, without a code"},
    "127.66.0.26": {"DOT": "451 later, without a code"},
    "127.66.0.27": {"EHLO": CLOSE},
}
NAMES = {
    "a": GOOD,
    "dead": DEAD,
    "greet5": "127.66.0.11",
    "greet4": "127.66.0.12",
    "rcpt4": "127.66.0.13",
    "rcpt5": "127.66.0.14",
    "helo5": "127.66.0.15",
    "mail5": "127.66.0.16",
    "data4": "127.66.0.17",
    "dot5": "127.66.0.18",
    "gone": "127.66.0.19",
    "gonemail": "127.66.0.20",
    "gonercpt": "127.66.0.21",
    "gonedot": "127.66.0.22",
    "oldhelo": "127.66.0.24",
    "rcpt5bare": "127.66.0.25",
    "dot4bare": "127.66.0.26",
    "goneehlo": "127.66.0.27",
}
ZONE = {
    **{(f"{name}.mx", "A"): [address] for name, address in NAMES.items()},
    ("ok.dom", "MX"): ["10 a.mx."],
    ("two.dom", "MX"): ["10 dead.mx.", "20 a.mx."],
    ("deferring.dom", "MX"): ["10 rcpt4.mx.", "20 a.mx."],
    ("refusing.dom", "MX"): ["10 rcpt5.mx.", "20 a.mx."],
    ("greeting.dom", "MX"): ["10 greet5.mx.", "20 a.mx."],
    ("broken.dom", "MX"): ["10 failing.mx.", "20 a.mx."],
    ("null.dom", "MX"): ["0 ."],
    ("failing.dom", "MX"): SERVFAIL,
    ("failing.dom", "A"): [GOOD],
    ("failing.mx", "A"): SERVFAIL,
    ("noaddress.dom", "MX"): ["10 missing.mx."],
    ("noaddress4.dom", "MX"): ["10 failing.mx."],
    ("plain.dom", "A"): [GOOD],
    ("txt.dom", "TXT"): ['"only this"'],
    ("loop.dom", "MX"): ["10 mail.example.test."],
    ("loopa.dom", "A"): ["127.0.0.1"],
    ("backup.dom", "MX"): ["10 mail.example.test.", "20 a.mx."],
    ("proxied.dom", "MX"): ["10 proxy.mx."],
    ("proxy.mx", "A"): ["192.0.2.80"],
    ("mail.example.test", "A"): ["127.0.0.1"],
}

BASE = {
    **{name: value for name, value in POLICY["BASE"].items() if name != "transport_maps"},
    "proxy_interfaces": "192.0.2.80",
    "in_flow_delay": "0",
    "smtp_tls_security_level": "none",
    "relay_domains": "case.test",
    "relay_recipient_maps": "",
}

CASES: dict[str, tuple[str, dict[str, str]]] = {
    "host": ("[a.mx]:2525", {}),
    "address": (f"[{GOOD}]:2525", {}),
    "domain": ("ok.dom:2525", {}),
    "second": ("two.dom:2525", {}),
    "plain": ("plain.dom:2525", {}),
    "null": ("null.dom:2525", {}),
    "nxdomain": ("nx.dom:2525", {}),
    "nodata": ("txt.dom:2525", {}),
    "servfail": ("failing.dom:2525", {}),
    "servfail-ignored": ("failing.dom:2525", {"ignore_mx_lookup_error": "yes"}),
    "mx-without-address": ("noaddress.dom:2525", {}),
    "mx-without-address-deferred": ("noaddress.dom:2525", {"smtp_defer_if_no_mx_address_found": "yes"}),
    "mx-address-fails": ("noaddress4.dom:2525", {}),
    "mx-half-fails": ("broken.dom:2525", {}),
    "host-nxdomain": ("[nx.mx]:2525", {}),
    "host-fails": ("[failing.mx]:2525", {}),
    "refused": ("[dead.mx]:2525", {}),
    "greeting-5xx": ("[greet5.mx]:2525", {}),
    "greeting-5xx-final": ("[greet5.mx]:2525", {"smtp_skip_5xx_greeting": "no"}),
    "greeting-5xx-next": ("greeting.dom:2525", {}),
    "greeting-4xx": ("[greet4.mx]:2525", {}),
    "greeting-none": ("[gone.mx]:2525", {}),
    "ehlo-none": ("[goneehlo.mx]:2525", {}),
    "helo-refused": ("[helo5.mx]:2525", {}),
    "helo-old": ("[oldhelo.mx]:2525", {}),
    "mail-refused": ("[mail5.mx]:2525", {}),
    "mail-none": ("[gonemail.mx]:2525", {}),
    "rcpt-deferred": ("[rcpt4.mx]:2525", {}),
    "rcpt-deferred-next": ("deferring.dom:2525", {}),
    "rcpt-refused": ("[rcpt5.mx]:2525", {}),
    "rcpt-refused-next": ("refusing.dom:2525", {}),
    "rcpt-refused-bare": ("[rcpt5bare.mx]:2525", {}),
    "rcpt-none": ("[gonercpt.mx]:2525", {}),
    "data-deferred": ("[data4.mx]:2525", {}),
    "dot-refused": ("[dot5.mx]:2525", {}),
    "dot-deferred-bare": ("[dot4bare.mx]:2525", {}),
    "dot-none": ("[gonedot.mx]:2525", {}),
    "list": ("[dead.mx]:2525, [a.mx]:2525", {}),
    "list-nxdomain": ("nx.dom:2525 [a.mx]:2525", {}),
    "list-refused": ("[rcpt5.mx]:2525, [a.mx]:2525", {}),
    "fallback-dead": ("[dead.mx]:2525", {"smtp_fallback_relay": "[a.mx]:2525"}),
    "fallback-nxdomain": ("nx.dom:2525", {"smtp_fallback_relay": "[a.mx]:2525"}),
    "fallback-null": ("null.dom:2525", {"smtp_fallback_relay": "[a.mx]:2525"}),
    "fallback-deferred": ("[rcpt4.mx]:2525", {"smtp_fallback_relay": "[a.mx]:2525"}),
    "fallback-refused": ("[rcpt5.mx]:2525", {"smtp_fallback_relay": "[a.mx]:2525"}),
    "fallback-dead-too": ("nx.dom:2525", {"smtp_fallback_relay": "[dead.mx]:2525"}),
    "no-dns": ("ok.dom:2525", {"disable_dns_lookups": "yes"}),
    "no-dns-hosts": ("hosty.mx:2525", {"disable_dns_lookups": "yes"}),
    "no-dns-level": ("hosty.mx:2525", {"smtp_dns_support_level": "disabled"}),
    "native": ("[hosty.mx]:2525", {"smtp_host_lookup": "native"}),
    "dns-then-native": ("[hosty.mx]:2525", {"smtp_host_lookup": "dns, native"}),
    "dns-only": ("[hosty.mx]:2525", {}),
    "loop": ("loop.dom", {}),
    "loop-host": ("[mail.example.test]", {}),
    "loop-address": ("[127.0.0.1]", {}),
    "loop-domain": ("loopa.dom", {}),
    "loop-backup": ("backup.dom", {}),
    "loop-proxy": ("proxied.dom", {}),
    "loop-fallback": ("loop.dom", {"smtp_fallback_relay": "[a.mx]:2525"}),
    "tls-wanted": ("[a.mx]:2525", {"smtp_tls_security_level": "encrypt"}),
    "tls-policy": ("[a.mx]:2525", {"smtp_tls_policy_maps": "inline:{{[a.mx]:2525 = encrypt}}"}),
    "tls-policy-none": (
        "[a.mx]:2525",
        {"smtp_tls_policy_maps": "inline:{{[a.mx]:2525 = none}}", "smtp_tls_security_level": "encrypt"},
    ),
    "tls-policy-parent": ("ok.dom:2525", {"smtp_tls_policy_maps": "inline:{{.dom = encrypt}, {ok.dom = encrypt}}"}),
    "tls-policy-bad": ("[a.mx]:2525", {"smtp_tls_policy_maps": "inline:{{[a.mx]:2525 = nonsense}}"}),
    "tls-policy-down": ("[a.mx]:2525", {"smtp_tls_policy_maps": "fail:down"}),
    "generic": ("[a.mx]:2525", {"smtp_generic_maps": "inline:{{u@case.test = x@out.test}}"}),
}


def submit(port: int) -> None:
    """One message to all cases."""
    with socket.create_connection(("127.0.0.1", port), timeout=60, source_address=("127.0.0.2", 0)) as connection:
        stream = connection.makefile("rwb")
        people = [f"RCPT TO:<{name}@case.test>" for name in CASES]
        for command in (
            None,
            "EHLO c.test",
            "MAIL FROM:<s@x.test>",
            *people,
            "DATA",
            "Subject: a\r\n\r\nb\r\n.",
            "QUIT",
        ):
            if command is not None:
                stream.write(command.encode() + b"\r\n")
                stream.flush()
            while True:
                reply = stream.readline().decode()
                assert reply[:1] in "23", reply
                if reply[3:4] != "-":
                    break


_LINE = re.compile(r"to=<(\S+)@case\.test>, relay=(\S+), .*dsn=(\S+), status=(\w+) \((.*)\)$")


def answers() -> dict[str, str]:
    """What the log says of each case: ``status dsn relay (text)``."""
    port = POLICY["free_ports"]()
    services = [f"127.0.0.1:{port} inet n - n - - smtpd"]
    transports = []
    for number, (name, (nexthop, overrides)) in enumerate(CASES.items()):
        services.append(f"smtp{number} unix - - y - - smtp")
        services += [f"  -o {{ {key} = {value} }}" for key, value in overrides.items()]
        transports.append(f"{{{name}@case.test = smtp{number}:{nexthop}}}")
    settings = {**BASE, "transport_maps": f"inline:{{{', '.join(transports)}}}"}
    sinks = SINKS["Sinks"](SCRIPTS, PORT)
    found: dict[str, str] = {}
    server = NAME_SERVER["FakeDnsServer"](ZONE, SERVER_ADDRESS, 53)
    try:
        with server, POLICY["postfix"](settings, services, defer="") as conf:
            etc = conf.parent / "queue" / "etc"
            etc.mkdir(exist_ok=True)
            (etc / "resolv.conf").write_text(f"nameserver {SERVER_ADDRESS}\noptions timeout:1 attempts:1\n")
            (etc / "nsswitch.conf").write_text("hosts: files dns\n")
            (etc / "hosts").write_text(f"127.0.0.1 localhost\n{GOOD} hosty.mx\n")
            submit(port)
            limit = time.monotonic() + 90
            while len(found) < len(CASES) and time.monotonic() < limit:
                time.sleep(0.5)
                for line in (conf.parent / "log").read_text().splitlines():
                    if (match := _LINE.search(line)) is not None and match[1] not in found:
                        found[match[1]] = f"{match[4]} {match[3]} {match[2]} ({match[5]})"
    finally:
        sinks.close()
    return found


def record() -> None:
    """Run Postfix and write the file."""
    found = answers()
    lines = [f"{name} -> {found.get(name, 'nothing')}" for name in CASES]
    HERE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    record()
