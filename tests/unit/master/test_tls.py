"""What the parent makes of tls_server_sni_maps before it gives up root."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from angarium.config.config import Config
from angarium.master import tls
from angarium.model.lookup import NOT_FOUND, Found, TemporaryError


def finder(*names):
    warnings = []
    conf = Config.of({"compatibility_level": "3.6"})
    return tls._sni_finder(conf, list(names), warnings.append), warnings


def values(find, *keys):
    return [answer.value if isinstance(answer, Found) else answer for answer in map(find, keys)]


@pytest.mark.parametrize("kind", ["hash", "lmdb", "cdb", "texthash"])
def test_what_cannot_be_read_anymore_is_what_it_was(tmp_path, kind):
    table = tmp_path / "sni"
    table.write_text("a.test one\n.b.test two\n")
    if kind != "texthash":
        postmap = Path(sys.executable).with_name("postmap")
        conf = tmp_path / "main.cf"
        conf.write_text("")
        subprocess.run([postmap, "-c", tmp_path, f"{kind}:{table}"], check=True)
    find, warnings = finder(f"{kind}:{table}")
    assert values(find, "a.test", ".b.test", "c.test") == ["one", "two", NOT_FOUND]
    for file in tmp_path.iterdir():
        file.unlink()
    _pass_time(find)
    assert values(find, "a.test", ".b.test", "c.test") == ["one", "two", NOT_FOUND]
    (warning,) = warnings
    assert "keys are those of the start until postfix reload" in warning


def _pass_time(find):
    """Tables look at their files once a second."""
    for table in find.__closure__[_cell(find, "maps")].cell_contents.tables:
        for thing in (table, getattr(table, "_file", None)):
            for name in ("_checked", "_looked"):
                if hasattr(thing, name):
                    setattr(thing, name, float("-inf"))


def _cell(function, name):
    return function.__code__.co_freevars.index(name)


def test_a_table_that_never_was_there_is_an_error(tmp_path):
    find, _ = finder(f"hash:{tmp_path / 'nothing'}")
    assert isinstance(find("a.test"), TemporaryError)


def test_a_table_that_has_to_wait_is_an_error():
    find, _ = finder("socketmap:unix:/nonexistent:x")
    answer = find("a.test")
    assert isinstance(answer, TemporaryError)
    assert "inside of a TLS handshake" in answer.cause
