"""``scripts/bench [--quick | --smoke] [--runs N] [--long] [--only ours|theirs] [--json FILE] [--document] [rows …]``.

Runs the workloads (all but the long ones, or those named) on both servers in turns and prints the table. Without
Postfix and Dovecot, or without root, ours is measured alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report, rows
from benchmarks.load_smtp import Sink
from benchmarks.measure import Sample, Series, pss_kib
from benchmarks.rows import WORKLOADS, Row, Workload
from benchmarks.servers import Ours, Server, Theirs, free_port

IDLE_SERVER = Row("server", "the idle server, all processes (PSS)", "MiB")


def main() -> int:
    """Measure and report."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the servers are stopped then, too
    options = _options()
    chosen = _chosen(options.rows, long=options.long)
    scale = rows.SMOKE if options.smoke else rows.QUICK if options.quick else rows.Scale()
    runs = options.runs or (1 if options.quick or options.smoke else 3)
    root = Path(tempfile.mkdtemp(prefix="bench", dir=options.directory))
    root.chmod(0o755)
    relay_port = free_port()
    servers = _servers(options.only, root, relay_port)
    results: dict[str, dict[str, Series]] = {}
    sink = Sink(relay_port)
    failed = False
    load = os.getloadavg()[0]
    began = time.monotonic()
    try:
        for server in servers:
            _say(f"setting up {server.name} in {root}")
            server.start(rows.users(scale, runs))
            time.sleep(2)
            server.idle_kib = pss_kib(server.roots)
            _add(results, server, {IDLE_SERVER.name: Sample(server.idle_kib / 1024)})
        for workload in chosen:
            for run in range(runs):
                for server in servers:
                    failed = not _measure(workload, server, run, scale, results) or failed
    finally:
        sink.close()
        for server in servers:
            server.stop()
        if options.keep:
            _say(f"kept {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)
    _report(options, results, runs, time.monotonic() - began, load)
    return 1 if failed else 0


def _measure(
    workload: Workload, server: Server, run: int, scale: rows.Scale, results: dict[str, dict[str, Series]]
) -> bool:
    try:
        samples = workload.run(server, run, scale)
    except Exception as error:  # one row that fails must not cost the others
        _say(f"{workload.name} on {server.name}, run {run + 1}: {type(error).__name__}: {error}")
        traceback.print_exc(limit=4)
        return False
    shown = ", ".join(
        f"{name} {report.number(sample.value)}" + (f" ({sample.cpu * 1000:.2f} ms)" if sample.cpu else "")
        for name, sample in samples.items()
    )
    _say(f"{workload.name} on {server.name}, run {run + 1}: {shown}")
    _add(results, server, samples)
    return True


def _add(results: dict[str, dict[str, Series]], server: Server, samples: rows.Samples) -> None:
    for name, sample in samples.items():
        results.setdefault(name, {}).setdefault(server.name, Series()).samples.append(sample)


def _report(
    options: argparse.Namespace, results: dict[str, dict[str, Series]], runs: int, seconds: float, load: float
) -> None:
    every = [row for workload in WORKLOADS for row in workload.rows]
    text = report.table([*every, IDLE_SERVER], results, Ours.name, Theirs.name)
    print(text)
    facts = [report.machine(), report.versions(), f"{runs} runs, {seconds / 60:.0f} minutes", _company(load)]
    if options.json:
        Path(options.json).write_text(report.to_json(results, {"runs": runs}))
    if options.document:
        flags = [*(["--long"] if options.long else []), *(["--quick"] if options.quick else []), *options.rows]
        command = " ".join(["scripts/bench --document", f"--runs {runs}", *flags])
        target = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
        target.write_text(report.document(target.read_text(), text, command, facts))


def _company(load: float) -> str:
    """How busy the machine was before: with company, every time includes waiting for it."""
    return (
        f"load average {load:.1f} in the minute before the start; where other work runs beside, times include waiting "
        "for it, and the CPU columns move less"
    )


def _servers(only: str, root: Path, relay_port: int) -> list[Server]:
    servers: list[Server] = []
    if only != "theirs":
        servers.append(Ours(root / "ours", relay_port))
    if only != "ours":
        missing = Theirs.missing()
        if missing:
            _say(f"without Postfix + Dovecot: {missing}")
        else:
            servers.append(Theirs(root / "theirs", relay_port))
    return servers


def _chosen(names: Sequence[str], *, long: bool) -> list[Workload]:
    known = {workload.name for workload in WORKLOADS}
    unknown = set(names) - known
    if unknown:
        sys.exit(f"unknown rows: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    return [workload for workload in WORKLOADS if (workload.name in names if names else long or not workload.long)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure beside Postfix + Dovecot.")
    parser.add_argument("rows", nargs="*", help="workloads; all but the long ones when none is named")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a tenth of the work, once")
    size.add_argument("--smoke", action="store_true", help="next to no work: does it run?")
    parser.add_argument("--runs", type=int, default=0, help="runs of each row (3)")
    parser.add_argument("--long", action="store_true", help="also the rows that take long (growth)")
    parser.add_argument("--only", choices=("both", "ours", "theirs"), default="both")
    parser.add_argument("--json", default="", help="write all samples to this file")
    parser.add_argument("--document", action="store_true", help="write docs/performance.md")
    parser.add_argument("--directory", default=None, help="where the servers' files go (the temporary directory)")
    parser.add_argument("--keep", action="store_true", help="keep the servers' files")
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
