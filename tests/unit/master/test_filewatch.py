from __future__ import annotations

import os

from angarium.master.filewatch import FileWatch


def test_a_change_counts_when_it_has_settled(tmp_path):
    now = [0.0]
    key, certificate, absent = tmp_path / "key", tmp_path / "certificate", tmp_path / "absent"
    key.write_text("one")
    certificate.write_text("one")
    watch = FileWatch([key, certificate, absent, key], 10.0, lambda: now[0])

    def look():
        now[0] += watch.wait(3600.0)
        return watch.changed()

    assert watch.wait(5.0) == 5.0
    assert look() == ()
    key.write_text("another")
    assert watch.changed() == ()  # it is not time yet
    assert look() == ()
    certificate.write_text("another")
    assert look() == ()
    assert look() == (key, certificate)
    assert look() == ()
    os.utime(key, ns=(1, 1))
    absent.write_text("there")
    assert [look(), look(), look()] == [(), (key, absent), ()]
    key.unlink()
    assert [look(), look()] == [(), (key,)]


def test_nothing_is_looked_at_without_files_or_an_interval(tmp_path):
    for watch in (FileWatch([], 10.0), FileWatch([tmp_path], 0.0)):
        assert watch.wait(3600.0) == 3600.0
        assert watch.changed() == ()
