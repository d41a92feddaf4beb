"""Records what the Postfix on this machine makes of DNS and policy services: ``python tests/golden/record_lists.py``.

As ``record_policy.py``, with a name server that has a script (its smtpd services are chrooted, so that they read the
resolv.conf that this writes), with client names from it, and with a policy server that has a script, too: what it was
told is recorded in ``lists/policy_request.txt``. A line is client, HELO, sender, recipients, ``DATA``, then the reply.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import runpy
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

GOLDEN = Path(__file__).parent
HERE = GOLDEN / "lists"
POLICY = runpy.run_path(str(GOLDEN / "record_policy.py"))
NAME_SERVER = runpy.run_path(str(GOLDEN.parent / "fakes" / "dns_server.py"))
SERVFAIL = NAME_SERVER["SERVFAIL"]
SERVER_ADDRESS = "127.53.53.1"
POLICY_SERVER = ("127.0.0.1", 28530)
AUTH_SERVER = ("127.0.0.1", 28531)

BASE = {
    **POLICY["BASE"],
    "smtpd_peername_lookup": "yes",
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    "smtpd_error_sleep_time": "0",
    "in_flow_delay": "0",
    "transport_maps": "",
}

ZONE = {
    ("2.0.0.127.in-addr.arpa", "PTR"): ["ours.client.test."],
    ("ours.client.test", "A"): ["127.0.0.2"],
    ("3.0.0.127.in-addr.arpa", "PTR"): ["c3.client.test."],
    ("c3.client.test", "A"): ["127.0.0.3"],
    ("5.0.0.127.in-addr.arpa", "PTR"): ["c5.client.test."],
    ("c5.client.test", "A"): ["192.0.2.5"],
    ("6.0.0.127.in-addr.arpa", "PTR"): SERVFAIL,
    ("3.0.0.127.rbl.test", "A"): ["127.0.0.2"],
    ("3.0.0.127.rbl.test", "TXT"): ['"listed for spam"'],
    ("4.0.0.127.rbl.test", "A"): ["127.0.0.4", "127.0.1.7"],
    ("6.0.0.127.rbl.test", "A"): SERVFAIL,
    ("3.0.0.127.wl.test", "A"): ["127.0.0.1"],
    ("6.0.0.127.wl.test", "A"): SERVFAIL,
    ("bad.test.rhs.test", "A"): ["127.0.0.2"],
    ("bad.test.rhs.test", "TXT"): ['"bad domain"'],
    ("c3.client.test.rhs.test", "A"): ["127.0.0.3"],
    ("c5.client.test.rhs.test", "A"): ["127.0.0.3"],
    ("vbox.test.rhs.test", "A"): ["127.0.0.5"],
    ("fail.test.rhs.test", "A"): SERVFAIL,
    ("c3.client.test.wl.test", "A"): ["127.0.0.1"],
    ("s1.test", "MX"): ["10 mx.s1.test.", "20 mx2.s1.test."],
    ("mx.s1.test", "A"): ["192.0.2.10"],
    ("mx2.s1.test", "A"): ["198.51.100.11"],
    ("s1.test", "NS"): ["ns.s1.test."],
    ("ns.s1.test", "A"): ["192.0.2.53"],
    ("s2.test", "A"): ["192.0.2.20"],
    ("sub.s1.test", "A"): ["192.0.2.21"],
    ("s3.test", "MX"): ["0 ."],
    ("s4.test", "MX"): SERVFAIL,
    ("s4.test", "A"): SERVFAIL,
    ("s4.test", "NS"): SERVFAIL,
    ("s5.test", "MX"): ["10 mx.gone.test."],
    ("s6.test", "MX"): ["10 mx.s6.test."],
    ("mx.s6.test", "A"): SERVFAIL,
    ("b1.test", "MX"): ["10 mx.s1.test.", "20 mail.example.test."],
    ("mail.example.test", "A"): ["127.0.0.1"],
    ("b2.test", "MX"): ["10 mail.example.test."],
}
RBL_TABLE = (
    "inline:{{192.0.2.10 = REJECT bad mx}, {192.0.2 = REJECT bad net}, {mx.s6.test = 450 4.7.5 mx6}, "
    "{ns.s1.test = REJECT bad ns}}"
)
SENDERS = [
    "127.0.0.3 s@s1.test alice@vbox.test",
    "127.0.0.3 s@sub.s1.test alice@vbox.test",
    "127.0.0.3 s@s2.test alice@vbox.test",
    "127.0.0.3 s@s3.test alice@vbox.test",
    "127.0.0.3 s@s4.test alice@vbox.test",
    "127.0.0.3 s@s5.test alice@vbox.test",
    "127.0.0.3 s@s6.test alice@vbox.test",
    "127.0.0.3 s@nx.test alice@vbox.test",
    "127.0.0.3 s@[192.0.2.10] alice@vbox.test",
    "127.0.0.3 s@local.test alice@vbox.test",
    "127.0.0.3 <> alice@vbox.test",
    "127.0.0.3 joe alice@vbox.test",
]
CLIENTS = [f"127.0.0.{number} s@x.test alice@vbox.test" for number in (2, 3, 4, 5, 6)]
HELOS = [
    f"127.0.0.3 HELO={name} s@x.test alice@vbox.test"
    for name in (
        "s1.test",
        "s2.test",
        "s3.test",
        "s4.test",
        "s5.test",
        "nx.test",
        "[127.0.0.3]",
        "bad.test",
        "nodots",
    )
]
DOMAINS = [
    "127.0.0.3 s@bad.test alice@vbox.test",
    "127.0.0.3 s@good.test alice@vbox.test",
    "127.0.0.3 <> alice@vbox.test",
    "127.0.0.3 s@fail.test alice@vbox.test",
    "127.0.0.3 HELO=bad.test s@good.test bob@vbox.test",
    "127.0.0.5 s@good.test bob@vbox.test",
    "127.0.0.4 s@good.test bob@vbox.test",
]
REQUESTS = [
    "127.0.0.3 s@x.test dunno@vbox.test",
    "127.0.0.3 s@x.test ok@vbox.test",
    "127.0.0.3 s@x.test reject@vbox.test",
    "127.0.0.3 s@x.test rejectcode@vbox.test",
    "127.0.0.3 s@x.test text@vbox.test",
    "127.0.0.3 s@x.test deferifpermit@vbox.test",
    "127.0.0.3 s@x.test deferifreject@vbox.test",
    "127.0.0.3 s@x.test deferifreject@other.test",
    "127.0.0.3 s@x.test defer@vbox.test",
    "127.0.0.3 s@x.test prepend@vbox.test",
    "127.0.0.3 s@x.test class@vbox.test",
    "127.0.0.3 s@x.test nonsense@vbox.test",
    "127.0.0.3 s@x.test noaction@vbox.test",
    "127.0.0.3 s@x.test close@vbox.test",
    "127.0.0.3 s@x.test other@vbox.test",
]
ACTIONS = {
    "dunno": "DUNNO",
    "ok": "OK",
    "reject": "REJECT not you",
    "rejectcode": "REJECT 5.7.9 own code",
    "text": "550 5.2.1 told so",
    "deferifpermit": "DEFER_IF_PERMIT greylisted",
    "deferifreject": "DEFER_IF_REJECT later",
    "defer": "DEFER",
    "prepend": "PREPEND X-Policy: yes",
    "class": "reject_non_fqdn_helo_hostname, reject",
    "nonsense": "no such thing",
    "other": "defer_if_permit",
}
OWNERS = (
    "inline:{{a@x.test = alice}, {b@x.test = bob, alice}, {c@x.test = carol dave}, {@own.test = alice}, "
    "{bare@example.test = alice}, {E@x.test = Eve}}"
)
LOGINS = [
    f"127.0.0.3 {user}{sender} alice@vbox.test"
    for sender in (
        *("a@x.test", "A@X.TEST", "a+e@x.test", "b@x.test", "c@x.test", "e@x.test", "any@own.test", "free@x.test"),
        *("<>", "bare", "joe@local.test"),
    )
    for user in ("", "SASL=alice ", "SASL=bob ", "SASL=Alice ", "SASL=eve ")
]
LOGIN = {
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_sasl_type": "dovecot",
    "smtpd_sasl_path": f"inet:{AUTH_SERVER[0]}:{AUTH_SERVER[1]}",
    "smtpd_sender_login_maps": OWNERS,
}
EVERYONE = {"virtual_mailbox_maps": "static:all"}
SERVICE = f"check_policy_service inet:{POLICY_SERVER[0]}:{POLICY_SERVER[1]}"

CASES: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "rbl": ("reject_rbl_client.", {"smtpd_client_restrictions": "reject_rbl_client rbl.test"}, CLIENTS),
    "rbl_filter": (
        "reject_rbl_client with a filter.",
        {"smtpd_client_restrictions": "reject_rbl_client rbl.test=127.0.[0;1].[5..8]"},
        CLIENTS,
    ),
    "rbl_filter_one": (
        "reject_rbl_client with one address.",
        {"smtpd_client_restrictions": "reject_rbl_client rbl.test=127.0.0.2"},
        CLIENTS,
    ),
    "rbl_reply": (
        "rbl_reply_maps, default_rbl_reply, maps_rbl_reject_code.",
        {
            "smtpd_client_restrictions": "reject_rbl_client rbl.test, reject_rbl_client rbl.test=127.0.0.4",
            "maps_rbl_reject_code": "550",
            "default_rbl_reply": "$rbl_code 5.7.9 Blocked: $rbl_class $rbl_what by $rbl_domain"
            "${rbl_reason?, $rbl_reason} ask $client $client_address $client_name $helo_name "
            "$sender $recipient $rbl_txt",
        },
        CLIENTS,
    ),
    "rbl_reply_map": (
        "rbl_reply_maps.",
        {
            "smtpd_client_restrictions": "reject_rbl_client rbl.test=127.0.0.2, reject_rbl_client rbl.test",
            "rbl_reply_maps": "inline:{{rbl.test = $$rbl_code $$rbl_domain}}",
        },
        CLIENTS,
    ),
    "rbl_soft": (
        "reject_rbl_client with soft_bounce.",
        {"smtpd_client_restrictions": "reject_rbl_client rbl.test", "soft_bounce": "yes"},
        CLIENTS,
    ),
    "dnswl": (
        "permit_dnswl_client.",
        {"smtpd_client_restrictions": "permit_dnswl_client wl.test, reject"},
        CLIENTS,
    ),
    "dnswl_relay": (
        "permit_dnswl_client before the relay check.",
        {"smtpd_relay_restrictions": "permit_dnswl_client wl.test, reject_unauth_destination"},
        ["127.0.0.3 s@x.test o@other.test", "127.0.0.3 s@x.test alice@vbox.test", "127.0.0.6 s@x.test o@other.test"],
    ),
    "rhswl": (
        "permit_rhswl_client.",
        {"smtpd_client_restrictions": "permit_rhswl_client wl.test, reject"},
        CLIENTS,
    ),
    "rhsbl_sender": ("reject_rhsbl_sender.", {"smtpd_sender_restrictions": "reject_rhsbl_sender rhs.test"}, DOMAINS),
    "rhsbl_recipient": (
        "reject_rhsbl_recipient.",
        {"smtpd_recipient_restrictions": "reject_rhsbl_recipient rhs.test"},
        DOMAINS,
    ),
    "rhsbl_helo": ("reject_rhsbl_helo.", {"smtpd_helo_restrictions": "reject_rhsbl_helo rhs.test"}, DOMAINS),
    "rhsbl_client": ("reject_rhsbl_client.", {"smtpd_client_restrictions": "reject_rhsbl_client rhs.test"}, DOMAINS),
    "rhsbl_reverse": (
        "reject_rhsbl_reverse_client.",
        {"smtpd_client_restrictions": "reject_rhsbl_reverse_client rhs.test"},
        DOMAINS,
    ),
    "client_names": (
        "reject_unknown_client_hostname.",
        {"smtpd_client_restrictions": "reject_unknown_client_hostname"},
        CLIENTS,
    ),
    "reverse_names": (
        "reject_unknown_reverse_client_hostname.",
        {"smtpd_client_restrictions": "reject_unknown_reverse_client_hostname"},
        CLIENTS,
    ),
    "client_codes": (
        "unknown_client_reject_code.",
        {
            "smtpd_client_restrictions": "reject_unknown_reverse_client_hostname, reject_unknown_client_hostname",
            "unknown_client_reject_code": "550",
        },
        CLIENTS,
    ),
    "client_tables": (
        "Access by client names.",
        {
            "smtpd_client_restrictions": "check_client_access inline:{{c3.client.test = REJECT name}}, "
            "check_reverse_client_hostname_access inline:{{c5.client.test = REJECT reverse}, {unknown = REJECT none}}"
        },
        CLIENTS,
    ),
    "sender_domain": (
        "reject_unknown_sender_domain.",
        {"smtpd_sender_restrictions": "reject_unknown_sender_domain"},
        SENDERS,
    ),
    "sender_domain_code": (
        "reject_unknown_sender_domain: unknown_address_reject_code.",
        {"smtpd_sender_restrictions": "reject_unknown_sender_domain", "unknown_address_reject_code": "550"},
        SENDERS,
    ),
    "sender_domain_defer": (
        "reject_unknown_sender_domain: unknown_address_tempfail_action.",
        {
            "smtpd_sender_restrictions": "reject_unknown_sender_domain",
            "unknown_address_tempfail_action": "defer",
            "unknown_address_reject_code": "550",
        },
        SENDERS,
    ),
    "sender_domain_then_reject": (
        "reject_unknown_sender_domain: a refusal that comes later is worth more than a failure.",
        {
            "smtpd_sender_restrictions": "reject_unknown_sender_domain",
            "smtpd_recipient_restrictions": "reject",
            "unknown_address_reject_code": "550",
        },
        SENDERS,
    ),
    "recipient_domain": (
        "reject_unknown_recipient_domain.",
        {
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtpd_recipient_restrictions": "reject_unknown_recipient_domain",
            "unknown_address_reject_code": "550",
        },
        [f"127.0.0.2 s@x.test u@s{number}.test" for number in range(1, 8)],
    ),
    "helo_names": (
        "reject_unknown_helo_hostname.",
        {"smtpd_helo_restrictions": "reject_unknown_helo_hostname"},
        HELOS,
    ),
    "helo_names_code": (
        "reject_unknown_helo_hostname: unknown_hostname_reject_code.",
        {"smtpd_helo_restrictions": "reject_unknown_helo_hostname", "unknown_hostname_reject_code": "550"},
        HELOS,
    ),
    "sender_mx": (
        "check_sender_mx_access.",
        {"smtpd_sender_restrictions": f"check_sender_mx_access {RBL_TABLE}"},
        SENDERS,
    ),
    "sender_ns": (
        "check_sender_ns_access.",
        {"smtpd_sender_restrictions": f"check_sender_ns_access {RBL_TABLE}"},
        SENDERS,
    ),
    "sender_a": (
        "check_sender_a_access.",
        {"smtpd_sender_restrictions": f"check_sender_a_access {RBL_TABLE}"},
        SENDERS,
    ),
    "helo_mx": ("check_helo_mx_access.", {"smtpd_helo_restrictions": f"check_helo_mx_access {RBL_TABLE}"}, HELOS),
    "helo_ns": ("check_helo_ns_access.", {"smtpd_helo_restrictions": f"check_helo_ns_access {RBL_TABLE}"}, HELOS),
    "helo_a": ("check_helo_a_access.", {"smtpd_helo_restrictions": f"check_helo_a_access {RBL_TABLE}"}, HELOS),
    "client_a": (
        "check_client_a_access and its like.",
        {
            "smtpd_client_restrictions": "check_client_a_access inline:{{127.0.0.2 = REJECT a}}, "
            "check_reverse_client_hostname_a_access inline:{{192.0.2.5 = REJECT ra}}, "
            "check_client_mx_access inline:{{c3.client.test = REJECT mx}}"
        },
        CLIENTS,
    ),
    "recipient_mx": (
        "check_recipient_mx_access.",
        {
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtpd_recipient_restrictions": f"check_recipient_mx_access {RBL_TABLE}",
        },
        [f"127.0.0.2 s@x.test u@s{number}.test" for number in range(1, 7)],
    ),
    "mx_backup": (
        "permit_mx_backup.",
        {"smtpd_relay_restrictions": "permit_mx_backup, reject_unauth_destination"},
        [f"127.0.0.3 s@x.test u@{name}.test" for name in ("b1", "b2", "s1", "s2", "s4", "s5", "nx", "vbox", "local")],
    ),
    "mx_backup_networks": (
        "permit_mx_backup_networks.",
        {
            "smtpd_relay_restrictions": "permit_mx_backup, reject_unauth_destination",
            "permit_mx_backup_networks": "192.0.2.99",
        },
        [f"127.0.0.3 s@x.test u@{name}.test" for name in ("b1", "b2", "s1")],
    ),
    "plaintext": (
        "reject_plaintext_session.",
        {"smtpd_sender_restrictions": "reject_plaintext_session"},
        ["127.0.0.3 s@x.test alice@vbox.test"],
    ),
    "multi_bounce": (
        "reject_multi_recipient_bounce.",
        {"smtpd_data_restrictions": "reject_multi_recipient_bounce"},
        [
            "127.0.0.3 <> alice@vbox.test,bob@vbox.test DATA",
            "127.0.0.3 <> alice@vbox.test DATA",
            "127.0.0.3 s@x.test alice@vbox.test,bob@vbox.test DATA",
        ],
    ),
    "multi_bounce_early": (
        "reject_multi_recipient_bounce at RCPT.",
        {"smtpd_recipient_restrictions": "reject_multi_recipient_bounce"},
        ["127.0.0.3 <> alice@vbox.test,bob@vbox.test DATA", "127.0.0.3 <> alice@vbox.test DATA"],
    ),
    "defer_if_permit": (
        "defer_if_permit.",
        {"smtpd_client_restrictions": "defer_if_permit"},
        ["127.0.0.3 s@x.test alice@vbox.test", "127.0.0.3 s@x.test zed@vbox.test", "127.0.0.3 s@x.test o@other.test"],
    ),
    "defer_if_reject": (
        "defer_if_reject.",
        {"smtpd_client_restrictions": "defer_if_reject"},
        ["127.0.0.3 s@x.test alice@vbox.test", "127.0.0.3 s@x.test zed@vbox.test", "127.0.0.3 s@x.test o@other.test"],
    ),
    "defer_if_reject_same": (
        "defer_if_reject before a refusal of the same list.",
        {"smtpd_recipient_restrictions": "defer_if_reject, reject_unknown_helo_hostname, reject"},
        ["127.0.0.3 s@x.test alice@vbox.test"],
    ),
    "defer_both": (
        "defer_if_permit and defer_if_reject by table, with texts.",
        {
            "smtpd_sender_restrictions": "check_sender_access inline:{{p.test = DEFER_IF_PERMIT 4.7.7 perhaps}, "
            "{r.test = DEFER_IF_REJECT or not}, {b.test = DEFER_IF_PERMIT}, {c.test = DEFER_IF_REJECT}}",
        },
        [
            f"127.0.0.3 s@{name}.test {recipient}"
            for name in "prbc"
            for recipient in ("alice@vbox.test", "zed@vbox.test", "o@other.test")
        ],
    ),
    "warn_defer": (
        "warn_if_reject before defer_if_permit.",
        {"smtpd_client_restrictions": "warn_if_reject defer_if_permit, warn_if_reject reject_rbl_client rbl.test"},
        ["127.0.0.3 s@x.test alice@vbox.test", "127.0.0.3 s@x.test zed@vbox.test"],
    ),
    **{
        f"login_{verb}": (
            f"reject_{verb}_mismatch.",
            {**LOGIN, "smtpd_sender_restrictions": f"reject_{verb}_mismatch"},
            LOGINS,
        )
        for verb in ("sender_login", "authenticated_sender_login", "unauthenticated_sender_login", "known_sender_login")
    },
    "login_down": (
        "smtpd_sender_login_maps that are down.",
        {
            **LOGIN,
            "smtpd_sender_login_maps": "fail:down",
            "smtpd_sender_restrictions": "reject_sender_login_mismatch",
        },
        LOGINS[:3],
    ),
    "sasl_access": (
        "check_sasl_access, and permit_sasl_authenticated.",
        {
            **LOGIN,
            "smtpd_sender_restrictions": "check_sasl_access inline:{{bob = REJECT not bob}, {alice = HOLD}}",
            "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
        },
        [
            "127.0.0.3 s@x.test o@other.test",
            "127.0.0.3 SASL=alice s@x.test o@other.test",
            "127.0.0.3 SASL=bob s@x.test o@other.test",
            "127.0.0.3 SASL=Bob s@x.test o@other.test",
        ],
    ),
    "sleep": (
        "sleep.",
        {"smtpd_client_restrictions": "sleep 0, reject_rbl_client rbl.test"},
        ["127.0.0.3 s@x.test alice@vbox.test"],
    ),
    "policy_actions": (
        "check_policy_service: actions.",
        {"smtpd_recipient_restrictions": SERVICE, **EVERYONE},
        REQUESTS,
    ),
    "policy_down": (
        "check_policy_service: nobody there.",
        {
            "smtpd_recipient_restrictions": "check_policy_service inet:127.0.0.1:1",
            "smtpd_policy_service_retry_delay": "1",
            "smtpd_policy_service_try_limit": "1",
        },
        ["127.0.0.3 s@x.test alice@vbox.test"],
    ),
    "policy_down_default": (
        "check_policy_service: nobody there, and a default action.",
        {
            "smtpd_recipient_restrictions": "check_policy_service "
            "{ inet:127.0.0.1:1, {default_action = DUNNO}, try_limit=1 }, reject_unknown_helo_hostname",
        },
        ["127.0.0.3 s@x.test alice@vbox.test"],
    ),
    "policy_context": (
        "check_policy_service: a policy context.",
        {
            "smtpd_recipient_restrictions": SERVICE.replace("inet:", "{ inet:") + ", policy_context=incoming }",
            **EVERYONE,
        },
        ["127.0.0.3 s@x.test reject@vbox.test"],
    ),
}


def session(port: int, line: str) -> str:
    """The reply that decides; several recipients stand with commas between them."""
    *first, recipients = line.removesuffix(" DATA").split(" ")
    client, sender = first[0], first[-1]
    helo = next((word[5:] for word in first if word.startswith("HELO=")), "client.test")
    user = next((word[5:] for word in first if word.startswith("SASL=")), "")
    commands = [f"EHLO {helo}"]
    if user:
        commands.append("AUTH PLAIN " + base64.b64encode(f"\0{user}\0x".encode()).decode())
    commands += [f"MAIL FROM:<{sender.strip('<>')}>"]
    commands += [f"RCPT TO:<{recipient}>" for recipient in recipients.split(",")]
    commands += ["DATA", "Subject: a\r\n\r\nb\r\n."] if line.endswith(" DATA") else []
    with socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(client, 0)) as connection:
        stream = connection.makefile("rwb")
        reply = "220"
        for command in [None, *commands]:
            if command is not None:
                stream.write(command.encode() + b"\r\n")
                stream.flush()
            while True:
                reply = stream.readline().decode().rstrip()
                if reply[3:4] != "-":
                    break
            if reply[:1] not in ("2", "3"):
                break
        return re.sub(r"queued as .*", "queued", reply)


class PolicyServer:
    """Answers by the recipient's local part; keeps what it was told."""

    def __init__(self, address: tuple[str, int] = POLICY_SERVER) -> None:
        self.requests: list[str] = []
        self._listener = socket.create_server(address)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream, contextlib.suppress(OSError):
            lines: list[str] = []
            for raw in stream:
                line = raw.decode().rstrip("\n")
                if line:
                    lines.append(line)
                    continue
                self.requests.append("\n".join(lines))
                recipient = next(line for line in lines if line.startswith("recipient="))
                local = recipient.removeprefix("recipient=").partition("@")[0]
                lines = []
                if local == "close":
                    return
                answer = f"action={ACTIONS[local]}" if local in ACTIONS else "x=y"
                stream.write(f"{answer}\n\n".encode())
                stream.flush()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


class AuthServer:
    """Dovecot's auth protocol, as far as Postfix speaks it: everyone is who he says he is."""

    def __init__(self) -> None:
        self._listener = socket.create_server(AUTH_SERVER)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @staticmethod
    def _serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream, contextlib.suppress(OSError):
            stream.write(b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n")
            stream.flush()
            for raw in stream:
                words = raw.decode().rstrip("\n").split("\t")
                if words[0] == "AUTH":
                    response = next(word for word in words if word.startswith("resp="))
                    user = base64.b64decode(response.removeprefix("resp=")).split(b"\0")[1].decode()
                    stream.write(f"OK\t{words[1]}\tuser={user}\n".encode())
                    stream.flush()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


def answers(cases: dict[str, tuple[str, dict[str, str], list[str]]]) -> Iterator[tuple[str, str, str]]:
    """What Postfix says: case, line, reply."""
    first = POLICY["free_ports"]()
    services: list[str] = []
    for number, (_, overrides, _) in enumerate(cases.values()):
        services.append(f"127.0.0.1:{first + number} inet n - y - - smtpd")
        services += [f"  -o {{ {key} = {value} }}" for key, value in overrides.items()]
    server = NAME_SERVER["FakeDnsServer"](ZONE, SERVER_ADDRESS, 53)
    with contextlib.closing(AuthServer()), server, POLICY["postfix"](BASE, services) as conf:
        etc = conf.parent / "queue" / "etc"
        etc.mkdir(exist_ok=True)
        (etc / "resolv.conf").write_text(f"nameserver {SERVER_ADDRESS}\noptions timeout:1 attempts:1\n")
        (etc / "nsswitch.conf").write_text("hosts: files dns\n")
        (etc / "hosts").write_text("127.0.0.1 localhost\n")
        for number, (name, (_, _, lines)) in enumerate(cases.items()):
            for line in lines:
                yield name, line, session(first + number, line)


def record() -> None:
    """Run Postfix and write the scripts."""
    HERE.mkdir(exist_ok=True)
    wanted = {name: case for name, case in CASES.items() if not sys.argv[1:] or name in sys.argv[1:]}
    server = PolicyServer()
    written: dict[str, list[str]] = {}
    for name, line, reply in answers(wanted):
        written.setdefault(name, []).append(f"{line} -> {reply}")
    for name, lines in written.items():
        title, overrides, _ = CASES[name]
        text = [f"# {title}", *(f"#! {key} = {value}" for key, value in overrides.items()), *lines]
        (HERE / f"{name}.txt").write_text("\n".join(text) + "\n")
    if server.requests:
        (HERE / "policy_request.txt").write_text("\n\n".join([server.requests[0], server.requests[-1]]) + "\n")
    server.close()


if __name__ == "__main__":
    os.umask(0o022)
    record()
