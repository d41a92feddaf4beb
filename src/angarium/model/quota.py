r"""Quotas as values: limits, rules for folders, grace, thresholds, and what they say of a message. No I/O.

A ``QuotaPlan`` is all that is in force for one account. It is made of main.cf and of the directory, and judged by the
store alone, inside the transaction that stores; whoever asks before that (RCPT, the quota-status service, an APPEND's
literal) asks the same functions and may be wrong by what happens meanwhile.

Two resources are counted, as RFC 9208 section 5 has them: STORAGE, here in bytes, and MESSAGE. A limit of 0 is none.

Rules, in main.cf and in the directory alike, are words separated by commas or white space; ``{ }`` keep a name with a
blank in it together::

    Trash:storage=+100M    100 MiB more for what is saved to Trash: it can still be moved to when the account is full
    \Junk:ignore            what is in the mailbox with that special use is not counted at all
    Archive/*:storage=10G:messages=0

``*`` stands for any characters. The first rule that matches a mailbox holds.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

WARNING_SERVICE = "quota-warning"
"""``Origin.service`` of warnings: what has it has not come from outside. They are stored in full mailboxes, too."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)B?", re.IGNORECASE | re.ASCII)
_PERCENT = re.compile(r"([0-9]{1,4})%", re.ASCII)
_WORD = re.compile(r"[^,\s]+")
_INBOX = re.compile(r"inbox(?=/|\Z)", re.IGNORECASE)
_THRESHOLD = re.compile(r"(-?)(?:(storage|messages?)=)?([0-9]{1,4})%", re.IGNORECASE | re.ASCII)
_MOST_RULES = 100
_LARGEST = 2**62


class Usage(NamedTuple):
    """What is held."""

    bytes: int
    messages: int


@dataclass(frozen=True, slots=True)
class QuotaLimit:
    """The most that may be held; 0 is no limit."""

    bytes: int = 0
    messages: int = 0

    def __bool__(self) -> bool:
        return bool(self.bytes or self.messages)


NO_LIMIT = QuotaLimit()


class Resource(enum.Enum):
    """What is counted; the values are the words of rules and thresholds."""

    STORAGE = "storage"
    MESSAGES = "messages"


class Excess(enum.Enum):
    """Why a message is not taken."""

    MAIL = "the message is too large for the mailbox"
    STORAGE = "no storage is left"
    MESSAGES = "no more messages may be held"
    DOMAIN_STORAGE = "no storage is left for the domain"
    DOMAIN_MESSAGES = "no more messages may be held in the domain"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a rule makes of a limit: another one, or so much or so many percent more or less."""

    value: int
    relative: bool = False
    percent: bool = False

    def of(self, limit: int) -> int:
        """The limit that holds; none stays none, and none becomes less than 1."""
        if not self.relative:
            return self.value
        if not limit:
            return 0
        return max(1, limit + (limit * self.value // 100 if self.percent else self.value))


@dataclass(frozen=True, slots=True)
class FolderRule:
    """A rule for mailboxes of a name (see the module), or with a special use when it begins with a backslash."""

    pattern: str
    ignore: bool = False
    storage: Adjustment | None = None
    messages: Adjustment | None = None

    def matches(self, mailbox: str, special_use: str) -> bool:
        """Whether it is about that mailbox."""
        if self.pattern.startswith("\\"):
            return special_use.casefold() == self.pattern.casefold()
        return _like(self.pattern, mailbox) if "*" in self.pattern else mailbox == self.pattern

    def of(self, limit: QuotaLimit) -> QuotaLimit:
        """The limit for what is saved there."""
        return QuotaLimit(
            self.storage.of(limit.bytes) if self.storage is not None else limit.bytes,
            self.messages.of(limit.messages) if self.messages is not None else limit.messages,
        )


def _like(pattern: str, name: str) -> bool:
    """Whether a name is like a pattern with ``*``; in linear time, for users choose the names."""
    first, *middle, last = pattern.split("*")
    if not name.startswith(first):
        return False
    at = len(first)
    for part in middle:
        found = name.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(name) - at >= len(last) and name.endswith(last)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A share of a limit at which somebody is told; ``below``: when what is held falls under it again."""

    percent: int
    below: bool = False
    resource: Resource | None = None


@dataclass(frozen=True, slots=True)
class Grace:
    """How far one delivery may exceed the limit of storage."""

    value: int = 0
    percent: bool = False

    def of(self, limit: int) -> int:
        """In bytes."""
        return limit * self.value // 100 if self.percent else self.value


@dataclass(frozen=True, slots=True)
class Crossing:
    """A threshold that was passed, once.

    Attributes:
        account: whose delivery or deletion it was.
        resource: what is counted.
        percent: the threshold.
        below: it was passed downwards.
        used: what is held now, in bytes or messages.
        limit: its limit.
        domain: they are those of the account's whole domain.
    """

    account: str
    resource: Resource
    percent: int
    below: bool
    used: int
    limit: int
    domain: bool = False


@dataclass(frozen=True, slots=True)
class QuotaPlan:
    """All that is in force for an account.

    Attributes:
        limit: of the account.
        mail: the most bytes of one message; 0 is no limit.
        grace: for deliveries.
        rules: for folders.
        warnings: thresholds.
        domain: of all accounts of the domain together.
        counts: whether it matters how much the account holds.
        ignores: whether some mailboxes do not count.
        mark: a number that stands for which do not, 0 when all count: it tells one plan's counts from another's.
    """

    limit: QuotaLimit = NO_LIMIT
    mail: int = 0
    grace: Grace = Grace()
    rules: tuple[FolderRule, ...] = ()
    warnings: tuple[Threshold, ...] = ()
    domain: QuotaLimit = NO_LIMIT
    counts: bool = field(init=False, repr=False)
    ignores: bool = field(init=False, repr=False)
    mark: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", bool(self.limit or self.domain))
        object.__setattr__(self, "ignores", any(rule.ignore for rule in self.rules))
        order = [(rule.pattern, rule.ignore) for rule in self.rules] if self.ignores else []
        object.__setattr__(self, "mark", crc32(repr(order).encode("utf-8", "surrogateescape")) if order else 0)

    def rule(self, mailbox: str, special_use: str = "") -> FolderRule | None:
        """The rule for a mailbox."""
        return next((rule for rule in self.rules if rule.matches(mailbox, special_use)), None)

    def is_counted(self, mailbox: str, special_use: str = "") -> bool:
        """Whether what is in that mailbox counts."""
        rule = self.rule(mailbox, special_use) if self.rules else None
        return rule is None or not rule.ignore

    def limit_in(self, mailbox: str, special_use: str = "") -> QuotaLimit:
        """The account's limit for what is saved to that mailbox."""
        rule = self.rule(mailbox, special_use) if self.rules else None
        return self.limit if rule is None else rule.of(self.limit)

    def excess(self, limit: QuotaLimit, held: Usage, size: int, *, delivery: bool, count: int = 1) -> Excess | None:
        """Why ``count`` more messages of ``size`` bytes together have no room beside what is held.

        A delivery may take what is held over the limit, but not by more than the grace, and none may follow it.

        Args:
            limit: ``limit_in`` of the mailbox.
            held: by the account; without what does not count.
            size: of what comes.
            delivery: it comes from outside.
            count: how many they are.
        """
        if limit.bytes and held.bytes + size > limit.bytes:
            grace = self.grace.of(limit.bytes) if delivery else 0
            if not grace or held.bytes >= limit.bytes or held.bytes + size > limit.bytes + grace:
                return Excess.STORAGE
        if limit.messages and held.messages + count > limit.messages:
            return Excess.MESSAGES
        return None

    def too_large(self, size: int) -> bool:
        """Whether no mailbox takes a message of that size, however empty."""
        return bool(self.mail) and size > self.mail

    def crossings(self, account: str, before: Usage, after: Usage) -> tuple[Crossing, ...]:
        """The thresholds of the account that were passed between two states of it."""
        return crossings(account, self.warnings, self.limit, before, after)

    def domain_moved(self, seen: Usage, held: Usage) -> bool:
        """Whether a threshold of the domain lies between two states of it, in whatever direction."""
        return any(
            most and (before * 100 >= each.percent * most) != (after * 100 >= each.percent * most)
            for most, before, after in (
                (self.domain.bytes, seen.bytes, held.bytes),
                (self.domain.messages, seen.messages, held.messages),
            )
            for each in self.warnings
        )

    def domain_crossings(self, account: str, before: Usage, after: Usage) -> tuple[Crossing, ...]:
        """Those of the domain."""
        return crossings(account, self.warnings, self.domain, before, after, domain=True)


UNLIMITED = QuotaPlan()
"""The plan of a server without quotas."""


def crossings(
    account: str,
    thresholds: tuple[Threshold, ...],
    limit: QuotaLimit,
    before: Usage,
    after: Usage,
    *,
    domain: bool = False,
) -> tuple[Crossing, ...]:
    """One for each resource and direction at most: of several passed at once the one that says most."""
    found: list[Crossing] = []
    for resource, held, holds, most in (
        (Resource.STORAGE, before.bytes, after.bytes, limit.bytes),
        (Resource.MESSAGES, before.messages, after.messages, limit.messages),
    ):
        if not most or held == holds:
            continue
        mine = [each for each in thresholds if each.resource in (None, resource)]
        up = [each.percent for each in mine if not each.below and held * 100 < each.percent * most <= holds * 100]
        down = [each.percent for each in mine if each.below and holds * 100 < each.percent * most <= held * 100]
        if up:
            found.append(Crossing(account, resource, max(up), False, holds, most, domain))
        if down:
            found.append(Crossing(account, resource, min(down), True, holds, most, domain))
    return tuple(found)


# Reading them


def parse_size(text: str) -> int:
    """``100M`` in bytes. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None or (size := int(match[1]) * _UNITS[match[2].upper()]) > _LARGEST:
        msg = f"not a size: {text!r} (for example 500M, 1G; 0 for no limit)"
        raise ValueError(msg)
    return size


def parse_limit(text: str) -> QuotaLimit:
    """``1G``, or ``1G 5000``: bytes, and messages if they are limited too. Raises ValueError."""
    words = text.replace(",", " ").split()
    if not words or len(words) > 2 or (len(words) == 2 and not (words[1].isascii() and words[1].isdigit())):
        msg = f"not a limit: {text[:80]!r} (for example 1G, or 1G 5000)"
        raise ValueError(msg)
    return QuotaLimit(parse_size(words[0]), min(int(words[1]), _LARGEST) if len(words) == 2 else 0)


def parse_grace(text: str) -> Grace:
    """``10%``, or a size; empty is none. Raises ValueError."""
    match = _PERCENT.fullmatch(text or "0%")
    return Grace(int(match[1]), percent=True) if match is not None else Grace(parse_size(text))


def parse_thresholds(text: str) -> tuple[Threshold, ...]:
    """``80%, storage=95%, -100%``: reaching 80 percent of either limit, and falling under it. Raises ValueError."""
    found = []
    for word in _words(text):
        match = _THRESHOLD.fullmatch(word)
        if match is None or not int(match[3]):
            msg = f"not a threshold: {word!r} (for example 80%, messages=95%, -100%)"
            raise ValueError(msg)
        resource = None
        if match[2]:
            resource = Resource.STORAGE if match[2].lower() == "storage" else Resource.MESSAGES
        found.append(Threshold(int(match[3]), bool(match[1]), resource))
    return tuple(found)


@lru_cache(maxsize=1024)
def parse_rules(text: str) -> tuple[FolderRule, ...]:
    """The rules of a text (see the module). Raises ValueError."""
    rules = tuple(_rule(word) for word in _words(text))
    if len(rules) > _MOST_RULES:
        msg = f"more than {_MOST_RULES} rules"
        raise ValueError(msg)
    return rules


def _rule(word: str) -> FolderRule:
    name, colon, rest = word.partition(":")
    if not colon or not name or not rest or "\0" in name:
        msg = f"not a rule: {word!r} (for example Trash:storage=+100M, Junk:ignore)"
        raise ValueError(msg)
    name = _INBOX.sub("INBOX", name, count=1) if _INBOX.match(name) else name
    ignore, values = False, {}
    for part in rest.split(":"):
        key, equals, value = part.partition("=")
        if part.lower() == "ignore":
            ignore = True
        elif equals and key.lower() in ("storage", "messages"):
            values[key.lower()] = _adjustment(value, number=key.lower() == "messages")
        else:
            msg = f"not a rule: {word!r}: {part!r} is neither ignore, storage=SIZE nor messages=NUMBER"
            raise ValueError(msg)
    return FolderRule(name, ignore, values.get("storage"), values.get("messages"))


def _adjustment(text: str, *, number: bool) -> Adjustment:
    sign = -1 if text.startswith("-") else 1
    relative = text.startswith(("+", "-"))
    text = text[1:] if relative else text
    percent = _PERCENT.fullmatch(text)
    if percent is not None:
        share = sign * int(percent[1]) if relative else int(percent[1]) - 100
        return Adjustment(share, relative=True, percent=True)
    if number and not (text.isascii() and text.isdigit()):
        msg = f"not a number of messages: {text!r}"
        raise ValueError(msg)
    return Adjustment(sign * parse_size(text), relative)


def _words(text: str) -> Iterator[str]:
    """Between commas and white space; what stands in braces is kept together. Raises ValueError."""
    at = 0
    while at < len(text):
        if text[at] == "," or text[at].isspace():
            at += 1
        elif text[at] == "{":
            end = text.find("}", at)
            if end < 0:
                msg = f"a brace that is not closed: {text[at : at + 40]!r}"
                raise ValueError(msg)
            yield text[at + 1 : end].strip()
            at = end + 1
        else:
            match = _WORD.match(text, at)
            assert match is not None
            yield match[0]
            at = match.end()
