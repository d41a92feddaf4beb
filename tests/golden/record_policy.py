"""Records what the Postfix on this machine answers to the policy scripts: ``python tests/golden/record_policy.py``.

One Postfix in a temporary directory (it wants root), one smtpd service on a port of its own for each case, so that a
case is the parameters that its service overrides. A script in ``policy/`` is such a case: the overrides, and one line
a session: client, HELO, sender, recipient and, when the recipient is accepted, DATA and the message; then the reply
that decided: the first negative one or the last.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent / "policy"
OURS, STRANGER = "127.0.0.2", "127.0.0.3"

BASE = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.test",
    "mydomain": "example.test",
    "myorigin": "example.test",
    "mydestination": "$myhostname, local.test",
    "mynetworks": "127.0.0.2/32",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "smtpd_peername_lookup": "no",
    "virtual_mailbox_domains": "vbox.test",
    "virtual_mailbox_maps": "inline:{alice@vbox.test=a/, bob@vbox.test=b/}",
    "virtual_alias_domains": "valias.test",
    "virtual_alias_maps": "inline:{info@valias.test=alice@vbox.test, @dom.test=@vbox.test, "
    "joe@vbox.test=alice@vbox.test}",
    "relay_domains": "relay.test",
    "relay_recipient_maps": "inline:{r@relay.test=x}",
    "local_recipient_maps": "inline:{root=x, joe=x, full@local.test=x}",
    "alias_maps": "",
    "recipient_delimiter": "+",
    "append_dot_mydomain": "no",
    "transport_maps": "inline:{{err.test = error:5.7.1 no mail here}, {err2.test = error:gone away}, "
    "{err4.test = error:4.7.1 not now}, {retry.test = retry:4.3.2 later}, {vbox2.test = error:mailbox moved}}",
}

RELAY = [
    "s@x.test o@other.test",
    "<> o@other.test",
    "s@x.test alice@vbox.test",
    "s@x.test alice+ext@vbox.test",
    "s@x.test ALICE@VBOX.TEST",
    "s@x.test zed@vbox.test",
    "s@x.test joe@vbox.test",
    "s@x.test info@valias.test",
    "s@x.test info+ext@valias.test",
    "s@x.test nobody@valias.test",
    "s@x.test r@relay.test",
    "s@x.test r+ext@relay.test",
    "s@x.test zed@relay.test",
    "s@x.test r@sub.relay.test",
    "s@x.test joe@local.test",
    "s@x.test joe+ext@mail.example.test",
    "s@x.test full@local.test",
    "s@x.test zed@local.test",
    "s@x.test postmaster@local.test",
    "s@x.test MAILER-DAEMON@local.test",
    "s@x.test double-bounce@local.test",
    "s@x.test joe@[127.0.0.1]",
    "s@x.test joe@[192.0.2.1]",
    "s@x.test joe",
    "s@x.test postmaster",
    "s@x.test other.test!joe@local.test",
    "s@x.test joe%other.test@local.test",
    "s@x.test joe%local.test@local.test",
    "s@x.test joe%other.test",
    "s@x.test other.test!joe",
    'y@x.test "joe@other.test"@local.test',
    'y@x.test "joe@vbox.test"@local.test',
    "s@x.test @hop.test:alice@vbox.test",
    "s@x.test @hop.test:o@other.test",
    "s@x.test joe%other.test@relay.test",
    "s@x.test other!joe@relay.test",
    "s@x.test alice@vbox.test.",
    "s@x.test anyone@dom.test",
    "s@x.test a@err.test",
    "s@x.test a@err2.test",
    "s@x.test a@err4.test",
    "s@x.test a@retry.test",
]
OUR_ERRORS = [f"{OURS} {line}" for line in RELAY if "err" in line or "retry" in line or "joe%" in line]

CASES: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "default": ("What Postfix does by default.", {}, [*RELAY, f"{OURS} s@x.test o@other.test", *OUR_ERRORS]),
    "reject_unauth": (
        "reject_unauth_destination.",
        {"smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination"},
        RELAY,
    ),
    "recipient_list": (
        "Relay protection in the recipient restrictions alone.",
        {
            "smtpd_relay_restrictions": "",
            "smtpd_recipient_restrictions": "permit_mynetworks, permit_auth_destination, reject",
        },
        [
            "s@x.test o@other.test",
            "s@x.test alice@vbox.test",
            "s@x.test zed@vbox.test",
            f"{OURS} s@x.test o@other.test",
        ],
    ),
    "relay_codes": (
        "Codes of an administrator's own.",
        {
            "smtpd_relay_restrictions": "reject_unauth_destination",
            "relay_domains_reject_code": "550",
            "unknown_local_recipient_reject_code": "450",
            "unknown_virtual_mailbox_reject_code": "450",
            "unknown_virtual_alias_reject_code": "554",
            "unknown_relay_recipient_reject_code": "551",
        },
        [line for line in RELAY if "zed" in line or "nobody" in line or "o@other" in line],
    ),
    "no_table_name": (
        "show_user_unknown_table_name = no.",
        {"show_user_unknown_table_name": "no"},
        [line for line in RELAY if "zed" in line],  # an alias domain's text is trivial-rewrite's, which has no override
    ),
    "unlisted_off": (
        "smtpd_reject_unlisted_recipient = no.",
        {"smtpd_reject_unlisted_recipient": "no"},
        [line for line in RELAY if "zed" in line or "nobody" in line or "err" in line],
    ),
    "rewritten_recipients": (
        "Addresses that canonical_maps or recipient_canonical_maps know.",
        {
            "canonical_maps": "inline:{zed@vbox.test=alice@vbox.test, @relay.test=r@relay.test}",
            "recipient_canonical_maps": "inline:{zoe@vbox.test=alice@vbox.test, nobody=joe}",
            "sender_canonical_maps": "inline:{zak@vbox.test=alice@vbox.test}",
        },
        [
            f"s@x.test {each}"
            for each in [
                "zed@vbox.test",
                "zed+e@vbox.test",
                "zoe@vbox.test",
                "zak@vbox.test",
                "q@relay.test",
                "nobody@local.test",
            ]
        ],
    ),
    "no_unknown_checks": (
        "receive_override_options.",
        {"receive_override_options": "no_unknown_recipient_checks"},
        [
            *(
                f"s@x.test {each}"
                for each in ["zed@vbox.test", "nobody@valias.test", "zed@relay.test", "zed@local.test"]
            ),
            "zed@vbox.test alice@vbox.test",
        ],
    ),
    "unlisted_sender": (
        "smtpd_reject_unlisted_sender.",
        {"smtpd_reject_unlisted_sender": "yes"},
        [
            "zed@vbox.test alice@vbox.test",
            "alice@vbox.test alice@vbox.test",
            "zed@local.test alice@vbox.test",
            "nobody@valias.test alice@vbox.test",
            "zed@relay.test alice@vbox.test",
            "a@err.test alice@vbox.test",
            "<> alice@vbox.test",
            "joe alice@vbox.test",
        ],
    ),
    "client_list": (
        "smtpd_client_restrictions.",
        {"smtpd_client_restrictions": "permit_mynetworks, reject"},
        ["s@x.test alice@vbox.test", f"{OURS} s@x.test alice@vbox.test", "s@x.test o@other.test"],
    ),
    "client_now": (
        "smtpd_client_restrictions without delay.",
        {"smtpd_client_restrictions": "permit_mynetworks, reject", "smtpd_delay_reject": "no"},
        [f"{OURS} s@x.test alice@vbox.test", f"{OURS} s@x.test zed@vbox.test"],
    ),
    "sender_now": (
        "smtpd_sender_restrictions without delay.",
        {"smtpd_sender_restrictions": "reject_non_fqdn_sender", "smtpd_delay_reject": "no"},
        ["s@x.test alice@vbox.test", "s@x alice@vbox.test", "joe alice@vbox.test", "<> alice@vbox.test"],
    ),
    "helo_now": (
        "smtpd_helo_restrictions without delay.",
        {"smtpd_helo_restrictions": "reject_non_fqdn_helo_hostname", "smtpd_delay_reject": "no"},
        ["HELO=client.test s@x.test alice@vbox.test", "HELO=client s@x.test alice@vbox.test"],
    ),
    "non_fqdn": (
        "reject_non_fqdn_sender and reject_non_fqdn_recipient.",
        {
            "smtpd_sender_restrictions": "reject_non_fqdn_sender",
            "smtpd_recipient_restrictions": "reject_non_fqdn_recipient",
        },
        [
            "s@x.test alice@vbox.test",
            "s@x alice@vbox.test",
            "joe alice@vbox.test",
            "<> alice@vbox.test",
            "s@[127.0.0.1] alice@vbox.test",
            "s@x_y.test alice@vbox.test",
            "s@-x.test alice@vbox.test",
            "s@1.2.3.4 alice@vbox.test",
            "s@x.test. alice@vbox.test",
            "s@x.test joe",
            "s@x.test postmaster",
            "s@x.test joe@local",
            "s@x.test joe@[127.0.0.1]",
        ],
    ),
    "helo_fqdn": (
        "reject_non_fqdn_helo_hostname.",
        {"smtpd_helo_restrictions": "reject_non_fqdn_helo_hostname"},
        [
            f"HELO={helo} s@x.test alice@vbox.test"
            for helo in (
                "client.test",
                "client",
                "[127.0.0.1]",
                "127.0.0.1",
                "a_b.test",
                "-a.test",
                "a..test",
                "client.test.",
                "[x]",
                "[IPv6:::1]",
                "1.2.3",
                "a.b-",
            )
        ],
    ),
    "helo_invalid": (
        "reject_invalid_helo_hostname.",
        {"smtpd_helo_restrictions": "reject_invalid_helo_hostname"},
        [
            f"HELO={helo} s@x.test alice@vbox.test"
            for helo in (
                "client.test",
                "client",
                "[127.0.0.1]",
                "127.0.0.1",
                "a_b.test",
                "-a.test",
                "a..test",
                "client.test.",
                "[x]",
                "[IPv6:::1]",
                "[::1]",
                "1.2.3",
                "a.b-",
                "x@y",
            )
        ],
    ),
    "client_access": (
        "check_client_access.",
        {
            "smtpd_client_restrictions": "check_client_access inline:{127.0.0.2=OK, {127.0.0 = REJECT not from there}}",
        },
        [f"{OURS} s@x.test alice@vbox.test", "s@x.test alice@vbox.test", "s@x.test o@other.test"],
    ),
    "client_cidr": (
        "check_client_access with a cidr table.",
        {
            "smtpd_client_restrictions": "check_client_access "
            "cidr:{{127.0.0.2 DUNNO}, {127.0.0.0/24 550 5.7.9 go home}}",
        },
        [f"{OURS} s@x.test alice@vbox.test", "s@x.test alice@vbox.test"],
    ),
    "helo_access": (
        "check_helo_access.",
        {"smtpd_helo_restrictions": "check_helo_access inline:{{bad.test = REJECT}, {worse.test = 450 later}}"},
        [f"HELO={helo} s@x.test alice@vbox.test" for helo in ("good.test", "bad.test", "sub.bad.test", "worse.test")],
    ),
    "sender_access": (
        "check_sender_access: keys and results.",
        {
            "smtpd_sender_restrictions": "check_sender_access inline:{{a@k.test = REJECT}, {k.test = REJECT 5.7.9 own},"
            " {user@ = 554 by user}, {d.test = DEFER}, {e.test = 450 4.7.5 wait}, {f.test = 521 5.7.6 bye},"
            " {g.test = DUNNO}, {<> = REJECT no bounces}, {h.test = 550}, {i.test = OK}, {j.test = 12345},"
            " {l.test = DEFER_IF_PERMIT}, {m.test = reject_non_fqdn_helo_hostname, reject}, {n.test = nonsense here},"
            " {o.test = WARN seen}, {p.test = REJECT 4.7.1 odd class}}",
        },
        [
            *[
                f"{sender} alice@vbox.test"
                for sender in (
                    "a@k.test",
                    "a+x@k.test",
                    "b@k.test",
                    "b@sub.k.test",
                    "user@z.test",
                    "user+x@z.test",
                    "x@d.test",
                    "x@e.test",
                    "x@f.test",
                    "x@g.test",
                    "<>",
                    "x@h.test",
                    "x@i.test",
                    "x@j.test",
                    "x@m.test",
                    "x@n.test",
                    "x@o.test",
                    "x@p.test",
                    "X@K.TEST",
                    "bare",
                )
            ],
            "x@i.test o@other.test",
        ],
    ),
    "recipient_access": (
        "check_recipient_access: a yes ends its own list alone.",
        {
            "smtpd_recipient_restrictions": "check_recipient_access inline:{alice@vbox.test=OK, {bob@ = REJECT no bob},"
            " other.test=OK, zed@vbox.test=OK}, reject_non_fqdn_sender, reject",
        },
        [
            "s@x alice@vbox.test",
            "s@x alice+e@vbox.test",
            "s@x.test bob@vbox.test",
            "s@x.test bob+x@vbox.test",
            "s@x.test zed@vbox.test",
            "s@x.test o@other.test",
            "s@x.test joe@local.test",
        ],
    ),
    "classes": (
        "smtpd_restriction_classes.",
        {
            "smtpd_restriction_classes": "strict, loose",
            "strict": "reject_non_fqdn_sender, reject_non_fqdn_helo_hostname",
            "loose": "permit",
            "smtpd_recipient_restrictions": "check_recipient_access "
            "inline:{alice@vbox.test=strict, bob@vbox.test=loose}, reject",
        },
        ["s@x alice@vbox.test", "s@x.test alice@vbox.test", "s@x bob@vbox.test", "s@x.test joe@local.test"],
    ),
    "warn": (
        "warn_if_reject.",
        {"smtpd_recipient_restrictions": "warn_if_reject reject_non_fqdn_sender, warn_if_reject reject"},
        ["s@x alice@vbox.test", "s@x.test zed@vbox.test"],
    ),
    "unknown_verb": (
        "A restriction that does not exist.",
        {"smtpd_recipient_restrictions": "permit_mynetworks, reject_the_bad_ones"},
        ["s@x.test alice@vbox.test", f"{OURS} s@x.test alice@vbox.test"],
    ),
    "reject_everywhere": (
        "reject in the recipient list.",
        {"smtpd_recipient_restrictions": "reject"},
        ["s@x.test alice@vbox.test"],
    ),
    "reject_sender": ("reject in the sender list.", {"smtpd_sender_restrictions": "reject"}, ["s@x.test a@vbox.test"]),
    "reject_helo": ("reject in the helo list.", {"smtpd_helo_restrictions": "reject"}, ["s@x.test a@vbox.test"]),
    "defer_all": (
        "defer in every list.",
        {"smtpd_client_restrictions": "defer"},
        ["s@x.test alice@vbox.test"],
    ),
    "defer_sender": ("defer in the sender list.", {"smtpd_sender_restrictions": "defer"}, ["s@x.test a@vbox.test"]),
    "defer_recipient": (
        "defer for recipients.",
        {"smtpd_recipient_restrictions": "defer"},
        ["s@x.test alice@vbox.test"],
    ),
    "soft_bounce": (
        "soft_bounce.",
        {"soft_bounce": "yes", "smtpd_relay_restrictions": "reject_unauth_destination"},
        ["s@x.test o@other.test", "s@x.test zed@vbox.test", "s@x.test alice@vbox.test", "s@x.test a@err.test"],
    ),
    "bad_mynetworks": (
        "mynetworks with host bits set.",
        {"mynetworks": "127.0.0.2/24"},
        ["s@x.test alice@vbox.test"],
    ),
    "fail_mailbox": (
        "A recipient table that is down.",
        {"virtual_mailbox_maps": "fail:down"},
        ["s@x.test alice@vbox.test", "s@x.test joe@vbox.test", "s@x.test joe@local.test", "s@x.test o@other.test"],
    ),
    "fail_access": (
        "Access tables that are down.",
        {"smtpd_sender_restrictions": "check_sender_access fail:down"},
        ["s@x.test alice@vbox.test", "<> alice@vbox.test"],
    ),
    "fail_client": (
        "A client table that is down.",
        {"smtpd_client_restrictions": "check_client_access fail:down"},
        ["s@x.test alice@vbox.test"],
    ),
    "data_reject": (
        "smtpd_data_restrictions.",
        {"smtpd_data_restrictions": "reject_unauth_pipelining, check_sender_access inline:{{bad.test = REJECT}}"},
        ["s@x.test alice@vbox.test DATA", "s@bad.test alice@vbox.test DATA"],
    ),
    "data_reject_all": ("reject at DATA.", {"smtpd_data_restrictions": "reject"}, ["s@x.test alice@vbox.test DATA"]),
    "end_reject": (
        "smtpd_end_of_data_restrictions.",
        {"smtpd_end_of_data_restrictions": "reject"},
        ["s@x.test alice@vbox.test DATA"],
    ),
    "bare_table": (
        "A table without a verb.",
        {"smtpd_sender_restrictions": "inline:{bad.test=REJECT}"},
        ["s@x.test alice@vbox.test", "s@bad.test alice@vbox.test"],
    ),
    "negated_networks": (
        "mynetworks with an exception.",
        {"mynetworks": "!127.0.0.3, 127.0.0.0/24"},
        [f"{OURS} s@x.test o@other.test", "s@x.test o@other.test"],
    ),
}


def session(port: int, line: str) -> str:
    """The reply that decides."""
    words = line.split(" ")
    client, helo, data = STRANGER, "client.test", False
    if words[-1] == "DATA":
        data = True
        words.pop()
    while len(words) > 2:
        word = words.pop(0)
        if word.startswith("HELO="):
            helo = word[5:]
        else:
            client = word
    sender, recipient = words
    with socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(client, 0)) as connection:
        stream = connection.makefile("rwb")

        def say(text: str) -> str:
            stream.write(text.encode() + b"\r\n")
            stream.flush()
            return answer()

        def answer() -> str:
            while True:
                reply = stream.readline().decode().rstrip()
                if reply[3:4] != "-":
                    return reply

        reply = answer()
        commands = [f"EHLO {helo}", f"MAIL FROM:<{sender.strip('<>')}>", f"RCPT TO:<{recipient}>"]
        commands += ["DATA", "Subject: a\r\n\r\nb\r\n."] if data else []
        for command in commands:
            reply = say(command)
            if reply[0] not in "23":
                break
        if reply.startswith("250 2.0.0 Ok: queued"):
            reply = "250 2.0.0 Ok: queued"
        return reply


@contextlib.contextmanager
def postfix(
    settings: dict[str, str], services: list[str], defer: str = "smtp, virtual, local, relay, error"
) -> Iterator[Path]:
    """A Postfix in a temporary directory, with these lines of master.cf on top of its own; yields its ``-c``.

    ``defer`` are the transports that deliver nothing.
    """
    root = Path(tempfile.mkdtemp(prefix="golden"))
    root.chmod(0o755)
    for name in ("conf", "queue", "data"):
        (root / name).mkdir()
    shutil.chown(root / "data", "postfix")
    settings = {
        **settings,
        "queue_directory": str(root / "queue"),
        "data_directory": str(root / "data"),
        "maillog_file": str(root / "log"),
        "maillog_file_prefixes": str(root),
        "defer_transports": defer,
    }
    (root / "conf" / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
    commands = {"rewrite": "trivial-rewrite", "defer": "bounce", "trace": "bounce", "retry": "error"}
    public = ("pickup", "cleanup", "qmgr", "showq")
    limits = dict.fromkeys(("anvil", "qmgr", "scache", "verify", "pickup", "tlsmgr"), 1)
    limits |= dict.fromkeys(("cleanup", "bounce", "defer", "trace"), 0)
    programs = "pickup cleanup qmgr tlsmgr rewrite bounce defer trace verify proxymap showq error retry anvil scache"
    lines = [
        f"{name} unix {'n' if name in public else '-'} - n - {limits.get(name, '-')} {commands.get(name, name)}"
        for name in programs.split()
    ]
    lines.append("postlog unix-dgram n - n - 1 postlogd")
    (root / "conf" / "master.cf").write_text("\n".join([*services, *lines]) + "\n")
    try:
        subprocess.run(["postfix", "-c", root / "conf", "start"], check=True, timeout=60)
        time.sleep(1)
        yield root / "conf"
    finally:
        subprocess.run(["postfix", "-c", root / "conf", "stop"], check=False, timeout=60)
        if (root / "log").exists():
            print((root / "log").read_text())
        shutil.rmtree(root)


def free_ports() -> int:
    """Where a row of ports begins that probably nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1]) % 10000 + 20000


def record() -> None:
    """Run Postfix and write the scripts."""
    first = free_ports()
    services = []
    for number, (_, overrides, _) in enumerate(CASES.values()):
        services.append(f"127.0.0.1:{first + number} inet n - n - - smtpd")
        services += [f"  -o {{ {key} = {value} }}" for key, value in overrides.items()]
    with postfix(BASE, services):
        HERE.mkdir(exist_ok=True)
        for number, (name, (title, overrides, sessions)) in enumerate(CASES.items()):
            text = [f"# {title}", *(f"#! {key} = {value}" for key, value in overrides.items())]
            text += [f"{line} -> {session(first + number, line)}" for line in sessions]
            (HERE / f"{name}.txt").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    record()
