"""Address verification: reject_unverified_sender and reject_unverified_recipient (ADDRESS_VERIFICATION_README).

``AddressVerifier`` keeps what probes found, by address: an address that takes mail for
address_verify_positive_expire_time, one that does not, or that cannot be asked, for _negative_expire_time, and it asks
anew in the background after the _refresh_time. Whoever wants to know waits at most address_verify_poll_count times
_poll_delay; the probe goes on, and the next one who asks finds its outcome.

With ``address_verify_map`` they are on disk, too (``findings``).

Guarantees: bounded memory; one probe of an address at a time, and at most ``_PROBES`` in all; a probe that fails in an
unforeseen way is "cannot be asked".
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from angarium.config.config import Config
from angarium.model.verdict import Verdict
from angarium.policy.evaluation import Evaluation, Subject
from angarium.policy.findings import FindingStore
from angarium.policy.tools import Tools
from angarium.rewrite.interface import Resolution

_PROBES = 100
_ADDRESSES = 10_000


class Standing(enum.Enum):
    """What a probe says of an address."""

    DELIVERABLE = "deliverable"
    UNDELIVERABLE = "undeliverable"
    UNCERTAIN = "unverified"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a probe; ``text`` is for the reply and the log."""

    standing: Standing
    text: str = ""


IN_PROGRESS = Finding(Standing.UNCERTAIN, "Address verification in progress")

Probe = Callable[[str], Awaitable[Finding]]
"""Asks where an address (internal form) would be delivered."""


@dataclass(frozen=True, slots=True)
class VerifyParameters:
    """Each field is ``address_verify_`` and its name; times in seconds."""

    positive_expire_time: float = 31 * 86400.0
    positive_refresh_time: float = 7 * 86400.0
    negative_expire_time: float = 3 * 86400.0
    negative_refresh_time: float = 3 * 3600.0
    negative_cache: bool = True
    poll_count: int = 3
    poll_delay: float = 3.0

    @classmethod
    def from_config(cls, conf: Config) -> VerifyParameters:
        """Read them from main.cf."""
        return cls(
            positive_expire_time=conf.seconds("address_verify_positive_expire_time"),
            positive_refresh_time=conf.seconds("address_verify_positive_refresh_time"),
            negative_expire_time=conf.seconds("address_verify_negative_expire_time"),
            negative_refresh_time=conf.seconds("address_verify_negative_refresh_time"),
            negative_cache=conf.boolean("address_verify_negative_cache"),
            poll_count=conf.integer("address_verify_poll_count"),
            poll_delay=conf.seconds("address_verify_poll_delay"),
        )


class AddressVerifier:
    """The findings of one process. Belongs to one event loop.

    Args:
        parameters: main.cf.
        probe: asks.
        clock: seconds since the epoch.
        store: keeps findings on disk, for the other workers too; None: they are in memory alone.
    """

    def __init__(
        self,
        parameters: VerifyParameters,
        probe: Probe,
        clock: Callable[[], float] = time.time,
        store: FindingStore | None = None,
    ) -> None:
        self._store = store
        self._parameters = parameters
        self._probe = probe
        self._clock = clock
        self._findings: OrderedDict[str, tuple[float, Finding]] = OrderedDict()
        self._probing: dict[str, asyncio.Task[Finding]] = {}

    async def verify(self, address: str) -> Finding:
        """What is known of an address, or what a probe finds out in time."""
        key = address.lower()
        known = self._known(key)
        if known is not None:
            return known
        probing = self._start(key, address)
        if probing is None:
            return IN_PROGRESS
        patience = self._parameters.poll_count * self._parameters.poll_delay
        done, _ = await asyncio.wait((probing,), timeout=patience)
        return probing.result() if done else IN_PROGRESS

    def _known(self, key: str) -> Finding | None:
        entry = self._findings.get(key) or self._stored(key)
        if entry is None:
            return None
        parameters = self._parameters
        found, finding = entry
        good = finding.standing is Standing.DELIVERABLE
        age = self._clock() - found
        if age > (parameters.positive_refresh_time if good else parameters.negative_refresh_time):
            found, finding = self._stored(key) or entry  # another worker may have asked since
            good = finding.standing is Standing.DELIVERABLE
            age = self._clock() - found
        if age > (parameters.positive_expire_time if good else parameters.negative_expire_time):
            self._findings.pop(key, None)
            return None
        if age > (parameters.positive_refresh_time if good else parameters.negative_refresh_time):
            self._start(key, key)
        return finding

    def _stored(self, key: str) -> tuple[float, Finding] | None:
        """What is on disk, and is remembered from now on."""
        row = self._store.get(key) if self._store is not None else None
        if row is None:
            return None
        standing, found, text = row
        self._remember(key, found, Finding(Standing(standing), text))
        return self._findings[key]

    def _remember(self, key: str, found: float, finding: Finding) -> None:
        self._findings[key] = (found, finding)
        self._findings.move_to_end(key)
        if len(self._findings) > _ADDRESSES:
            self._findings.popitem(last=False)

    def _start(self, key: str, address: str) -> asyncio.Task[Finding] | None:
        """The probe of an address; None: too many are under way."""
        probing = self._probing.get(key)
        if probing is None and len(self._probing) < _PROBES:
            probing = self._probing[key] = asyncio.get_running_loop().create_task(self._ask(key, address))
        return probing

    async def _ask(self, key: str, address: str) -> Finding:
        try:
            finding = await self._probe(address)
        except Exception as error:  # noqa: BLE001 - a fault of ours in a probe must not refuse mail
            finding = Finding(Standing.UNCERTAIN, f"{type(error).__name__}: {error}")
        finally:
            self._probing.pop(key, None)
        known = self._findings.get(key)
        if finding.standing is not Standing.DELIVERABLE:
            if not self._parameters.negative_cache:
                return finding
            if known is not None and known[1].standing is Standing.DELIVERABLE:
                return finding  # a good address stays good until its time is over
        now = self._clock()
        self._remember(key, now, finding)
        if self._store is not None:
            parameters = self._parameters
            self._store.put(key, finding.standing.value, now, finding.text)
            positive = (Standing.DELIVERABLE.value, parameters.positive_expire_time)
            self._store.clean(now, positive, parameters.negative_expire_time)
        return finding

    def close(self) -> None:
        """Give up what is under way."""
        for probing in self._probing.values():
            probing.cancel()
        if self._store is not None:
            self._store.close()


async def reject_unverified_sender(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``reject_unverified_sender``: the sender's address does not take mail."""
    return await _verify(evaluation, tools, Subject.SENDER, evaluation.facts.sender)


async def reject_unverified_recipient(evaluation: Evaluation, tools: Tools, _argument: str) -> Verdict | None:
    """``reject_unverified_recipient``: the recipient's address does not take mail."""
    return await _verify(evaluation, tools, Subject.RECIPIENT, evaluation.facts.recipient)


async def _verify(evaluation: Evaluation, tools: Tools, subject: Subject, address: str | None) -> Verdict | None:
    if not address:
        return None
    if tools.verifier is None:
        if evaluation.dry_run:
            evaluation.note(f"address verification of <{address}>", "not asked", "nothing is probed in a dry run")
        return None
    way = await evaluation.resolve(address)
    finding = await tools.verifier.verify(way.recipient if isinstance(way, Resolution) else address)
    if finding.standing is Standing.DELIVERABLE:
        return None
    settings = (
        evaluation.parameters.unverified_sender
        if subject is Subject.SENDER
        else (evaluation.parameters.unverified_recipient)
    )
    why = settings.reject_reason or finding.text
    verb = f"reject_unverified_{'sender' if subject is Subject.SENDER else 'recipient'}"
    before, evaluation.subject = evaluation.subject, subject
    try:
        if finding.standing is Standing.UNDELIVERABLE:
            code = settings.reject_code
            final = code >= 500
        else:
            code, final = settings.defer_code, False
        words = "undeliverable address" if final else "unverified address"
        verdict = evaluation.rejected(code, "5.1.1", f"{words}: {why}", f"{verb}: {finding.text}")
    finally:
        evaluation.subject = before
    if final or settings.tempfail_action != "defer_if_permit":
        return verdict
    evaluation.unless_refused(verdict)
    return None
