"""The fast script of sendmail(1): it names the interpreters, and takes the old one's place whole."""

import subprocess
import sys

from angarium.commands import sendmail_script


def test_it_is_the_client(tmp_path):
    path = tmp_path / "sendmail"
    path.write_text("old")
    assert sendmail_script.main([str(path)]) == 0
    done = subprocess.run([str(path), "-bX"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (75, "sendmail: fatal: unsupported: -bX\n")
    assert path.read_text().startswith(
        f"#!{sendmail_script.PERL}\n{sendmail_script.MARK}\nour $interpreter = '{sys.executable}';\n"
    )
    assert list(tmp_path.iterdir()) == [path]


def test_an_interpreter_at_an_odd_place(tmp_path):
    place = tmp_path / "it's \\odd $place @home"
    place.mkdir()
    (place / "python3").write_text('#!/bin/sh\necho "$@"\n')
    (place / "python3").chmod(0o755)
    sendmail_script.write(place / "sendmail", str(place / "python3"))
    done = subprocess.run([place / "sendmail", "-bX"], capture_output=True, text=True)
    assert done.stdout == "-P -m angarium.commands.sendmail -bX\n"


def test_without_perl_it_is_as_the_wheel_has_it(tmp_path):
    assert sendmail_script.script(sys.executable, tmp_path / "perl") == sendmail_script.SOURCE.read_text()


def test_a_link_stays_one(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sendmail").write_text("old")
    (tmp_path / "sendmail").symlink_to(tmp_path / "bin" / "sendmail")
    sendmail_script.write(tmp_path / "sendmail")
    assert (tmp_path / "sendmail").is_symlink()
    assert sendmail_script.MARK in (tmp_path / "bin" / "sendmail").read_text()


def test_a_place_that_cannot_be_written(tmp_path, capsys):
    assert sendmail_script.main([str(tmp_path / "missing" / "sendmail")]) == 1
    assert "sendmail_script: fatal:" in capsys.readouterr().err
