"""Delivery-status parts: what is rendered reads back, whatever it holds; what is not one is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.dsn import RecipientStatus, Report, ReportError, parse_delivery_status, render_delivery_status
from angarium.protocols.dsn.render import WIDTH, fold

WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=";:"), min_size=1, max_size=30)
TEXT = st.lists(WORD, min_size=1, max_size=20).map(" ".join)
STATUS = st.builds(
    RecipientStatus,
    final=WORD,
    action=st.sampled_from(["failed", "delayed", "delivered", "relayed", "expanded"]),
    status=st.sampled_from(["5.1.1", "4.4.1", "2.0.0"]),
    diagnostic_type=st.sampled_from(["smtp", "X-Postfix"]),
    diagnostic=TEXT,
    original=st.one_of(st.just(""), WORD.map("rfc822;{}".format)),
    remote_mta=st.one_of(st.just(""), WORD),
    will_retry_until=st.sampled_from(["", "Sun, 29 Nov 2026 08:03:42 +0000 (UTC)"]),
    last_attempt=st.sampled_from(["", "Tue, 24 Nov 2026 08:03:42 +0000 (UTC)"]),
)
REPORT = st.builds(
    Report,
    reporting_mta=WORD,
    queue_id=st.just("8375020C3D4"),
    sender=WORD,
    arrival_date=st.just("Tue, 24 Nov 2026 08:03:42 +0000 (UTC)"),
    recipients=st.lists(STATUS, min_size=1, max_size=4).map(tuple),
    envelope_id=st.one_of(st.just(""), WORD),
)


@given(REPORT)
@settings(max_examples=80)
def test_what_is_rendered_reads_back(report):
    assert parse_delivery_status(render_delivery_status(report)) == report


@given(TEXT)
@settings(max_examples=80)
def test_folded_lines_are_short_and_lose_nothing(text):
    lines = list(fold(text))
    assert " ".join(line.strip() for line in lines) == text
    assert all(len(line) <= WIDTH or " " not in line.strip() for line in lines)


@given(st.text(max_size=200))
@settings(max_examples=80)
def test_no_text_breaks_out_of_its_field(text):
    status = RecipientStatus("a@b", "failed", "5.0.0", "smtp", text, remote_mta=text)
    data = render_delivery_status(Report("mx", "ID", text, "date", (status,), text))
    parsed = parse_delivery_status(data)
    assert len(parsed.recipients) == 1
    assert parsed.recipients[0].action == "failed"
    assert parsed.recipients[0].status == "5.0.0"


@given(st.binary(max_size=400))
@settings(max_examples=100)
def test_anything_else_is_refused_and_nothing_worse(data):
    with contextlib.suppress(ReportError):
        parse_delivery_status(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Reporting-MTA: dns; mx\r\n",
        b"Final-Recipient: rfc822; a@b\r\n\r\nAction: failed\r\nStatus: 5.0.0\r\n",
        b"Reporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; a@b\r\nStatus: 5.0.0\r\n",
        b"Reporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; a@b\r\nAction: exploded\r\nStatus: 5.0.0\r\n",
        b"Reporting-MTA: dns; mx\r\n\r\n" + b"x" * 2_000_000,
    ],
)
def test_incomplete_or_oversized_parts_are_refused(data):
    with pytest.raises(ReportError):
        parse_delivery_status(data)


def test_fields_may_be_folded_unknown_and_in_any_case():
    data = (
        b"REPORTING-MTA: dns; mx\n\nFinal-recipient: rfc822;a@b\nACTION: Failed\nStatus: 5.1.1\nX-Other: 1\n"
        b"Diagnostic-Code: smtp; 550\n\tno such\n  user\n"
    )
    (status,) = parse_delivery_status(data).recipients
    assert (status.final, status.action, status.diagnostic) == ("a@b", "failed", "550 no such user")
