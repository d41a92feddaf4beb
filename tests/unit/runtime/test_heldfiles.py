from __future__ import annotations

import os

import pytest

from angarium.runtime import heldfiles

NOBODY = 65534


@pytest.fixture(autouse=True)
def nothing_stays():
    yield
    heldfiles.hold((), 0, ())


@pytest.fixture
def files(tmp_path):
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(0o755)
    made = {}
    for name, mode in (("secret", 0o600), ("open", 0o644), ("hidden/open", 0o644)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"content of {name}")
        path.chmod(mode)
        made[name] = path
    (tmp_path / "hidden").chmod(0o700)
    return made


def refuse(monkeypatch, *paths):
    """What the system does when we are not root."""
    real_open, real_read = os.open, heldfiles.Path.read_bytes

    def refused(path):
        if str(path) in {str(each) for each in paths}:
            raise PermissionError(13, "Permission denied", str(path))

    def opened(path, *args, **kwargs):
        refused(path)
        return real_open(path, *args, **kwargs)

    def read(path):
        refused(path)
        return real_read(path)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(heldfiles.Path, "read_bytes", read)


def test_only_what_the_user_may_not_read_is_held(files, tmp_path):
    held = heldfiles.hold([*files.values(), tmp_path / "absent", tmp_path], NOBODY, (NOBODY,))
    assert set(held) == {files["secret"], files["hidden/open"]}
    assert heldfiles.hold([files["secret"]], os.geteuid(), ()) == ()
    assert not heldfiles.is_held(files["secret"])


def test_groups_count(files):
    files["secret"].chmod(0o640)
    group = files["secret"].stat().st_gid
    assert not heldfiles.may_read(files["secret"], NOBODY, (NOBODY,))
    assert heldfiles.may_read(files["secret"], NOBODY, (NOBODY, group))


def test_what_is_held_is_read_when_the_system_refuses(files, monkeypatch):
    heldfiles.hold([files["secret"]], NOBODY, ())
    refuse(monkeypatch, files["secret"], files["open"])
    assert heldfiles.read_bytes(files["secret"]) == b"content of secret"
    descriptor = heldfiles.open_descriptor(files["secret"])
    with os.fdopen(descriptor, "rb") as file:
        assert file.read() == b"content of secret"
    for function in (heldfiles.read_bytes, heldfiles.open_descriptor):
        with pytest.raises(PermissionError):
            function(files["open"])


def test_what_may_be_read_is_read_from_where_it_is(files):
    heldfiles.hold([files["secret"]], NOBODY, ())
    files["secret"].write_text("changed")
    assert heldfiles.read_bytes(files["secret"]) == b"changed"


def test_there_is_a_limit(files, monkeypatch):
    monkeypatch.setattr(heldfiles, "_LARGEST", 5)
    assert heldfiles.hold([files["secret"]], NOBODY, ()) == ()
    monkeypatch.setattr(heldfiles, "_LARGEST", 100)
    monkeypatch.setattr(heldfiles, "_MOST", 20)
    assert heldfiles.hold([files["secret"], files["hidden/open"]], NOBODY, ()) == (files["secret"],)


def test_a_stamp_there_is_also_behind_a_closed_directory(files, monkeypatch):
    path = files["hidden/open"]
    assert heldfiles.stamp(path)[2] == path.stat().st_size
    heldfiles.hold([path], NOBODY, ())

    def refused(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", refused)
    assert heldfiles.stamp(path) == (0, 0, len("content of hidden/open"))
    with pytest.raises(PermissionError):
        heldfiles.stamp(files["open"])
