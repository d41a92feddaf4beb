"""atheris target: delivery-status parts. Run: python tests/fuzz/fuzz_dsn.py -atheris_runs=1000."""

from __future__ import annotations

import contextlib
import sys

from angarium.protocols.dsn import ReportError, parse_delivery_status, render_delivery_status


def one_input(data: bytes) -> None:
    """Whatever parses renders, and reads back with the same recipients and actions."""
    with contextlib.suppress(ReportError):
        report = parse_delivery_status(data)
        again = parse_delivery_status(render_delivery_status(report))
        assert [status.action for status in again.recipients] == [status.action for status in report.recipients]


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
