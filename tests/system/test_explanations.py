"""What ``angarium explain`` says is what the server then does: random questions over ten configurations.

Each question is asked of both. The reply must be the same, letter for letter; of an accepted message the log must tell
of the recipients, transports, next hops and ends that were foretold, and of no others.
"""

from __future__ import annotations

import asyncio
import random
import re
import runpy
import smtplib
import time
from pathlib import Path

import pytest

from angarium.commands.explain.engine import Question, explain
from angarium.model.lookup import TemporaryError

pytestmark = pytest.mark.slow

SINKS = runpy.run_path(str(Path(__file__).parents[1] / "fakes" / "smtp_sinks.py"))
PATIENCE = 20.0
FIRST, SECOND = "127.71.0.10", "127.71.0.11"
COMMON = {
    "smtpd_peername_lookup": "no",
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_tls_auth_only": "no",
    "smtp_tls_security_level": "none",
    "mynetworks": "127.0.0.1/32",
    "mydestination": "",
    "smtpd_error_sleep_time": "0",
    "smtpd_client_event_limit_exceptions": "127.0.0.0/8",
    "smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
    "relay_domains": "relay.test",
    "virtual_alias_domains": "valias.test",
    "virtual_alias_maps": "inline:{{info@valias.test = alice@example.test, o@remote.test},"
    "{two@valias.test=bob@example.test, nobody@example.test, r@relay.test},{@catch.test=alice@example.test},"
    "{loop@valias.test=loop@valias.test}} directory:aliases",
    "relayhost": f"[{FIRST}]:PORT",
    "transport_maps": "inline:{{closed.test=error:5.1.1 closed for good},{slow.test=retry:4.3.2 come back},"
    f"{{gone.test=discard:}},{{relay.test=smtp:[{SECOND}]:PORT}},{{strange.test=nowhere:}}}}",
}
CONFIGURATIONS = {
    "plain": {},
    "checks": {
        "smtpd_sender_restrictions": "check_sender_access inline:{{bad@x.test=REJECT not you},{held@x.test=HOLD why},"
        "{gone@x.test=DISCARD},{later@x.test=DEFER},{moved@x.test=REDIRECT bob@example.test},"
        f"{{copied@x.test=BCC bob@example.test}},{{filtered@x.test=FILTER smtp:[{SECOND}]:PORT}},"
        "{warned@x.test=WARN careful}}, reject_non_fqdn_sender",
        "smtpd_client_restrictions": "check_client_access cidr:{{127.0.0.3/32 450 4.7.1 not now}}",
    },
    "helo": {
        "smtpd_helo_required": "yes",
        "smtpd_helo_restrictions": "permit_mynetworks, reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname",
        "smtpd_delay_reject": "no",
    },
    "unlisted": {
        "relay_recipient_maps": "inline:{r@relay.test=x}",
        "smtpd_reject_unlisted_sender": "yes",
        "unknown_relay_recipient_reject_code": "551",
        "show_user_unknown_table_name": "no",
    },
    "logins": {
        "smtpd_sender_login_maps": "inline:{{alice@example.test=alice@example.test},{s@x.test=bob@example.test}}",
        "smtpd_sender_restrictions": "reject_sender_login_mismatch",
    },
    "rewriting": {
        "sender_canonical_maps": "inline:{s@x.test=outer@x.test}",
        "recipient_canonical_maps": "inline:{{o@remote.test=alice@example.test},{r@relay.test=r2@relay.test}}",
        "masquerade_domains": "x.test",
        "always_bcc": "bob@example.test",
        "sender_bcc_maps": "inline:{{held@x.test=sent@relay.test}}",
    },
    "content": {
        "header_checks": "regexp:{{/^Subject: bad/ REJECT no such subject},{/^Subject: hold/ HOLD},"
        f"{{/^Subject: filter/ FILTER smtp:[{SECOND}]:PORT}},{{/^Subject: bcc/ BCC bob@example.test}},"
        "{/^Subject: redirect/ REDIRECT alice@example.test},{/^Subject: discard/ DISCARD}}",
    },
    "filtered": {"content_filter": f"smtp:[{SECOND}]:PORT"},
    "relays": {
        "sender_dependent_relayhost_maps": f"inline:{{{{s@x.test=[{SECOND}]:PORT}}}}",
        "sender_dependent_default_transport_maps": "inline:{{bad@x.test=error:5.7.1 not from you}}",
        "relocated_maps": "inline:{{o@remote.test=elsewhere@new.test},{alice@example.test=alice@new.test}}",
    },
    "deferring": {
        "defer_transports": "virtual",
        "soft_bounce": "yes",
        "smtpd_restriction_classes": "later",
        "later": "defer_if_permit",
        "smtpd_recipient_restrictions": "reject_non_fqdn_recipient, check_sender_access inline:{later@x.test=later},"
        " permit_mynetworks, permit_sasl_authenticated, reject",
    },
}
SENDERS = [
    *("s@x.test", "", "bad@x.test", "held@x.test", "gone@x.test", "later@x.test", "moved@x.test", "copied@x.test"),
    *(
        "filtered@x.test",
        "warned@x.test",
        "alice@example.test",
        "nobody@example.test",
        "u@relay.test",
        "bare",
        "u@short",
    ),
]
RECIPIENTS = [
    *("alice@example.test", "Bob+ext@Example.Test", "nobody@example.test", "info@valias.test", "two@valias.test"),
    *("loop@valias.test", "none@valias.test", "o@remote.test", "r@relay.test", "z@relay.test", "a@closed.test"),
    *("a@slow.test", "d@gone.test", "x@strange.test", "any@catch.test", "bare", "u%remote.test@relay.test"),
]
CLIENTS = ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3"]
SUBJECTS = ["fine", "fine", "bad", "hold", "filter", "bcc", "redirect", "discard"]
QUESTIONS = 25


def questions(seed):
    chance = random.Random(seed)
    for _ in range(QUESTIONS):
        content = f"From: f@x.test\r\nSubject: {chance.choice(SUBJECTS)}\r\n\r\nbody\r\n".encode()
        yield Question(
            chance.choice(SENDERS),
            chance.choice(RECIPIENTS),
            chance.choice(CLIENTS),
            chance.choice(["client.example.com", "client.example.com", "short", "b@d"]),
            chance.choice(["", "", "alice@example.test"]),
            content=content,
        )


def foretold(done):
    """(recipient, program, where to, status) of each delivery; an empty set: nothing is delivered."""
    if done.message is None or done.message.hold or done.message.discard:
        return set()
    found = set()
    for way in done.ways:
        assert not isinstance(way.resolution, TemporaryError)
        facts = way.ending.facts
        status = {"mailbox": "sent", "relay": "sent", "discarded": "sent"}.get(str(facts["outcome"]), facts["outcome"])
        place = ""
        if facts["outcome"] == "relay":
            (host,) = facts["hosts"]
            place = f"{host['host']}[{host['address']}]:{host['port']}"
        is_kept = way.ending.lines[0].startswith("deferred: ")  # by the queue manager, or by retry
        program = "error" if is_kept else way.resolution.transport
        found.add((way.recipient, program, place, status))
    return found


def delivered(log, queue_id):
    """The same, from the lines of the log."""
    found = set()
    pattern = rf"postfix/([\w/]+)\[\d+\]: {queue_id}: to=<([^>]*)>,.* relay=([^,]*),.* status=(\w+)"
    for program, recipient, relay, status in re.findall(pattern, log):
        place = relay if program == "smtp" and "[" in relay else ""
        found.add((recipient, program, place, status))
    return found


def told(server, question):
    """The server's answer: the first refusal, or that of the message."""
    site, secret = server.site, server.passwords.get(question.sasl, "")
    client = smtplib.SMTP(timeout=PATIENCE, source_address=(question.client, 0))
    try:
        code, text = client.connect(site.host, site.ports.smtp)
        commands = [
            ("EHLO", question.helo),
            ("MAIL", f"FROM:<{question.sender}>"),
            ("RCPT", f"TO:<{question.recipient}>"),
        ]
        for verb, argument in commands:
            code, text = client.docmd(verb, argument)
            if code >= 400:
                break
            if verb == "EHLO":
                client.ehlo_resp = text
                client.does_esmtp = True
                client.esmtp_features = {"auth": "PLAIN"}
                if question.sasl:
                    client.user, client.password = question.sasl, secret
                    client.auth("PLAIN", client.auth_plain)
        else:
            code, text = client.data(question.content)
        return f"{code} {text.decode()}"
    finally:
        client.close()


def settled(server, queue_id, wanted):
    """What was delivered, when as much of it is there as was foretold, or nothing came for a while."""
    until = time.monotonic() + PATIENCE
    while True:
        found = delivered(server.log(), queue_id)
        if len(found) >= len(wanted) or time.monotonic() > until:
            return found
        time.sleep(0.02)


@pytest.mark.parametrize("name", list(CONFIGURATIONS))
def test_what_is_explained_is_what_happens(servers, name):
    sinks = SINKS["Sinks"]({FIRST: {}, SECOND: {}})
    try:
        settings = COMMON | CONFIGURATIONS[name]
        server = servers.start({key: value.replace("PORT", str(sinks.port)) for key, value in settings.items()})
        pending = []
        for question in questions(name):
            done = asyncio.run(explain(server.site.configuration, question))
            reply = told(server, question)
            queue_id = re.search(r"queued as (\w+)", reply)
            assert (done.reply, question) == (re.sub(r"queued as \w+", "queued", reply), question)
            if queue_id is not None:
                pending.append((question, queue_id[1], foretold(done)))
        assert pending
        for question, queue_id, wanted in pending:
            found = settled(server, queue_id, wanted)
            assert found == wanted, (
                f"{question}: {found} {[line for line in server.log().splitlines() if queue_id in line]}"
            )
    finally:
        sinks.close()
