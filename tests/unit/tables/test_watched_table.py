import asyncio
import os

from angarium.model.lookup import Found, TemporaryError
from angarium.tables.database.watched import WatchedTable
from angarium.tables.simple import StaticTable


class Bench:
    def __init__(self, path):
        self.path = path
        self.clock = 0.0
        self.now = 1000.0
        self.warnings = []
        self.made = 0
        self.closed = 0
        self.write("one", 100)
        self.table = WatchedTable("t:x", path, self.make, self.warnings.append, lambda: self.clock, lambda: self.now)

    def make(self):
        self.made += 1
        if not self.path.exists():
            raise ValueError(f"open {self.path}: No such file or directory")
        text = self.path.read_text()
        if text == "wrong":
            raise ValueError("wrong settings")
        table = StaticTable("t:x", text)

        async def close():
            self.closed += 1

        table.close = close
        return table

    def write(self, text, when):
        self.path.write_text(text)
        os.utime(self.path, (when, when))

    def ask(self, seconds):
        self.clock += seconds
        answer = asyncio.run(self.table.lookup("k"))
        return answer.value if isinstance(answer, Found) else answer


def test_a_changed_file_is_read_again_when_it_has_settled(tmp_path):
    bench = Bench(tmp_path / "x.cf")
    assert bench.ask(0) == "one"
    bench.write("two", 999.5)
    assert bench.ask(0.5) == "one"
    assert bench.ask(0.6) == "one", "somebody may still write"
    bench.now = 1001.0
    assert bench.ask(1) == "two"
    assert bench.ask(5) == "two"
    assert (bench.made, bench.closed) == (2, 1)


def test_a_file_that_is_wrong_or_gone_is_a_temporary_error_until_it_is_right(tmp_path):
    bench = Bench(tmp_path / "x.cf")
    bench.write("wrong", 200)
    assert bench.ask(2) == TemporaryError("wrong settings", "t:x")
    bench.path.unlink()
    assert isinstance(bench.ask(2), TemporaryError)
    assert isinstance(bench.ask(2), TemporaryError)
    bench.write("right", 300)
    assert bench.ask(2) == "right"
    assert len(bench.warnings) == 2
    assert bench.made == 4
