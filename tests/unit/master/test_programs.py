"""The tables of programs agree with what is wired."""

from __future__ import annotations

from angarium.config.config import Config
from angarium.config.master_cf import parse_master_cf
from angarium.master import programs, tls, transports, wiring


def test_every_program_that_is_named_is_wired():
    assert set(tls._SERVER_TLS) == programs.NETWORK
    assert set(wiring._LOCAL) == programs.LOCAL | programs.SPAWNING
    assert transports.AGENT_COMMANDS == programs.AGENTS
    assert set(transports._PRIVILEGED) == programs.PRIVILEGED | programs.SPAWNING | {"virtual"}


def test_finds_what_nothing_runs():
    text = "smtp inet n - n - - smtpd\nother unix - n n - - other\ntlsmgr unix - - n - 1 tlsmgr\n"
    assert [entry.name for entry in programs.unsupported(parse_master_cf(text, "x").services)] == ["other"]


def test_who_becomes_others(tmp_path):
    (tmp_path / "main.cf").write_text("")
    (tmp_path / "master.cf").write_text(
        "virtual unix - n n - - virtual\nfiles unix - n n - - virtual -o virtual_mailbox_format=files\n"
        "maildrop unix - n n - - pipe\nlmtp unix - n n - - lmtp\n"
    )
    conf = Config.load(tmp_path)
    privileged = [entry.name for entry in conf.master.services if programs.is_privileged(entry, conf)]
    assert privileged == ["files", "maildrop"]
    assert not programs.has_only_files(conf)
    (tmp_path / "main.cf").write_text("virtual_mailbox_format = files\n")
    assert programs.has_only_files(Config.load(tmp_path))
