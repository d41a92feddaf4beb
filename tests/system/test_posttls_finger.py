"""posttls-finger against the real server, beside Postfix's."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from angarium.commands import posttls_finger


@pytest.fixture
def finger(server, capsys, monkeypatch):
    """Runs it on the server's SMTP port; (exit status, what it says)."""
    monkeypatch.setenv("MAIL_CONFIG", str(server.site.configuration))

    def call(*words: str, host: str = "", match: str = ""):
        place = f"[{host or server.site.host}]:{server.site.ports.smtp}"
        status = posttls_finger.main([*words, place, *match.split()])
        return status, capsys.readouterr().out

    return call


def summary(text: str) -> str:
    """Which names, keys and session were seen, without what only one of the two tells."""
    found = re.search(r"subject_CN=(.*?), issuer_CN=(.*?), (?:cert )?fingerprint=(\S+?), pkey_fingerprint=(\S+)", text)
    session = re.search(r"(\w+) TLS connection established to (\S+): (TLS\S+ with cipher \S+)", text)
    assert found is not None, text
    assert session is not None, text
    return f"{found.groups()} {session.groups()}"


def test_a_trusted_server(finger, server):
    status, said = finger("-C", "-F", str(server.site.authority), match=server.site.hostname)
    assert status == 0
    assert "Verified TLS connection established to" in said
    assert "posttls-finger: > STARTTLS\n" in said
    assert "-----BEGIN CERTIFICATE-----\n" in said


def test_an_untrusted_server(finger):
    status, said = finger("-c")
    assert status == 0
    assert "certificate verification failed for" in said
    assert "Untrusted TLS connection established to" in said
    assert "STARTTLS\n" not in said


def test_a_wrong_name(finger, server):
    place = f"[{server.site.host}]:{server.site.ports.smtp}"
    assert posttls_finger.main(["-c", "-F", str(server.site.authority), place, "other.example"]) == 0


def test_nobody_there(finger):
    status, said = finger(host="127.0.0.254")
    assert status == 0
    assert "Failed to establish session to [127.0.0.254]:" in said


@pytest.mark.parametrize("words", ["", "-l dane [127.0.0.1]", "-z", "-a ipx [127.0.0.1]", "-o x [127.0.0.1]"])
def test_wrong_calls(server, monkeypatch, capsys, words):
    monkeypatch.setenv("MAIL_CONFIG", str(server.site.configuration))
    assert posttls_finger.main(words.split()) == 1
    assert "posttls-finger: fatal: " in capsys.readouterr().out


@pytest.mark.parametrize("names", [("mail.example.test",), ("other.example",), ()])
def test_as_the_real_one(names, server, peer, tmp_path, monkeypatch, capsys):
    (tmp_path / "main.cf").write_text(f"compatibility_level = 3.6\nmyhostname = {server.site.hostname}\n")
    monkeypatch.setenv("MAIL_CONFIG", str(server.site.configuration))
    place = f"[{server.site.host}]:{server.site.ports.smtp}"
    trust = ("-L", "summary,peercert", "-F", str(server.site.authority), "-l", "secure")
    real = subprocess.run(
        [peer("posttls-finger"), "-c", *trust, place, *names],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MAIL_CONFIG": str(tmp_path)},
    )
    assert real.returncode == 0, real.stderr
    posttls_finger.main(["-c", *trust, place, *names])
    assert summary(capsys.readouterr().out) == summary(real.stdout)
