"""What the local process answers: one line of JSON, the parts of each recipient (``delivery.question``)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields

from angarium.agents.local.deliverer import Part
from angarium.delivery.question import json_line
from angarium.model.delivery import Status
from angarium.model.dsn import Dsn

_FIELDS = tuple(field.name for field in fields(Part))


def encode_parts(told: Sequence[Sequence[Part]]) -> bytes:
    """The answer."""
    return json_line([[_said(part) for part in parts] for parts in told])


def decode_parts(line: bytes) -> list[list[Part]]:
    """The parts of an answer. Raises ValueError."""
    try:
        return [[_part(**said) for said in parts] for parts in json.loads(line)]
    except TypeError as error:
        raise ValueError(f"not an answer: {error}") from error


def _said(part: Part) -> dict[str, object]:
    return {name: getattr(part, name) for name in _FIELDS} | {"status": part.status.value, "dsn": str(part.dsn)}


def _part(*, status: str, dsn: str, forward: list[str], sender: str | None, **texts: str) -> Part:
    texts = {name: str(text) for name, text in texts.items()}
    to = tuple(map(str, forward))
    return Part(status=Status(status), dsn=Dsn.parse(dsn), forward=to, sender=sender, **texts)
