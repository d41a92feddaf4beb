"""praliases lists what the alias tables hold."""

from __future__ import annotations

import pytest

from angarium.commands import postalias, praliases


@pytest.fixture
def aliases(queue_site, tmp_path, capsys):
    path = tmp_path / "aliases"
    path.write_text("root: alice\nlist: bob, carol\n")
    with (queue_site.etc / "main.cf").open("a") as main_cf:
        main_cf.write(f"alias_database = hash:{path}\nalias_maps = hash:{path}\n")
    assert postalias.main(["-c", str(queue_site.etc), f"hash:{path}"]) == 0

    def call(*words, status=0):
        assert praliases.main(["-C", str(queue_site.etc), *words]) == status
        return capsys.readouterr().out

    return call


def test_all(aliases):
    lines = aliases().splitlines()
    assert {line for line in lines if not line.startswith(("@", "YP_"))} == {"root:alice", "list:bob, carol"}


def test_some(aliases, tmp_path):
    assert aliases("root", "nobody") == "root:alice\nnobody: No such key\n"
    assert aliases("-f", f"hash:{tmp_path / 'aliases'}", "list") == "list:bob, carol\n"


def test_wrong_calls(aliases):
    aliases("-z", status=64)
    aliases("-f", "hash:/nowhere/aliases", status=1)
