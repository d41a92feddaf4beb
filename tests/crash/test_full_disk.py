"""A disk that fills up under load and comes free: mail is refused for a while, the server lives, nothing is lost."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

MEGABYTE = 1024 * 1024


@pytest.fixture
def small_disk(monkeypatch):
    """A file system of 160 MB on which all of the server's files will be; tmpfs, which needs root."""
    place = Path(tempfile.mkdtemp(prefix="disk"))  # short, for the sake of the unix sockets below it
    mount = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=755", "angarium-test", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode != 0:
        place.rmdir()
        pytest.skip(f"a file system of its own cannot be mounted: {done.stderr.strip()}")
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
    place.rmdir()


def fill(place) -> None:
    """Take what room there is, to the last block."""
    with (place / "ballast").open("ab", buffering=0) as file:
        for size in (MEGABYTE, 65536, 4096):
            try:
                while True:
                    file.write(b"\xff" * size)
            except OSError:
                continue


def wait_for(condition, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.mark.parametrize("killed", [False, True], ids=["lives", "killed while full"])
def test_a_full_disk_comes_free(small_disk, scene, killed):
    stage = scene()
    load = stage.load
    wait_for(lambda: len(load.acknowledged) > 50, 30, "no mail is taken at all")
    fill(small_disk)
    wait_for(lambda: load.refused, 60, "a full disk refuses nothing")
    time.sleep(1.0)
    assert stage.victims.died() == []
    if killed:
        stage.victims.kill_all()
    (small_disk / "ballast").unlink()
    stage.victims.start_all()
    before = len(load.acknowledged)
    wait_for(lambda: len(load.acknowledged) > before + 20, 60, f"no mail after the disk came free: {load.refused}")
    load.stop()
    stage.settle()
    stage.check()
    print(f"{len(load.acknowledged)} acknowledged; refused: {dict(load.refused)}")
    codes = {bytes(reply)[:3] for reply in load.refused}
    assert codes <= {b"452", b"451", b"421", b"b N"}, load.refused
    assert os.listdir(stage.queue_directory / "content") == []  # noqa: PTH208 - a list to compare
