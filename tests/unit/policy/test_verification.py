import asyncio

import pytest

from angarium.policy.verification import IN_PROGRESS, AddressVerifier, Finding, Standing, VerifyParameters

GOOD, BAD, LATER = (
    Finding(Standing.DELIVERABLE),
    Finding(Standing.UNDELIVERABLE, "no"),
    Finding(Standing.UNCERTAIN, "?"),
)
DAY = 86400.0


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class World:
    """A verifier whose probes answer what the test says."""

    def __init__(self, *findings, **parameters):
        self.findings = list(findings)
        self.asked = []
        self.clock = Clock()
        self.verifier = AddressVerifier(VerifyParameters(**parameters), self.probe, self.clock)

    async def probe(self, address):
        self.asked.append(address)
        finding = self.findings.pop(0)
        if isinstance(finding, Exception):
            raise finding
        return finding

    def at(self, *times):
        """What the verifier says at each of these times."""

        async def main():
            said = []
            for now in times:
                self.clock.now = now
                said.append(await self.verifier.verify("U@x.test"))
                await asyncio.sleep(0)  # a probe in the background begins, and
                await asyncio.sleep(0)  # ends
            return said

        return asyncio.run(main())


def test_a_good_address_is_asked_anew_after_a_week_and_believed_for_a_month():
    world = World(GOOD, LATER, LATER, BAD)
    assert world.at(0.0, 6 * DAY) == [GOOD, GOOD]
    assert world.asked == ["U@x.test"]
    assert world.at(8 * DAY, 30 * DAY) == [GOOD, GOOD]
    assert len(world.asked) == 3
    assert world.at(32 * DAY) == [BAD]


def test_a_bad_address_is_asked_anew_after_three_hours():
    world = World(BAD, GOOD)
    assert world.at(0.0, 3600.0, 4 * 3600.0, 4 * 3600.0) == [BAD, BAD, BAD, GOOD]


def test_without_a_negative_cache_a_bad_address_is_asked_each_time():
    world = World(BAD, BAD, negative_cache=False)
    assert world.at(0.0, 1.0) == [BAD, BAD]


def test_a_fault_of_ours_refuses_nobody():
    (finding,) = World(RuntimeError("oops")).at(0.0)
    assert finding == Finding(Standing.UNCERTAIN, "RuntimeError: oops")


@pytest.mark.parametrize("poll_count", [0, 1])
def test_patience_ends_and_the_probe_goes_on(poll_count):
    asked = []

    async def main():
        go_on = asyncio.Event()

        async def probe(address):
            asked.append(address)
            await go_on.wait()
            return GOOD

        verifier = AddressVerifier(VerifyParameters(poll_count=poll_count, poll_delay=0.01), probe)
        first = await asyncio.gather(verifier.verify("a@x.test"), verifier.verify("A@x.test"))
        go_on.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return first, await verifier.verify("a@x.test")

    first, last = asyncio.run(main())
    assert first == [IN_PROGRESS, IN_PROGRESS]
    assert last == GOOD
    assert len(asked) == 1


def test_probes_are_bounded():
    async def main():
        async def probe(_address):
            await asyncio.Event().wait()

        verifier = AddressVerifier(VerifyParameters(poll_count=0), probe)
        said = await asyncio.gather(*(verifier.verify(f"{number}@x.test") for number in range(150)))
        probing = len(asyncio.all_tasks()) - 1
        verifier.close()
        await asyncio.sleep(0)
        return said, probing

    said, probing = asyncio.run(main())
    assert set(said) == {IN_PROGRESS}
    assert probing == 100
