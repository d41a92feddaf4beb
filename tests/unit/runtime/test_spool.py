import os

import pytest

from angarium.runtime.spool import CHUNK, Spool, SpooledContent, sync_directory


@pytest.fixture
def spool(tmp_path):
    (tmp_path / "spool").mkdir()
    return Spool(tmp_path / "spool")


def test_what_was_written_is_read(spool):
    file = spool.create()
    data = os.urandom(CHUNK * 2 + 17)
    file.write(data[:100])
    file.write(data[100:])
    content = file.finish()
    assert content.size == len(data)
    assert content.read() == data
    assert b"".join(content.chunks(5, CHUNK + 5)) == data[5 : CHUNK + 5]
    assert content.read(10, 20) == data[10:20]
    content.close()


def test_a_file_that_nobody_took_over_goes(spool):
    content = spool.create().finish()
    assert content.path.exists()
    content.close()
    assert list(spool.directory.iterdir()) == []


def test_an_abandoned_file_goes(spool):
    file = spool.create()
    file.write(b"x")
    file.abandon()
    assert list(spool.directory.iterdir()) == []


def test_a_file_that_was_taken_over_stays(spool, tmp_path):
    file = spool.create()
    file.write(b"kept")
    content = file.finish()
    content.link_to(tmp_path / "body")
    sync_directory(tmp_path)
    content.close()
    kept = SpooledContent.open(tmp_path / "body")
    assert kept.read() == b"kept"
    kept.close()
    assert (tmp_path / "body").exists()


def test_a_name_that_a_dead_process_of_our_number_left_is_passed_over(spool):
    (spool.directory / f"{os.getpid()}.0").write_bytes(b"left")
    file = spool.create()
    file.write(b"new")
    assert (spool.directory / f"{os.getpid()}.0").read_bytes() == b"left"
    file.abandon()


def test_clean_removes_what_dead_processes_left(spool):
    (spool.directory / "4194399.0").write_bytes(b"left")  # above the kernel's largest pid
    mine = spool.create()
    assert spool.clean() == 1
    assert len(list(spool.directory.iterdir())) == 1
    mine.abandon()


def test_a_file_that_became_shorter_is_no_shorter_message(tmp_path):
    path = tmp_path / "message"
    path.write_bytes(b"x" * 3 * CHUNK)
    content = SpooledContent.open(path)
    os.truncate(path, CHUNK + 1)
    with pytest.raises(OSError, match="shorter"):
        content.read()
    assert content.read(0, CHUNK) == b"x" * CHUNK
    content.close()
