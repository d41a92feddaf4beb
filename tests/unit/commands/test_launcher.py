"""The fast script of sendmail(1): it works, whatever the interpreter's version, and takes the old one's place whole."""

import importlib.util
import os
import subprocess
import sys

import pytest

from angarium.commands import launcher


def test_it_is_the_client(tmp_path):
    path = tmp_path / "sendmail"
    path.write_text("old")
    assert launcher.main([str(path)]) == 0
    done = subprocess.run([str(path), "-bX"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (75, "sendmail: fatal: unsupported: -bX\n")
    assert path.read_text().startswith(f"#!{os.path.realpath(sys.executable)} -IS\n{launcher.MARK}\n")
    assert list(tmp_path.iterdir()) == [path]


def test_another_interpreter_takes_the_source(tmp_path):
    path = tmp_path / "sendmail"
    text = launcher.script(sys.executable).replace(repr(importlib.util.MAGIC_NUMBER), "b'other'")
    path.write_text(text.replace("marshal.loads", "never"))
    path.chmod(0o755)
    done = subprocess.run([str(path), "-bX"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (75, "sendmail: fatal: unsupported: -bX\n")


def test_a_link_stays_one(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sendmail").write_text("old")
    (tmp_path / "sendmail").symlink_to(tmp_path / "bin" / "sendmail")
    launcher.write(tmp_path / "sendmail")
    assert (tmp_path / "sendmail").is_symlink()
    assert launcher.MARK in (tmp_path / "bin" / "sendmail").read_text()


@pytest.mark.parametrize("interpreter", ["/opt/my python/bin/python3", "/" + "x" * 200])
def test_a_path_that_fits_no_first_line_is_refused(interpreter):
    with pytest.raises(ValueError, match="cannot stand in the first line"):
        launcher.script(interpreter)


def test_a_place_that_cannot_be_written(tmp_path, capsys):
    assert launcher.main([str(tmp_path / "missing" / "sendmail")]) == 1
    assert "launcher: fatal:" in capsys.readouterr().err
