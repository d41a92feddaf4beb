import io
import os
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.tables.berkeley import hash_of as berkeley_hash
from angarium.tables.berkeley import open_berkeley
from angarium.tables.berkeley_build import build_btree, build_hash
from angarium.tables.builtfile import HELD_IN_MEMORY, DamagedFileError, FileBytes
from angarium.tables.cdb import CdbFile, build_cdb
from angarium.tables.lmdb import LmdbFile, build_lmdb

FORMATS = {
    "hash": (build_hash, open_berkeley),
    "btree": (build_btree, open_berkeley),
    "cdb": (build_cdb, CdbFile),
    "lmdb": (build_lmdb, LmdbFile),
}
KEYS = st.binary(min_size=1, max_size=20) | st.binary(min_size=400, max_size=511)
VALUES = st.binary(max_size=20) | st.binary(min_size=900, max_size=9000)

formats = pytest.mark.parametrize("kind", FORMATS)


def built(kind, entries):
    out = io.BytesIO()
    FORMATS[kind][0](out, entries)
    return out.getvalue()


def opened(kind, data):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return FORMATS[kind][1](FileBytes(os.dup(file.fileno())))


@formats
@settings(max_examples=60, deadline=None)
@given(entries=st.dictionaries(KEYS, VALUES, max_size=60), missing=KEYS)
def test_what_is_built_is_read(kind, entries, missing):
    file = opened(kind, built(kind, entries))
    assert dict(file.items()) == entries
    assert {key: file.get(key) for key in entries} == entries
    assert file.get(missing) == entries.get(missing)


@formats
def test_a_file_that_is_not_held_in_memory(kind):
    entries = {b"user%d@example.test\0" % number: b"value%d\0" % number for number in range(12000)}
    data = built(kind, entries)
    assert len(data) > HELD_IN_MEMORY
    file = opened(kind, data)
    assert all(file.get(key) == value for key, value in entries.items())
    assert file.get(b"nobody\0") is None
    assert dict(file.items()) == entries


@pytest.mark.parametrize("kind", ["hash", "btree", "cdb"])
def test_long_keys(kind):
    entries = {b"k" * (1000 + 7 * number) + b"%d" % number: b"v" * number for number in range(600)}
    file = opened(kind, built(kind, entries))
    assert all(file.get(key) == value for key, value in entries.items())
    assert dict(file.items()) == entries


def test_lmdb_refuses_a_key_that_it_has_no_room_for():
    with pytest.raises(ValueError, match="longer than LMDB"):
        built("lmdb", {b"k" * 512: b"v"})


def ask(kind, data):
    """Everything that can be asked of a file; only the one exception may come out."""
    try:
        file = opened(kind, data)
        for key in (b"a\0", b"b" * 700, b"key50"):
            file.get(key)
        for _ in file.items():
            pass
    except DamagedFileError:
        return False
    return True


@formats
def test_a_file_that_is_cut_off_is_damaged(kind):
    data = built(kind, {b"key%d" % number: b"v" * 40 * number for number in range(100)})
    assert ask(kind, data)
    assert not ask(kind, b"")
    for end in range(0, len(data) - 4096, 997):
        ask(kind, data[:end])
    assert not ask(kind, data[: len(data) // 2])


@formats
@settings(max_examples=100, deadline=None)
@given(hits=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=12))
def test_damage_costs_no_more_than_an_error(kind, hits):
    data = bytearray(built(kind, {b"a\0": b"one", b"b" * 480: b"two", **{b"key%d" % n: b"v" * n for n in range(90)}}))
    for at, byte in hits:
        data[at % len(data)] = byte
    ask(kind, bytes(data))


def test_a_chain_of_pages_without_end_is_damage():
    data = bytearray(built("hash", {b"a%d" % number: b"" for number in range(20)}))
    for page in (1, 2):
        data[page * 4096 + 16 : page * 4096 + 20] = (1).to_bytes(4, "little")
    with pytest.raises(DamagedFileError, match="no end"):
        opened("hash", bytes(data)).get(b"nobody")


def test_a_bucket_that_was_never_written_to_is_empty():
    entries = {b"a%d" % number: b"v%d" % number for number in range(400)}
    data = bytearray(built("hash", entries))
    first = opened("hash", bytes(data))
    data[4096 : 2 * 4096] = bytes(4096)
    file = opened("hash", bytes(data))
    lost = entries.keys() - dict(file.items()).keys()
    assert 0 < len(lost) < len(entries)
    assert {key for key in entries if file.get(key) is None} == lost
    assert dict(first.items()) == entries


def test_the_hash_of_berkeley_db():
    assert berkeley_hash(b"%$sniglet^&\0") == 0x5E688DD1
