"""What every table type keeps to: three outcomes and no exception, whatever the key and whatever is in the file.

A type makes, in a directory, a table of the entries ``k -> v`` and ``user@example.test -> two words``.
"""

from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from angarium.model.lookup import NOT_FOUND, Found, NotFound, TemporaryError
from angarium.tables.build import BUILDERS, built_path, write_file
from angarium.tables.opener import TableOpener

ENTRIES = {"k": "v", "user@example.test": "two words"}
ODD_KEYS = [
    "",
    " ",
    "\0",
    "k\0",
    "a\0b",
    "caf\udce9",
    "\udcff\udcfe",
    "ÜÏ@É",
    "سلام",
    "k" * 10_000_000,
    "\n",
    "k\n",
    "$1",
    "%s",
]


def built(kind):
    def make(directory):
        source = directory / "table"
        source.write_text("".join(f"{key} {value}\n" for key, value in ENTRIES.items()))
        ending = BUILDERS[kind].ending
        data = {key.encode() + ending: value.encode() + ending for key, value in ENTRIES.items()}
        write_file(kind, built_path(kind, source), data)
        return f"{kind}:{source}"

    return make


def text(kind, form):
    def make(directory):
        source = directory / "table"
        source.write_text("".join(form.format(key, value) for key, value in ENTRIES.items()))
        return f"{kind}:{source}"

    return make


def inline(name):
    return lambda _directory: name


TYPES = {
    **{kind: built(kind) for kind in BUILDERS},
    "texthash": text("texthash", "{} {}\n"),
    "hash without its file": text("hash", "{} {}\n"),
    "regexp": text("regexp", "/^{}$/ {}\n"),
    "pcre": text("pcre", "/^{}$/ {}\n"),
    "inline": inline("inline:{k=v, {user@example.test = two words}}"),
    "regexp in braces": inline("regexp:{{/^k$/ v}, {/^user@example[.]test$/ two words}}"),
    "unionmap": inline("unionmap:{inline:{k=v}, inline:{{user@example.test = two words}}}"),
    "pipemap": inline("pipemap:{inline:{k=x, user@example.test=y}, inline:{x=v, {y = two words}}}"),
    "proxy": inline("proxy:inline:{k=v, {user@example.test = two words}}"),
}
FILES = [*BUILDERS, "texthash", "regexp", "pcre", "cidr"]


@pytest.fixture(params=TYPES)
def table(request, tmp_path):
    return TableOpener(lambda _text: None).open(TYPES[request.param](tmp_path))


def ask(table, *keys):
    async def all_of_them():
        return [await table.lookup(key) for key in keys]

    answers = asyncio.run(all_of_them())
    return answers[0] if len(answers) == 1 else answers


def test_finds_what_is_there_without_regard_to_case(table):
    answers = ask(table, "k", "K", "User@Example.TEST")
    assert [each.value for each in answers] == ["v", "v", "two words"]
    assert all(each.source for each in answers)
    assert ask(table, "none", "kk", "user@example.tes") == [NOT_FOUND] * 3


def test_no_key_raises(table):
    for answer in ask(table, *ODD_KEYS):
        assert isinstance(answer, (Found, NotFound, TemporaryError))
    assert ask(table, "k").value == "v"


def test_its_name_is_that_of_the_configuration(table):
    assert ":" in table.name
    assert isinstance(table.pattern, bool)


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_missing_or_may_not_be_read_is_a_temporary_error(kind, tmp_path):
    opener = TableOpener(lambda _text: None)
    for name in (tmp_path / "none", tmp_path, tmp_path / "k" / "x", "a\0b"):
        answer = ask(opener.open(f"{kind}:{name}"), "192.0.2.1")
        assert isinstance(answer, TemporaryError)
        assert answer.cause


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300))
def test_no_file_raises(kind, content, tmp_path):
    source = tmp_path / "any"
    source.write_bytes(content)
    if kind in BUILDERS:
        built_path(kind, source).write_bytes(content)
    answer = ask(TableOpener(lambda _text: None).open(f"{kind}:{source}"), "192.0.2.1")
    assert isinstance(answer, (Found, NotFound, TemporaryError))


@pytest.mark.parametrize("kind", ["texthash", "regexp", "pcre", "cidr"])
def test_a_file_that_changes_is_read_again(kind, tmp_path):
    forms = {"texthash": "{} x\n", "cidr": "{} x\n"}
    form = forms.get(kind, "/^{}$/ x\n")
    source = tmp_path / "table"
    source.write_text(form.format("192.0.2.1"))
    table = TableOpener(lambda _text: None).open(f"{kind}:{source}")
    assert isinstance(ask(table, "192.0.2.1"), Found)
    source.write_text(form.format("192.0.2.2"))
    os.utime(source, (1e9, 1e9))
    watched = table._file if kind == "texthash" else table._rules._file
    watched._checked = float("-inf")
    assert ask(table, "192.0.2.1") is NOT_FOUND
    assert isinstance(ask(table, "192.0.2.2"), Found)
