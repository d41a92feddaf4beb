"""What the mailstore itself costs, without a protocol around it: one mailbox, by default of 10,000 messages.

    python benchmarks/mailstore.py [--messages N] [--deliveries | --quotas] [--json FILE] [--profile ROW]

Each row is the best of several runs in milliseconds, beside the aim of the design. ``--deliveries`` measures how the
cost of a delivery grows with the mailbox instead, and what group commit gives; ``--quotas`` measures what each kind of
quota adds to it, in turns, and what RCPT pays for its look.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import random
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from angarium.mailstore.derived import Analysis
from angarium.mailstore.interface import AccountStore, Column, FlagOperation, HeaderFields, NewMail, Place, TextWhere
from angarium.mailstore.main import open_mailstore
from angarium.mailstore.parameters import MailstoreParameters
from angarium.mailstore.store import SqliteMailStore
from angarium.model.content import MemoryContent
from angarium.model.quota import QuotaLimit, QuotaPlan, parse_rules, parse_thresholds
from angarium.runtime.log import MemoryLog, ServiceLog

WORDS = (
    *("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state"),
    *("family", "student", "group", "country", "problem", "hand", "part", "place", "case", "week", "company", "system"),
    *("program", "question", "work", "government", "number", "night", "point", "home", "water", "room", "mother"),
)


def message(number: int, source: random.Random) -> bytes:
    """A message of about 4 KiB: two alternatives and a small attachment."""
    text = "\r\n".join(" ".join(source.choices(WORDS, k=10)) for _line in range(18))
    html = "".join(f"<p>{' '.join(source.choices(WORDS, k=10))}</p>\r\n" for _line in range(16))
    attachment = "\r\n".join("QUJD" * 19 for _line in range(6))
    return (
        f"""Received: from mx.example.org (mx.example.org [192.0.2.1])
	by mail.example.test (Angarium) with ESMTPS id 4F2A{number:06X}
	for <alice@example.test>; Tue, 24 Nov 2026 08:00:00 +0000 (UTC)
Date: Tue, 24 Nov 2026 08:{number // 60 % 60:02d}:{number % 60:02d} +0000
From: "Sender Number {number % 100}" <sender{number % 100}@example.org>
To: Alice <alice@example.test>
Cc: bob@example.test
Subject: {" ".join(source.choices(WORDS, k=6))} number {number}
Message-ID: <{number}.{source.getrandbits(64):x}@example.org>
References: <{number - 1}@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_outer_{number}"
X-Mailer: Benchmark 1.0

--=_outer_{number}
Content-Type: multipart/alternative; boundary="=_inner_{number}"

--=_inner_{number}
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 7bit

{text}
--=_inner_{number}
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 7bit

{html}
--=_inner_{number}--

--=_outer_{number}
Content-Type: application/octet-stream; name="data.bin"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="data.bin"

{attachment}
--=_outer_{number}--
""".replace("\r\n", "\n")
        .replace("\n", "\r\n")
        .encode()
    )


def new_mail(data: bytes, key: str = "") -> NewMail:
    """An append of it to INBOX."""
    return NewMail("INBOX", b"", MemoryContent(data), frozenset(), 1_795_500_000.0, 0, key)


def store_at(directory: Path) -> SqliteMailStore:
    """A mailstore with nothing around it."""
    return open_mailstore(MailstoreParameters(directory), ServiceLog(MemoryLog(), "benchmark"))


async def fill(account: AccountStore, count: int, source: random.Random) -> None:
    """Append that many messages, 200 a transaction."""
    for start in range(0, count, 200):
        await account.append([new_mail(message(n, source)) for n in range(start, min(start + 200, count))])


def on_disk(directory: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def cpu() -> float:
    """User and system seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


Row = tuple[str, float | None, Callable[[], Awaitable[object]], int]


def rows(account: AccountStore, inbox: int, uids: list[int]) -> list[Row]:
    """``(name, aim in ms, work, runs)`` of what reads and changes the mailbox."""
    seen = frozenset(("\\Seen",))
    thousand = uids[:1000]
    message_list = (Column.ENVELOPE, Column.INTERNALDATE, Column.SIZE)

    start = (b"* ", Place.NUMBER, b" FETCH (")
    envelopes = (*start, b"ENVELOPE ", Column.ENVELOPE, b" INTERNALDATE ", Column.INTERNALDATE, b" RFC822.SIZE ",
                 Column.SIZE, b")\r\n")  # fmt: skip
    structures = (*start, b"BODYSTRUCTURE ", Column.BODYSTRUCTURE, b")\r\n")
    fields = (*start, b"FLAGS ", Place.FLAGS, b" BODY[HEADER.FIELDS (SUBJECT FROM DATE)] ",
              HeaderFields(("subject", "from", "date")), b")\r\n")  # fmt: skip

    names = ("subject", "from", "date")
    uncommon = ("subject", "x-mailer")

    async def bodies() -> None:
        for at in range(0, len(uids), 200):
            await account.bodies(inbox, uids[at : at + 200])

    async def expunge() -> None:
        await account.store_flags(inbox, thousand, FlagOperation.ADD, frozenset(("\\Deleted",)))

    return [
        ("states", 4.0, lambda: account.states(inbox), 9),
        ("columns ENVELOPE", 6.0, lambda: account.columns(inbox, uids, (Column.ENVELOPE,)), 9),
        ("columns ENVELOPE INTERNALDATE SIZE", None, lambda: account.columns(inbox, uids, message_list), 9),
        ("rendered ENVELOPE INTERNALDATE SIZE", None, lambda: account.rendered(inbox, uids, 1, envelopes), 9),
        ("rendered BODYSTRUCTURE", None, lambda: account.rendered(inbox, uids, 1, structures), 9),
        ("rendered FLAGS HEADER.FIELDS", None, lambda: account.rendered(inbox, uids, 1, fields), 9),
        (
            "header_fields SUBJECT FROM DATE",
            8.0,
            lambda: account.header_fields(inbox, uids, names),
            9,
        ),
        (
            "header_fields with an uncommon one",
            None,
            lambda: account.header_fields(inbox, uids, uncommon),
            3,
        ),
        ("columns BODYSTRUCTURE", 5.0, lambda: account.columns(inbox, uids, (Column.BODYSTRUCTURE,)), 9),
        ("columns HEADER", None, lambda: account.columns(inbox, uids, (Column.HEADER,)), 5),
        ("bodies, 200 at a time", 25.0, bodies, 5),
        ("search_header subject", 5.0, lambda: account.search_header(inbox, "Subject", "number 77"), 9),
        ("search_header message-id", None, lambda: account.search_header(inbox, "Message-ID", "<77."), 3),
        ("search_text BODY", None, lambda: account.search_text(inbox, "not to be found", TextWhere.BODY), 5),
        ("search_text TEXT", None, lambda: account.search_text(inbox, "not to be found", TextWhere.TEXT), 5),
        ("search_dates", None, lambda: account.search_dates(inbox), 5),
        ("store_flags +Seen", 20.0, lambda: account.store_flags(inbox, uids, FlagOperation.ADD, seen), 1),
        ("store_flags -Seen", 20.0, lambda: account.store_flags(inbox, uids, FlagOperation.REMOVE, seen), 1),
        ("copy of 1,000", 5.0, lambda: account.copy(inbox, thousand, "Archive"), 5),
        ("store_flags 1,000 +Deleted", None, expunge, 1),
        ("expunge of 1,000, copied ones", 5.0, lambda: account.expunge(inbox), 1),
        ("expunge of 1,000, the only ones", 5.0, lambda: account.remove(inbox, uids[1000:2000]), 1),
        ("move of 1,000", None, lambda: account.move(inbox, uids[2000:3000], "Archive"), 1),
    ]


async def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Fill a mailbox and run the rows."""
    source = random.Random(1)
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="angarium-") as directory:
        store = store_at(Path(directory))
        account = await store.open("alice@example.test")
        started, used = time.perf_counter(), cpu()
        await fill(account, arguments.messages, source)
        each = (cpu() - used) / arguments.messages
        print(f"filled in {time.perf_counter() - started:.1f} s, {each * 1e6:.0f} us CPU each")
        print(f"{on_disk(Path(directory)) / arguments.messages:.0f} bytes a message on disk")
        await time_analysis(results, source)
        inbox = (await account.mailbox("INBOX")).id
        uids = [state.uid for state in await account.states(inbox)]
        for name, aim, work, runs in rows(account, inbox, uids):
            if arguments.profile and arguments.profile in name:
                await profile(work)
            best = float("inf")
            for _run in range(runs):
                before = time.perf_counter()
                await work()
                best = min(best, time.perf_counter() - before)
            results[name] = best * 1000
            print(f"{name:40s} {best * 1000:9.2f} ms{f'   aim {aim:g}' if aim else ''}")
        await time_appends(account, results, source)
        await store.close()
    return results


async def time_analysis(results: dict[str, float], source: random.Random) -> None:
    """What one message's derived columns cost."""
    samples = [message(n, source) for n in range(500)]
    before = time.perf_counter()
    for sample in samples:
        Analysis(sample).with_prefix(b"Return-Path: <a@example.org>\r\n")
    results["analysis"] = (time.perf_counter() - before) / len(samples) * 1000
    print(f"{'analysis of one message':40s} {results['analysis']:9.3f} ms")


async def time_appends(account: AccountStore, results: dict[str, float], source: random.Random) -> None:
    """Appends one after the other, and fifty at a time."""
    for name, count, together in (("append one by one", 300, 1), ("append 50 at a time", 2000, 50)):
        mails = [new_mail(message(n, source), f"{name} {n}") for n in range(count)]
        before, used = time.perf_counter(), cpu()
        for start in range(0, count, together):
            await asyncio.gather(*[account.append((mail,)) for mail in mails[start : start + together]])
        elapsed, spent = time.perf_counter() - before, cpu() - used
        results[name] = elapsed / count * 1000
        print(f"{name:40s} {elapsed / count * 1000:9.3f} ms   {spent / count * 1e6:.0f} us CPU")


async def profile(work: Callable[[], Awaitable[object]]) -> None:
    """Where a row's time goes."""
    profiler = cProfile.Profile()
    profiler.enable()
    await work()
    profiler.disable()
    pstats.Stats(profiler).sort_stats("cumulative").print_stats(25)


async def deliveries(arguments: argparse.Namespace) -> dict[str, float]:
    """How the cost of a delivery grows with the mailbox; and many accounts at a time."""
    source = random.Random(2)
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="angarium-") as directory:
        store = store_at(Path(directory))
        account = await store.open("alice@example.test")
        filled = 0
        for goal in (1000, arguments.messages):
            await fill(account, goal - filled, source)
            filled = goal
            mails = [new_mail(message(n, source), f"{goal} {n}") for n in range(2000)]
            before, used = time.perf_counter(), cpu()
            for start in range(0, len(mails), 20):
                await asyncio.gather(*[account.append((mail,)) for mail in mails[start : start + 20]])
            elapsed, spent = time.perf_counter() - before, cpu() - used
            results[f"append at {goal}"] = spent / len(mails) * 1000
            print(f"at {goal:7d} messages: {elapsed / len(mails) * 1e6:.0f} us, {spent / len(mails) * 1e6:.0f} us CPU")
            filled += len(mails)
        accounts = [await store.open(f"user{n}@example.test") for n in range(100)]
        mails = [new_mail(message(n, source), f"many {n}") for n in range(2000)]
        before, used = time.perf_counter(), cpu()
        for start in range(0, len(mails), 100):
            pairs = zip(accounts, mails[start : start + 100], strict=True)
            await asyncio.gather(*[one.append((mail,)) for one, mail in pairs])
        elapsed, spent = time.perf_counter() - before, cpu() - used
        results["append over 100 accounts"] = spent / len(mails) * 1000
        print(f"over 100 accounts: {len(mails) / elapsed:.0f}/s, {spent / len(mails) * 1e6:.0f} us CPU")
        await store.close()
    return results


LARGE = QuotaLimit(1 << 50, 1 << 40)
PLANS = {
    "no quota": QuotaPlan(),
    "bytes and messages": QuotaPlan(LARGE),
    "with thresholds": QuotaPlan(LARGE, warnings=parse_thresholds("80%, 95%")),
    "with more room in a folder": QuotaPlan(LARGE, rules=parse_rules("Trash:storage=+100M")),
    "with a folder that does not count": QuotaPlan(LARGE, rules=parse_rules("Junk:ignore")),
    "a domain's total": QuotaPlan(domain=LARGE),
    "a domain's total, with thresholds": QuotaPlan(LARGE, domain=LARGE, warnings=parse_thresholds("80%, 95%")),
}


async def quotas(_arguments: argparse.Namespace) -> dict[str, float]:
    """What a delivery costs with each kind of quota: the best of twenty turns of each, one behind the other."""
    source = random.Random(3)
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="angarium-") as directory:
        accounts = {}
        for number, (name, plan) in enumerate(PLANS.items()):
            store = open_mailstore(
                MailstoreParameters(Path(directory), quota=plan), ServiceLog(MemoryLog(), "benchmark")
            )
            accounts[name] = store, await store.open(f"alice@{number}.test")
            await fill(accounts[name][1], 200, source)
        mails = [message(n, source) for n in range(100)]
        for turn in range(20):
            for name, (_store, account) in accounts.items():
                used = cpu()
                for number, mail in enumerate(mails):
                    await account.append((new_mail(mail, f"{turn} {number}"),))
                spent = (cpu() - used) / len(mails) * 1000
                results[name] = min(spent, results.get(name, spent))
        for name in PLANS:
            print(f"{name:36s} {results[name] * 1000:6.0f} us CPU")
        store, account = accounts["bytes and messages"]
        for name, address in (("room, account open", account.account), ("room, account closed", "alice@0.test")):
            used = cpu()
            for _number in range(10_000):
                await store.room(address, 1000)
            results[name] = (cpu() - used) / 10
            print(f"{name:36s} {results[name] * 1000:6.1f} us CPU")
        for store, _account in accounts.values():
            await store.close()
    return results


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--deliveries", action="store_true")
    kind.add_argument("--quotas", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--profile", default="")
    arguments = parser.parse_args()
    work = deliveries if arguments.deliveries else quotas if arguments.quotas else measure
    results = asyncio.run(work(arguments))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
