"""The documents do not drift: what they name exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("packaging/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_in_code_marks_exist(document):
    text = document.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:src|tests|scripts|docs|packaging|benchmarks)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


def test_every_decision_is_in_the_index():
    index = (ROOT / "docs/adr/README.md").read_text(encoding="utf-8")
    for record in (ROOT / "docs/adr").glob("[0-9]*.md"):
        assert f"({record.name})" in index


def test_what_the_table_of_rfcs_names_exists():
    for line in (ROOT / "docs/rfc.md").read_text(encoding="utf-8").splitlines():
        code, test = (
            (re.findall(r"`([\w./-]+)`", cell) for cell in re.split(r"(?<!\\)\|", line)[5:7])
            if line.startswith("| ")
            else ((), ())
        )
        for path in code:
            assert (ROOT / "src/angarium" / path).exists() or (ROOT / path).exists(), line
        for path in test:
            assert (ROOT / path).exists(), line
