"""Our regexp, pcre and cidr tables beside the real ones: the same rules and keys, the same results and complaints."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess

import pytest

from angarium.model.lookup import Found
from angarium.tables.opener import TableOpener
from angarium.tables.pcre import compile_re, dialect
from angarium.tables.rules import RuleTable

OFFSET = re.compile("at offset [0-9]+")
REAL = shutil.which("postmap", path="/usr/sbin:/usr/bin:/bin")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(REAL is None and not os.environ.get("CI"), reason="needs Postfix's postmap"),
]

SYNTAX = r"""# comment
/^a$/
/^b/ B
/^c/i C
/^d/m D
/^e/x E
/^f/q F
/^g/ix  G
/^(h)(i)?/ [$1] [$2] [${1}x] $(1)y $$
/^(j)/ $1 $2
!/^k/ notk $1
/^l/ $x
/^m/ ${1
/^n/ $1a
/^o/ $
/^p
/q(/ q
/r[/ r
foo bar
if /^t/
/2/ t2
if /3/
/./ t3
endif
/./ tx
endif
if !/^u/
/^u/ never
endif
endif
if /^v/ trailing
/x/ vx
if /y
endif
ENDIF
IF /^z/
/./ zz
  more
endif
|^w| w
"^x" x
,^y, y
/^1\/2/ slash
!!/^3/ three
! !/^4/ four
!/^[5-9a-z]/ five
i/a/ b
if
if!/a/
endif
if /a/ && /b/
/q/ q
endif
endifx
if /5/
endif x
/b/ $1
/(b)/ $(1
/(b)/ ${1)
/(b)/ $$x$$
/(b)/ ${}
/(b)/ $12
/(b)/ $0
!/(b)/ $1
/a/M A
/a/e A
/a/ii A
if /a/
if /b/
"""

EXPRESSIONS = r"""/^(a|ab)(c|bcd)(d*)$/ longest [$1] [$2] [$3]
/^x(a*)*y$/ star [$1]
/^(z|zq)*$/ alt [$1]
/\<word\>/ word
/^[[:digit:]]+$/ digits
/^[]x-]+$/ bracket
/^[^]x]$/ notbracket
/^a{2,3}$/ interval
/^h.t$/ dot
/^n\.n$/ escaped
/^(p+|q+)(p)?r/ plus [$1] [$2]
/^$/ empty
/^m$/m multi
/^(.)(.)?w/ groups [$1] [$2]
/l(i)(n)*e/ opt [$1] [$2]
/(^|,)s(,|$)/ anchors [$1] [$2]
/^\/slash/ slash
/^..$/ two
"""
KEYS = [
    "a", "b", "B", "c", "C", "D", "d", "e", "^e", "f", "g", "hi", "h", "j", "k", "l", "m", "n", "o", "p", "t2", "t3",
    "t9", "u0", "vx", "va", "z", "zq", "w", "x", "y", "1/2", "3", "4", "5", "abcd", "acd", "abcdd", "xaaay", "xy",
    "zqz", "a word here", "sword", "123", "]x-", "q", "aa", "aaaa", "hat", "h t", "n.n", "nxn", "pppr", "qpr", "é",
    "lie", "line", "linne", "s", "a,s", "a,s,b", "/slash", "%", "MiXeD", "ABCD",
]  # fmt: skip

CIDR = """1.2.3.4 one
1.2.3.0/24 two
1.2.3.5/24 host
!10.0.0.0/8 not10
300.1.1.1 bad
1.2.3 short
2001:db8::/32 six
[2001:db9::]/32 six2
2001:db8::1/32 host6
10.0.0.0/33 mask
10.0.0.0/x mask
10.1.0.0/16
if 10.0.0.0/8
10.1.1.1 inner
if 10.3.0.0/16
10.0.0.0/8 ten3
endif
endif
endif
if !10.0.0.0/8 foo
endif
IF 2001::/16
2001::1 a b  c
ENDIF
if
endif foo
! 9.9.9.9 sp
10.0.0.1-10.0.0.5 range
[1.2.3.9] x
0.0.0.0/0 all
::/0 all6
if ::/0
"""
ADDRESSES = [
    "1.2.3.4", "1.2.3.9", "10.1.1.1", "10.2.2.2", "10.3.9.9", "2001:db8::5", "2001:db9::5", "2001::1", "9.9.9.9", "x",
    "::1",
    "::ffff:1.2.3.9", "1.1.1.1", "01.2.3.4", "[1.2.3.4]", "2001:DB8:0:0::1", "1.2.3.4/32", "1.2.3",
]  # fmt: skip


def real(directory, name, keys):
    done = subprocess.run(
        [REAL, "-q", "-", name], input="".join(f"{key}\n" for key in keys).encode(), capture_output=True, cwd=directory,
        env={"MAIL_CONFIG": str(directory), "PATH": "/usr/bin:/bin"}, timeout=20,
    )  # fmt: skip
    found = dict(line.split("\t", 1) for line in done.stdout.decode().splitlines() if "\t" in line)
    warnings = [
        line
        for line in done.stderr.decode().splitlines()
        if "should return" not in line and "empty string result" not in line
    ]
    return found, warnings


def answers(table, keys):
    async def ask():
        return {key: await table.lookup(key) for key in keys}

    return {key: found.value for key, found in asyncio.run(ask()).items() if isinstance(found, Found)}


@pytest.fixture
def directory(tmp_path, monkeypatch):
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    os.utime(tmp_path / "main.cf", (1_500_000_000, 1_500_000_000))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ours(name, keys, base):
    warnings = []
    table = TableOpener(lambda text: warnings.append(f"postmap: warning: {text}"), base=base).open(name)
    return answers(table, keys), warnings


def compare(directory, name, keys):
    theirs = real(directory, name, keys)
    mine = ours(name, keys, type(directory)())
    assert mine[0] == theirs[0]
    # Where an expression goes wrong depends on the version of PCRE2.
    mine, theirs = ([OFFSET.sub("at", line) for line in said] for said in (mine[1], theirs[1]))
    assert mine == theirs


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
@pytest.mark.parametrize("rules", [SYNTAX, EXPRESSIONS], ids=["syntax", "expressions"])
def test_rules(directory, kind, rules):
    if kind == "pcre":
        pytest.importorskip("pcre2")
    (directory / "rules").write_text(rules)
    os.utime(directory / "rules", (1_500_000_000, 1_500_000_000))
    compare(directory, f"{kind}:rules", KEYS)


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
@pytest.mark.parametrize("number", range(len(KEYS[:1]) + 7))
def test_each_rule_alone(directory, kind, number):
    """No earlier rule hides a later one."""
    if kind == "pcre":
        pytest.importorskip("pcre2")
    for rule in EXPRESSIONS.splitlines()[number::8]:
        compare(directory, f"{kind}:{{{{{rule.replace('$', '$$')}}}}}".replace("$$", "$"), KEYS)


def test_second_patterns(directory):
    (directory / "rules").write_text("/a/!/b/ x\n/c/i!/d/ y\n/(e)/!/f/ $1\n!/./!/x/ z\n")
    os.utime(directory / "rules", (1_500_000_000, 1_500_000_000))
    compare(directory, "regexp:rules", ["a", "ab", "c", "C", "cd", "e", "ef", "zz"])


PERL = r"""/^a(?=b)/ ahead
/^(?<!x)c.*?d$/ behind
/^(?:e|f)(g)/ [$1]
/^h\d+\s\w/ classes
/^[[:upper:]]{2}$/i upper
/^i.j/ dotall
/^k l/x extended
/^m$/m multi
/^n(o+?)(o*)/ lazy [$1] [$2]
/^(?i:p)Q/i inline
/s$/E end
/t/A anchored
"""
PERL_KEYS = ["ab", "ac", "cxxd", "eg", "h12 x", "AB", "Ab", "i j", "kl", "m", "nooo", "PQ", "pQ", "pq", "s", "xt", "t"]


def test_perl_expressions_without_the_library(directory):
    (directory / "rules").write_text(PERL)
    os.utime(directory / "rules", (1_500_000_000, 1_500_000_000))
    opener = TableOpener(pytest.fail, base=directory)
    table = RuleTable("pcre:rules", "rules", opener._site, dialect(compile_re))
    assert answers(table, PERL_KEYS) == real(directory, "pcre:rules", PERL_KEYS)[0]


def test_perl_expressions(directory):
    pytest.importorskip("pcre2")
    (directory / "rules").write_text(PERL + "/^u.*v/U <U>\n/^(w\n/[z-a]/ z\n/[[:foo:]]/ z\n/a{2,1}/ z\n/a/X x\n")
    os.utime(directory / "rules", (1_500_000_000, 1_500_000_000))
    compare(directory, "pcre:rules", [*PERL_KEYS, "uvuv"])


def test_networks(directory):
    (directory / "rules").write_text(CIDR)
    os.utime(directory / "rules", (1_500_000_000, 1_500_000_000))
    compare(directory, "cidr:rules", ADDRESSES)


@pytest.mark.parametrize(
    "name",
    [
        "cidr:{ {1.2.3.4 d }, {1.2.3.0/24  e f } }",
        "cidr:{ 1.2.3.4 d }",
        "cidr:{}",
        "cidr:{{1.2.3.4/24 x}}",
        "regexp:{}",
        "regexp:{/c/ d}",
        "regexp:{ {/c/ d }",
        "regexp:{{if /c/} {/./ x} {endif}}",
        "regexp:{{if /c/}{/./ x}{endif}}",
        "regexp:{{/(b)/ <$1>}, /c/}",
        "regexp:{{/(b)/ <$1>}, {/c/ $1}}",
        "pcre:{{/(b)/ <$1>}, {/c{1,2}/ two}}",
    ],
)
def test_rules_in_braces(directory, name):
    keys = ["b", "c", "1.2.3.4", "1.2.3.5"]
    found, said = real(directory, name, keys)
    mine, warnings = ours(name, keys, type(directory)())
    assert mine == found
    assert [line.rpartition("fatal: ")[2] or line for line in said] == [
        line if ", line " in line else line.removeprefix("postmap: warning: ") for line in warnings
    ]
