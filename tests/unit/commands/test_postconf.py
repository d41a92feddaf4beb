"""postconf without a real one beside it; that they agree is tests/interop/test_postconf.py's."""

from __future__ import annotations

import pytest

from angarium.commands import postconf


@pytest.fixture
def run(tmp_path, capsys):
    (tmp_path / "main.cf").write_text(
        "myhostname = mail.example.com\nmynetworks = 127.0.0.0/8,\n   [::1]/128\nlost = 1\n"
    )
    (tmp_path / "master.cf").write_text("smtp inet n - n - - smtpd\n  -o smtpd_banner=$myhostname\n")

    def call(*arguments):
        status = postconf.main(["-c", str(tmp_path), *arguments])
        out, err = capsys.readouterr()
        return status, out, err

    call.directory = tmp_path
    return call


def test_shows_explicit_settings_and_warns_of_lost_ones(run):
    status, out, err = run("-n")
    assert status == 0
    assert out.splitlines() == [
        f"config_directory = {run.directory}",
        "myhostname = mail.example.com",
        "mynetworks = 127.0.0.0/8, [::1]/128",
    ]
    assert err == f"postconf: warning: {run.directory}/main.cf: unused parameter: lost=1\n"


def test_shows_our_own_parameters(run):
    assert run("-dh", "worker_processes")[1] == "auto\n"
    assert run("-h", "imapd_tls_cert_file")[1] == "$smtpd_tls_cert_file\n"


def test_expands(run):
    assert run("-xh", "smtpd_banner")[1] == "mail.example.com ESMTP Postfix\n"
    assert run("-Px")[1] == "smtp/inet/smtpd_banner = mail.example.com\n"


def test_edits(run):
    assert run("-e", "smtpd_banner = x", "biff=no")[0] == 0
    assert (run.directory / "main.cf").read_text().endswith("lost = 1\nsmtpd_banner = x\nbiff = no\n")
    assert run("-X", "lost")[0] == 0
    assert run("-n")[2] == ""
    assert run("-Me", "x/unix = x unix - - n - - smtp")[0] == 0
    assert "x          unix  -       -       n       -       -       smtp\n" in run("-M")[1]
    assert run("-MX", "x/unix")[0] == 0
    assert run("-M", "x/unix")[1:] == ("", 'postconf: warning: unmatched request: "x/unix"\n')


def test_an_equals_sign_is_an_edit_of_master_cf_too(run):
    assert run("-F", "smtp/inet/process_limit=3") == (0, "", "")
    assert run("-F", "smtp/inet/process_limit")[1] == "smtp/inet/process_limit = 3\n"
    assert run("-P", "smtp/inet/biff=no") == (0, "", "")
    assert run("-P", "smtp/inet/biff")[1] == "smtp/inet/biff = no\n"
    assert run("-M", "x/unix = x unix - - n - - smtp") == (0, "", "")
    assert run("-M", "x/unix")[1] == "x          unix  -       -       n       -       -       smtp\n"


@pytest.mark.parametrize(
    "arguments", [("-n", "-d"), ("-Z",), ("-C", "nope"), ("-e", "novalue"), ("-MX", "smtp"), ("-b", "no")]
)
def test_wrong_calls_exit_with_1_and_say_why(run, arguments):
    status, out, err = run(*arguments)
    assert status == 1
    assert out == ""
    assert "postconf: fatal: " in err


def test_a_wrong_edit_of_master_cf_changes_nothing(run):
    before = (run.directory / "master.cf").read_text()
    assert run("-Me", "x/unix = x unix - -")[0] == 1
    assert run("-Fe", "smtp/inet/chroot=q")[0] == 1
    assert (run.directory / "master.cf").read_text() == before


def test_lists(run):
    assert "directory" in run("-m")[1].split()
    assert run("-l")[1].split() == ["flock", "fcntl", "dotlock"]
    assert run("-T", "run-version")[1].startswith("OpenSSL ")


def test_a_setting_that_is_not_honoured_is_told_with_its_place(run):
    (run.directory / "main.cf").write_text("ipc_timeout = 1s\nrelayhost = x\n")
    place = run.directory / "main.cf"
    assert run("-n")[2] == f"postconf: warning: {place}:1: ipc_timeout has no effect: services talk inside a process\n"
    assert run("relayhost")[2] == ""
    assert run("-q", "ipc_timeout") == (0, "ipc_timeout = 1s\n", "")
