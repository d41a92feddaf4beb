"""Fuzz the SASL exchanges: any lines end in a challenge, credentials or an error, never in an exception.

Run: ``python tests/fuzz/fuzz_sasl.py -atheris_runs=100000``.
"""

from __future__ import annotations

import sys

from angarium.protocols.sasl.session import SaslExchange
from angarium.protocols.sasl.types import Challenge


def one_input(data: bytes) -> None:
    """The first byte picks the mechanism and whether there is an initial response; lines follow."""
    if not data:
        return
    exchange = SaslExchange.named("PLAIN" if data[0] & 1 else "LOGIN")
    assert exchange is not None
    lines = data[1:].split(b"\n")
    step = exchange.start(lines.pop(0) if data[0] & 2 else None)
    for line in lines:
        if not isinstance(step, Challenge):
            return
        step = exchange.receive(line)


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
