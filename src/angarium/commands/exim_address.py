"""``exim -bt`` and ``exim -bv``: where mail for an address would go, and whether it would be accepted.

The answer is that of ``angarium explain`` for mail from this machine, in Exim's words. Exit status 0; 1 when an address
cannot be resolved now; 2 when one is undeliverable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from angarium.commands.explain.engine import Explanation, Question, Way, explain
from angarium.commands.queue_command import CommandError, QueueCommand
from angarium.config.error import ConfigError
from angarium.model.lookup import TemporaryError

OK, LATER, FAILED = 0, 1, 2


def try_addresses(command: QueueCommand, addresses: Sequence[str], sender: str, *, verify: bool) -> int:
    """Print the answer to each address; the exit status. Raises CommandError."""
    worst = OK
    for address in addresses:
        question = Question(sender, address.strip("<>"), "127.0.0.1")
        try:
            done = asyncio.run(explain(command.config.directory, question))
        except ConfigError as error:
            raise CommandError(str(error)) from error
        status, lines = verified(address, done) if verify else routed(address, done)
        print("\n".join(lines))
        worst = max(worst, status)
    return worst


def outcome(done: Explanation) -> tuple[int, str]:
    """What becomes of the address, and why."""
    if done.refused:
        return (LATER if done.reply.startswith("4") else FAILED), done.reply
    for way in done.ways:
        found = _of(way)
        if found[0] != OK:
            return found
    return OK, ""


def _of(way: Way) -> tuple[int, str]:
    if isinstance(way.resolution, TemporaryError):
        return LATER, way.resolution.cause
    kind = way.ending.facts.get("outcome")
    text = "; ".join(way.ending.lines)
    return (LATER if kind == "deferred" else FAILED if kind == "bounced" else OK), text


def verified(address: str, done: Explanation) -> tuple[int, list[str]]:
    """``-bv``: one line."""
    status, text = outcome(done)
    said = {
        OK: f"{address} verified",
        LATER: f"{address} cannot be resolved at this time: {text}",
        FAILED: f"{address} failed to verify: {text}",
    }
    return status, [said[status]]


def routed(address: str, done: Explanation) -> tuple[int, list[str]]:
    """``-bt``: each final recipient with its way."""
    if done.refused:
        status, text = outcome(done)
        said = "cannot be resolved at this time" if status == LATER else "is undeliverable"
        return status, [f"{address} {said}: {text}"]
    worst = OK
    lines: list[str] = []
    for way in done.ways:
        status, text = _of(way)
        worst = max(worst, status)
        if status != OK:
            said = "cannot be resolved at this time" if status == LATER else "is undeliverable"
            lines.append(f"{way.recipient} {said}: {text}")
        else:
            lines += _way_lines(address, way)
    return worst, lines


def _way_lines(address: str, way: Way) -> Iterator[str]:
    assert not isinstance(way.resolution, TemporaryError)
    yield way.recipient
    if way.recipient != address:
        yield f"    <-- {address}"
    name = way.resolution.address_class.value.replace(" ", "_")
    yield f"  router = {name}, transport = {way.resolution.transport}"
    hosts = way.ending.facts.get("hosts")
    if isinstance(hosts, list):
        for host in hosts:
            if "host" in host:
                yield f"  host {host['host']} [{host['address']}]"
