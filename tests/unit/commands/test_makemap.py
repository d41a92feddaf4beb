"""makemap: what sendmail's does with the same input (recorded from 8.17), and that our tables find what it writes."""

import io
import subprocess
import sys

import pytest

from angarium.commands import makemap, postmap

INPUT = "A\tb c\n#x\nempty\nA d\n lead x\nB:c d\n"
NO_VALUE = "makemap: {}: line 3: no RHS for LHS empty\n"
LEADING = "makemap: {}: line 5: syntax error (leading space)\n"


@pytest.fixture
def run(tmp_path, monkeypatch, capsysbinary):
    def call(*words, text=""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        status = makemap.main(list(words))
        out, err = capsysbinary.readouterr()
        return status, out.decode(), err.decode()

    monkeypatch.chdir(tmp_path)
    return call


@pytest.mark.parametrize(
    ("options", "text", "status", "err", "entries"),
    [
        ((), INPUT, 65, NO_VALUE + "makemap: {}: line 4: key a: duplicate key\n" + LEADING, "a\tb c\nb:c\td\n"),
        (("-d",), INPUT, 65, NO_VALUE + LEADING, "a\tb c\nb:c\td\n"),
        (("-r",), INPUT, 65, NO_VALUE + LEADING, "a\td\nb:c\td\n"),
        (("-t:",), "B:c d\n", 0, "", "b\tc d\n"),
        (("-e",), "onlykey\n", 0, "", "onlykey\t\n"),
        (("-N",), "k v\n", 0, "", "k\tv\n"),
        ((), "a b\na c\n", 65, "makemap: {}: line 2: key a: duplicate key\n", "a\tb\n"),
        ((), "  lead x\n", 65, "makemap: {}: line 1: syntax error (leading space)\n", ""),
        ((), 'a b # c\n"q r" s\n', 0, "", 'a\tb # c\n"q\tr" s\n'),
        (("-D;",), "; c\n#a b\n", 0, "", "#a\tb\n"),
        (("-f",), "A\tb  c\n", 0, "", "A\tb  c\n"),
        ((), "A  \n", 65, "makemap: {}: line 1: no RHS for LHS A\n", ""),
    ],
)
@pytest.mark.parametrize("kind", ["hash", "btree"])
def test_as_sendmails(run, kind, options, text, status, err, entries):
    assert run(*options, kind, "t", text=text) == (status, "", err.replace("{}", "t"))
    _, listed, _ = run("-u", kind, "t")
    assert sorted(listed.splitlines()) == sorted(entries.splitlines())


def test_it_adds_to_what_is_there(run):
    run("hash", "t", text="a b\nc d\n")
    assert run("-o", "hash", "t", text="z y\n") == (0, "", "")
    assert sorted(run("-u", "hash", "t")[1].splitlines()) == ["a\tb", "c\td", "z\ty"]
    assert run("-o", "hash", "t", text="a x\n")[0] == 65
    assert run("-o", "-r", "hash", "t", text="a x\n")[0] == 0


def test_it_names_what_it_reads(run):
    assert run("-v", "hash", "t", text="Key Val ue  \n") == (0, "key=`key', val=`Val ue  '\n", "")


@pytest.mark.parametrize(
    ("words", "status", "err"),
    [
        (("dbm", "t"), 73, "makemap: Need to recompile with -DNDBM for dbm support\n"),
        (("bogus", "t"), 73, "makemap: error opening type bogus map t: Unknown database type\n"),
        (("hash", "/nosuch/t"), 73, "makemap: error opening type hash map /nosuch/t: No such file or directory\n"),
        (("-u", "hash", "no"), 73, "makemap: error opening type hash map no: No such file or directory\n"),
        ((), 64, makemap.USAGE + "\n"),
        (("-Z", "hash", "t"), 64, f"makemap: invalid option -- 'Z'\n{makemap.USAGE}\n"),
    ],
)
def test_wrong_calls(run, words, status, err):
    assert run(*words) == (status, "", err)


def test_the_types(run):
    assert run("-l") == (0, "hash\nbtree\nlmdb\ncdb\n", "")


@pytest.mark.parametrize("options", [(), ("-N",)])
def test_our_tables_find_it(run, tmp_path, options, capsysbinary):
    run(*options, "hash", "t", text="User@X.test  other@y.test\n")
    (tmp_path / "main.cf").write_text("")
    assert postmap.main(["-c", str(tmp_path), "-q", "user@x.test", f"hash:{tmp_path}/t"]) == 0
    assert capsysbinary.readouterr().out == b"other@y.test\n"


def test_postfix_finds_it(run, tmp_path, peer):
    run("hash", "t", text="User@X.test  other@y.test\n")
    words = [peer("postmap"), "-q", "user@x.test", f"hash:{tmp_path}/t"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "other@y.test\n"), found.stderr
