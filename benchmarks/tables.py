"""Lookup tables beside Postfix's: building them, asking them, and what that takes in memory.

    python -m benchmarks.tables [--entries 1000000] [--keys 100000] [--kinds hash,btree,lmdb,cdb,texthash] [--json FILE]
                                [--document]

Both programs build the same table and answer the same keys (nine in ten are there) with ``postmap -q -``, each in a
process of its own, in turns; time of CPU and largest resident size are the kernel's. "in the server" is a worker's
look-up of one key, without a process around it. Rates are those of a second of CPU, since other work
may be on. Without Postfix only our half is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from angarium.tables.opener import TableOpener
from benchmarks import report

POSTMAP = shutil.which("postmap", path="/usr/sbin:/usr/bin")
OURS = [sys.executable, "-m", "angarium.commands.postmap"]


@dataclass
class Run:
    """One process: seconds by the clock and of CPU, MiB at most."""

    seconds: float
    cpu: float
    mib: float


@dataclass
class Row:
    """One type of table, one program."""

    kind: str
    program: str
    build: Run | None
    file_mib: float
    ask: Run
    start: Run
    per_second: float | None
    in_server_us: float | None = None


def watch(process: subprocess.Popen[bytes], peaks: list[float]) -> None:
    """Note the largest resident size while a process runs: rusage also counts what it was before its exec."""
    status = Path(f"/proc/{process.pid}/status")
    while process.returncode is None:
        try:
            lines = status.read_text().splitlines()
        except OSError:
            return
        peaks += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")]
        time.sleep(0.002)


def run(command: list[str], directory: Path, keys: Path | None = None) -> Run:
    environment = {"MAIL_CONFIG": str(directory), "PATH": "/usr/sbin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    started = time.perf_counter()
    with (keys or Path(os.devnull)).open("rb") as source:
        process = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL, cwd=directory, env=environment)
        peaks = [0.0]
        watcher = threading.Thread(target=watch, args=(process, peaks))
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        watcher.join()
    seconds = time.perf_counter() - started
    if process.returncode not in (0, 1):
        raise SystemExit(f"{command} ended with {process.returncode}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, peaks[-1])


def in_server(name: str, keys: list[str], directory: Path) -> float:
    """Microseconds a look-up in a process that has the table open."""
    table = TableOpener(lambda text: print(text, file=sys.stderr), base=directory).open(name)

    async def ask() -> float:
        await table.lookup(keys[0])
        started = time.process_time()
        for key in keys:
            await table.lookup(key)
        return (time.process_time() - started) / len(keys) * 1e6

    return asyncio.run(ask())


def measure(kind: str, directory: Path, keys: list[str], key_file: Path, empty: Path) -> list[Row]:
    rows = []
    suffix = {"hash": ".db", "btree": ".db", "texthash": ""}.get(kind, f".{kind}")
    programs = [("ours", OURS)] if POSTMAP is None else [("Postfix", [POSTMAP]), ("ours", OURS)]
    for program, command in programs:
        built = None if kind == "texthash" else run([*command, f"{kind}:table"], directory)
        start = run([*command, "-q", "-", f"{kind}:table"], directory, empty)
        ask = run([*command, "-q", "-", f"{kind}:table"], directory, key_file)
        more = ask.cpu - start.cpu
        rate = len(keys) / more if more > ask.cpu / 20 else None  # else the noise of the start hides it
        size = (directory / f"table{suffix}").stat().st_size / (1 << 20)
        row = Row(kind, program, built, size, ask, start, rate)
        if program == "ours":
            row.in_server_us = in_server(f"{kind}:table", keys, directory)
        rows.append(row)
    return rows


def resolving() -> list[str]:
    """What one recipient costs through canonical, virtual and transport maps, as lines of text."""
    program = [sys.executable, str(Path(__file__).with_name("resolve.py")), "--type", "hash", "--entries", "100000"]
    done = subprocess.run(program, check=True, capture_output=True, text=True)
    return [
        "One recipient, with `python benchmarks/resolve.py --type hash --entries 100000`:",
        "",
        "```",
        *done.stdout.splitlines(),
        "```",
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--kinds", default="hash,btree,lmdb,cdb,texthash")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--document", action="store_true", help="write the section of docs/performance.md")
    options = parser.parse_args()
    chooser = random.Random(7)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "main.cf").write_text("compatibility_level = 3.6\n")
        with (directory / "table").open("w") as table:
            for number in range(options.entries):
                table.write(f"user{number}@example{number % 1000}.test box{number}@store{number % 50}.test\n")
        for each in ("main.cf", "table"):
            os.utime(directory / each, (1_500_000_000, 1_500_000_000))
        keys = []
        for _ in range(options.keys):
            number = chooser.randrange(options.entries)
            keys.append(f"{'user' if chooser.random() < 0.9 else 'nobody'}{number}@example{number % 1000}.test")
        key_file, empty = directory / "keys", directory / "empty"
        key_file.write_text("\n".join(keys) + "\n")
        empty.write_text("nobody@nowhere.test\n")
        rows = [row for kind in options.kinds.split(",") for row in measure(kind, directory, keys, key_file, empty)]
    lines = [
        "| type | program | build, s (CPU) | MiB | file, MiB | look-ups/s of CPU | MiB | in the server, µs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        build = f"{row.build.seconds:.1f} ({row.build.cpu:.1f}) | {row.build.mib:.0f}" if row.build else "- | -"
        inside = "" if row.in_server_us is None else f"{row.in_server_us:.1f}"
        rate = "-" if row.per_second is None else f"{row.per_second:,.0f}"
        lines.append(
            f"| {row.kind} | {row.program} | {build} | {row.file_mib:.0f} | {rate} | {row.ask.mib:.0f} | {inside} |"
        )
    lines += ["", *resolving()]
    body = "\n".join(lines)
    facts = [f"{options.entries:,} entries, {options.keys:,} keys", f"load average {os.getloadavg()[0]:.1f} at the end"]
    print("\n".join((*facts, "", body)))
    if options.document:
        page = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
        command = f"python -m benchmarks.tables --entries {options.entries} --keys {options.keys} --document"
        page.write_text(report.tables_document(page.read_text(), body, command, facts))
    print(f"\nthis process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
