"""Records what the Postfix on this machine answers about addresses that it probes: ``… record_verify.py``.

As ``record_policy.py``, with SMTP servers that have a script to probe. A line of ``verify/`` is sender, recipient, and
the reply of the first attempt.
"""

from __future__ import annotations

import runpy
from pathlib import Path

GOLDEN = Path(__file__).parent
HERE = GOLDEN / "verify"
POLICY = runpy.run_path(str(GOLDEN / "record_policy.py"))
SINKS = runpy.run_path(str(GOLDEN.parent / "fakes" / "smtp_sinks.py"))
PORT = 2527
SCRIPTS = {
    "127.67.0.10": {},
    "127.67.0.11": {"RCPT": "550 5.1.1 nobody here"},
    "127.67.0.12": {"RCPT": "450 4.2.1 come later"},
    "127.67.0.13": {"MAIL": "550 5.7.1 no probes"},
    "127.67.0.14": {"GREETING": "554 5.3.2 go away"},
    "127.67.0.15": {"RCPT": "550 nobody without a code"},
}
HOSTS = {"ok": 10, "no": 11, "later": 12, "mail": 13, "greet": 14, "bare": 15, "dead": 99}
TRANSPORTS = ", ".join(f"{{{name}.test = smtp:[127.67.0.{number}]:{PORT}}}" for name, number in HOSTS.items())

BASE = {
    **{name: value for name, value in POLICY["BASE"].items() if name != "transport_maps"},
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    "smtpd_error_sleep_time": "0",
    "in_flow_delay": "0",
    "relay_domains": ", ".join(f"{name}.test" for name in HOSTS) + ", closed.test, wait.test",
    "relay_recipient_maps": "",
    "transport_maps": f"inline:{{{TRANSPORTS}, {{closed.test = error:5.7.1 closed}}, "
    "{wait.test = retry:4.3.2 wait}}",
    "address_verify_poll_delay": "1s",
    "local_transport": "error:5.1.1 no local mail",
    "virtual_transport": "discard",
}
RECIPIENTS = [f"s@x.test u@{name}.test" for name in (*HOSTS, "closed", "wait")]
SENDERS = [f"u@{name}.test alice@vbox.test" for name in (*HOSTS, "closed", "wait")]

CASES: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "recipient": (
        "reject_unverified_recipient.",
        {"smtpd_recipient_restrictions": "reject_unverified_recipient", "smtpd_reject_unlisted_recipient": "no"},
        [*RECIPIENTS, "s@x.test alice@vbox.test", "s@x.test info@valias.test", "s@x.test postmaster"],
    ),
    "recipient_codes": (
        "reject_unverified_recipient: codes and reasons.",
        {
            "smtpd_recipient_restrictions": "reject_unverified_recipient",
            "unverified_recipient_reject_code": "550",
            "unverified_recipient_defer_code": "451",
            "unverified_recipient_reject_reason": "no such user",
            "smtpd_reject_unlisted_recipient": "no",
        },
        RECIPIENTS,
    ),
    "recipient_then_reject": (
        "reject_unverified_recipient: what fails for now gives way to a refusal.",
        {"smtpd_recipient_restrictions": "reject_unverified_recipient, reject"},
        RECIPIENTS[:4],
    ),
    "recipient_defer": (
        "unverified_recipient_tempfail_action.",
        {
            "smtpd_recipient_restrictions": "reject_unverified_recipient, reject",
            "unverified_recipient_tempfail_action": "defer",
        },
        RECIPIENTS[:4],
    ),
    "sender": (
        "reject_unverified_sender.",
        {"smtpd_sender_restrictions": "reject_unverified_sender"},
        [*SENDERS, "<> alice@vbox.test"],
    ),
    "sender_codes": (
        "reject_unverified_sender: codes and reasons.",
        {
            "smtpd_sender_restrictions": "reject_unverified_sender",
            "unverified_sender_reject_code": "550",
            "unverified_sender_reject_reason": "Sender does not exist",
        },
        SENDERS,
    ),
}


def answers() -> dict[tuple[str, str], str]:
    """What Postfix says: (case, line) -> reply."""
    first = POLICY["free_ports"]()
    services: list[str] = [
        "smtp unix - - n - - smtp",
        "discard unix - - n - - discard",
        "bounce2 unix - - n - 0 bounce",
    ]
    for number, (_, overrides, _) in enumerate(CASES.values()):
        services.append(f"127.0.0.1:{first + number} inet n - n - - smtpd")
        services += [f"  -o {{ {key} = {value} }}" for key, value in overrides.items()]
    sinks = SINKS["Sinks"](SCRIPTS, PORT)
    try:
        with POLICY["postfix"](BASE, services, defer=""):
            return {
                (name, line): POLICY["session"](first + number, line)
                for number, (name, (_, _, lines)) in enumerate(CASES.items())
                for line in lines
            }
    finally:
        sinks.close()


def record() -> None:
    """Run Postfix and write the scripts."""
    HERE.mkdir(exist_ok=True)
    found = answers()
    for name, (title, overrides, lines) in CASES.items():
        text = [f"# {title}", *(f"#! {key} = {value}" for key, value in overrides.items())]
        text += [f"{line} -> {found[name, line]}" for line in lines]
        (HERE / f"{name}.txt").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    record()
