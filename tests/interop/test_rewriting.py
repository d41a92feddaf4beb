"""Rewriting, checks, copies and filters beside Postfix's, on whole servers between a client and a sink.

What the real one delivered is recorded in ``tests/golden/relayed.json`` and, for what it queued, in
``tests/golden/rewriting``; with ``--slow`` it is run again, to see that the recordings are still what it does.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import time
from pathlib import Path

import pytest
from tests.interop.relaypeer import refusal

GOLDEN = Path(__file__).parents[1] / "golden"
RELAYED = runpy.run_path(str(GOLDEN / "record_relayed.py"))
RECORDED = json.loads((GOLDEN / "relayed.json").read_text(encoding="utf-8"))
FIRST_PORT = 3100
PATIENCE = 20.0
NO_MORE = 0.5
"""Seconds that a message may take; after one that never came, the others get less."""

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def outcomes():
    """What our server made of each case: one server for all of them."""
    factory = runpy.run_path(str(GOLDEN.parent / "conftest.py"))["ServerFactory"]()
    try:
        with RELAYED["sink"]() as sink:
            settings = {**RELAYED["SETTINGS"], "relayhost": sink.hop("sink")}
            server = factory.prepare(settings)
            host = server.site.host
            lines = RELAYED["services"](host, FIRST_PORT, sink_state=sink)
            with (server.site.configuration / "master.cf").open("a", encoding="utf-8") as master:
                master.write("\n".join(lines) + "\n")
            server.start()
            found, patience = {}, PATIENCE
            for number, (name, case) in enumerate(RELAYED["CASES"].items()):
                expected = len(RECORDED[name]["messages"])
                found[name] = outcome(server, sink, FIRST_PORT + number, case, expected, patience)
                if len(found[name]["messages"]) < expected:
                    patience = NO_MORE
            yield found
    finally:
        factory.close()


def outcome(server, sink, port, case, expected, patience):
    sink.taken.clear()
    reply = RELAYED["send"](server.site.host, port, case)
    end = time.monotonic() + patience
    while len(sink.taken) < expected and time.monotonic() < end:
        time.sleep(0.01)
    return RELAYED["delivered"](sink.taken, reply, server.site.host)


def comparable(found):
    """What may differ is made the same: blanks where Postfix lays an address header out anew, and before a colon."""
    found = json.loads(json.dumps(found))
    for message in found["messages"]:
        text = re.sub(r"^([!-9;-~]+)[ \t]+:", r"\1:", message["content"], flags=re.MULTILINE)
        message["content"] = re.sub(
            r"^(?:To|Cc|From|Reply-To|Sender|Errors-To):.*\n(?:[ \t].*\n)*",
            lambda match: re.sub(r"\s+", "", match[0]) + "\n",
            text,
            flags=re.MULTILINE,
        )
    return found


@pytest.mark.parametrize("name", list(RELAYED["CASES"]))
def test_a_message_arrives_as_postfix_delivers_it(outcomes, name):
    assert comparable(outcomes[name]) == comparable(RECORDED[name])


def test_every_case_was_recorded():
    assert list(RECORDED) == list(RELAYED["CASES"])


@pytest.fixture
def root(peer):
    peer("postfix")
    if refusal():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(refusal())


@pytest.mark.slow
def test_the_recordings_are_what_postfix_does(root, tmp_path):
    recorder = runpy.run_path(str(GOLDEN / "record_rewriting.py"))
    for name, cases in recorder["record"](list(recorder["CONFIGS"])).items():
        whole = json.loads((GOLDEN / "rewriting" / f"{name}.json").read_text(encoding="utf-8"))
        assert whole["cases"] == json.loads(json.dumps(cases)), name


@pytest.mark.slow
def test_the_recorded_deliveries_are_what_postfix_does(root, tmp_path):
    recorder = runpy.run_path(str(GOLDEN / "record_relayed.py"))
    recorder["record"].__globals__["HERE"] = tmp_path
    recorder["record"]()
    assert json.loads((tmp_path / "relayed.json").read_text(encoding="utf-8")) == RECORDED
