"""Entries of built files are changed where they stand, and the formats' own readers find them."""

import contextlib
import fcntl
import os
import random
import shutil
import subprocess

import pytest

from angarium.tables.berkeley import open_berkeley
from angarium.tables.berkeley_build import build_btree, build_hash
from angarium.tables.berkeley_edit import NoRoomError, open_editor
from angarium.tables.build import changed_in_place, writing
from angarium.tables.builtfile import DamagedFileError, FileBytes
from angarium.tables.lmdb import LmdbFile, build_lmdb
from angarium.tables.lmdb_edit import LmdbEditor

BUILD = {"hash": build_hash, "btree": build_btree, "lmdb": build_lmdb}
POSTMAP = shutil.which("postmap", path="/usr/sbin:/usr/bin")


def key_of(number):
    return b"user%d@example%d.test\0" % (number, number % 97)


def opened(file):
    return LmdbFile(file) if file.read(0, 24)[16:20] == b"\xde\xc0\xef\xbe" else open_berkeley(file)


def contents(path):
    with path.open("rb") as file:
        return dict(opened(FileBytes(file.fileno())).items())


@pytest.fixture(params=["hash", "btree", "lmdb"])
def table(request, tmp_path):
    entries = {key_of(number): b"value %d\0" % number for number in range(6000)}
    path = tmp_path / ("t.lmdb" if request.param == "lmdb" else "t.db")
    with path.open("wb") as file:
        BUILD[request.param](file, entries)
    return request.param, path, entries


def test_any_changes_are_those_of_a_dictionary(table):
    kind, path, entries = table
    chance = random.Random(1)
    done = 0
    for _ in range(150):
        changes = {}
        for _ in range(chance.randint(1, 5)):
            value = None if chance.random() < 0.4 else b"x" * chance.choice([1, 5, 30, 200]) + b"\0"
            changes[key_of(chance.randrange(8000))] = value
        if changed_in_place(kind, path, changes):
            done += 1
            for key, value in changes.items():
                if value is None:
                    entries.pop(key, None)
                else:
                    entries[key] = value
        else:
            entries = contents(path)
    assert done > 100 if kind != "lmdb" else done > 10
    assert contents(path) == entries
    with path.open("rb") as file:
        database = opened(FileBytes(file.fileno()))
        assert all(database.get(key) == value for key, value in entries.items())
    if POSTMAP is not None:
        keys = [key_of(number)[:-1] for number in range(8000)]
        done = subprocess.run(
            [POSTMAP, "-q", "-", f"{kind}:{path.with_suffix('')}"],
            input=b"\n".join(keys),
            capture_output=True,
            check=False,
        )
        expected = [key + b"\t" + entries[key + b"\0"][:-1] for key in keys if key + b"\0" in entries]
        assert done.stdout.splitlines() == expected


@pytest.mark.skipif(POSTMAP is None, reason="needs Postfix's postmap")
def test_postfix_goes_on_with_a_file_that_was_changed(table):
    kind, path, entries = table
    chance = random.Random(2)
    for turn in range(4):
        changes = {key_of(chance.randrange(9000)): b"ours %d\0" % turn for _ in range(40)}
        changes |= dict.fromkeys(chance.sample(sorted(entries), 20))
        assert changed_in_place(kind, path, changes) or turn
        entries = contents(path)
        added = {b"theirs%d.%d" % (turn, number): b"v" * chance.randint(1, 90) for number in range(400)}
        lines = b"".join(key + b" " + value + b"\n" for key, value in added.items())
        subprocess.run([POSTMAP, "-i", f"{kind}:{path.with_suffix('')}"], input=lines, check=True)
        entries |= {key + b"\0": value + b"\0" for key, value in added.items()}
        assert contents(path) == entries


def test_a_reader_finds_old_or_new_after_each_write(table, monkeypatch):
    kind, path, entries = table
    states = []
    real = os.pwrite

    def seen(descriptor, data, offset):
        written = real(descriptor, data, offset)
        states.append(contents_of(descriptor))
        return written

    def contents_of(descriptor):
        database = opened(FileBytes(descriptor))
        return {key: database.get(key) for key in watched}

    watched = [key_of(number) for number in range(0, 6000, 60)]
    new = {b"user%d@example%d.test+\0" % (number, number % 97): b"n" * 60 + b"\0" for number in range(40)}
    monkeypatch.setattr(os, "pwrite", seen)
    with path.open("r+b", buffering=0) as file:
        editor = LmdbEditor(file.fileno()) if kind == "lmdb" else open_editor(file.fileno())
        for key, value in new.items():
            try:
                editor.put(key, value)
            except NoRoomError:
                continue
        editor.finish()
    assert len(states) > len(new) / 2
    assert all(state == {key: entries[key] for key in watched} for state in states)


def test_what_has_no_room_is_left_to_a_new_file(table):
    kind, path, _ = table
    before = path.read_bytes()
    assert not changed_in_place(kind, path, {b"k\0": b"v" * 5000})
    assert not changed_in_place(kind, path, {key_of(n): None for n in range(6000)})
    assert path.read_bytes() == before
    assert changed_in_place(kind, path, {b"nobody\0": None})
    assert path.read_bytes() == before


def test_the_lock_of_an_lmdb_file_outlives_other_descriptors(tmp_path):
    path = tmp_path / "t.lmdb"
    path.write_bytes(b"x")
    with writing("lmdb", path), path.open("r+b") as file:
        path.open("rb").close()
        child = os.fork()
        if not child:
            status = 0
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                status = 7
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_damaged_file_is_told_or_built_anew(table):
    kind, path, entries = table
    good = path.read_bytes()
    chance = random.Random(3)
    keys = sorted(entries)
    for _ in range(30):
        data = bytearray(good)
        for _ in range(chance.randint(1, 40)):
            data[chance.randrange(len(data) if chance.random() < 0.6 else 3 * 4096)] = chance.randrange(256)
        path.write_bytes(data)
        changes = dict.fromkeys(chance.sample(keys, 6)) | dict.fromkeys(chance.sample(keys, 6), b"n" * 9)
        with contextlib.suppress(DamagedFileError, OSError):
            changed_in_place(kind, path, changes)
        assert path.stat().st_size < 2 * len(good)
