"""Messages are rewritten and checked as Postfix does it: the files of ``tests/golden/rewriting``, recorded from it."""

from __future__ import annotations

import asyncio
import json
import re
import runpy
from pathlib import Path

import pytest

from angarium.cleanup.main import make_cleanup
from angarium.config.config import Config
from angarium.model.content import MemoryContent
from angarium.model.envelope import Envelope, Notify, Origin, Recipient
from angarium.model.error import MailError
from angarium.protocols.smtp.framing import DataDecoder
from angarium.rewrite.addresslist import list_texts
from angarium.rewrite.main import make_resolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener

GOLDEN = Path(__file__).parents[2] / "golden"
RECORDER = runpy.run_path(str(GOLDEN / "record_rewriting.py"))
CASES = [(config, case) for config, (_, cases) in RECORDER["CONFIGS"].items() for case in cases]
ADDRESSED = re.compile(
    r"^(?:To|Cc|From|Reply-To|Sender|Errors-To|Apparently-To|Mail-Followup-To|Return-Receipt-To|"
    r"Disposition-Notification-To|Resent-\w+):.*\n(?:[ \t].*\n)*",
    re.MULTILINE,
)


DIFFERENT = {
    # The comment stays where it was, and so do quotes around an address that is not rewritten.
    "complete:odd_03": "To: a@example.test (c), b@example.test, last@example.test\n",
    "incomplete:local": '"a@b", "a!b", j@[1.2.3.4]\n',
    # The message's id is logged before its addresses are looked up.
    "broken_headers:header": "sender_canonical_maps map lookup problem for f@x.test -- message not accepted",
    # A message is looked at for such characters before its headers are looked at for anything else.
    "unwanted:reject_body": "QID: reject: content ab?c from unknown[127.0.0.9]; from=<s@x.test> to=<a@x.test>",
    # What comes by SMTP never has half a line break.
    "stray_kept:return": "X-C: a b\n\nd e\nf\n",
    # A quote that never closes, in a bracket that is not to be closed either.
    "random_malformed:seed_13": 'Joe Doe\u00e9:]"\n',
    # A warning, as for all other tables.
    "broken_exceptions:exceptions": "warning: QID: masquerade_exceptions map lookup problem -- message not accepted",
}
"""What is not as in Postfix, on purpose."""


def outcome(config: str, case: str) -> dict[str, object]:
    """What we make of a case, in the recording's form."""
    settings, cases = RECORDER["CONFIGS"][config]
    how, text = cases[case]
    log = MemoryLog()
    service_log = ServiceLog(log, "postfix/cleanup")
    conf = Config.of({**RECORDER["BASE"], **settings})
    opener = TableOpener(service_log.warning)
    cleanup = make_cleanup(conf, make_resolver(conf, opener), opener, service_log)
    protocol = "SMTP" if how.get("verb") == "HELO" else "ESMTP"
    client = how.get("client", RECORDER["REMOTE"])
    origin = Origin(protocol, "unknown", client, 1, how.get("helo", "client.test"))
    to = how.get("to", "a@x.test")
    names = [to.replace('"', "")] if '"' in to else to.split(" ")
    people = tuple(Recipient(each, each) for each in names)
    smtputf8 = bool(how.get("utf8"))
    envelope = Envelope(how.get("from", "s@x.test"), people, 1795507122.0, origin, smtputf8=smtputf8)
    text = text if text.endswith("\n") else text + "\n"
    found: dict[str, object] = {}
    lines = [f".{line}" if line.startswith(".") else line for line in text.split("\n")[:-1]]
    content = DataDecoder().feed("\r\n".join([*lines, ".", ""]).encode())
    try:
        message = asyncio.run(cleanup.process("4F2A", envelope, MemoryContent(content)))
    except MailError as error:
        found["reply"] = str(error.reply)
    else:
        if message.discard:
            found["reply"] = "discarded"
        else:
            found["sender"] = message.envelope.sender
            found["recipients"] = [shown(each) for each in message.envelope.recipients]
            found["content_filter"] = message.envelope.content_filter
            found["hold"] = "hold" if message.hold else ""
            content = (message.prefix + message.content.read()).decode("utf-8", "surrogateescape")
            found["content"] = RECORDER["CLEANUP"]["normal"](content.replace("\r\n", "\n"), "4F2A")
    found["log"] = [RECORDER["CLEANUP"]["normal"](line.partition(": ")[2], "4F2A") for line in log.lines]
    return {key: value for key, value in found.items() if value or key in ("sender", "log")}


def addresses(header: re.Match[str]) -> str:
    """A header as the addresses in it: what Postfix does to names, comments and needless quotes is another thing."""
    name, _, value = header[0].partition(":")
    return f"{name}: {list_texts(value)}\n"


def shown(recipient: Recipient) -> str:
    """A recipient as the recording has it."""
    notify = f" notify={int(recipient.notify)}" if recipient.notify is not Notify.UNSAID else ""
    return f"{recipient.address} < {recipient.original}{notify}"


def comparable(found: dict[str, object]) -> dict[str, object]:
    """What may differ is made the same: what we add to a line about a table that fails, and where our line stands.
    A warning for each impossible address in brackets in a header is Postfix's alone.

    Blanks in a header that Postfix lays out anew to change an address; the quotes that it then puts around a name or
    takes off; a blank before a colon, which here stays for the signatures over it. A redirected message keeps in
    Postfix's queue the recipients that nobody delivers to.
    """
    found = dict(found)
    if "content" in found:
        text = re.sub(r"^([!-9;-~]+)[ \t]+:", r"\1:", str(found["content"]), flags=re.MULTILINE)
        found["content"] = ADDRESSED.sub(lambda match: re.sub(r"\s+", "", match[0]) + "\n", text)
    lines = [line for line in found["log"] if "valid_ipv4_hostaddr" not in line]
    found["log"] = sorted(re.sub(r"(try again later) \(fail:down: .*\)$", r"\1", line) for line in lines)
    if "redirect_to" in found:
        target = found.pop("redirect_to")
        first = found["recipients"][0]
        found["recipients"] = [f"{target} < {first.partition(' < ')[2]}"]
        found.pop("content_filter", None)
    return found


@pytest.mark.parametrize(("config", "case"), CASES, ids=[f"{config}:{case}" for config, case in CASES])
def test_a_message_is_rewritten_as_postfix_does_it(config, case):
    if f"{config}:{case}" in DIFFERENT:
        found = outcome(config, case)
        assert DIFFERENT[f"{config}:{case}"] in f"{found.get('content')}{found['log']}"
        return
    recorded = json.loads((GOLDEN / "rewriting" / f"{config}.json").read_text(encoding="utf-8"))
    assert recorded["settings"] == RECORDER["CONFIGS"][config][0], "record again"
    expected, found = recorded["cases"][case], outcome(config, case)
    if config.startswith("random_odd"):
        for each in (expected, found):
            each["content"] = ADDRESSED.sub(addresses, str(each["content"]))
    assert comparable(found) == comparable(expected)
