"""What the event store of ``angarium trace`` costs: the same mail with and without it, in turns.

usage: python -m benchmarks.events [MESSAGES] [TURNS]

Each turn starts two servers of ours, one with ``trace_enable = no``, which take turns, and sends mail to one mailbox
over ten sessions, then over a connection for each message. Figures are medians over the turns.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import load_smtp
from benchmarks.measure import LogWatch, cpu_seconds
from benchmarks.servers import DOMAIN, Ours, free_port

USER = "one"


class Untraced(Ours):
    """Ours without the event store."""

    def _main_cf(self) -> str:
        return super()._main_cf() + "trace_enable = no\n"


def measure(server: Ours, count: int, *, reconnect: bool) -> tuple[float, float]:
    """Messages a second, and the seconds of CPU that each takes."""
    watch = LogWatch(server.log)
    before = cpu_seconds(server.roots)
    start = time.perf_counter()
    load_smtp.source(server.ports.smtp, f"{USER}@{DOMAIN}", count, 10, reconnect=reconnect)
    end = watch.wait(count)
    return count / (end - start), (cpu_seconds(server.roots) - before) / count


def main() -> None:
    """Run, and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    found: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench") as place:
        kinds = {
            "with": Ours(Path(place, "with"), free_port()),
            "without": Untraced(Path(place, "without"), free_port()),
        }
        try:
            for server in kinds.values():
                server.start([USER])
                measure(server, 500, reconnect=False)
            for _turn in range(turns):
                for reconnect in (False, True):
                    for name, server in kinds.items():
                        found.setdefault((name, reconnect), []).append(measure(server, count, reconnect=reconnect))
        finally:
            for server in kinds.values():
                server.stop()
    for reconnect in (False, True):
        medians = {}
        for name in kinds:
            rates, costs = zip(*found[name, reconnect], strict=True)
            medians[name] = (statistics.median(rates), statistics.median(costs))
        (rate, cost), (bare_rate, bare_cost) = medians["with"], medians["without"]
        what = "a connection a message" if reconnect else "ten sessions"
        print(
            f"{what}: {rate:.0f}/s with, {bare_rate:.0f}/s without ({rate / bare_rate - 1:+.1%});"
            f" {cost * 1e6:.0f} us of CPU with, {bare_cost * 1e6:.0f} without ({cost / bare_cost - 1:+.1%})"
        )


if __name__ == "__main__":
    main()
