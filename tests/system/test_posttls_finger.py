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


@pytest.mark.parametrize("words", ["", "-l bogus [127.0.0.1]", "-z", "-a ipx [127.0.0.1]", "-o x [127.0.0.1]"])
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


@pytest.mark.parametrize(
    "options",
    [
        "-l none",
        "-l encrypt",
        "-l encrypt -L none",
        "-l encrypt -L peercert",
        "-l encrypt -L 1",
        "-l encrypt -L bogus",
        "-l secure -F CA HOST",
        "-l secure -A CA HOST",
        "-l verify -A CA -L certmatch HOST",
        "-l fingerprint RIGHT",
        "-l fingerprint WRONG",
        "-l fingerprint",
        "-l encrypt -r 1 -L summary",
        "-l bogus",
        "-a bogus",
    ],
)
def test_options_beside_the_real_one(options, server, peer, tmp_path, monkeypatch, capsys):
    """Line by line, but for what stands of the session behind the cipher, and of the cache of sessions."""
    (tmp_path / "main.cf").write_text(f"compatibility_level = 3.6\nmyhostname = {server.site.hostname}\n")
    monkeypatch.setenv("MAIL_CONFIG", str(server.site.configuration))
    place = f"[{server.site.host}]:{server.site.ports.smtp}"
    posttls_finger.main(["-c", "-l", "encrypt", place])
    seen = re.search(r" fingerprint=(\S+),", capsys.readouterr().out)
    assert seen is not None
    values = {"CA": str(server.site.authority), "HOST": server.site.hostname, "RIGHT": seen[1], "WRONG": "00" * 32}
    words = ["-c", *(values.get(word, word) for word in options.split())]
    operands = len(words) - 1 if options.split()[-1] in ("HOST", "RIGHT", "WRONG") else len(words)
    words.insert(operands, place)
    environment = {**os.environ, "MAIL_CONFIG": str(tmp_path)}
    real = subprocess.run(
        [peer("posttls-finger"), *words], capture_output=True, text=True, check=False, env=environment
    )
    status = posttls_finger.main(words)
    ours, theirs = told(capsys.readouterr().out), told(real.stdout + real.stderr)
    assert "\n".join(ours) == "\n".join(theirs)
    assert status == real.returncode


def told(text: str) -> list[str]:
    lines = [re.sub(r"( \(\d+/\d+ bits\)).*", r"\1", line) for line in text.splitlines()]
    lines = [
        re.sub(r"\bnum=(18|19|20):.*|: (self-signed|unable to get|untrusted issuer) .*", ": why", line)
        for line in lines
    ]
    lines = [re.sub(r"after [\d.]+ seconds", "after SECONDS", line) for line in lines]
    sessions = r"(?:looking for|reloaded|save|saved|remove|put|delete) ?session|in memory cache|issuing session"
    cache = re.compile(f" (?:{sessions}|Matched trust anchor)")
    return list(dict.fromkeys(line for line in lines if not cache.search(line)))
