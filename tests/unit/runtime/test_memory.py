from __future__ import annotations

from pathlib import Path

from angarium.runtime import memory


def test_freed_pages_go_back():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    pieces = [bytearray(60_000) for _ in range(1000)]
    kept = pieces[::100]
    full = resident()
    del pieces
    memory.give_back()
    assert resident() < full
    assert kept


def test_nothing_happens_without_glibc(monkeypatch):
    monkeypatch.setattr(memory, "_malloc_trim", lambda: None)
    assert memory.give_back() is False
