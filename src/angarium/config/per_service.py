"""Parameters that exist once a service of master.cf: ``<transport>_destination_concurrency_limit`` and the like.

Each is declared here by its suffix, with the commands whose services have it and the default that it falls back to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from angarium.config.parameter import Parameter, Type

DELIVERY_COMMANDS = frozenset({"smtp", "lmtp", "local", "virtual", "pipe", "error", "discard"})
"""Programs of master.cf that deliver mail: their services are transports."""


class _Suffix(NamedTuple):
    suffix: str
    type: Type
    default: str


_DEFAULTED = (
    ("destination_concurrency_failed_cohort_limit", Type.INTEGER),
    ("destination_concurrency_limit", Type.INTEGER),
    ("destination_concurrency_negative_feedback", Type.STRING),
    ("destination_concurrency_positive_feedback", Type.STRING),
    ("delivery_slot_cost", Type.INTEGER),
    ("delivery_slot_discount", Type.INTEGER),
    ("delivery_slot_loan", Type.INTEGER),
    ("destination_rate_delay", Type.TIME),
    ("destination_recipient_limit", Type.INTEGER),
    ("extra_recipient_limit", Type.INTEGER),
    ("minimum_delivery_slots", Type.INTEGER),
    ("recipient_limit", Type.INTEGER),
    ("recipient_refill_delay", Type.TIME),
    ("recipient_refill_limit", Type.INTEGER),
    ("transport_rate_delay", Type.TIME),
)

_TRANSPORT = (
    *(_Suffix(f"_{rest}", kind, f"$default_{rest}") for rest, kind in _DEFAULTED),
    _Suffix("_initial_destination_concurrency", Type.INTEGER, "$initial_destination_concurrency"),
)

_BY_COMMAND: Mapping[str, tuple[_Suffix, ...]] = {
    "pipe": (_Suffix("_time_limit", Type.TIME, "$command_time_limit"),),
    "spawn": (_Suffix("_time_limit", Type.TIME, "$command_time_limit"),),
    "postscreen": (),
}


@lru_cache(maxsize=512)
def _parameter(service: str, suffix: _Suffix) -> Parameter:
    return Parameter(f"{service}{suffix.suffix}", suffix.type, suffix.default, program="qmgr", minimum=0)


def service_parameters(services: Iterable[tuple[str, str]]) -> dict[str, Parameter]:
    """The parameters of services given as (name, command), by name."""
    found: dict[str, Parameter] = {}
    for service, command in services:
        suffixes = (_TRANSPORT if command in DELIVERY_COMMANDS else ()) + _BY_COMMAND.get(command, ())
        for suffix in suffixes:
            parameter = _parameter(service, suffix)
            found[parameter.name] = parameter
    return found


def by_suffix(name: str) -> Parameter | None:
    """The declaration of ``name`` if it ends as a per-service parameter does, whatever the service."""
    for suffix in (*_TRANSPORT, *_BY_COMMAND["pipe"]):
        if name.endswith(suffix.suffix) and len(name) > len(suffix.suffix):
            return _parameter(name[: -len(suffix.suffix)], suffix)
    return None
