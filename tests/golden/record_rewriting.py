"""Records how the Postfix on this machine rewrites messages: ``python tests/golden/record_rewriting.py [name …]``.

A file in ``rewriting/`` is one configuration: what it sets, and for each case what came of a message: the reply when it
was refused, else sender, recipients and content as they were queued, and the lines of the log. The queue id is ``QID``
there, dates are ``DATE``. The cases stand here: how the message comes in (as in ``record_cleanup``), and the message.
"""

# ruff: noqa: E501, ISC004, SIM905 - a message is written as it is sent, a table as it stands in main.cf

from __future__ import annotations

import json
import re
import runpy
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent / "rewriting"
CLEANUP = runpy.run_path(str(Path(__file__).parent / "record_cleanup.py"))
POLICY = CLEANUP["POLICY"]
RANDOM = runpy.run_path(str(Path(__file__).parent / "random_headers.py"))
RESULTS = RANDOM["results"](1, 100)
REMOTE, LOCAL = "127.0.0.9", "127.0.0.1"
BASE = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.test",
    "mydomain": "example.test",
    "myorigin": "example.test",
    "mydestination": "$myhostname, local.test",
    "mynetworks": "127.0.0.0/8",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "smtpd_peername_lookup": "no",
    "local_recipient_maps": "",
    "alias_maps": "",
    "recipient_delimiter": "+",
    "append_dot_mydomain": "yes",
    "smtputf8_enable": "yes",
    "enable_long_queue_ids": "no",
    "virtual_alias_domains": "",
    "smtpd_reject_unlisted_recipient": "no",
}
REWRITING = ("append_", "swap_", "allow_percent", "remote_header", "my")
"""The beginnings of parameters that trivial-rewrite reads."""

PLAIN = "From: f@x.test\nTo: t@x.test\nSubject: a\n\nbody\n"


def table(*entries: str) -> str:
    """An inline table: ``key=value`` each."""
    return "inline:{" + ", ".join(f"{{{entry}}}" for entry in entries) + "}"


def regexp(*rules: str) -> str:
    """A table of patterns."""
    return "regexp:{" + ", ".join(f"{{{rule}}}" for rule in rules).replace("$", "$$") + "}"


HEADERS = """\
From: joe
Sender: Joe Doe <joe@host>
Reply-To: x!y, u%h
Errors-To: a@b.
To: joe doe, "Q. X" <q>, grp: a, b@c; , undisclosed:;
Cc: <@a,@b:joe@c>, <>, joe . doe @ x . test, "a b", "a@b", "a!b", j@[1.2.3.4]
Bcc: secret
Apparently-To: ap
Resent-To: rt
Return-Receipt-To: rr
Disposition-Notification-To: dn
Mail-Followup-To: mf
X-To: joe
Delivered-To: joe

b
"""
ODD = [
    '"open',
    "<open",
    "a, , b",
    "a (c) b",
    "joe(x)@(y)host",
    "a@b@c",
    "a@",
    "@",
    "@c",
    "joe.",
    "a.@b",
    ".a@b",
    "a..b",
    "a@b..",
    "a b@c.test <d>",
    "foo: <a@b.test>",
    "foo: bar",
    "a; b",
    "a > b",
    "[1.2.3.4]",
    "u@[1.2.3.4",
    "a\\@b",
    "a\\ b@c",
    "u%v%w",
    "x!y!z",
    "x!y%z",
    "u%v@w",
    "x!y@w",
    "!x",
    "x!",
    "u%",
    "%u",
    "J\u00f6rg <j\u00f6rg>",
    "\u06a9\u0627\u0631\u0628\u0631",
    "<a@b.test> c",
    "<a> <b>",
    '"x" "y" z',
    "a@b.test c@d.test e",
    "a|b",
]

Case = tuple[dict[str, str], str]

CONFIGS: dict[str, tuple[dict[str, str], dict[str, Case]]] = {
    "complete": (
        {},
        {
            "local": ({"client": LOCAL}, HEADERS),
            "remote": ({}, HEADERS),
            "bare_envelope": ({"from": "amy", "to": "joe joe@short x!y u%v u%v@w x!y@w a@b. joe."}, PLAIN),
            "mailer_daemon": ({"from": "MAILER-DAEMON"}, PLAIN),
            "mailer_daemon_origin": ({"from": "mailer-daemon@example.test", "client": LOCAL}, "To: a@x.test\n\nb\n"),
            "mailer_daemon_else": ({"from": "mailer-daemon@x.test"}, PLAIN),
            **{f"odd_{n:02}": ({"client": LOCAL}, f"To: {text}, last\n\nb\n") for n, text in enumerate(ODD)},
        },
    ),
    "incomplete": (
        {"append_at_myorigin": "no", "append_dot_mydomain": "no", "swap_bangpath": "no", "allow_percent_hack": "no"},
        {
            "local": ({"client": LOCAL}, HEADERS),
            "envelope": ({"from": "amy@short", "to": "a@short. x!y u%v"}, PLAIN),
        },
    ),
    "remote_domain": (
        {"remote_header_rewrite_domain": "domain.invalid"},
        {
            "remote": ({"from": "amy", "to": "joe joe@short"}, HEADERS),
            "remote_missing": ({}, "Subject: a\n\nb\n"),
            "local": ({"client": LOCAL, "from": "amy"}, HEADERS),
        },
    ),
    "canonical": (
        {
            "canonical_maps": table(
                "joe@example.test=Joe.Doe@example.test",
                "amy=amy.x",
                "@old.test=@new.test",
                "@all.test=one@new.test",
                "a@chain.test=b@chain.test",
                "b@chain.test=c@chain.test",
                "l1@loop.test=l2@loop.test",
                "l2@loop.test=l1@loop.test",
                "self@x.test=SELF@x.test",
                "two@x.test=a@x.test, b@x.test",
                'q@x.test="a b"@x.test',
                '"c d"@x.test=cd@x.test',
                "n@x.test=Nick Name <nick@x.test> (n)",
                "short@x.test=bare",
                "lit=literal@[1.2.3.4]",
                "ext@x.test=plain@x.test",
                "ext+has@x.test=whole@x.test",
                "@ex.test=@out.test",
            ),
        },
        {
            "headers": ({"client": LOCAL, "from": "joe", "to": "joe amy@local.test"}, HEADERS),
            "remote": ({"from": "joe", "to": "joe amy"}, HEADERS),
            "domains": ({"client": LOCAL, "to": "u@old.test u+e@all.test u+e@ex.test"}, "To: a@old.test\n\nb\n"),
            "chain": ({"client": LOCAL, "to": "a@chain.test"}, "Cc: a@chain.test\n\nb\n"),
            "loop": ({"to": "l1@loop.test"}, PLAIN),
            "loop_header": ({"client": LOCAL}, "To: l1@loop.test\n\nb\n"),
            "self": ({"to": "self@x.test"}, PLAIN),
            "two": ({"to": "two@x.test"}, PLAIN),
            "quoted": ({"client": LOCAL, "to": "q@x.test"}, 'To: q@x.test, "c d"@x.test\n\nb\n'),
            "names": ({"client": LOCAL, "to": "n@x.test short@x.test"}, "To: N <n@x.test>, short@x.test\n\nb\n"),
            "extension": ({"to": "ext+e@x.test ext+has@x.test lit+e@example.test"}, PLAIN),
            "case": ({"to": "AMY@LOCAL.TEST JOE@example.test"}, PLAIN),
            "null": ({"from": ""}, PLAIN),
        },
    ),
    "canonical_no_extensions": (
        {
            "canonical_maps": table("ext@x.test=plain@x.test", "@ex.test=@out.test", "bare=b@x.test"),
            "propagate_unmatched_extensions": "",
        },
        {"extension": ({"to": "ext+e@x.test u+e@ex.test bare+e"}, PLAIN)},
    ),
    "canonical_classes": (
        {
            "canonical_maps": table("a@x.test=common@x.test", "s2@x.test=s3@x.test"),
            "canonical_classes": "envelope_sender, header_recipient",
            "sender_canonical_maps": table("s@x.test=s2@x.test", "f@x.test=f2@x.test"),
            "sender_canonical_classes": "envelope_sender",
            "recipient_canonical_maps": table("r@x.test=r2@x.test", "t@x.test=t2@x.test", "r2@x.test=a@x.test"),
            "recipient_canonical_classes": "header_recipient",
        },
        {
            "all": (
                {"client": LOCAL, "from": "s@x.test", "to": "r@x.test a@x.test"},
                "From: f@x.test, s@x.test\nTo: r@x.test, t@x.test\nCc: a@x.test\n\nb\n",
            )
        },
    ),
    "sender_recipient_canonical": (
        {
            "sender_canonical_maps": table("s@x.test=s2@x.test", "f@x.test=f2@x.test"),
            "recipient_canonical_maps": table("s@x.test=r2@x.test", "t@x.test=t2@x.test"),
            "canonical_maps": table("t2@x.test=t3@x.test", "s2@x.test=s3@x.test"),
        },
        {
            "all": (
                {"client": LOCAL, "from": "s@x.test", "to": "s@x.test t@x.test"},
                "From: f@x.test, s@x.test\nReply-To: t@x.test\nTo: s@x.test, t@x.test\nResent-Cc: s@x.test\n\nb\n",
            )
        },
    ),
    "masquerade": (
        {
            "masquerade_domains": "!keep.example.test a.example.test example.test",
            "masquerade_exceptions": "root, ad+min",
        },
        {
            "headers": (
                {"client": LOCAL, "from": "s@host.example.test", "to": "r@host.example.test"},
                "From: joe@host.example.test, Root <root@host.example.test>, x@a.b.a.example.test\n"
                "To: a@example.test, b@keep.example.test, c@x.keep.example.test, d@a.example.test, ROOT@h.example.test\n"
                "Cc: e@HOST.EXAMPLE.TEST, f@xexample.test\n\nb\n",
            ),
            "exception": ({"from": "root@host.example.test"}, PLAIN),
        },
    ),
    "masquerade_classes": (
        {"masquerade_domains": "example.test", "masquerade_classes": "envelope_recipient, header_recipient"},
        {
            "headers": (
                {"client": LOCAL, "from": "s@host.example.test", "to": "r@host.example.test"},
                "From: joe@host.example.test\nTo: a@host.example.test\n\nb\n",
            )
        },
    ),
    "aliases": (
        {
            "virtual_alias_maps": table(
                "info@x.test=a@x.test, b@x.test",
                "nested@x.test=n1@x.test, n2@x.test",
                "n1@x.test=c@x.test, d@x.test",
                "n2@x.test=e@x.test",
                "@dom.test=@x.test",
                "@catch.test=bob@x.test",
                "root=admin@x.test",
                "grow@x.test=grow@x.test, a@x.test",
                "m1@x.test=m1@x.test m2@x.test",
                "m2@x.test=m3@x.test",
                "m3@x.test=m1@x.test c@x.test",
                'q@x.test="a b"@x.test',
                '"in q"@x.test=inq@x.test',
                "dup@x.test=a@x.test a@x.test A@x.test",
                "loop1@x.test=loop2@x.test",
                "loop2@x.test=loop1@x.test",
                "ext@x.test=plain@x.test",
                "named@x.test=Some One <one@x.test>, two@x.test (Two), grp: three@x.test;",
                "owner-list@x.test=own@x.test",
                "list@x.test=member@x.test",
                "null@x.test=<>",
            ),
            "virtual_alias_expansion_limit": "20",
            "recipient_delimiter": "+-",
        },
        {
            "two": ({"to": "info+e@x.test"}, PLAIN),
            "nested": ({"to": "nested@x.test"}, PLAIN),
            "domain": ({"to": "u+e@dom.test v+e@catch.test"}, PLAIN),
            "bare": ({"to": "root root@local.test root@mail.example.test root@else.test"}, PLAIN),
            "grow": ({"to": "grow@x.test"}, PLAIN),
            "circle": ({"to": "m1@x.test"}, PLAIN),
            "quoted": ({"to": "q@x.test"}, PLAIN),
            "quoted_key": ({"to": '"in q"@x.test'}, PLAIN),
            "duplicates": ({"to": "dup@x.test a@x.test A@x.test a@x.test"}, PLAIN),
            "loop": ({"to": "loop1@x.test"}, PLAIN),
            "dash": ({"to": "ext-e@x.test ext-e+f@x.test ext+e-f@x.test"}, PLAIN),
            "owner": ({"to": "owner-list@x.test list-request@x.test list-x@x.test owner-else@x.test"}, PLAIN),
            "named": ({"to": "named@x.test"}, PLAIN),
            "null": ({"to": "null@x.test"}, PLAIN),
        },
    ),
    "alias_limits": (
        {
            "virtual_alias_maps": table(
                "big@x.test=a@x.test b@x.test c@x.test d@x.test e@x.test f@x.test",
                "deep1@x.test=deep2@x.test",
                "deep2@x.test=deep3@x.test",
                "deep3@x.test=deep4@x.test",
                "deep4@x.test=deep5@x.test",
                "long@x.test=a1234567890123456789012345678901234567890123@x.test",
                "rise@x.test=rise+x@x.test",
            ),
            "virtual_alias_expansion_limit": "5",
            "virtual_alias_recursion_limit": "3",
            "virtual_alias_address_length_limit": "40",
        },
        {
            "size": ({"to": "big@x.test"}, PLAIN),
            "nesting": ({"to": "deep1@x.test"}, PLAIN),
            "nesting_enough": ({"to": "deep2@x.test"}, PLAIN),
            "length": ({"to": "long@x.test"}, PLAIN),
            "rise": ({"to": "rise@x.test"}, PLAIN),
        },
    ),
    "copies": (
        {
            "always_bcc": "archive",
            "sender_bcc_maps": table("s@x.test=sent@x.test", "@o.test=o@x.test", "joe=j@x.test"),
            "recipient_bcc_maps": table("r@x.test=copy@x.test", "al@x.test=copy2@x.test", "@all.test=r3@x.test"),
            "virtual_alias_maps": table("al@x.test=a1@x.test, r@x.test", "archive=box@x.test"),
        },
        {
            "sender": ({"from": "s@x.test", "to": "a@x.test"}, PLAIN),
            "recipients": ({"from": "u@o.test", "to": "r@x.test al@x.test r+e@x.test z@all.test"}, PLAIN),
            "duplicates": ({"from": "s@x.test", "to": "sent@x.test sent@x.test copy@x.test r@x.test"}, PLAIN),
            "bare": ({"from": "joe", "to": "a@x.test"}, PLAIN),
            "null": ({"from": "", "to": "a@x.test"}, PLAIN),
        },
    ),
    "no_original": (
        {
            "enable_original_recipient": "no",
            "virtual_alias_maps": table("al@x.test=a@x.test", "bl@x.test=a@x.test"),
        },
        {"duplicates": ({"to": "al@x.test bl@x.test a@x.test A@x.test"}, PLAIN)},
    ),
    "header_checks": (
        {
            "header_checks": regexp(
                "/^Subject: reject$/ REJECT",
                "/^Subject: text$/ REJECT no such mail",
                "/^Subject: dsn$/ REJECT 5.7.9 no such mail",
                "/^Subject: defer$/ REJECT 4.7.0 later",
                "/^Subject: bad$/ REJECT 2.1.1 text",
                "/^Subject: three$/ REJECT 3.1.1 text",
                "/^Subject: code$/ 550 text",
                "/^Subject: warn$/ WARN look",
                "/^Subject: info$/ INFO look",
                "/^Subject: hold$/ HOLD wait",
                "/^Subject: discard$/ DISCARD gone",
                "/^Subject: filter$/ FILTER smtp:[127.0.0.1]:1",
                "/^Subject: badfilter$/ FILTER smtp",
                "/^Subject: nofilter$/ FILTER",
                "/^Subject: prepend$/ PREPEND X-Before: Bcc",
                "/^Subject: badprepend$/ PREPEND nothing",
                "/^Subject: redirect$/ REDIRECT else@x.test",
                "/^Subject: badredirect$/ REDIRECT else",
                "/^Subject: replace$/ REPLACE Subject: replaced",
                "/^Subject: badreplace$/ REPLACE replaced",
                "/^Subject: ignore$/ IGNORE",
                "/^Subject: strip$/ STRIP why",
                "/^Subject: dunno$/ DUNNO",
                "/^Subject: ok$/ OK",
                "/^Subject: bcc$/ BCC copy@x.test",
                "/^Subject: badbcc$/ BCC copy",
                "/^Subject: delay$/ DELAY 1h",
                "/^Subject: pass$/ PASS",
                "/^Subject: unknown$/ NONSENSE x",
                "/^Subject: lower$/ reject lower case",
                "/^Subject: folded.*end$/ WARN folded",
                "/^X-After: / WARN after",
                "/^X-Bcc: (.*)/ REPLACE Bcc: $1",
                "/^X-To: (.*)/ REPLACE To: $1",
                "/^Received: .*by mail.example.test.*X-/ WARN",
                "/^Content-Type: text.x/ WARN mime",
                "/^Spaced:x/ WARN spaced",
            )
        },
        {
            **{
                word: ({}, f"Message-Id: <1@x>\nSubject: {word}\nX-After: a\n\nbody\n")
                for word in (
                    "reject text dsn defer bad three code warn info hold discard filter badfilter nofilter prepend"
                    " badprepend redirect badredirect replace badreplace ignore strip dunno ok bcc badbcc delay pass unknown lower"
                ).split()
            },
            "reject_early": ({}, "Subject: reject\nMessage-Id: <1@x>\n\nbody\n"),
            "folded": ({}, "Subject: folded\n\tand\n  end\n\nbody\n"),
            "replaced_bcc": ({}, "X-Bcc: secret\nSubject: a\n\nb\n"),
            "replaced_to": ({"client": LOCAL}, "X-To: joe\nSubject: a\n\nb\n"),
            "mime": ({}, "Content-Type: text/x\n\nb\n"),
            "spaced": ({}, "Spaced : x\nSpaced  :x\n\nb\n"),
            "local": ({"client": LOCAL, "from": "joe", "to": "u@x.test v+e@x.test"}, "Subject: warn\n\nb\n"),
            "smtp": ({"verb": "HELO", "helo": "old.test"}, "Subject: warn\n\nb\n"),
            "redirect_two": ({"to": "a@x.test b@x.test"}, "Subject: redirect\n\nb\n"),
            "long": ({}, "X-After: " + "x" * 300 + "\n\nb\n"),
        },
    ),
    "received_checks": (
        {"header_checks": regexp("/^Received: / IGNORE", "/^X-P: / PREPEND X-Q: q")},
        {"ignore": ({}, "Received: from a by b; c\nX-P: x\nSubject: a\n\nb\n")},
    ),
    "received_replace": (
        {"header_checks": regexp("/^Received: from client/ REPLACE Received: from hidden")},
        {"replace": ({}, "Received: from a by b; c\nSubject: a\n\nb\n")},
    ),
    "mime_checks": (
        {
            "mime_header_checks": regexp(
                "/name=.*\\.exe/ REJECT no programs", "/^Content-Type: text.plain/ WARN plain", "/^X-M: / WARN m"
            ),
            "nested_header_checks": regexp("/^Subject: / WARN nested", "/^X-N: / REPLACE X-N: new", "/^X-I/ IGNORE"),
            "header_checks": regexp("/^Subject: / WARN main"),
        },
        {
            "parts": (
                {},
                'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\nSubject: a\n\npre\n--b\n'
                "Content-Type: text/plain\nX-M: m\nSubject: part\n\nSubject: text\n--b\n\nX-M: body\n--b--\nX-M: post\n",
            ),
            "program": (
                {},
                "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/x;\n name=a.exe\n\nx\n--b--\n",
            ),
            "attached": (
                {},
                "Subject: outer\nContent-Type: message/rfc822\n\nSubject: inner\nX-N: old\nX-I: gone\n"
                "Content-Type: text/plain\n\nSubject: body\n",
            ),
            "digest": (
                {},
                "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: in digest\nX-N: old\n\nx\n--b\n\n"
                "X-N: two\n\ny\n--b--\n",
            ),
            "nested_parts": (
                {},
                "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=bb\n\n"
                "--bb\nX-M: 1\n\nx\n--bb--\n--a\nX-M: 2\n\ny\n--a--\n--bb\nX-M: 3\n",
            ),
            "prefix_boundary": (
                {},
                "Content-Type: multipart/mixed; boundary=a\n\n--abc\nX-M: 1\n\nx\n--a --\nX-M: 2\n\n--a--x\nX-M: 3\n",
            ),
            "not_a_header": (
                {},
                "Content-Type: multipart/mixed; boundary=a\n\n--a\nX-M: 1\nno header\nX-M: 2\n--a--\n",
            ),
            "boundary_in_header": (
                {},
                "Content-Type: multipart/mixed; boundary=a\n\n--a\nX-M: 1\n--a\nX-M: 2\n\nx\n--a\n--a\nX-M: 3\n\n",
            ),
            "ends_in_header": ({}, "Content-Type: multipart/mixed; boundary=a\n\n--a\nX-M: 1\n folded"),
        },
    ),
    "no_mime": (
        {
            "mime_header_checks": regexp("/^X-M: / WARN m", "/^Content-Type: / WARN ct"),
            "body_checks": regexp("/^X-M: / WARN body"),
            "disable_mime_input_processing": "yes",
        },
        {"parts": ({}, "Content-Type: multipart/mixed; boundary=a\n\n--a\nX-M: 1\n\nx\n--a--\n")},
    ),
    "mime_limits": (
        {
            "header_checks": regexp("/^X: / WARN"),
            "mime_nesting_limit": "2",
            "mime_boundary_length_limit": "3",
            "mime_header_checks": regexp("/^X-M: / WARN m"),
        },
        {
            "nesting": (
                {},
                "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=bb\n\n"
                "--bb\nContent-Type: multipart/mixed; boundary=ccc\n\n--ccc\nContent-Type: multipart/mixed; boundary=ddd"
                "\n\n--ddd\n\nx\n",
            ),
            **{
                f"nesting_{depth}": (
                    {},
                    "Content-Type: multipart/mixed; boundary=0\n\n"
                    + "".join(f"--{n}\nContent-Type: multipart/mixed; boundary={n + 1}\n\n" for n in range(depth)),
                )
                for depth in range(1, 9)
            },
            "nesting_enough": (
                {},
                "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=bb\n\n"
                "--bb\nX-M: 2\n\nx\n",
            ),
            "boundary": ({}, "Content-Type: multipart/mixed; boundary=abcdef\n\n--abcxyz\nX-M: 1\n\nx\n"),
        },
    ),
    "strict": (
        {"strict_7bit_headers": "yes", "strict_8bitmime_body": "yes", "strict_mime_encoding_domain": "yes"},
        {
            "header": ({}, "Subject: \u00f6\n\nb\n"),
            "body": ({}, "Subject: o\n\n\u00f6\n"),
            "body_8bit": ({}, "Subject: o\nContent-Transfer-Encoding: 8bit\n\n\u00f6\n"),
            "domain": ({}, "Content-Type: multipart/mixed; boundary=a\nContent-Transfer-Encoding: base64\n\nb\n"),
            "fine": ({}, PLAIN),
        },
    ),
    "body_checks": (
        {
            "body_checks": regexp(
                "/^reject/ REJECT body",
                "/^warn/ WARN body",
                "/^replace/ REPLACE instead",
                "/^ignore/ IGNORE",
                "/^strip/ STRIP why",
                "/^prepend/ PREPEND before",
                "/^hold/ HOLD",
                "/^filter/ FILTER smtp:[127.0.0.1]:1",
                "/^redirect/ REDIRECT else@x.test",
                "/^bcc/ BCC copy@x.test",
                "/^discard/ DISCARD",
                "/^$/ WARN empty",
                "/late/ WARN late",
            ),
            "body_checks_size_limit": "200",
        },
        {
            **{
                word: ({}, f"Message-Id: <1@x>\n\nline\n{word} it\n\nwarn\nend\n")
                for word in "reject warn replace ignore strip prepend hold filter redirect bcc discard".split()
            },
            "limit": ({}, "A: b\n\n" + "x" * 99 + "\nlate\n" + "x" * 99 + "\nlate\n"),
            "limit_parts": (
                {},
                "Content-Type: multipart/mixed; boundary=a\n\n--a\n\n"
                + "x" * 199
                + "\nlate\n--a\n\nlate\n--a--\nlate\n",
            ),
            "long_line": ({}, "A: b\n\n" + "x" * 2048 + "late" + "y" * 3000 + "\nlate\n"),
            "no_header": ({}, "warn without header\n"),
            "headers_only": ({}, "A: b\n"),
        },
    ),
    "unwanted": (
        {
            "message_reject_characters": "\\1\\002",
            "message_strip_characters": "\\0q",
            "header_checks": regexp("/^Subject: / WARN"),
        },
        {
            "strip": ({}, "Subject: quick\nqX: y\n\nqq a\n"),
            "reject_body": ({}, "Message-Id: <1@y>\nSubject: a\n\nb\nab\x01c\n"),
            "reject_header": ({}, "Subject: a\x01\nMessage-Id: <1@y>\n\nb\n"),
            "fine": ({}, "Subject: a\n\nb\n"),
        },
    ),
    "broken_canonical": ({"canonical_maps": "fail:down"}, {"envelope": ({}, PLAIN)}),
    "broken_aliases": ({"virtual_alias_maps": "fail:down"}, {"aliases": ({}, PLAIN)}),
    "broken_headers": (
        {"sender_canonical_maps": "fail:down", "sender_canonical_classes": "header_sender"},
        {"header": ({"client": LOCAL}, PLAIN), "header_of_others": ({}, PLAIN)},
    ),
    "broken_copies": ({"sender_bcc_maps": "fail:down"}, {"copies": ({}, PLAIN)}),
    "broken_copies_recipient": ({"recipient_bcc_maps": "fail:down"}, {"copies": ({}, PLAIN)}),
    "broken_checks": ({"header_checks": "fail:down"}, {"checks": ({}, PLAIN)}),
    "broken_body_checks": ({"body_checks": "fail:down"}, {"checks": ({}, PLAIN)}),
    "broken_exceptions": (
        {"masquerade_domains": "x.test", "masquerade_exceptions": "fail:down"},
        {"exceptions": ({"from": "a@y.x.test"}, PLAIN)},
    ),
    "overrides": (
        {
            "receive_override_options": "no_address_mappings, no_header_body_checks",
            "virtual_alias_maps": table("a@x.test=b@x.test"),
            "canonical_maps": table("s@x.test=s2@x.test", "t@x.test=t2@x.test"),
            "masquerade_domains": "x.test",
            "always_bcc": "archive@x.test",
            "header_checks": regexp("/./ REJECT"),
            "body_checks": regexp("/./ REJECT"),
        },
        {"all": ({"client": LOCAL, "from": "amy"}, "To: joe, t@x.test, u@host.x.test\n\nb\n")},
    ),
    "overrides_mapping": (
        {
            "receive_override_options": "no_address_mappings",
            "virtual_alias_maps": table("a@x.test=b@x.test"),
            "always_bcc": "archive@x.test",
            "header_checks": regexp("/^Subject/ WARN", "/^X-B/ BCC b@x.test"),
        },
        {"all": ({"client": LOCAL, "from": "amy"}, "Subject: a\nX-B: b\n\nb\n")},
    ),
    "dropped": (
        {"message_drop_headers": "bcc, x-secret, subject", "always_add_missing_headers": "yes"},
        {"remote": ({}, "X-Secret: a\n b\nSubject: a\nReturn-Path: <a>\nBcc: x\nResent-Bcc: y\n\nb\n")},
    ),
    "undisclosed": (
        {"undisclosed_recipients_header": "To: undisclosed-recipients:;"},
        {
            "local": ({"client": LOCAL}, "Subject: a\n\nb\n"),
            "local_bcc": ({"client": LOCAL}, "Bcc: a\n\nb\n"),
            "local_resent": ({"client": LOCAL}, "Resent-From: a@x.test\nTo: b@x.test\n\nb\n"),
            "remote": ({}, "Subject: a\n\nb\n"),
        },
    ),
    "local_clients": (
        {"local_header_rewrite_clients": "static:all"},
        {"remote": ({"from": "amy"}, "To: joe\n\nb\n"), "missing": ({"from": ""}, "Subject: a\n\nb\n")},
    ),
    "no_local_clients": ({"local_header_rewrite_clients": ""}, {"local": ({"client": LOCAL}, "To: joe\n\nb\n")}),
    "utf8": (
        {
            "canonical_maps": table(
                "\u06a9\u0627\u0631\u0628\u0631@\u0646\u0645\u0648\u0646\u0647.\u0627\u06cc\u0631\u0627\u0646=user@x.test",
                "j\u00f6rg@x.test=joerg@x.test",
                "ascii@x.test=\u06a9\u0627\u0631\u0628\u0631@\u0646\u0645\u0648\u0646\u0647.\u0627\u06cc\u0631\u0627\u0646",
                "@b\u00fccher.test=@books.test",
                "@xn--fsq.test=@han.test",
            ),
            "virtual_alias_maps": table("\u0639\u0644\u06cc@x.test=ali@x.test"),
        },
        {
            "header": (
                {"client": LOCAL, "utf8": "yes"},
                "From: \u06a9\u0627\u0631\u0628\u0631@\u0646\u0645\u0648\u0646\u0647.\u0627\u06cc\u0631\u0627\u0646\n"
                "To: \u0639\u0644\u06cc <\u0639\u0644\u06cc>, J\u00d6RG@x.test, ascii@x.test\n\nb\n",
            ),
            "envelope": (
                {
                    "utf8": "yes",
                    "from": "\u06a9\u0627\u0631\u0628\u0631@\u0646\u0645\u0648\u0646\u0647.\u0627\u06cc\u0631\u0627\u0646",
                    "to": "\u0639\u0644\u06cc@x.test ascii@x.test a@B\u00dcCHER.test a@xn--bcher-kva.test a@\u5bf9.test",
                },
                PLAIN,
            ),
        },
    ),
    "tokens": (
        {"header_address_token_limit": "12"},
        {
            "cut": ({"client": LOCAL}, "To: a, b@x.test, c@x.test, d@x.test, e@x.test\n\nb\n"),
            "whole": ({"client": LOCAL}, "To: a@x.test, b@x.test, c@x.test, d@x.test\n\nb\n"),
        },
    ),
    "header_size": (
        {"header_size_limit": "200"},
        {
            "long": ({}, "Subject: " + "x" * 300 + "\nX: y\n\nb\n"),
            "folded": ({}, "Subject: a\n" + "".join(f" {n:019}\n" for n in range(20)) + "X: y\n\nb\n"),
            "fits": ({}, "Subject: a\n" + " " + "x" * 188 + "\nX: y\n\nb\n"),
            "over": ({}, "Subject: a\n" + " " + "x" * 189 + "\nX: y\n\nb\n"),
            "over_two": ({}, "Subject: a\n" + " " + "x" * 176 + "\n yzyzyzyzyzyzyzyz\n z\nX: y\n\nb\n"),
        },
    ),
    "stray": (
        {"header_checks": regexp("/^X-C: a b/ WARN seen"), "body_checks": regexp("/^d e$/ WARN seen")},
        {
            "return": ({}, "Subject: x\nX-C: a\rb\n c\n\nd\re\nf\n\r\rg\n\n"),
            "none": ({}, "Subject: x\n\nbody\n"),
        },
    ),
    "stray_kept": (
        {"cleanup_replace_stray_cr_lf": "no"},
        {"return": ({}, "Subject: x\nX-C: a\rb\n\nd\re\nf\n")},
    ),
    "random_malformed": (
        {"canonical_maps": table("joe@example.test=canon@x.test", "@host.example.test=@other.test")},
        {f"seed_{seed:02}": ({"client": LOCAL}, RANDOM["malformed"](seed, 25)) for seed in range(20)},
    ),
    "random_odd": (
        {
            "canonical_maps": table(
                "joe@example.test=canon@x.test",
                "@old.test=@new.test",
                '"a b"@x.test=ab@x.test',
                "jörg@x.test=joerg@x.test",
            ),
            "masquerade_domains": "example.test",
        },
        {f"seed_{seed:02}": ({"client": LOCAL, "utf8": "yes"}, RANDOM["odd"](seed, 25)) for seed in range(20)},
    ),
    "random_odd_alone": (
        {"append_dot_mydomain": "no", "swap_bangpath": "no"},
        {f"seed_{seed:02}": ({"client": LOCAL, "utf8": "yes"}, RANDOM["odd"](seed, 25)) for seed in range(20, 25)},
    ),
    "random_aliases": (
        {"virtual_alias_maps": table(*(f"k{n}@x.test={text}" for n, text in enumerate(RESULTS)))},
        {f"k{n}": ({"to": f"k{n}@x.test", "utf8": "yes"}, "Subject: x\n\nb\n") for n in range(len(RESULTS))},
    ),
    "random_canonical": (
        {"canonical_maps": table(*(f"k{n}@x.test={text}" for n, text in enumerate(RESULTS)))},
        {f"k{n}": ({"to": f"k{n}+e@x.test", "utf8": "yes"}, "Subject: x\n\nb\n") for n in range(len(RESULTS))},
    ),
    "thousands": (
        {"canonical_maps": table("joe@example.test=canon@x.test"), "header_size_limit": "1000000"},
        {
            "short": ({"client": LOCAL}, "To: " + ",\n ".join(["joe", "amy <amy@host>"] * 1200) + "\n\nb\n"),
            "empty": ({"client": LOCAL}, "To:\nCc: \nFrom: ,\nReply-To: ;\nSender: ()\nErrors-To: <>\n\nb\n"),
        },
    ),
}


def log_lines(text: str, queue_id: str) -> list[str]:
    """What cleanup logged, without what differs between two runs."""
    lines = re.findall(r"postfix/cleanup\w*\[\d+\]: (.*)", text)
    kept = [CLEANUP["normal"](line, queue_id) for line in lines if "lookup error for" not in line]
    return [
        line
        for line in kept
        if not re.match(r"(?:warning: )?[0-9A-F]{6,}: ", line) and "table lookup problem" not in line
    ]


def submit(port: int, how: dict[str, str], message: str) -> str:
    """Send over SMTP; the last reply, or the first that refuses."""
    with socket.create_connection(("127.0.0.1", port), 20, (how.get("client", REMOTE), 0)) as connection:
        stream = connection.makefile("rwb")

        def answer() -> str:
            while True:
                reply = stream.readline().decode().rstrip()
                if reply[3:4] != "-":
                    return reply

        reply = answer()
        utf8 = " SMTPUTF8" if how.get("utf8") else ""
        to = how.get("to", "a@x.test")
        commands = [
            f"{how.get('verb', 'EHLO')} {how.get('helo', 'client.test')}",
            f"MAIL FROM:<{how.get('from', 's@x.test')}>{utf8}",
            *(f"RCPT TO:<{each}>" for each in ([to] if '"' in to else to.split(" "))),
        ]
        text = message if message.endswith("\n") else message + "\n"
        lines = [f".{line}" if line.startswith(".") else line for line in text.split("\n")[:-1]]
        for command in (*commands, "DATA", "\r\n".join([*lines, "."])):
            stream.write(command.encode() + b"\r\n")
            stream.flush()
            reply = answer()
            if reply[0] not in "23":
                break
        return reply


def queued(configuration: Path, queue_id: str) -> dict[str, object] | None:
    """What was queued; None: nothing, it was thrown away."""
    done = subprocess.run(["postcat", "-c", configuration, "-q", queue_id], capture_output=True, check=False)
    if done.returncode:
        return None
    text = done.stdout.decode("utf-8", "surrogateescape")
    head, _, rest = text.partition("*** MESSAGE CONTENTS")
    content, _, extracted = rest.partition("\n")[2].partition("*** HEADER EXTRACTED")
    found: dict[str, object] = {"sender": "", "recipients": []}
    recipients: list[str] = []
    notify = original = ""
    for line in (head + extracted).split("\n"):
        name, _, value = line.partition(": ")
        if name == "sender":
            found["sender"] = value
        elif name == "original_recipient":
            original = value
        elif name == "named_attribute" and value.startswith("notify_flags="):
            notify = value.partition("=")[2]
        elif name == "recipient":
            recipients.append(f"{value} < {original}" + (f" notify={notify}" if notify else ""))
            notify = original = ""
        elif name in ("content_filter", "redirect_to"):
            found[name] = value
    found["recipients"] = recipients
    found["content"] = CLEANUP["normal"](content, queue_id)
    found["hold"] = "hold" if (configuration.parent / "queue" / "hold" / queue_id).exists() else ""
    return {key: value for key, value in found.items() if value or key == "sender"}


def record(names: list[str]) -> dict[str, dict[str, object]]:
    """Run Postfix; what it made of each case."""
    first = POLICY["free_ports"]()
    services = []
    for number, name in enumerate(names):
        overrides = CONFIGS[name][0]
        options = [f"  -o {{ {key} = {value} }}" for key, value in overrides.items()]
        rewriting = [line for line in options if line.split()[2].startswith(REWRITING)]
        services.append(f"127.0.0.1:{first + number} inet n - n - - smtpd -o cleanup_service_name=c{number}")
        services += options
        services += [f"c{number} unix n - n - 0 cleanup -o syslog_name=postfix", *options]
        if rewriting:
            services += [
                f"  -o rewrite_service_name=r{number}",
                f"r{number} unix - - n - - trivial-rewrite",
                *rewriting,
            ]
    results: dict[str, dict[str, object]] = {}
    with POLICY["postfix"](BASE, services) as configuration:
        log = configuration.parent / "log"
        for number, name in enumerate(names):
            cases: dict[str, object] = {}
            for case, (how, message) in CONFIGS[name][1].items():
                before = log.stat().st_size
                reply = submit(first + number, how, message)
                match = re.search(r"queued as (\w+)", reply)
                time.sleep(0.02)
                text = log.read_bytes()[before:].decode("utf-8", "replace")
                ids = re.findall(r"postfix/smtpd\w*\[\d+\]: (\w+): client=", text)
                queue_id = match[1] if match else (ids[-1] if ids else "none")
                entry: dict[str, object] = {"log": log_lines(text, queue_id)}
                found = queued(configuration, match[1]) if match else None
                entry.update(found if found is not None else {"reply": reply if not match else "discarded"})
                cases[case] = entry
            results[name] = cases
    return results


def write(names: list[str]) -> None:
    """Record and write the files."""
    HERE.mkdir(exist_ok=True)
    for name, cases in record(names).items():
        whole = {"settings": CONFIGS[name][0], "cases": cases}
        text = json.dumps(whole, indent=1, ensure_ascii=False)
        (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8", errors="surrogateescape")


if __name__ == "__main__":
    write(sys.argv[1:] or list(CONFIGS))
