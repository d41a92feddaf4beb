from __future__ import annotations

import os
import time

import pytest

from angarium.mailstore.bodies import BodyFiles, FiledContent
from angarium.mailstore.interface import MailstoreUnavailableError
from angarium.runtime.spool import Spool


def test_a_body_that_waited_in_the_queue_for_long_is_no_orphan_before_its_row_is_there(tmp_path):
    (tmp_path / "spool").mkdir()
    file = Spool(tmp_path / "spool").create()
    file.write(b"large")
    content = file.finish()
    os.utime(content.path, (1, 1))
    bodies = BodyFiles(tmp_path / "bodies")
    name = bodies.store(content)
    assert bodies.orphans(frozenset(), time.time()) == []
    assert bodies.orphans(frozenset(), time.time() + 7200) == [name]
    content.close()


def test_a_file_that_is_gone_when_orphans_are_looked_for_is_no_failure(tmp_path):
    bodies = BodyFiles(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")  # listed, and not there when asked
    assert bodies.orphans(frozenset(), time.time()) == []


def test_a_body_that_ends_too_early_is_no_shorter_message(tmp_path):
    path = tmp_path / "body"
    path.write_bytes(b"a: b\r\n\r\n" + b"x" * 200_000)
    content = FiledContent.of(b"a: b\r\n\r\n", path, 8)
    os.truncate(path, 100_000)
    with pytest.raises(MailstoreUnavailableError, match="became shorter"):
        content.read()
