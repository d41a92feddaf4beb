"""bounce_template_file (bounce(5))."""

from __future__ import annotations

import pytest

from angarium.agents.bounce.interface import Event
from angarium.agents.bounce.parameters import BounceParameters
from angarium.agents.bounce.templates import TEMPLATES, expand, read_templates
from angarium.config.config import Config

FILE = """\
# a comment

failure_template = <<EOF
Charset: iso-8859-1
From: POSTMASTER (The Mail Robot)
Subject: It did not work
Postmaster-Subject: Copy: it did not work

This is $myhostname of ${mydomain}. It costs $$5.
We try for $maximal_queue_lifetime_days days, or $maximal_queue_lifetime_hours hours.
EOF
success_template = <<END
All is well: EOF
END
verify_template = <<EOF
Traced.
EOF
"""


def read(text):
    warnings = []
    return read_templates(text, warnings.append), warnings


def test_a_file_replaces_what_it_has():
    templates, warnings = read(FILE)
    assert warnings == []
    failure = templates[Event.FAILURE]
    assert failure.sender == ("POSTMASTER", "The Mail Robot")
    assert (failure.subject, failure.postmaster_subject) == ("It did not work", "Copy: it did not work")
    assert failure.charset == "iso-8859-1"
    assert failure.text.startswith("This is $myhostname")
    assert templates[Event.SUCCESS].text == "All is well: EOF\n"
    assert templates[Event.SUCCESS].subject == TEMPLATES[Event.SUCCESS].subject
    assert templates[Event.DELAY] is TEMPLATES[Event.DELAY]
    assert templates[Event.TRACE].text == "Traced.\n"


def test_main_cf_gives_the_values(tmp_path):
    path = tmp_path / "bounce.cf"
    path.write_text(FILE)
    settings = {"bounce_template_file": str(path), "myhostname": "mx.example.test", "mydomain": "example.test"}
    parameters = BounceParameters.from_config(Config.of(settings))
    assert expand(parameters.templates[Event.FAILURE].text, parameters.value) == (
        "This is mx.example.test of example.test. It costs $5.\nWe try for 5 days, or 120 hours.\n"
    )


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("nonsense\n", "line 1: not a template: nonsense"),
        ("failure_template = <<EOF\nno end\n", "line 1: template failure_template has no end EOF"),
        ("other_template = <<EOF\nEOF\n", "line 1: unknown template other_template"),
        ("failure_template = <<EOF\nX-Other: 1\n\ntext\nEOF\n", "line 1: unknown header X-Other"),
        (
            "failure_template = <<EOF\nSubject: b\u00f6se\n\ntext\nEOF\n",
            "line 1: header Subject holds what a header cannot",
        ),
    ],
)
def test_what_has_no_sense_is_said(text, warning):
    _, warnings = read(text)
    assert warnings == [warning]


def test_a_file_that_is_not_there_changes_nothing(tmp_path):
    warnings = []
    settings = {"bounce_template_file": str(tmp_path / "none"), "myhostname": "mx.example.test"}
    parameters = BounceParameters.from_config(Config.of(settings), warnings.append)
    assert parameters.templates is TEMPLATES
    assert "No such file" in warnings[0]
