"""Our match lists beside Postfix's: ``postqueue -s`` says whether fast_flush_domains holds a domain."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from angarium.model.lookup import Found
from angarium.tables.matchlist import MatchList
from angarium.tables.opener import TableOpener
from angarium.tables.text import split_list

REAL = shutil.which("postqueue", path="/usr/sbin:/usr/bin:/bin")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(REAL is None and not os.environ.get("CI"), reason="needs Postfix's postqueue"),
]

LISTS = [
    "a.test, B.test",
    ".a.test",
    "!x.a.test a.test",
    "a.test !x.a.test",
    "!!a.test",
    "!a.test, static:all",
    "inline:{a.test=1}",
    "inline:{.a.test=1}",
    "!inline:{x.a.test=1} a.test",
    "regexp:{{/^x\\.a\\.test$/ y}}",
    "regexp:{{/test$/ y}}",
    "PATTERNS, static:all",
    "!PATTERNS",
    "!PATTERNS, static:all",
    "TABLES, b.test",
    "INNER, d.test",
    "!INNER, static:all",
    "hash:HASH",
    "test",
    "texthash:HASH !a.test",
]
NAMES = ["a.test", "A.TEST", "x.a.test", "y.x.a.test", "b.test", "c.test", "x.c.test", "d.test", "test", "za.test"]
FILES = {
    "PATTERNS": "# comment\n!c.test a.test,\n  !x.test\n",
    "TABLES": "inline:{a.test=1, c.test=2}\n!b.test\n",
    "INNER": "!PATTERNS b.test\n",
    "HASH": "a.test 1\nc.test 2\n",
}


@pytest.mark.parametrize("parents", ["yes", "no"])
def test_lists_of_domains(tmp_path, parents):
    def placed(text):
        for name in FILES:
            text = text.replace(name, str(tmp_path / name))
        return text

    for name, content in FILES.items():
        (tmp_path / name).write_text(placed(content))
    subprocess.run(["/usr/sbin/postmap", f"hash:{tmp_path / 'HASH'}"], check=True)

    def real(case):
        number, _, name = case
        directory = tmp_path / str(number)
        if not directory.exists():
            return None
        done = subprocess.run([REAL, "-c", directory, "-s", name], capture_output=True, text=True, timeout=20)
        if "not configured for destination" in done.stderr:
            return False
        return True if "mail system is down" in done.stderr else None

    def ours(patterns, name):
        opener = TableOpener(lambda _text: None)
        listed = MatchList("p", split_list(patterns), opener, bare_parents=parents == "yes")
        answer = asyncio.run(listed.match_domain(name))
        return answer.cause if hasattr(answer, "cause") else isinstance(answer, Found)

    cases = []
    for number, patterns in enumerate(map(placed, LISTS)):
        directory = tmp_path / str(number)
        directory.mkdir()
        matching = "fast_flush_domains" if parents == "yes" else ""
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": str(directory),
            "parent_domain_matches_subdomains": matching,
            "fast_flush_domains": patterns.replace("$", "$$"),
        }
        (directory / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        os.utime(directory / "main.cf", (1e9, 1e9))
        cases += [(number, patterns, name) for name in NAMES]
    with ThreadPoolExecutor(40) as pool:
        theirs = list(pool.map(real, cases))
    mine = [ours(patterns, name) for _, patterns, name in cases]
    assert dict(zip(cases, mine, strict=True)) == dict(zip(cases, theirs, strict=True))
