"""The rows of the table: what each does, in which unit, which direction is better, and the issue's target.

A row's function runs its workload once on one server and returns its samples by row name, for some workloads give
several rows. Each run works on accounts of its own, so that runs don't find the mail of the runs before.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks import load_imap, load_pop3, load_smtp
from benchmarks import local as local_users
from benchmarks.measure import LogWatch, Sample, Series, cpu_seconds, pss_kib, timed
from benchmarks.servers import DOMAIN, Ours, Server


@dataclass(frozen=True, slots=True)
class Scale:
    """How much each workload does."""

    inbound: int = 5000
    relay: int = 5000
    submission: int = 1000
    sendmail: int = 200
    local: int = 2000
    mailbox: int = 10000
    appends: int = 1000
    pop3: int = 1000
    idlers: int = 1000
    pushed: int = 100
    logins: int = 30
    growth_mailbox: int = 200_000
    growth_queue: int = 100_000


QUICK = Scale(500, 500, 200, 30, 500, 1000, 200, 200, 100, 100, 10, 5000, 5000)
SMOKE = Scale(40, 40, 20, 4, 20, 50, 20, 20, 10, 10, 2, 100, 100)

_POP3_PASSES = 7
_GROWTH_TURNS = 5
"""Measurements of each state of a row of growth; their median is taken."""

Samples = Mapping[str, Sample]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name: its key in the JSON.
        title: for people.
        unit: of its value.
        higher: a higher value is better.
        target: how many times better than theirs the issue wants it; 0: none.
        cpu_target: how many times less CPU it wants; 0: none.
        cpu_unit: what the CPU is counted for; empty: CPU is not shown.
        most: the highest value that ours may have, for rows that compare ours with itself; 0: none.
    """

    name: str
    title: str
    unit: str
    higher: bool = False
    target: float = 0.0
    cpu_target: float = 0.0
    cpu_unit: str = ""
    most: float = 0.0


@dataclass(frozen=True, slots=True)
class Workload:
    """A function and the rows that it fills."""

    name: str
    run: Callable[[Server, int, Scale], Samples]
    rows: tuple[Row, ...]
    long: bool = False


def users(scale: Scale, runs: int) -> list[str]:
    """All accounts that the workloads use."""
    del scale
    names = [f"u{number}" for number in range(100)]
    for run in range(runs):
        names += [f"{kind}{run}" for kind in ("one", "again", "box", "pop", "app", "push", "cmd", "grow", "small")]
    return names


def _sent(server: Server, count: int, load: Callable[[], object]) -> Sample:
    """Run a load that ends in ``count`` deliveries; deliveries a second and CPU of each."""
    watch = LogWatch(server.log)
    before = cpu_seconds(server.roots)
    start = time.perf_counter()
    load()
    end = watch.wait(count)
    return Sample(count / (end - start), (cpu_seconds(server.roots) - before) / count)


def inbound(server: Server, run: int, scale: Scale) -> Samples:
    """smtp-source to one mailbox."""
    user = f"one{run}"
    count = scale.inbound
    recipient = f"{user}@{DOMAIN}"
    sample = _sent(server, count, lambda: load_smtp.source(server.ports.smtp, recipient, count, 10))
    _check(server, user, count)
    return {"inbound-1": sample}


def inbound_reconnecting(server: Server, run: int, scale: Scale) -> Samples:
    """smtp-source, which connects anew for each message."""
    user = f"again{run}"
    count = scale.inbound
    recipient = f"{user}@{DOMAIN}"

    def load() -> None:
        load_smtp.source(server.ports.smtp, recipient, count, 10, reconnect=True)

    sample = _sent(server, count, load)
    _check(server, user, count)
    return {"inbound-reconnect": sample}


def inbound_many(server: Server, run: int, scale: Scale) -> Samples:
    """smtp-source to a hundred mailboxes."""
    del run
    names = [f"u{number}" for number in range(100)]
    count = max(scale.inbound // 100, 1) * 100
    recipients = [f"{name}@{DOMAIN}" for name in names]
    return {
        "inbound-100": _sent(server, count, lambda: load_smtp.source_many(server.ports.smtp, recipients, count, 10))
    }


def local(server: Server, run: int, scale: Scale) -> Samples:
    """smtp-source to ten users of the system, or commands, as a server of its own delivers to them."""
    del run
    ours = isinstance(server, Ours)
    return {
        "local-mbox": local_users.deliver(scale.local, "mbox", ours=ours),
        "local-maildir": local_users.deliver(scale.local, "Maildir", ours=ours),
        "local-command": local_users.deliver(scale.local, "command", ours=ours),
        "local-pipe": local_users.deliver(scale.local, "pipe", ours=ours),
    }


def relay(server: Server, run: int, scale: Scale) -> Samples:
    """smtp-source through the server to smtp-sink."""
    del run
    count = scale.relay
    load = lambda: load_smtp.source(server.ports.smtp, "x@elsewhere.example", count, 10)  # noqa: E731 - a name for it
    return {"relay": _sent(server, count, load)}


def submission(server: Server, run: int, scale: Scale) -> Samples:
    """A log-in, a message, a log-out, and so on; each user has logged in before, so that both caches are warm."""
    del run
    names = [f"u{number}" for number in range(100)]
    load_smtp.log_in(server, names, 6)
    return {"submission": _sent(server, scale.submission, lambda: load_smtp.submit(server, names, scale.submission))}


def sendmail(server: Server, run: int, scale: Scale) -> Samples:
    """The sendmail command, one after the other and eight at a time."""
    samples = {}
    for name, parallel in (("sendmail-1", 1), ("sendmail-8", 8)):
        recipient = f"cmd{run}@{DOMAIN}"
        command = 0.0

        def load(parallel: int = parallel, recipient: str = recipient) -> None:
            nonlocal command
            command = load_smtp.sendmail(server, recipient, scale.sendmail, parallel)

        sample = _sent(server, scale.sendmail, load)
        assert sample.cpu is not None
        samples[name] = Sample(sample.value, sample.cpu + command / scale.sendmail)
    return samples


def imap(server: Server, run: int, scale: Scale) -> Samples:
    """Everything that a client does with a mailbox of 10,000 messages."""
    user = f"box{run}"
    watch = LogWatch(server.log)
    load_smtp.fill(server, user, scale.mailbox)
    watch.wait(scale.mailbox)
    connection = load_imap.Connection(server.ports.imap, user)
    connection.command("CREATE Copies")
    connection.command("SELECT INBOX")
    samples: dict[str, Sample] = {}

    def measure(name: str, command: str, repeat: int = 1) -> None:
        before = cpu_seconds(server.roots)
        times = [timed(lambda: connection.command(command)) for _ in range(repeat)]
        samples[name] = Sample(statistics.median(times) * 1000, (cpu_seconds(server.roots) - before) / repeat)

    envelope = "FETCH 1:* (ENVELOPE INTERNALDATE RFC822.SIZE)"
    measure("envelope-first", envelope)
    measure("envelope", envelope, 5)
    measure("flags", "UID FETCH 1:* (UID FLAGS)", 5)
    measure("structure-first", "FETCH 1:* (BODYSTRUCTURE)")
    measure("structure", "FETCH 1:* (BODYSTRUCTURE)", 5)
    measure("fields", "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT FROM DATE)])", 5)
    measure("bodies", "FETCH 1:* (BODY.PEEK[])", 3)
    measure("search-subject", 'SEARCH SUBJECT "persia"', 5)
    measure("search-body", 'SEARCH BODY "breadth of nothing"', 3)
    measure("store", "STORE 1:* +FLAGS (\\Seen)")
    part = max(scale.mailbox // 10, 1)
    measure("copy", f"COPY 1:{part} Copies")
    connection.command(f"STORE 1:{part} +FLAGS.SILENT (\\Deleted)")
    measure("expunge", "EXPUNGE")
    connection.logout()
    first = timed(lambda: load_imap.log_in_and_out(server.ports.imap, user))
    times = [timed(lambda: load_imap.log_in_and_out(server.ports.imap, user)) for _ in range(scale.logins)]
    samples["login-first"] = Sample(first * 1000)
    samples["login"] = Sample(statistics.median(times) * 1000)
    return samples


def append(server: Server, run: int, scale: Scale) -> Samples:
    """APPEND on one connection, on ten of ten users, on ten of one user."""
    count = scale.appends
    port = server.ports.imap
    samples = {}
    for name, who, connections in (
        ("append-1", [f"app{run}"], 1),
        ("append-10-users", [f"u{number}" for number in range(10)], 10),
        ("append-10-one-user", [f"app{run}"], 10),
    ):
        before = cpu_seconds(server.roots)
        taken = timed(lambda who=who, n=connections: load_imap.append_many(port, who, count, n))  # type: ignore[misc]
        samples[name] = Sample(count / taken, (cpu_seconds(server.roots) - before) / count)
    return samples


def pop3(server: Server, run: int, scale: Scale) -> Samples:
    """RETR of a thousand messages, in lockstep and pipelined in turns: each pass takes a twentieth of a second only."""
    user = f"pop{run}"
    watch = LogWatch(server.log)
    load_smtp.fill(server, user, scale.pop3)
    watch.wait(scale.pop3)
    warm = load_pop3.Connection(server.ports.pop3, user)
    warm.retrieve_pipelined(scale.pop3)
    warm.quit()
    series = {"pop3-lockstep": Series(), "pop3-pipelined": Series()}
    for _pass in range(_POP3_PASSES):
        for name, one in series.items():
            connection = load_pop3.Connection(server.ports.pop3, user)
            assert connection.count == scale.pop3
            retrieve = connection.retrieve_pipelined if name.endswith("pipelined") else connection.retrieve_in_lockstep
            before = cpu_seconds(server.roots)
            taken = timed(lambda r=retrieve: r(scale.pop3))  # type: ignore[misc]
            one.samples.append(Sample(scale.pop3 / taken, (cpu_seconds(server.roots) - before) / scale.pop3))
            connection.quit()
    return {name: Sample(one.value, one.cpu) for name, one in series.items()}


def idle(server: Server, run: int, scale: Scale) -> Samples:
    """What an idling connection takes: a thousand of them, beyond what the server had when it was started."""
    del run
    waiting = load_imap.idlers(server.ports.imap, [f"u{number}" for number in range(100)], scale.idlers)
    time.sleep(10)  # idling begins when the servers have put away what they needed for the log-in
    each = (pss_kib(server.roots) - server.idle_kib) / scale.idlers
    for connection in waiting:
        connection.close()
    time.sleep(1)
    return {"idle": Sample(each)}


def push(server: Server, run: int, scale: Scale) -> Samples:
    """From an APPEND's OK to the EXISTS of a hundred idlers."""
    first, last = load_imap.push(server.ports.imap, f"push{run}", scale.pushed)
    return {"push-first": Sample(max(first, 0.0) * 1000), "push-last": Sample(max(last, 0.0) * 1000)}


def growth_mailbox(server: Server, run: int, scale: Scale) -> Samples:
    """How much a delivery costs into a small mailbox, and into one of 200,000 messages, in turns; ours alone."""
    if not isinstance(server, Ours):
        return {}
    server.fill_mailbox(f"small{run}", scale.growth_mailbox // 200)
    server.fill_mailbox(f"grow{run}", scale.growth_mailbox)
    probe = max(scale.inbound // 5, 10)
    series: dict[str, Series] = {"mailbox-small": Series(), "mailbox-large": Series()}
    for turn in range(_GROWTH_TURNS + 1):
        for one, user in zip(series.values(), ("small", "grow"), strict=True):
            sample = _inbound(server, f"{user}{run}@{DOMAIN}", probe)
            if turn:  # the first opens the account, and finds no page of it in memory
                one.samples.append(sample)
    return _growth(series, "mailbox-small", "mailbox-large", "mailbox-growth")


def growth_queue(server: Server, run: int, scale: Scale) -> Samples:
    """How much relaying and delivering cost beside an empty queue, and beside 100,000 deferred messages; ours alone."""
    if not isinstance(server, Ours):
        return {}
    probe = max(scale.inbound // 5, 10)
    series: dict[str, Series] = {}
    for backlog in ("empty", "full"):
        if backlog == "full":
            server.stop()
            server.fill_queue(scale.growth_queue)
            server.resume()
        for turn in range(_GROWTH_TURNS + 1):
            relayed = _sent(
                server, probe, lambda: load_smtp.source(server.ports.smtp, "x@elsewhere.example", probe, 10)
            )
            delivered = _inbound(server, f"small{run}@{DOMAIN}", probe)
            if turn:
                series.setdefault(f"queue-relay-{backlog}", Series()).samples.append(relayed)
                series.setdefault(f"queue-inbound-{backlog}", Series()).samples.append(delivered)
    server.empty_queue()
    relay = _growth(series, "queue-relay-empty", "queue-relay-full", "queue-relay-growth")
    return {**relay, **_growth(series, "queue-inbound-empty", "queue-inbound-full", "queue-inbound-growth")}


def _inbound(server: Server, recipient: str, count: int) -> Sample:
    return _sent(server, count, lambda: load_smtp.source(server.ports.smtp, recipient, count, 10))


def _growth(series: Mapping[str, Series], small: str, large: str, growth: str) -> Samples:
    """The medians of both, and how many times the time and the CPU of one message grow from small to large."""
    before, after = series[small], series[large]
    assert before.cpu
    assert after.cpu
    return {
        small: Sample(before.value, before.cpu),
        large: Sample(after.value, after.cpu),
        growth: Sample(before.value / after.value),
        f"{growth}-cpu": Sample(after.cpu / before.cpu),
    }


def _check(server: Server, user: str, count: int) -> None:
    """Every message is in the mailbox: what the log says is not taken on trust."""
    found = load_imap.messages_in(server.ports.imap, user)
    if found != count:
        msg = f"{server.name}: {found} of {count} messages are in the mailbox of {user}"
        raise RuntimeError(msg)


MESSAGE = "a message"
WORKLOADS: tuple[Workload, ...] = (
    # First, before other workloads have left memory behind that the idlers then use.
    Workload("idle", idle, (Row("idle", "memory of an idling IMAP connection (PSS)", "KiB"),)),
    Workload(
        "inbound",
        inbound,
        (Row("inbound-1", "inbound SMTP to mailbox, 10 connections, 1 user", "/s", True, 4, 4, MESSAGE),),
    ),
    Workload(
        "inbound-100",
        inbound_many,
        (Row("inbound-100", "the same over 100 users", "/s", True, 4, 4, MESSAGE),),
    ),
    Workload(
        "inbound-reconnect",
        inbound_reconnecting,
        (Row("inbound-reconnect", "the same, 1 user, a connection a message", "/s", True, 4, 4, MESSAGE),),
    ),
    Workload(
        "local",
        local,
        (
            Row("local-mbox", "inbound SMTP to system users, mbox", "/s", True, 1, 1, MESSAGE),
            Row("local-maildir", "inbound SMTP to system users, Maildir", "/s", True, 1, 1, MESSAGE),
            Row("local-command", "inbound SMTP to commands of aliases", "/s", True, 1, 1, MESSAGE),
            Row("local-pipe", "inbound SMTP to a pipe transport", "/s", True, 1, 1, MESSAGE),
        ),
    ),
    Workload("relay", relay, (Row("relay", "relay to a sink", "/s", True, 2, 2, MESSAGE),)),
    Workload(
        "submission",
        submission,
        (Row("submission", "submission with AUTH PLAIN, a connection a message", "/s", True, 0, 0, MESSAGE),),
    ),
    Workload(
        "sendmail",
        sendmail,
        (
            Row("sendmail-1", "sendmail command, one after the other", "/s", True, 0, 0, MESSAGE),
            Row("sendmail-8", "sendmail command, 8 in parallel", "/s", True, 0, 0, MESSAGE),
        ),
    ),
    Workload(
        "imap",
        imap,
        (
            Row("flags", "UID FETCH 1:* (UID FLAGS)", "ms", False, 1.5),
            Row("envelope-first", "FETCH 1:* (ENVELOPE INTERNALDATE RFC822.SIZE), first", "ms", False, 80),
            Row("envelope", "… repeated", "ms", False, 8),
            Row("fields", "BODY.PEEK[HEADER.FIELDS (SUBJECT FROM DATE)]", "ms", False, 3),
            Row("structure-first", "BODYSTRUCTURE, first", "ms", False, 3),
            Row("structure", "… repeated", "ms", False, 3),
            Row("bodies", "BODY.PEEK[]", "ms", False, 1),
            Row("search-subject", "SEARCH SUBJECT", "ms", False, 2),
            Row("search-body", "SEARCH BODY", "ms", False, 8),
            Row("store", "STORE 1:* +FLAGS (\\Seen)", "ms", False, 4),
            Row("copy", "COPY of a tenth", "ms", False, 4),
            Row("expunge", "EXPUNGE of a tenth", "ms", False, 1),
            Row("login-first", "LOGIN + SELECT + LOGOUT, first after the above", "ms", False, 1),
            Row("login", "… repeated", "ms", False, 1),
        ),
    ),
    Workload(
        "append",
        append,
        (
            Row("append-1", "APPEND, 1 connection", "/s", True, 2, 0, MESSAGE),
            Row("append-10-users", "APPEND, 10 connections of 10 users", "/s", True, 2, 0, MESSAGE),
            Row("append-10-one-user", "APPEND, 10 connections of 1 user", "/s", True, 2, 0, MESSAGE),
        ),
    ),
    Workload(
        "pop3",
        pop3,
        (
            Row("pop3-lockstep", "POP3 RETR in lockstep", "/s", True, 1, 0, MESSAGE),
            Row("pop3-pipelined", "POP3 RETR pipelined", "/s", True, 1, 0, MESSAGE),
        ),
    ),
    Workload(
        "push",
        push,
        (
            Row("push-first", "EXISTS pushed to 100 idling clients, first", "ms"),
            Row("push-last", "EXISTS pushed to 100 idling clients, last", "ms"),
        ),
    ),
    Workload(
        "growth-mailbox",
        growth_mailbox,
        (
            Row("mailbox-small", "inbound to a mailbox of 1,000 messages", "/s", True, 0, 0, MESSAGE),
            Row("mailbox-large", "inbound to a mailbox of 200,000 messages", "/s", True, 0, 0, MESSAGE),
            Row("mailbox-growth", "… time of a delivery, large against small", "x", most=1.25),
            Row("mailbox-growth-cpu", "… CPU of a delivery, large against small", "x", most=1.25),
        ),
        long=True,
    ),
    # Last, for it fills the queue that all share.
    Workload(
        "growth-queue",
        growth_queue,
        (
            Row("queue-relay-empty", "relay beside an empty queue", "/s", True, 0, 0, MESSAGE),
            Row("queue-relay-full", "relay beside 100,000 deferred messages", "/s", True, 0, 0, MESSAGE),
            Row("queue-relay-growth", "… time of a message, full against empty", "x", most=1.25),
            Row("queue-relay-growth-cpu", "… CPU of a message, full against empty", "x", most=1.25),
            Row("queue-inbound-empty", "inbound beside an empty queue", "/s", True, 0, 0, MESSAGE),
            Row("queue-inbound-full", "inbound beside 100,000 deferred messages", "/s", True, 0, 0, MESSAGE),
            Row("queue-inbound-growth", "… time of a message, full against empty", "x", most=1.25),
            Row("queue-inbound-growth-cpu", "… CPU of a message, full against empty", "x", most=1.25),
        ),
        long=True,
    ),
)
