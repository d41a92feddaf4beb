"""The tables of programs agree with what is wired."""

from __future__ import annotations

from angarium.config.master_cf import parse_master_cf
from angarium.master import programs, wiring


def test_every_program_that_is_named_is_wired():
    assert set(wiring._SERVER_TLS) == programs.NETWORK
    assert set(wiring._LOCAL) == programs.LOCAL
    assert set(wiring._AGENTS) == programs.AGENTS


def test_finds_what_nothing_runs():
    text = "smtp inet n - n - - smtpd\nmaildrop unix - n n - - pipe argv=/bin/x\ntlsmgr unix - - n - 1 tlsmgr\n"
    assert [entry.name for entry in programs.unsupported(parse_master_cf(text, "x").services)] == ["maildrop"]
