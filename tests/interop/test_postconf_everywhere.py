"""Our postconf beside the real one over many configurations, and over every pair of its options."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from angarium.commands import postconf
from angarium.commands.postconf_options import OPTIONS

REAL = shutil.which("postconf", path="/usr/sbin:/usr/bin:/bin")
CONFIGURATIONS = Path(__file__).parents[1] / "data" / "configurations"
"""Written for these tests, in the style of what people run: a container, a panel, a tutorial's end, a gateway …"""

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(REAL is None and not os.environ.get("CI"), reason="needs Postfix's postconf"),
]

STOCK = """\
smtp      inet  n       -       y       -       -       smtpd
pickup    unix  n       -       y       60      1       pickup
smtp      unix  -       -       y       -       -       smtp
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
virtual   unix  -       n       n       -       -       virtual
"""

SMALL = {
    "empty": "",
    "null client": "myhostname = host.example.test\nrelayhost = [mail.example.test]\ninet_interfaces = loopback-only\n"
    "mydestination =\nmynetworks = 127.0.0.0/8\n",
    "satellite with a password": "relayhost = [smtp.example.test]:587\nsmtp_sasl_auth_enable = yes\n"
    "smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd\nsmtp_sasl_security_options = noanonymous\n"
    "smtp_tls_security_level = encrypt\nsmtp_use_tls = yes\n",
    "long lists": "mynetworks = " + ", ".join(f"10.{n}.0.0/16" for n in range(40)) + "\n",
    "one long word": f"smtpd_banner = {'x' * 300} y\nmynetworks = {'z' * 75} a b\n",
    "just at the fold": "mydestination = " + "a" * 61 + " b\nrelay_domains = " + "a" * 62 + " b\nbiff = " + "c" * 90,
    "blanks and tabs": "mydestination =\t a,\t\tb ,\n\t c\n\n  \t\n  d\nmyhostname\t=\thost.test\n",
    "comments between": "mydestination = a,\n# one\n  b,\n#two\n\n  c\n# end\nbiff = no\n",
    "no end of line": "myhostname = host.test\nbiff = no",
    "carriage returns": "myhostname = host.test\r\nbiff = no\r\n",
    "settings twice": "biff = no\nbiff = no\nmyorigin = a\nmyorigin = b\nmyorigin = b\nmyorigin = c\n",
    "names of its own": "a = $b\nb = $c\nc = x\nd = y\nrelayhost = $a\n",
    "names that lead nowhere": "relayhost = $nowhere ${neither?x}\nmydestination = $myhostnam\n",
    "classes": "smtpd_restriction_classes = one, two\none = permit\ntwo = $three\nthree = reject\nfour = defer\n",
    "a class by name": "classes = one two\nsmtpd_restriction_classes = $classes\none = permit\ntwo = reject\n",
    "tables in main.cf": "alias_maps = ldap:people, proxy:mysql:db, pgsql:/etc/x.cf\npeople_server_host = a\n"
    "people_bind = no\ndb_hosts = b\ndb_user = u\nother_hosts = c\n",
    "tables in braces": "alias_maps = unionmap:{ldap:people, hash:/etc/aliases}\npeople_server_host = a\n",
    "service parameters": "relay_destination_rate_delay = 1s\nsmtp_transport_rate_delay = 2s\nnope_time_limit = 3s\n"
    "virtual_initial_destination_concurrency = 1\nlocal_destination_recipient_limit = 5\n",
    "old names": "virtual_maps = hash:/etc/x\nfallback_relay = a\nsmtp_per_record_deadline = yes\n"
    "authorized_verp_clients = $mynetworks\npostscreen_blacklist_action = drop\ntlsproxy_client_level = may\n",
    "gone names": "smtpd_sasl_application_name = x\nlmtp_cache_connection = yes\nextract_recipient_limit = 10\n"
    "sender_based_routing = no\nsmtp_skip_4xx_greeting = yes\n",
    "conditions": "compatibility_level = 3.6\nsmtpd_banner = ${{$compatibility_level} <level {2} ? {old} : {new}}\n"
    "relayhost = ${mydomain?{[mx.$mydomain]}:{}}\nstress =\nsmtpd_timeout = ${stress?{10}:{300}}s\n",
    "dollars": "smtpd_banner = costs $$5 and $(mail_name)\nmyorigin = ${mydomain}\n",
    "level 0": "relay_domains = $mydestination\n",
    "level 1": "compatibility_level = 1\n",
    "level 3.9": "compatibility_level = 3.9\nmydomain = example.test\nmyhostname = a.example.test\n",
    "unicode": "smtpd_banner = $myhostname سلام\nmydestination = مثال.ایران, bücher.example\n",
    "not unicode": "smtpd_banner = caf\udce9 \udcff\n",
    "equals signs": "smtpd_banner = a=b = c==d\nrelayhost==x\nmyorigin = =\n",
    "braces": "smtpd_client_restrictions = { check_client_access { inline:{ a=b } } }\nmynetworks = { 127.0.0.1 }\n",
    "hash inside": "relayhost = a # b\nmyorigin = c#d\n",
    "templates": "bounce_template_file =\nmyhostname = h.test\ndelay_warning_time = 4h\nmaximal_queue_lifetime = 36h\n",
}  # fmt: skip

MASTERS = {
    "service parameters": STOCK + "policy unix - n n - 0 spawn user=nobody argv=/bin/true\n"
    "local unix - n n - - local\n",
    "names of its own": STOCK + "a inet n - n - - smtpd -o e=$d -o f=$e -o smtpd_banner=$f -o g=1\n",
    "settings twice": STOCK + "submission inet n - n - - smtpd -o biff=no -o biff=yes -v -v -D\n",
    "braces": STOCK + "submission inet n - n - - smtpd -o { smtpd_banner = a b } -o {smtpd_timeout=1s}\n"
    "x unix - n n - - pipe flags=q user=a argv=/bin/sh -c { echo a b } {c} d\n",
    "long lists": STOCK + "submission inet n - n - - smtpd -o mynetworks=" + ",".join("10.0.0.0/8" for _ in range(20))
    + " -o biff=no\nx unix - n n - - pipe flags=DRhu user=vmail argv=/usr/bin/some/long/program -a ${sender} -b"
    " ${recipient} -c ${extension} -d ${user} -e ${domain}\n",
    "blanks and tabs": "smtp\tinet\tn\t-\ty\t-\t-\tsmtpd\n\t-o\tbiff=no\n  # x\n  -v\n",
}  # fmt: skip

CALLS = ("-n", "", "-n biff mydestination nosuch", "-nf", "-nx", "-nH", "-C user", "-C service -n", "-C builtin -nh",
         "-M", "-Mf", "-Mfx", "-P", "-Pfx", "-F", "-Fh")  # fmt: skip

DIFFERS = re.compile(
    r"(mail_version|mail_release_date|smtpd_forbid_bare_newline|smtpd_forbid_unauth_pipelining|config_directory|"
    r"process_id|milter_macro_v)\b"
)
"""What names the release or the build, and defaults that Postfix 3.9 changed."""

OURS = re.compile(r" is not supported yet| has no effect: ")


def write(directory, main, master):
    """Write both files with an old date: Postfix waits for a main.cf that may still be being written."""
    for name, text in (("main.cf", main), ("master.cf", master)):
        path = directory / name
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        os.utime(path, (1_000_000_000, 1_000_000_000))


def real(directory, *arguments):
    done = subprocess.run(
        [REAL, "-c", directory, *arguments], capture_output=True, timeout=20, stdin=subprocess.DEVNULL
    )
    return (
        done.returncode,
        done.stdout.decode("utf-8", "surrogateescape"),
        done.stderr.decode("utf-8", "surrogateescape"),
    )


def ours(directory, capsysbinary, *arguments):
    status = postconf.main(["-c", str(directory), *arguments])
    out, err = capsysbinary.readouterr()
    return status, out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "surrogateescape")


def messages(text):
    """The complaints, without the repeats and the order of Postfix's hash tables, and without our own."""
    found = {line[line.index("postconf: ") :] for line in text.splitlines() if "postconf: " in line}
    return {line for line in found if not OURS.search(line) and "usage:" not in line}


def output(text, known):
    """The lines that both can have: those of parameters that the real one knows, and not of the release."""
    lines = [re.sub(r"postconf \d+ &", "postconf PID &", line).replace(" ,", ",") for line in text.splitlines()]
    if known is None:
        return lines
    return [line for line in lines if not DIFFERS.match(line) and (line[:1] == " " or line.split(" =")[0] in known)]


@pytest.mark.parametrize("name", [*sorted(p.name for p in CONFIGURATIONS.iterdir()), *SMALL])
def test_shows_a_configuration_as_postfix_does(tmp_path, capsysbinary, name):
    if name in SMALL:
        write(tmp_path, SMALL[name], MASTERS.get(name, STOCK))
    else:
        parts = [(CONFIGURATIONS / name / file).read_text(encoding="utf-8") for file in ("main.cf", "master.cf")]
        write(tmp_path, *parts)
    for call in CALLS:
        theirs, mine = real(tmp_path, *call.split()), ours(tmp_path, capsysbinary, *call.split())
        assert mine[0] == theirs[0], call
        known = {line.split(" =")[0] for line in theirs[1].splitlines()} if call == "" else None
        left, right = output(mine[1], known), output(theirs[1], known)
        if "h" in call and "F" in call:
            right = [re.sub("^pipe(?=flags|user)", "pipe ", line) for line in right]  # Postfix leaves the blank out
        if "-C builtin" not in call or "h" not in call:
            assert left == right, call
        assert messages(mine[2]) == messages(theirs[2]), call


ARGUMENTS = {"C": "all", "o": "biff=yes", "T": "run-version", "c": "."}
LETTERS = [letter for letter in OPTIONS.replace(":", "") if letter not in "cvq"]


def option(letter):
    return [f"-{letter}", *([ARGUMENTS[letter]] if letter in ARGUMENTS else [])]


PAIRS = [
    option(first) if first == second else [*option(first), *option(second)]
    for first, second in itertools.combinations_with_replacement(LETTERS, 2)
]

CALLS_THAT_GO_WRONG = [
    call.split()
    for call in ("-abl", "-dnx", "-nfe", "-MFP", "-Mdn", "-hHx", "-ePM", "-FX", "-MeX", "-Mex", "-Pef", "-tdf",
                 "-bxo a=b", "-lmf", "-ahH", "-C builtin,nope", "-C builtin,user -n", "-e a", "-e =b", "-e a=b c",
                 "-X a b=c", "-# a=1", "-M foo/bar/baz", "-Me smtp=x", "-Me smtp/inet", "-P smtp/inet/x/y", "-Pe x",
                 "-PX smtp/inet", "-PX smtp/inet/a=b", "-Fe smtp/inet/nope=1", "-F smtp/inet/nope",
                 "-P smtp/inet/nope", "-MX nope/inet", "-M# nope/inet", "-PX nope/inet/a", "-Fe nope/inet/chroot=n",
                 "-T", "-T nope", "-n x=1", "-d x=1", "-x x=1", "-M x=1", "-P smtp/inet/a=1", "x=", "x=1 y", "-o",
                 "-o =1", "-o a", "-fn x=1", "-t a b", "-Z", "-l foo")
]  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """The real one's answers to the calls, each in a directory of its own and all at once: a fatal one sleeps."""

    def ask(call):
        directory = tmp_path_factory.mktemp("theirs")
        write(directory, "biff = no\n", STOCK)
        return answer(directory, real(directory, *call))

    with ThreadPoolExecutor(100) as threads:
        calls = [*PAIRS, *CALLS_THAT_GO_WRONG]
        return dict(zip(map(tuple, calls), threads.map(ask, calls), strict=True))


def answer(directory, said):
    status, out, err = said
    files = [(directory / file).read_text() for file in ("main.cf", "master.cf")]
    return status, out.replace(str(directory), ""), messages(err.replace(str(directory), "")), files


def test_options_that_exclude_each_other(tmp_path, capsysbinary, answers):
    write(tmp_path, "biff = no\n", STOCK)
    for call in PAIRS:
        mine, theirs = answer(tmp_path, ours(tmp_path, capsysbinary, *call)), answers[tuple(call)]
        assert (mine[0], mine[2], mine[3]) == (theirs[0], theirs[2], theirs[3]), call


@pytest.mark.parametrize("call", CALLS_THAT_GO_WRONG, ids=" ".join)
def test_calls_that_go_wrong(tmp_path, capsysbinary, answers, call):
    write(tmp_path, "biff = no\n", STOCK)
    assert answer(tmp_path, ours(tmp_path, capsysbinary, *call)) == answers[tuple(call)]


TEMPLATE = """\
failure_template = <<EOF
Charset: us-ascii
From: MAILER-DAEMON (Mail Delivery System)
Subject: Undelivered $mydomain

Hello $myhostname ${maximal_queue_lifetime_hours} $$
EOF
"""


@pytest.mark.parametrize("letter", ["-b", "-t"])
@pytest.mark.parametrize("operand", [None, "", "file", "missing"])
def test_bounce_templates(tmp_path, capsysbinary, letter, operand):
    write(tmp_path, SMALL["templates"], STOCK)
    (tmp_path / "file").write_text(TEMPLATE)
    call = [letter] if operand is None else [letter, operand and str(tmp_path / operand)]
    theirs, mine = real(tmp_path, *call), ours(tmp_path, capsysbinary, *call)
    assert mine[:2] == theirs[:2]


def test_every_single_default(tmp_path, capsysbinary):
    write(tmp_path, "", STOCK)
    for call in ("-df", "-dxf", "-dh", "-dH"):
        theirs, mine = real(tmp_path, *call.split())[1], ours(tmp_path, capsysbinary, *call.split())[1]
        if call in ("-df", "-dxf"):
            unfolded = [dict(line.split(" =", 1) for line in each.replace("\n    ", "\n\t").replace("\n\t", "\f")
                             .splitlines() if " =" in line) for each in (theirs, mine)]  # fmt: skip
            assert {name: unfolded[1].get(name) for name in unfolded[0] if not DIFFERS.match(name)} == {
                name: text for name, text in unfolded[0].items() if not DIFFERS.match(name)
            }
        else:
            assert len(mine.splitlines()) >= len(theirs.splitlines())


BAD = {
    "a NUL": b"relayhost = a\0b\nbiff = no\n",
    "only a NUL": b"\0\n",
    "10 MB in a line": b"mynetworks = " + b"10.0.0.0/8 " * 900_000 + b"\n",
    "broken UTF-8": b"smtpd_banner = caf\xe9 \xff\xfe\n\xff = 1\nmydestination = \xc3\x28\n",
    "a name of itself": b"relayhost = $relayhost\n",
    "names of each other": b"a = $b\nb = $a\nrelayhost = $a\n",
    "braces that do not end": b"relayhost = ${a?{${b?{\n",
    "no name": b"= x\n",
    "no value": b"relayhost\n",
    "an include of nothing": b"mydestination = /nonexistent\n",
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("call", ["-n", "-nx", "-nf", "-h relayhost"])
def test_bad_input(tmp_path, capsysbinary, name, call):
    write(tmp_path, "", STOCK)
    (tmp_path / "main.cf").write_bytes(BAD[name])
    os.utime(tmp_path / "main.cf", (1_000_000_000, 1_000_000_000))
    theirs, mine = real(tmp_path, *call.split()), ours(tmp_path, capsysbinary, *call.split())
    assert mine[:2] == theirs[:2]


UNREADABLE = [
    (file, call, what)
    for file in ("main.cf", "master.cf")
    for call in ("-n", "-M", "-d biff", "-e biff=no")
    for what in ("missing", "directory")
    if (file, call, what) != ("master.cf", "-M", "directory")  # for Postfix an empty file: docs/compatibility.md
]


@pytest.mark.parametrize(("file", "call", "what"), UNREADABLE)
def test_files_that_cannot_be_read(tmp_path, capsysbinary, file, call, what):
    write(tmp_path, "biff = no\n", STOCK)
    (tmp_path / file).unlink()
    if what == "directory":
        (tmp_path / file).mkdir()
    theirs, mine = real(tmp_path, *call.split()), ours(tmp_path, capsysbinary, *call.split())
    assert mine[:2] == theirs[:2]


def test_there_are_thirty_configurations_and_all_options():
    assert len(SMALL) + len(list(CONFIGURATIONS.iterdir())) >= 30
    assert len(LETTERS) == 22
