"""Address headers made by chance, always the same ones: what ``record_rewriting`` sends through Postfix.

Malformed ones are made of pieces that mean something to a parser of addresses; odd ones are well-formed (RFC 5322
section 3.4, RFC 6532), with everything in them that few mail programs write.
"""

from __future__ import annotations

import random

NAMES = ("To", "Cc", "From", "Reply-To")
PIECES = [
    *(
        "a",
        "bc",
        "joe",
        " ",
        ", ",
        "@",
        "@b.test",
        "@host",
        ".",
        "<",
        ">",
        '"q r"',
        '"x@y"',
        ";",
        ":",
        "grp:",
        "!",
        "%",
    ),
    *("[1.2.3.4]", "[", "]", "Joe Doe", "\n ", "é", "_", "+e", "|", "'", "<a@b>", "<c@d.test>"),
]
LOCAL_PARTS = [
    *("joe", "Joe.Doe", "joe+ext", "a-b", "o'neil", "x_y", "1", "#$&'*/=?^`{|}~", "کاربر", "علی.رضا", "jörg"),
    *(
        "用户",
        '"a b"',
        '"a@b"',
        '"a\\"b"',
        '"a\\\\b"',
        '".a."',
        '"a..b"',
        '"a!b"',
        '"a%b"',
        '"a,b;c:d"',
        '"<x>"',
        '"(no comment)"',
    ),
    *("x!y", "u%h", "u%h.test", "a!b!c", '"joe"', "joe . doe"),
]
DOMAINS = [
    *("x.test", "X.Test", "example.test", "host", "sub.host", "host.example.test", "a-b.test", "x_y.test", "x.test."),
    *(
        "[192.0.2.1]",
        "[IPv6:2001:db8::1]",
        "نمونه.ایران",
        "bücher.test",
        "xn--bcher-kva.test",
        "例え.テスト",
        "b . test",
    ),
    *("old.test", "sub.old.test"),
]
PHRASES = [
    *(
        "Joe Doe",
        '"Doe, Joe"',
        '"a@b"',
        "=?utf-8?B?2qnYp9ix2KjYsQ==?=",
        "=?iso-8859-1?Q?J=F6rg?=",
        "کاربر",
        '"x \\" y"',
    ),
    *("J. D. Doe", "Joe (comment) Doe", '""', "Dr Joe_x"),
]
COMMENTS = ["(x)", "(a, b)", "(a (b) c)", '(an "odd" one)', "(\\))", "(کاربر)", "( )"]


def malformed(seed: int, count: int) -> str:
    """Headers of pieces."""
    chance = random.Random(seed)
    lines = []
    for _ in range(count):
        text = "".join(chance.choice(PIECES) for _ in range(chance.randint(1, 9)))
        lines.append(f"{chance.choice(NAMES)}: {text}\n")
    return "".join(lines) + "Subject: x\n\nb\n"


def odd(seed: int, count: int) -> str:
    """Headers that are well-formed."""
    chance = random.Random(seed)

    def address() -> str:
        local = chance.choice(LOCAL_PARTS)
        text = local if chance.random() < 0.15 else f"{local}@{chance.choice(DOMAINS)}"
        return f"{text} {chance.choice(COMMENTS)}" if chance.random() < 0.15 else text

    def mailbox() -> str:
        kind = chance.random()
        if kind < 0.4:
            return address()
        route = "@a.test,@b.test:" if kind > 0.95 else ""
        phrase = chance.choice(["", *PHRASES])
        return f"{phrase} <{route}{address()}>" if kind < 0.98 else f"{phrase} <>"

    def group() -> str:
        members = ",\n ".join(mailbox() for _ in range(chance.randint(0, 3)))
        return f"{chance.choice(['Undisclosed recipients', 'grp', 'A B'])}: {members};"

    lines = []
    for _ in range(count):
        entries = [group() if chance.random() < 0.15 else mailbox() for _ in range(chance.randint(1, 4))]
        separator = chance.choice([", ", ",", ",\n\t", " , ", ",, "])
        lines.append(f"{chance.choice(NAMES)}: {separator.join(entries)}\n")
    return "".join(lines) + "Subject: x\n\nb\n"


def results(seed: int, count: int) -> list[str]:
    """What may stand on the right side of a table, made of pieces without braces."""
    chance = random.Random(seed)
    more = ["c@d.test", "(x)", "\\", "/file", ":include:", "u%[1.2.3.4]", "x!y", '"x@y"@z.test', "<>", "@new.test"]
    pieces = [piece for piece in (*PIECES, *more) if "\n" not in piece]
    found = []
    for _ in range(count):
        text = "".join(chance.choice(pieces) for _ in range(chance.randint(1, 7))).strip()
        found.append(text if text and "=" not in text else "x")
    return found


def paths(seed: int, count: int) -> list[str]:
    """Envelope addresses without blanks: routes, bang paths, percent signs, literals, dots, quotes, long ones."""
    chance = random.Random(seed)
    locals_ = [each for each in LOCAL_PARTS if each.isascii() and " " not in each and "\\" not in each]
    locals_ += ["x" * 64, "x" * 65, "x" * 300, ".a", "a.", "a..b", "-a", "joe", "alice", "info", "r", "root"]
    domains = [each for each in DOMAINS if each.isascii() and " " not in each]
    domains += [
        *("local.test", "LOCAL.test.", "vbox.test", "valias.test", "relay.test", "sub.relay.test", "mail.example.test"),
        *("[127.0.0.1]", "[192.0.2.80]", "[IPv6:::1]", "[ipv6:2001:DB8::1]", "[1.2.3]", "[x.test]", "1.2.3.4", ".."),
        *(".", "a" * 63 + ".test", "a" * 64 + ".test", ".".join(["abcdefghi"] * 26), "-a.test", "a-.test", "x.test.."),
        ".x.test",
    ]
    found = []
    for _ in range(count):
        address = chance.choice(locals_)
        kind = chance.random()
        for _ in range(chance.randint(0, 2) if kind < 0.3 else 0):
            address += "%" + chance.choice(domains)
        if kind > 0.8:
            address = chance.choice([each for each in domains if each != "[x.test]"]) + "!" + address
        if chance.random() < 0.9:
            address += "@" + chance.choice(domains)
        if chance.random() < 0.1:
            address = "@" + ",@".join(chance.sample(domains, chance.randint(1, 2))) + ":" + address
        found.append(address)
    return found
