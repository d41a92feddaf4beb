"""The documents say what the registry says."""

from __future__ import annotations

from pathlib import Path

import pytest

from angarium.config.manual import DOCUMENTS, write

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents_are_up_to_date(name):
    assert (DOCS / name).read_text() == DOCUMENTS[name](), "run: python -m angarium.config.manual docs"


def test_writes_them(tmp_path):
    write(tmp_path)
    assert (tmp_path / "compatibility.md").read_text().startswith("# Parameters of Postfix here")
