"""The scheduler alone: a world of arrivals, results and time, without I/O."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.daemons.qmgr.scheduler import Cause, Feedback, Limits, Route, Scale, Scheduler, Share, Start, Suspend
from angarium.model.delivery import QueuedRecipient
from angarium.model.envelope import Recipient

CAUSE = Cause("4.4.1", "connection refused")
WIDE = Limits(process_limit=0, concurrency_limit=0, initial=1000)


def routes(nexthop="d", count=1, transport="smtp", first=0):
    return [
        Route(transport, nexthop, QueuedRecipient(first + n, Recipient(f"r{first + n}@{nexthop}", "")))
        for n in range(count)
    ]


class World:
    """A scheduler with the deliveries that it has under way."""

    def __init__(self, limits=WIDE, backoff=300.0, **by_transport) -> None:
        self.scheduler = Scheduler(lambda name: by_transport.get(name, limits), backoff)
        self.busy = []
        self.started = []
        self.suspended = []
        self.now = 0.0
        self.most = Counter()

    def act(self, actions):
        for action in actions:
            if isinstance(action, Start):
                self.busy.append(action.delivery)
                self.started.append(action.delivery)
                places = Counter((each.transport, each.nexthop) for each in self.busy)
                self.most |= places
            else:
                assert isinstance(action, Suspend)
                self.suspended.append((action.delivery, action.cause))

    def arrive(self, queue_id, what):
        self.act(self.scheduler.arrival(self.scheduler.group(queue_id, what)))

    def finish(self, delivery=None, broken=None):
        delivery = delivery or self.busy[0]
        self.busy.remove(delivery)
        self.act(self.scheduler.result(delivery, broken, self.now))

    def finish_all(self):
        while self.busy:
            self.finish()

    def tick(self, now):
        self.now = now
        self.act(self.scheduler.tick(now))


def test_a_lone_message_starts_at_once():
    world = World()
    world.arrive("A", routes())
    assert [delivery.queue_id for delivery in world.started] == ["A"]
    world.finish()
    assert world.scheduler.statistics() == {"destinations": 0, "busy": 0, "waiting": 0}


def test_recipients_of_one_destination_go_together_up_to_the_limit():
    world = World(Limits(recipient_limit=50, process_limit=0, initial=100, concurrency_limit=0))
    world.arrive("A", routes(count=120) + routes("e", 3))
    assert sorted(len(delivery.recipients) for delivery in world.started) == [3, 20, 50, 50]


def test_a_recipient_limit_of_zero_is_none():
    world = World(Limits(recipient_limit=0))
    world.arrive("A", routes(count=5000))
    assert [len(delivery.recipients) for delivery in world.started] == [5000]


def test_a_recipient_limit_of_one_makes_each_recipient_a_destination():
    world = World(Limits(recipient_limit=1, concurrency_limit=2, initial=2, process_limit=0))
    world.arrive("A", routes(count=10))
    assert len(world.started) == 10
    world.arrive("B", routes(count=1))
    world.arrive("C", routes(count=1))
    assert [delivery.queue_id for delivery in world.started[10:]] == ["B"]


def test_the_window_starts_at_initial_and_grows_by_one_a_cohort():
    world = World(Limits(initial=2, concurrency_limit=4, process_limit=0))
    for n in range(50):
        world.arrive(f"M{n}", routes())
    assert len(world.busy) == 2
    world.finish()
    world.finish()
    assert len(world.busy) == 3
    for _ in range(3):
        world.finish()
    assert len(world.busy) == 4
    world.finish_all()
    assert world.most[("smtp", "d")] == 4
    assert len(world.started) == 50


def test_no_growth_beyond_what_is_in_use():
    world = World(Limits(initial=2, concurrency_limit=100, process_limit=0))
    for n in range(20):
        world.arrive(f"M{n}", routes())
        world.finish()
    for n in range(20):
        world.arrive(f"N{n}", routes())
    assert len(world.busy) <= 4


def test_constant_feedback_grows_faster():
    world = World(Limits(initial=5, concurrency_limit=20, process_limit=0, positive=Feedback(1.0, Scale.CONSTANT)))
    for n in range(100):
        world.arrive(f"M{n}", routes())
    for _ in range(5):
        world.finish()
    assert len(world.busy) == 10


def test_negative_feedback_acts_at_once_then_kills_a_cohort():
    world = World(Limits(initial=5, concurrency_limit=5, process_limit=0))
    for n in range(20):
        world.arrive(f"M{n}", routes())
    for _ in range(3):
        world.finish(broken=CAUSE)
    assert world.suspended == []
    world.finish(broken=CAUSE)  # 1/5 + 1/4 + 1/4 … of a cohort is a whole one by now or the next
    world.finish(broken=CAUSE)
    assert len(world.suspended) == 20 - len(world.started)
    assert {cause for _, cause in world.suspended} == {CAUSE}


def test_one_success_between_failures_keeps_a_destination_alive():
    world = World(Limits(initial=5, concurrency_limit=5, process_limit=0))
    for n in range(60):
        world.arrive(f"M{n}", routes())
    for turn in range(40):
        world.finish(broken=CAUSE if turn % 2 else None)
    assert world.suspended == []


def test_a_dead_destination_suspends_what_arrives_until_its_time_is_over():
    world = World(Limits(initial=1))
    world.arrive("A", routes())
    world.finish(broken=CAUSE)
    world.arrive("B", routes())
    assert [delivery.queue_id for delivery, _ in world.suspended] == ["B"]
    assert world.scheduler.wake_at == 300.0
    world.tick(299.0)
    world.arrive("C", routes())
    assert len(world.suspended) == 2
    world.tick(300.0)
    world.arrive("D", routes())
    assert [delivery.queue_id for delivery in world.started] == ["A", "D"]


def test_a_dead_destination_harms_no_other():
    world = World(Limits(initial=1))
    world.arrive("A", routes("dead"))
    world.finish(broken=CAUSE)
    world.arrive("B", routes("dead") + routes("alive"))
    assert [delivery.nexthop for delivery in world.started] == ["dead", "alive"]


def test_late_results_of_a_dead_destination_change_nothing():
    world = World(Limits(initial=2, concurrency_limit=2, negative=Feedback(0.0)))
    for n in range(3):
        world.arrive(f"M{n}", routes())
    late = world.busy[1]
    world.finish(broken=CAUSE)
    while world.busy != [late]:
        world.finish(next(each for each in world.busy if each is not late), broken=CAUSE)
    world.finish(late)
    world.arrive("N", routes())
    assert [delivery.queue_id for delivery, _ in world.suspended][-1] == "N"


def test_a_flush_revives_the_dead():
    world = World(Limits(initial=1))
    world.arrive("A", routes())
    world.finish(broken=CAUSE)
    world.scheduler.revive()
    world.arrive("B", routes())
    assert [delivery.queue_id for delivery in world.started] == ["A", "B"]
    world.tick(300.0)
    world.finish_all()


def test_no_cohort_limit_never_kills():
    world = World(Limits(initial=1, failed_cohort_limit=0))
    for n in range(50):
        world.arrive(f"M{n}", routes())
    while world.busy:
        world.finish(broken=CAUSE)
    assert world.suspended == []
    assert len(world.started) == 50


def test_a_rate_delay_spaces_deliveries_one_at_a_time():
    world = World(Limits(initial=5, rate_delay=10.0))
    for n in range(3):
        world.arrive(f"M{n}", routes())
    assert len(world.busy) == 1
    world.finish()
    assert world.busy == []
    assert world.scheduler.wake_at == 10.0
    world.tick(9.9)
    assert world.busy == []
    world.tick(10.0)
    assert len(world.busy) == 1
    world.finish()
    world.arrive("late", routes("other"))
    assert [delivery.nexthop for delivery in world.busy] == ["other"]


def test_a_transports_rate_delay_spaces_all_its_deliveries():
    world = World(Limits(initial=5, transport_rate_delay=10.0))
    for n in range(3):
        world.arrive(f"M{n}", routes(f"d{n}"))
    for n in range(3):
        assert [delivery.nexthop for delivery in world.busy] == [f"d{n}"]
        world.finish()
        assert world.busy == []
        assert world.scheduler.wake_at == 10.0 * (n + 1)
        world.tick(10.0 * (n + 1) - 0.1)
        assert world.busy == []
        world.tick(10.0 * (n + 1))
    assert world.busy == []
    assert world.scheduler.statistics() == {"destinations": 0, "busy": 0, "waiting": 0}


def test_share_of_a_destination():
    world = World(Limits(initial=2))
    for n in range(5):
        world.arrive(f"M{n}", routes())
    delivery = world.busy[0]
    assert world.scheduler.share(delivery) == Share(waiting=3, busy=2, window=2)
    world.scheduler.drop("M4")
    world.finish()
    assert world.scheduler.share(delivery) == Share(waiting=1, busy=2, window=2)
    world.finish_all()
    assert world.scheduler.share(delivery) == Share(0, 0, 0)


def test_the_process_limit_bounds_a_transport():
    world = World(Limits(process_limit=3, initial=100, concurrency_limit=0))
    for n in range(10):
        world.arrive(f"M{n}", routes(f"d{n}"))
    assert len(world.busy) == 3
    world.finish_all()
    assert len(world.started) == 10


def test_transports_do_not_wait_for_each_other():
    world = World(slow=Limits(process_limit=1), quick=WIDE)
    world.arrive("A", routes("x", 1, "slow") + routes("y", 1, "slow", 1) + routes("z", 1, "quick", 2))
    assert {delivery.transport for delivery in world.busy} == {"slow", "quick"}


def test_destinations_take_turns():
    world = World(Limits(process_limit=1, recipient_limit=1000, initial=100, concurrency_limit=0))
    for n in range(50):
        world.arrive(f"big{n}", routes("big"))
    world.arrive("small", routes("small"))
    world.finish()
    world.finish()
    assert "small" in [delivery.queue_id for delivery in world.started]


def test_messages_of_a_destination_take_turns():
    world = World(Limits(process_limit=1, recipient_limit=2, initial=1))
    world.arrive("list", routes(count=1000))
    world.arrive("single", routes(count=1))
    for _ in range(3):
        world.finish()
    assert "single" in [delivery.queue_id for delivery in world.started]


def test_after_withdrawal_nothing_starts():
    world = World(Limits(initial=1, process_limit=1))
    for n in range(5):
        world.arrive(f"M{n}", routes())
    world.scheduler.withdraw()
    world.finish()
    world.arrive("N", routes())
    assert len(world.started) == 1


@pytest.mark.parametrize(
    ("text", "window", "value"),
    [("1", 4, 1.0), ("1 / concurrency", 4, 0.25), ("1/concurrency", 5, 0.2), ("0.5/sqrt_concurrency", 4, 0.25)],
)
def test_feedback(text, window, value):
    assert Feedback.parse(text).at(window) == value


@pytest.mark.parametrize("text", ["2", "-1", "x", "1/window", "", "1/"])
def test_bad_feedback(text):
    with pytest.raises(ValueError, match=r"feedback|float|valid Scale"):
        Feedback.parse(text)


STEP = st.one_of(
    st.tuples(st.just("arrive"), st.sampled_from("abc"), st.integers(1, 7)),
    st.tuples(st.just("finish"), st.integers(0, 20), st.booleans()),
    st.tuples(st.just("tick"), st.integers(0, 400), st.just(0)),
)


@given(
    st.lists(STEP, max_size=80),
    st.builds(
        Limits,
        process_limit=st.integers(0, 4),
        concurrency_limit=st.integers(0, 4),
        initial=st.integers(1, 6),
        recipient_limit=st.integers(0, 3),
        failed_cohort_limit=st.integers(0, 2),
        rate_delay=st.sampled_from([0.0, 5.0]),
        transport_rate_delay=st.sampled_from([0.0, 0.0, 3.0]),
    ),
)
@settings(max_examples=100, deadline=None)
def test_each_recipient_comes_back_exactly_once_within_the_limits(steps, limits):
    world = World(limits)
    sent = Counter()
    for number, (what, one, two) in enumerate(steps):
        if what == "arrive":
            world.arrive(f"M{number}", routes(one, two))
            sent.update((f"M{number}", n) for n in range(two))
        elif what == "finish" and world.busy:
            world.finish(world.busy[one % len(world.busy)], CAUSE if two else None)
        elif what == "tick":
            world.tick(world.now + one)
        by_transport = Counter(delivery.transport for delivery in world.busy)
        assert not limits.most or by_transport["smtp"] <= limits.most
        if limits.ceiling and limits.recipient_limit != 1:
            assert all(count <= limits.ceiling for count in world.most.values())
    for _ in range(1000):
        if world.busy:
            world.finish()
        elif world.scheduler.wake_at is not None:
            world.tick(world.scheduler.wake_at)
        else:
            break
    back = Counter()
    for delivery in (*world.started, *(each for each, _ in world.suspended)):
        back.update((delivery.queue_id, queued.number) for queued in delivery.recipients)
    assert back == sent
    assert world.scheduler.statistics() == {"destinations": 0, "busy": 0, "waiting": 0}


def test_the_cost_of_a_step_does_not_grow():
    world = World(Limits(process_limit=5, recipient_limit=1))
    looked = defaultdict(int)
    for n in range(20_000):
        world.arrive(f"M{n}", routes(f"d{n % 1000}"))
    while world.busy:
        looked[len(world.started) // 5000] += 1
        world.finish()
    assert len(world.started) == 20_000
