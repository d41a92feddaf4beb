"""What the local process answers: one line of JSON, the parts of each recipient (``delivery.question``)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from angarium.agents.local.deliverer import Part
from angarium.delivery.question import json_line
from angarium.model.delivery import Status
from angarium.model.dsn import Dsn


def encode_parts(told: Sequence[Sequence[Part]]) -> bytes:
    """The answer."""
    return json_line(
        [
            [
                [
                    p.address,
                    p.status.value,
                    str(p.dsn),
                    p.text,
                    list(p.forward),
                    p.sender,
                    p.transport,
                    p.nexthop,
                    p.output,
                ]
                for p in parts
            ]
            for parts in told
        ]
    )


def decode_parts(line: bytes) -> list[list[Part]]:
    """The parts of an answer. Raises ValueError."""
    try:
        return [
            [
                Part(
                    str(address),
                    Status(status),
                    Dsn.parse(dsn),
                    str(text),
                    tuple(map(str, forward)),
                    sender,
                    str(way),
                    str(hop),
                    str(output),
                )
                for address, status, dsn, text, forward, sender, way, hop, output in parts
            ]
            for parts in json.loads(line)
        ]
    except TypeError as error:
        raise ValueError(f"not an answer: {error}") from error
