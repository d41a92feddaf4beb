import io
import os

import pytest

from angarium.commands import postalias, postmap, sendmail


@pytest.fixture
def run(tmp_path, monkeypatch, capfdbinary):
    """``run(program, words, standard input)`` -> (status, output, complaints), in a directory of its own."""
    (tmp_path / "main.cf").write_text("alias_database = hash:aliases, cdb:aliases\nmaillog_file =\n")
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def call(program, words, data=""):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data.encode())))
        status = program.main(words.split())
        out, errors = capfdbinary.readouterr()
        return status, out.decode(), errors.decode()

    return call


@pytest.fixture
def virtual(tmp_path):
    (tmp_path / "virtual").write_text("A@x.test one,\n  two\nbare\nk: v\nb@x.test three\nB@X.test again\n")


def test_builds_asks_lists_and_changes(run, virtual):
    status, out, complaints = run(postmap, "hash:virtual")
    assert (status, out) == (0, "")
    assert complaints.splitlines() == [
        "postmap: warning: virtual, line 3: expected format: key whitespace value",
        'postmap: warning: virtual, line 4: record is in "key: value" format; is this an alias file?',
        'postmap: warning: virtual.db: duplicate entry: "b@x.test"',
    ]
    assert run(postmap, "-q a@X.test hash:virtual") == (0, "one,  two\n", "")
    assert run(postmap, "-q none hash:virtual") == (1, "", "")
    assert run(postmap, "-q - hash:virtual", "B@x.test\nnone\n") == (0, "B@x.test\tthree\n", "")
    assert run(postmap, "-i -r hash:virtual", "b@x.test four\nnew five\n")[0] == 0
    assert run(postmap, "-d a@x.test hash:virtual") == (0, "", "")
    assert sorted(run(postmap, "-s hash:virtual")[1].splitlines()) == ["b@x.test\tfour", "k:\tv", "new\tfive"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("", "usage: postmap [-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file..."),
        ("-q a", "usage: postmap [-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file..."),
        ("hash:nosuch", "open nosuch: No such file or directory"),
        ("-q k hash:nosuch", "open database nosuch.db: No such file or directory"),
        ("-q k nosuch:x", "unsupported dictionary type: nosuch"),
        ("-q k sdbm:x", "unsupported dictionary type: sdbm"),
        ("-s -q k hash:virtual", "specify only one of -s -q or -d"),
        ("-q k fail:x", "table fail:x: query error: Application error"),
        ("regexp:virtual", "unsupported dictionary type: regexp does not support bulk-mode creation."),
    ],
)
def test_complains_as_postfix_does(run, virtual, words, complaint):
    assert run(postmap, words) == (1, "", f"postmap: fatal: {complaint}\n")


def test_keys_of_a_message(run):
    message = "From: a\nSubject: b\n c\n\nbody\n"
    assert run(postmap, "-h -q - static:x", message)[1] == "From: a\tx\nSubject: b\n c\tx\n"
    assert run(postmap, "-b -q - static:x", message)[1] == "\tx\nbody\tx\n"
    assert run(postmap, "-b -q k static:x")[2] == 'postmap: fatal: specify -b -h or -m only with "-q -"\n'


def test_a_missing_value_file_is_skipped(run, tmp_path):
    (tmp_path / "certs").write_text("a one two\nb nosuch\n")
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    assert "line 2: open nosuch: No such file or directory: skipping" in run(postmap, "-F hash:certs")[2]
    assert run(postmap, "-q a hash:certs")[1] == "MQoy\n"
    assert run(postmap, "-F -q a hash:certs")[1] == "1\n2\n"


def test_a_file_that_cannot_be_built_is_an_error(run, tmp_path):
    (tmp_path / "long").write_text(f"{'k' * 600} v\n")
    status, _, complaint = run(postmap, "lmdb:long")
    assert status == 1
    assert complaint.startswith("postmap: fatal: error updating lmdb:long.lmdb: a key is longer")
    assert not (tmp_path / "long.lmdb").exists()
    (tmp_path / "long.db").write_bytes(b"nonsense")
    assert run(postmap, "-d k hash:long")[2].startswith("postmap: fatal: open database long.db: it is ")


def test_aliases(run, tmp_path):
    (tmp_path / "aliases").write_text('Root: joe,\n  "|a prog"\nnone:\n')
    assert run(postalias, "lmdb:aliases")[2] == "postalias: warning: aliases, line 3: need name:value pair\n"
    assert run(postalias, "-q ROOT lmdb:aliases") == (0, 'joe, "|a prog"\n', "")
    assert run(postalias, "-q - lmdb:aliases", "root\n")[1] == 'root:\tjoe, "|a prog"\n'
    assert "YP_MASTER_NAME:" in run(postalias, "-s lmdb:aliases")[1]


def test_newaliases_builds_the_tables_of_alias_database(run, tmp_path):
    (tmp_path / "aliases").write_text("root: joe\n")
    assert run(sendmail, "-bi") == (0, "", "")
    assert (tmp_path / "aliases.db").exists()
    assert (tmp_path / "aliases.cdb").exists()
    assert run(sendmail, "-bi joe")[0] == 75
    assert postalias.newaliases([]) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_root_writes_as_the_owner_of_the_source(run, virtual, tmp_path):
    tmp_path.chmod(0o777)
    os.chown(tmp_path / "virtual", 65534, 65534)
    (tmp_path / "virtual").chmod(0o600)
    run(postmap, "hash:virtual")
    status = (tmp_path / "virtual.db").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (65534, 65534, 0o600)
    assert (os.geteuid(), os.getegid()) == (0, 0)
