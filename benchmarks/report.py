"""The results for people and for programs: a table, JSON, and docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Series
from benchmarks.rows import Row

Results = Mapping[str, Mapping[str, Series]]
"""Row name -> server name -> its series."""


def number(value: float) -> str:
    """Three significant digits, without exponents."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def ratio(row: Row, ours: Series, theirs: Series) -> float:
    """How many times better ours is."""
    better, worse = (ours.value, theirs.value) if row.higher else (theirs.value, ours.value)
    return better / worse if worse else float("inf")


def table(rows: Sequence[Row], results: Results, ours: str, theirs: str) -> str:
    """Markdown."""
    lines = [
        f"| row | {ours} | CPU | {theirs} | CPU | times better | CPU times less | wanted |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        if row.name not in results:
            continue
        lines.append(_line(row, results[row.name].get(ours), results[row.name].get(theirs)))
    return "\n".join(lines)


def _line(row: Row, mine: Series | None, other: Series | None) -> str:
    cells = [row.title]
    for series in (mine, other):
        cells.append(f"{number(series.value)} {row.unit}" if series is not None else "–")
        shown = series is not None and series.cpu is not None and row.cpu_unit
        cells.append(f"{number(series.cpu * 1000)} ms" if shown and series is not None and series.cpu else "")
    times, less, wanted = "", "", ""
    if mine is not None and row.most:
        wanted = f"at most {row.most:g}{row.unit}: " + ("yes" if mine.value <= row.most else "**no**")
    if mine is not None and other is not None:
        factor = ratio(row, mine, other)
        times = f"{number(factor)}x"
        if row.cpu_unit and mine.cpu and other.cpu:
            less = f"{number(other.cpu / mine.cpu)}x"
        if row.target:
            wanted = f"{row.target:g}x: " + ("yes" if factor >= row.target else "**no**")
        if row.cpu_target and mine.cpu and other.cpu:
            reached = other.cpu / mine.cpu >= row.cpu_target
            wanted += f", CPU {row.cpu_target:g}x: " + ("yes" if reached else "**no**")
    return "| " + " | ".join([*cells, times, less, wanted]) + " |"


def machine() -> str:
    """What it ran on, in a line."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    return f"{os.cpu_count()} cores ({model}), Linux {platform.release()}, Python {platform.python_version()}"


def versions() -> str:
    """The programs compared with."""
    postfix = _output("/usr/sbin/postconf", "-d", "-h", "mail_version")
    dovecot = _output("/usr/sbin/dovecot", "--version").split(" ")[0]
    return f"Postfix {postfix}, Dovecot {dovecot}"


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "?"


def to_json(results: Results, extra: Mapping[str, object]) -> str:
    """All samples, for programs."""
    rows = {
        name: {
            server: {
                "median": series.value,
                "cpu_seconds": series.cpu,
                "samples": [[sample.value, sample.cpu] for sample in series.samples],
            }
            for server, series in by_server.items()
        }
        for name, by_server in results.items()
    }
    return json.dumps({"machine": machine(), "versions": versions(), **extra, "rows": rows}, indent=1)


TABLES = "\n## Lookup tables\n"
"""Where in docs/performance.md the section begins that ``benchmarks.tables`` writes."""


def tables_document(page: str, body: str, command: str, facts: Sequence[str]) -> str:
    """docs/performance.md with its section about lookup tables."""
    listed = "\n".join(f"- {fact}" for fact in facts)
    return f"""{page.partition(TABLES)[0]}{TABLES}
The same table built and asked by Postfix's programs and by ours, each in a process of its own. "In the server" is one
look-up in a worker, without a process around it. This section is written by

    {command}

{listed}

{body}
"""


def document(page: str, body: str, command: str, facts: Sequence[str]) -> str:
    """docs/performance.md; ``page`` is what it was, whose section about lookup tables stays."""
    tables = "".join(page.partition(TABLES)[1:])
    listed = "\n".join(f"- {fact}" for fact in facts)
    return f"""# Performance

Angarium beside Postfix delivering by LMTP to Dovecot, on the same machine, in the same run, by the same client, in
turns. Both flush every message to disk before they say yes; no TLS, no DNS. Each figure is the median of the runs. CPU
is user and system time of all the server's processes. This page is written by

    {command}

{listed}

{body}

The last column says what the project wants, and whether it has it; "CPU" there is CPU per message. What the rows do
is in `benchmarks/rows.py`. Absolute rates move with the machine; the ratios of one run are what counts.
{tables}"""
