"""postfix(1): the verbs that need no server, TLS keys, and the installation."""

import subprocess
import sys

import pytest
from cryptography import x509

from angarium.commands import postfix, postfix_install, sendmail_script


@pytest.fixture
def etc(tmp_path):
    directory = tmp_path / "etc"
    directory.mkdir()
    for name in ("spool", "lib"):
        (tmp_path / name).mkdir()
    (directory / "main.cf").write_text(
        f"queue_directory = {tmp_path}/spool\ndata_directory = {tmp_path}/lib\nmyhostname = mail.example.test\n"
        f"maillog_file = {tmp_path}/log\nmail_owner = root\nvirtual_mailbox_base = {tmp_path}/mail\n"
        f"sendmail_path = {tmp_path}/sendmail\nalias_maps =\nmaillog_file_prefixes = /\n"
    )
    (directory / "master.cf").write_text("smtp unix - - n - - smtp\n# the end")
    return directory


def run(etc, *words):
    return postfix.main(["-c", str(etc), *words])


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (("status",), 1, ""),
        (("status", "more"), 1, ""),
        (("stop",), 1, "postfix/postfix-script: fatal: the Postfix mail system is not running\n"),
        (("drain",), 1, "postfix/postfix-script: fatal: the Postfix mail system is not running\n"),
        (("abort",), 1, "postfix/postfix-script: fatal: the Postfix mail system is not running\n"),
        (("reload",), 1, "postfix/postfix-script: fatal: the Postfix mail system is not running\n"),
        (("quick-stop",), 0, ""),
        (("logrotate", "x"), 1, "postfix/postfix-script: fatal: usage postfix logrotate (no arguments)\n"),
        (("flush",), 69, "postqueue: fatal: Cannot flush mail queue - mail system is down\n"),
        (
            ("bogus",),
            1,
            (
                "postfix/postfix-script: fatal: unknown command: 'bogus'. Usage: postfix start (or stop, reload, "
                "abort, flush, check, status, set-permissions, upgrade-configuration, logrotate)\n"
            ),
        ),
    ],
)
def test_as_postfix_says_it_while_it_is_down(etc, capsys, words, status, complaint):
    assert run(etc, *words) == status
    assert capsys.readouterr().err == complaint


def test_status_speaks_to_terminals(etc, capsys, monkeypatch):
    """Off them it says nothing, as cron would mail it."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run(etc, "status") == 1
    assert capsys.readouterr().err == "postfix/postfix-script: the Postfix mail system is not running\n"


def test_the_directory_is_an_absolute_one(etc, capsys, monkeypatch):
    monkeypatch.chdir(etc.parent)
    assert postfix.main(["-c", etc.name, "status"]) == 1
    assert capsys.readouterr().err == "postfix: fatal: -c requires absolute pathname\n"


def test_who_may_not_use_it_is_told_what_he_may(etc, capsys, monkeypatch):
    def refused(*_arguments):
        raise PermissionError(13, "Permission denied", "/var/log/mail.log")

    monkeypatch.setattr(postfix, "open_log", refused)
    monkeypatch.setattr("os.geteuid", lambda: 65534)
    assert run(etc, "status") == 1
    assert capsys.readouterr().err == (
        "postfix: error: to submit mail, use the Postfix sendmail command\n"
        "postfix: fatal: the postfix command is reserved for the superuser\n"
    )


def test_upgrade_configuration_adds_what_is_missing_once(etc, capsys):
    assert run(etc, "upgrade-configuration") == 0
    said = capsys.readouterr().out
    assert f"Editing {etc}/master.cf, adding missing entry for pickup service\n" in said
    assert "for smtp service" not in said
    text = (etc / "master.cf").read_text()
    assert text.startswith("smtp unix - - n - - smtp\n# the end\npickup ")
    assert run(etc, "upgrade-configuration") == 0
    assert capsys.readouterr().out == ""
    assert (etc / "master.cf").read_text() == text


def test_set_permissions_writes_our_sendmail_alone(etc, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python3"))
    theirs = tmp_path / "sendmail"
    theirs.write_text("#!/bin/sh\necho another mail system\n")
    ours = tmp_path / "bin" / "sendmail"
    ours.write_text("#!/usr/bin/python3\nfrom angarium.commands.sendmail import main\n")
    (tmp_path / "bin" / "mailq").write_text("#!/usr/bin/python3\nfrom angarium.commands.mailq import main\n")
    assert run(etc, "set-permissions") == 0
    assert "another mail system" in theirs.read_text()
    assert sendmail_script.MARK in ours.read_text()
    assert sendmail_script.MARK in (tmp_path / "bin" / "mailq").read_text()
    assert (tmp_path / "spool" / "maildrop").is_dir() or (tmp_path / "spool").is_dir()


def test_a_script_of_the_wheel_is_ours(tmp_path):
    script = tmp_path / "sendmail"
    script.write_bytes(sendmail_script.SOURCE.read_bytes())
    assert postfix_install._is_ours(script)


def test_tls_is_enabled_once(etc, capsys):
    assert run(etc, "tls", "all-default-client") == 0
    assert run(etc, "tls", "enable-client") == 0
    assert "smtp_tls_security_level = may\n" in (etc / "main.cf").read_text()
    assert run(etc, "tls", "all-default-client") == 1
    before = (etc / "main.cf").read_text()
    assert run(etc, "tls", "enable-client") == 0
    assert (etc / "main.cf").read_text() == before
    assert run(etc, "tls", "all-default-server") == 0


@pytest.mark.parametrize("words", [(), ("-a", "ecdsa", "-b", "secp384r1", "a.test", "b.test")])
def test_tls_keys_and_what_is_made_of_them(etc, capsys, words):
    assert run(etc, "tls", "enable-server", *words) == 0
    (key,) = etc.glob("*key-*.pem")
    (certificate,) = etc.glob("*cert-*.pem")
    assert key.stat().st_mode & 0o777 == 0o600
    kind = "ec" if words else ""
    main_cf = (etc / "main.cf").read_text()
    assert f"smtpd_tls_{kind}key_file = {key}\n" in main_cf
    assert f"smtpd_tls_{kind}cert_file = {certificate}\n" in main_cf
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == (list(words[4:]) or ["mail.example.test"])
    assert run(etc, "tls", "deploy-server-cert", certificate.name, key.name) == 0
    capsys.readouterr()
    assert run(etc, "tls", "output-server-csr") == 0
    request = capsys.readouterr().out
    assert x509.load_pem_x509_csr(request.encode()).is_signature_valid
    assert run(etc, "tls", "output-server-tlsa", "-h", "h.test") == 0
    record = capsys.readouterr().out
    assert record.startswith(f"; {key}\n_25._tcp.h.test. IN TLSA 3 1 1 ")
    openssl = subprocess.run(
        f"openssl pkey -in {key} -pubout -outform DER | openssl dgst -sha256",
        shell=True,
        capture_output=True,
        text=True,
    )
    if openssl.returncode == 0:
        assert openssl.stdout.split()[-1] in record


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "usage: postfix tls enable-client (or"),
        (("bogus",), "unknown tls command: 'bogus'"),
        (("output-server-csr",), "No usable keyfile specified or configured"),
        (("output-server-tlsa",), "No usable keyfiles specified or configured"),
        (("new-server-cert", "-b", "1"), "error generating new rsa 1 private key"),
        (("new-server-cert", "-a", "dsa"), "bad key algorithm: dsa"),
        (("deploy-server-cert", "x", "y"), "no private key found in file: "),
    ],
)
def test_tls_refusals(etc, capsys, words, complaint):
    assert run(etc, "tls", *words) == 1
    assert f"postfix/postfix-tls-script: fatal: {complaint}" in capsys.readouterr().err
