"""Plays the conversations recorded from a real Postfix (``tests/golden/smtpd``) against our server."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import ssl
from pathlib import Path

import pytest

from angarium.config.config import Config
from angarium.daemons.smtpd.client import ClientName
from angarium.daemons.smtpd.exemptions import make_exemptions
from angarium.daemons.smtpd.parameters import SmtpdParameters
from angarium.daemons.smtpd.tables import make_session_tables
from angarium.model.reply import Reply
from angarium.model.verdict import Action, Verdict
from angarium.policy.main import make_policy
from angarium.rewrite.main import make_resolver
from angarium.runtime.log import ServiceLog
from angarium.tables.opener import TableOpener

GOLDEN = Path(__file__).parents[3] / "golden"
_spec = importlib.util.spec_from_file_location("record_smtpd", GOLDEN / "record_smtpd.py")
assert _spec is not None
assert _spec.loader is not None
record = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(record)

NOT_OURS = {"smtpd_sasl_type"}


def reject(code, dsn, text, action=Action.REJECT, **more):
    return Verdict(action, "", "test", Reply.of(code, dsn, text), **more)


DENIED = "Access denied"
# What Postfix's restriction lists say in these files; the lists themselves are the policy's business.
VERDICTS = {
    "client_rejected": {"connect": reject(554, "5.7.1", f"<unknown[127.0.0.1]>: Client host rejected: {DENIED}")},
    "client_rejected_421": {
        "connect": reject(421, "4.7.1", "<unknown[127.0.0.1]>: Client host rejected: go away", disconnect=True)
    },
    "helo_rejected": {"helo": reject(554, "5.7.1", f"<x>: Helo command rejected: {DENIED}")},
    "sender_rejected": {"mail": reject(554, "5.7.1", f"<a@client.test>: Sender address rejected: {DENIED}")},
    "data_rejected": {"data": reject(554, "5.7.1", f"<DATA>: Data command rejected: {DENIED}")},
    "end_rejected": {"end_of_data": reject(554, "5.7.1", f"<END-OF-MESSAGE>: End-of-data rejected: {DENIED}")},
    "senders": {"mail": lambda facts: reject(554, "5.7.1", f"<{facts.sender}>: Sender address rejected: {DENIED}")},
}

# Files that are played with the real policy: what access tables ask for.
WITH_POLICY = ("access_", "held", "discarded", "xclient", "xforward", "ehlo_maps", "verp_ehlo")
NOT_SUPPORTED = " is not supported: the message goes on without it"


def steps(lines):
    """Group a file into batches of what the client does, with the server's lines after each."""
    batches = [([], [])]
    for line in lines:
        if line.startswith("S: "):
            batches[-1][1].append(line[3:])
        elif line[:1] in ("C", "T", "E"):
            did, said = batches[-1]
            if said or line[:2] in ("T:", "E:") or any(other[:2] == "T:" for other in did):
                batches.append(([], []))
            batches[-1][0].append(line)
    return batches


async def play(talk, batches):
    for did, expected in batches:
        data = b"".join(record.octets(line) for line in did if line.startswith("C"))
        if data:
            with contextlib.suppress(ConnectionError):
                talk.writer.write(data)
        if any(line.startswith("T:") for line in did):
            if expected == ["<tls failed>"]:
                with pytest.raises((OSError, ssl.SSLError)):
                    await talk.start_tls()
                return
            await talk.start_tls()
        if any(line.startswith("E:") for line in did):
            talk.writer.write_eof()
        said = []
        for line in expected:
            if line == "<nothing>":
                said.append(line)
                continue
            try:
                got = await talk.reader.readline()
            except ConnectionError:
                got = b""
            said.append(record.normalise(got.decode("utf-8", "backslashreplace").rstrip("\r\n")) if got else "<closed>")
        assert said == expected, did


@pytest.mark.parametrize("file", sorted((GOLDEN / "smtpd").glob("*.txt")), ids=lambda file: file.stem)
def test_our_server_says_and_logs_what_postfix_does(server, file, tls_context):
    lines = file.read_text().splitlines()
    proxy, parameters = record.with_filter(record.parameters(file))
    overrides = dict(line.split(" = ", 1) for line in parameters)
    settings = {name: text for name, text in (record.MAIN_CF | overrides).items() if name not in NOT_OURS}
    server.parameters = SmtpdParameters.from_config(Config.of(settings), "127.0.0.1:PORT")
    if "smtpd_timeout" in overrides:
        server.configure(timeout=0.05)  # the recorder waited for a second, we need not
    server.tls = tls_context
    server.exemptions = make_exemptions(Config.of(settings), TableOpener(lambda _text: None))
    server.tables = make_session_tables(Config.of(settings), TableOpener(lambda _text: None))
    server.resolver.name = ClientName("unknown")
    if file.stem.startswith(WITH_POLICY):
        configuration = Config.of(settings)
        log = ServiceLog(server.log, "postfix/smtpd")
        tables = TableOpener(log.warning)
        server.policy = make_policy(configuration, make_resolver(configuration, tables), tables, log)
    else:
        server.policy.verdicts = fake_verdicts(file.stem)

    async def test():
        talk = await server.connect(greeting=False)
        await play(talk, steps(lines))
        await talk.close()

    server.run(test)
    if proxy is not None:
        proxy.close()
        heard = [record.normalise(re.sub(r"PORT=[0-9]+", "PORT=PORT", line)) for line in proxy.said]
        assert heard == [line[3:] for line in lines if line.startswith("F: ")]
    # Where Postfix logs the beginning of a response that is too long, we do not: it is part of a password.
    expected = [line[3:].replace("A" * 30 + "...", "...") for line in lines if line.startswith("L: ")]
    logged = [re.sub(r"( lookup error for .*): down$", r"\1", line) for line in server.lines]  # we say why
    assert [record.normalise(line) for line in logged if NOT_SUPPORTED not in line] == expected


def fake_verdicts(stem):
    verdicts = dict(VERDICTS.get(stem, {}))
    for stage in ("rcpt", "vrfy"):
        for address in ("reject@example.test", "reject@example.test.", "REJECT@EXAMPLE.TEST"):
            text = f"<{address}>: Recipient address rejected: {DENIED}"
            verdicts[stage, address] = reject(554, "5.7.1", text)
    return verdicts
