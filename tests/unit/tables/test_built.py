import asyncio
import fcntl
import io
import os
import re
from pathlib import Path

import pytest

from angarium.model.lookup import NOT_FOUND, Found, TemporaryError
from angarium.tables.build import BUILDERS, built_path, read_entries, write_file, writing
from angarium.tables.built import KINDS, BuiltTable
from angarium.tables.builtfile import HELD_IN_MEMORY
from angarium.tables.keys import KEY_LIMIT

kinds = pytest.mark.parametrize("kind", BUILDERS)


class Built:
    """A table whose file the test writes, and whose clock it moves."""

    def __init__(self, directory, kind, **options):
        self.kind = kind
        self.source = directory / "table"
        self.path = built_path(kind, self.source)
        self.now = 0.0
        self.warnings = []
        self.table = BuiltTable(
            f"{kind}:{self.source}", KINDS[kind], self.source, self.warnings.append, clock=lambda: self.now, **options
        )

    def write(self, entries, many=0):
        data = {key.encode(): value.encode() for key, value in entries.items()}
        data |= {b"user%d@example.test" % number: b"value" * 20 for number in range(many)}
        ending = BUILDERS[self.kind].ending
        with writing(self.kind, self.path):
            write_file(self.kind, self.path, {key + ending: value + ending for key, value in data.items()})

    def ask(self, *keys):
        """Answers, a second after those before."""
        self.now += 1.0

        async def all_of_them():
            return [await self.table.lookup(key) for key in keys]

        results = [each.value if isinstance(each, Found) else each for each in asyncio.run(all_of_them())]
        return results[0] if len(results) == 1 else results


@kinds
@pytest.mark.parametrize("many", [0, 6000], ids=["held", "large"])
def test_a_file_that_is_built_anew_is_noticed(tmp_path, kind, many):
    table = Built(tmp_path, kind)
    table.write({"k": "one"}, many)
    assert (table.path.stat().st_size > HELD_IN_MEMORY) == bool(many)
    assert table.ask("K", "none") == ["one", NOT_FOUND]
    table.write({"k": "two", "new": "x"}, many)
    assert table.ask("K", "NEW", "none") == ["two", "x", NOT_FOUND]
    table.write({"k": "three"}, 6000 - many)
    assert table.ask("k", "new") == ["three", NOT_FOUND]
    assert table.warnings == []


@kinds
def test_a_file_is_asked_for_at_most_once_a_second(tmp_path, kind):
    table = Built(tmp_path, kind)
    table.write({"k": "one"})
    assert table.ask("k") == "one"
    table.write({"k": "two"})
    table.now -= 0.5
    assert table.ask("k") == "one"
    assert table.ask("k") == "two"


@kinds
@pytest.mark.parametrize("ending", [b"", b"\0"])
@pytest.mark.parametrize("many", [0, 6000], ids=["held", "large"])
def test_keys_are_found_with_and_without_a_nul(tmp_path, kind, ending, many):
    table = Built(tmp_path, kind)
    entries = {b"k" + ending: b"v" + ending} | {b"x%d" % number + ending: b"y" * 90 for number in range(many)}
    write_file(kind, table.path, entries)
    assert table.ask("none", "k", "x") == [NOT_FOUND, "v", NOT_FOUND]


@kinds
def test_without_a_built_file_the_source_is_read(tmp_path, kind):
    table = Built(tmp_path, kind)
    assert table.ask("k").cause == f"open database {table.path}: No such file or directory"
    table.source.write_text("k  text\n")
    assert table.ask("K") == "text"
    table.write({"k": "built"})
    assert table.ask("k") == "built"
    table.path.unlink()
    assert table.ask("k") == "text"
    assert table.warnings == []


@kinds
def test_a_damaged_file_is_replaced_by_its_source(tmp_path, kind):
    table = Built(tmp_path, kind)
    table.path.write_bytes(b"nonsense" * 600)
    assert isinstance(table.ask("k"), TemporaryError)
    table.source.write_text("k text\n")
    assert table.ask("k", "none") == ["text", NOT_FOUND]
    assert len(table.warnings) == 1
    assert f"using its source {table.source}" in table.warnings[0]
    table.write({"k": "built"})
    assert table.ask("k") == "built"


def test_a_large_file_that_is_damaged_inside(tmp_path):
    table = Built(tmp_path, "btree")
    table.write({"k": "v"}, 6000)
    data = bytearray(table.path.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 + 25] = 0
    table.path.write_bytes(data)
    assert isinstance(table.ask("k"), TemporaryError)
    table.source.write_text("k text\n")
    assert table.ask("k") == "text"


def test_a_file_that_is_too_old_is_used_with_a_warning(tmp_path):
    table = Built(tmp_path, "hash")
    table.source.write_text("k new\n")
    table.write({"k": "old"})
    os.utime(table.path, (1e9, 1e9))
    os.utime(table.source, (1e9 + 1, 1e9 + 1))
    assert table.ask("k", "k") == ["old", "old"]
    assert table.warnings == [f"database {table.path} is older than source file {table.source}"]


def test_an_entry_is_located_in_the_source(tmp_path):
    table = Built(tmp_path, "hash")
    table.write({"k": "v", "j": "w", "i": "z"})

    def located(key):
        async def ask():
            return await table.table.locate(key, await table.table.lookup(key))

        table.now += 1
        return asyncio.run(ask())

    assert located("k") == table.table.name
    table.source.write_text("# x\nbad\nk v\nj other\n")
    assert [located("K"), located("j"), located("i")] == [f"{table.source}:3", table.table.name, table.table.name]
    assert table.warnings == []


def test_commands_want_the_built_file(tmp_path):
    table = Built(tmp_path, "hash", strict=True)
    table.source.write_text("k text\n")
    assert table.ask("k").cause == f"open database {table.path}: No such file or directory"
    table.path.write_bytes(b"")
    assert isinstance(table.ask("k"), TemporaryError)


@pytest.mark.parametrize(("kind", "lock"), [("hash", fcntl.flock), ("btree", fcntl.flock)])
@pytest.mark.parametrize("many", [0, 6000], ids=["held", "large"])
def test_a_file_that_is_being_written_is_waited_for(tmp_path, kind, lock, many, monkeypatch):
    table = Built(tmp_path, kind)
    table.write({"k": "one"}, many)
    assert table.ask("k") == "one"
    out = io.BytesIO()
    BUILDERS[kind].build(out, {b"k\0": b"two\0"} | {b"u%d\0" % number: b"v" * 99 for number in range(many)})
    with table.path.open("r+b") as writer:
        lock(writer, fcntl.LOCK_EX)
        writer.truncate()
        writer.write(out.getvalue()[:1000])
        writer.flush()
        waited = []

        async def finish(_seconds):
            waited.append(_seconds)
            if len(waited) == 3:
                writer.write(out.getvalue()[1000:])
                writer.flush()
                lock(writer, fcntl.LOCK_UN)

        monkeypatch.setattr(asyncio, "sleep", finish)
        assert table.ask("k") == "two"
        assert len(waited) == 3


def test_a_file_that_is_locked_for_too_long(tmp_path, monkeypatch):
    table = Built(tmp_path, "hash")
    table.write({"k": "one"})

    async def later(seconds):
        table.now += 1.0

    monkeypatch.setattr(asyncio, "sleep", later)
    with table.path.open("r+b") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert re.search("written for too long", table.ask("k").cause)
    assert table.ask("k") == "one"


def test_what_is_no_utf8(tmp_path):
    table = Built(tmp_path, "hash")
    write_file("hash", table.path, {b"k\0": b"caf\xe9\0", "é\0".encode(): b"v\0", b"caf\xe9\0": b"v\0"})
    assert isinstance(table.ask("k"), TemporaryError)
    assert table.ask("É") == "v"
    assert table.ask("caf\udce9") is NOT_FOUND
    assert table.warnings[-1].endswith('non-UTF-8 key "caf?": malformed UTF-8 or invalid codepoint')
    plain = Built(tmp_path, "hash", utf8=False)
    assert plain.ask("k", "caf\udce9") == ["caf\udce9", "v"]


@kinds
def test_keys_without_sense_are_nowhere(tmp_path, kind):
    table = Built(tmp_path, kind)
    table.write({"k": "v"}, 6000)
    assert table.ask("k\0", "k\0x", "", "k" * (KEY_LIMIT + 1), "x" * KEY_LIMIT) == [NOT_FOUND] * 5


@kinds
def test_a_new_file_keeps_the_mode_of_the_old_one(tmp_path, kind):
    path = tmp_path / "f"
    write_file(kind, path, {b"k": b"v"}, 0o640)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o604)
    write_file(kind, path, {b"k": b"w"}, 0o640)
    assert path.stat().st_mode & 0o777 == 0o604
    assert read_entries(kind, path) == {b"k": b"w"}
    assert list(tmp_path.iterdir()) == [path]


@kinds
def test_what_cannot_be_built_leaves_the_old_file(tmp_path, kind, monkeypatch):
    path = tmp_path / "f"
    write_file(kind, path, {b"k": b"v"})

    def fail(out, entries):
        out.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(BUILDERS, kind, BUILDERS[kind].__class__(fail, b""))
    with pytest.raises(OSError, match="No space"):
        write_file(kind, path, {b"k": b"w"})
    assert read_entries(kind, path) == {b"k": b"v"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_takes_no_file_has_the_old_one_written_over(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_file("hash", path, {b"k": b"v" * 9999})
    inode = path.stat().st_ino
    monkeypatch.setattr(Path, "replace", pytest.fail)
    real = os.open

    def refuse(name, flags, *rest, **named):
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied")
        return real(name, flags, *rest, **named)

    monkeypatch.setattr("angarium.tables.build.os.open", refuse)
    with writing("hash", path):
        write_file("hash", path, {b"k": b"w"})
    assert read_entries("hash", path) == {b"k": b"w"}
    assert path.stat().st_ino == inode
