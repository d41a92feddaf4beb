"""Each recorded call of a command of Postfix that is down (tests/golden/record_commands.py), to ours."""

from __future__ import annotations

import getpass
import importlib
import io
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "golden"
RECORDER = runpy.run_path(str(GOLDEN / "record_commands.py"))
CALLS = json.loads((GOLDEN / "commands.json").read_text())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("down")
    etc = RECORDER["prepare"](place, getpass.getuser())
    (place / "spool" / "public").mkdir()
    subprocess.run([sys.executable, "-m", "angarium.commands.postfix", "-c", etc, "check"], capture_output=True)
    return place


def ours(call, root, capfd, monkeypatch):
    program, *words = call["words"]
    (root / "lib" / "log").unlink(missing_ok=True)
    main = importlib.import_module(f"angarium.commands.{program}").main
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.setattr(sys, "argv", [program])
    status = main(["-c", str(root / "etc"), *(word.replace("ROOT", str(root)) for word in words)])
    out, err = capfd.readouterr()
    return {
        "words": call["words"],
        "status": status,
        "out": RECORDER["normal"](out, root),
        "err": RECORDER["normal"](err, root),
        "log": RECORDER["logged"](root),
    }


ALSO_ON_STANDARD_ERROR = {"postlog -p bogus hi", "postlog -t", "postlog -Z", "postlog --help"}
"""What Postfix's postlog tells the log alone, where standard error is no terminal."""


@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(call["words"]))
def test_as_postfix(call, root, capfd, monkeypatch):
    found = ours(call, root, capfd, monkeypatch)
    if " ".join(call["words"]) in ALSO_ON_STANDARD_ERROR:
        assert found.pop("err").startswith(call.pop("err"))
    shown = [name for name in ("status", "out", "err") if name in found]
    assert [found[name] for name in shown] == [call[name] for name in shown]
