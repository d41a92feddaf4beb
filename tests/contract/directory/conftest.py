"""The back ends that the directory's contract is run against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from angarium.directory.admin import SqliteDirectoryAdmin
from angarium.directory.interface import Directory, DirectoryAdmin
from angarium.directory.reader import SqliteDirectory

Backend = tuple[Callable[[], DirectoryAdmin], Directory]


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """How to open the directory for changes, and a reader that was there before anything else."""
    path = tmp_path / "directory.sqlite"
    clock = iter(range(1_000_000))
    reader = SqliteDirectory(path, lambda: float(next(clock)))
    yield (lambda: SqliteDirectoryAdmin(path)), reader
    reader.close()


@pytest.fixture
def admin(backend: Backend) -> Iterator[DirectoryAdmin]:
    opened = backend[0]()
    yield opened
    opened.close()


@pytest.fixture
def directory(backend: Backend) -> Directory:
    return backend[1]
