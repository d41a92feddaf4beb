"""Quotas as values: rules, limits, grace, thresholds."""

from __future__ import annotations

import fnmatch
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.model.quota import (
    Adjustment,
    Crossing,
    Excess,
    FolderRule,
    Grace,
    QuotaLimit,
    QuotaPlan,
    Resource,
    Threshold,
    Usage,
    crossings,
    parse_grace,
    parse_limit,
    parse_rules,
    parse_size,
    parse_thresholds,
)


def test_rules_are_read():
    assert parse_rules("Trash:storage=+100M, \\Junk:ignore\n{Sent Items:storage=-10%:messages=5}") == (
        FolderRule("Trash", storage=Adjustment(100 << 20, relative=True)),
        FolderRule("\\Junk", ignore=True),
        FolderRule("Sent Items", storage=Adjustment(-10, True, True), messages=Adjustment(5)),
    )
    assert parse_rules("inbox/x:storage=50%") == (FolderRule("INBOX/x", storage=Adjustment(-50, True, True)),)
    assert parse_rules("") == ()


@pytest.mark.parametrize(
    "text",
    [
        "Trash",
        "Trash:",
        ":ignore",
        "Trash:storage",
        "Trash:storage=x",
        "Trash:size=1",
        "{Trash:ignore",
        "a:messages=1M",
    ],
)
def test_rules_without_sense(text):
    with pytest.raises(ValueError, match="not "):
        parse_rules(text)


def test_sizes_grace_and_thresholds():
    assert (parse_size("0"), parse_size("1k"), parse_size("2GB")) == (0, 1024, 2 << 30)
    assert parse_grace("10%") == Grace(10, percent=True)
    assert parse_grace("1M") == Grace(1 << 20)
    assert parse_thresholds("80%, storage=95% -messages=100%") == (
        Threshold(80),
        Threshold(95, resource=Resource.STORAGE),
        Threshold(100, below=True, resource=Resource.MESSAGES),
    )
    for read, text in ((parse_size, "1X"), (parse_size, "-1"), (parse_grace, "x%"), (parse_thresholds, "80")):
        with pytest.raises(ValueError, match="not a"):
            read(text)


@settings(max_examples=100)
@given(st.one_of(st.text(), st.text("Trash:{},*\\ storage=mesigno+-%0123456789KMG", max_size=60)))
def test_whatever_is_written_is_read_or_refused(text):
    for read in (parse_rules, parse_thresholds, parse_grace, parse_size, parse_limit):
        try:
            found = read(text)
        except ValueError:
            continue
        if read is parse_rules:
            plan = QuotaPlan(QuotaLimit(1000, 10), rules=found)
            assert plan.limit_in("Trash").bytes >= 0
            assert plan.limit_in("x/y", "\\Junk").messages >= 0


def test_the_first_rule_that_matches_holds():
    plan = QuotaPlan(QuotaLimit(1000, 10), rules=parse_rules("Junk/keep:storage=+10%,Junk*:ignore,\\Trash:storage=0"))
    assert plan.limit_in("Junk/keep") == QuotaLimit(1100, 10)
    assert plan.is_counted("Junk/keep")
    assert not plan.is_counted("Junk/other")
    assert not plan.is_counted("Junk")
    assert plan.limit_in("Bin", "\\Trash") == QuotaLimit(0, 10)
    assert plan.limit_in("INBOX") == plan.limit
    assert plan.ignores


def test_no_limit_stays_none():
    plan = QuotaPlan(rules=parse_rules("Trash:storage=+1M:messages=50%"))
    assert plan.limit_in("Trash") == QuotaLimit()
    assert QuotaPlan(QuotaLimit(100), rules=parse_rules("a:storage=-1G")).limit_in("a").bytes == 1


@settings(max_examples=100)
@given(st.text("ab*", max_size=8), st.text("ab/", max_size=8))
def test_a_pattern_is_a_glob(pattern, name):
    assert FolderRule(pattern).matches(name, "") == fnmatch.fnmatchcase(name, pattern)


def test_a_delivery_may_exceed_a_limit_once():
    plan = QuotaPlan(QuotaLimit(1000, 3), grace=Grace(10, percent=True))

    def excess(held, size, messages=0, *, delivery=True):
        return plan.excess(plan.limit, Usage(held, messages), size, delivery=delivery)

    assert excess(900, 100) is None
    assert excess(999, 101) is None
    assert excess(999, 102) is Excess.STORAGE
    assert excess(1000, 1) is Excess.STORAGE
    assert excess(900, 101, delivery=False) is Excess.STORAGE
    assert excess(0, 1, 3) is Excess.MESSAGES
    assert excess(0, 1, 2) is None
    assert not plan.too_large(1 << 40)
    assert QuotaPlan(mail=10).too_large(11)
    assert not QuotaPlan(mail=10).too_large(10)


def test_of_thresholds_passed_at_once_one_is_told():
    thresholds = parse_thresholds("80%, 95%, -95%, -80%, messages=50%")
    limit = QuotaLimit(1000, 10)

    def passed(before, after):
        return [(one.resource, one.percent, one.below) for one in crossings("a", thresholds, limit, before, after)]

    assert passed(Usage(700, 1), Usage(799, 2)) == []
    assert passed(Usage(799, 1), Usage(800, 2)) == [(Resource.STORAGE, 80, False)]
    assert passed(Usage(100, 1), Usage(1200, 2)) == [(Resource.STORAGE, 95, False)]
    assert passed(Usage(960, 2), Usage(949, 1)) == [(Resource.STORAGE, 95, True)]
    assert passed(Usage(960, 6), Usage(1, 1)) == [(Resource.STORAGE, 80, True)]
    assert passed(Usage(100, 4), Usage(101, 5)) == [(Resource.MESSAGES, 50, False)]
    assert passed(Usage(800, 8), Usage(801, 8)) == []
    assert crossings("a", thresholds, limit, Usage(0, 0), Usage(800, 1)) == (
        Crossing("a", Resource.STORAGE, 80, False, 800, 1000),
    )
    assert crossings("a", thresholds, QuotaLimit(), Usage(0, 0), Usage(800, 1)) == ()


@settings(max_examples=100)
@given(st.lists(st.integers(0, 2000), min_size=2, max_size=20), st.integers(1, 150))
def test_a_threshold_is_passed_up_and_down_in_turns(levels, percent):
    limit = QuotaLimit(1000)
    thresholds = (Threshold(percent), Threshold(percent, below=True))
    told = [
        one.below
        for before, after in itertools.pairwise(levels)
        for one in crossings("a", thresholds, limit, Usage(before, 0), Usage(after, 0))
    ]
    above = levels[0] * 100 >= percent * 1000
    assert told == [above ^ bool(turn % 2) for turn in range(len(told))]
