"""Our postconf beside the real one: the same configuration, the same calls, the same answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from angarium.commands import postconf

REAL = shutil.which("postconf", path="/usr/sbin:/usr/bin:/bin")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(REAL is None and not os.environ.get("CI"), reason="needs Postfix's postconf"),
]

# What names the release or the build, and defaults that Postfix 3.9 changed.
DIFFERS = {
    "mail_version", "mail_release_date", "smtpd_forbid_bare_newline",
    "smtpd_forbid_unauth_pipelining", "config_directory",
    "process_id", "milter_macro_v",
}  # fmt: skip

STOCK_MASTER = """\
smtp      inet  n       -       y       -       -       smtpd
submission inet n - y - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt -o { smtpd_client_restrictions = permit_sasl_authenticated, reject }
#628       inet  n       -       y       -       -       qmqpd
pickup    unix  n       -       y       60      1       pickup
tlsmgr    unix  -       -       y       1000?   1       tlsmgr
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
# comment
   -v
maildrop  unix  -       n       n       -       -       pipe
  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}
mailman   unix  -       n       n       -       -       pipe
  flags=FRX user=list argv=/usr/lib/mailman/bin/postfix-to-mailman.py ${nexthop} ${user}
127.0.0.1:10025 inet n n n - 0 smtpd -o mynetworks=127.0.0.0/8
polite    unix  -       -       n       -       2       smtp
"""

MAIN = """\
# See /usr/share/postfix/main.cf.dist
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
myhostname=mail.example.com
mydestination = $myhostname,
    localhost.$mydomain,
  # a comment inside
    localhost
mynetworks = 127.0.0.0/8 [::1]/128
compatibility_level = 3.6
polite_destination_concurrency_limit = 3
polite_destination_rate_delay = 1s
virtual_alias_maps = hash:/etc/postfix/virtual, ldap:ldapsource
ldapsource_server_host = ldap.example.com
smtpd_restriction_classes = greylist, local_only
greylist = check_policy_service inet:127.0.0.1:10023
local_only = reject
mua_helo_restrictions = permit_mynetworks, reject
smtpd_helo_restrictions = $mua_helo_restrictions
alias_maps=hash:/etc/aliases
empty =
recipient_delimiter =
"""


def write(path, text):
    """Write a file that is not quite new: Postfix waits for a main.cf that may still be being written."""
    path.write_bytes(text.encode())
    os.utime(path, (1_000_000_000, 1_000_000_000))


def run_real(directory, *arguments):
    done = subprocess.run([REAL, "-c", directory, *arguments], capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


def run_ours(directory, capsys, *arguments):
    status = postconf.main(["-c", str(directory), *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def messages(text):
    """The complaints, without the repeats and the order that Postfix's hash tables give."""
    return {
        line[line.index("postconf: ") :]
        for line in text.splitlines()
        if "postconf: " in line and " is not supported yet" not in line and " has no effect: " not in line
    }


@pytest.fixture
def directory(tmp_path):
    write(tmp_path / "main.cf", MAIN)
    write(tmp_path / "master.cf", STOCK_MASTER)
    return tmp_path


def compare(directory, capsys, arguments, *, complaints=True):
    theirs, ours = run_real(directory, *arguments), run_ours(directory, capsys, *arguments)
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1]
    if complaints:
        assert messages(ours[2]) == messages(theirs[2])


@pytest.mark.parametrize(
    "call",
    [
        "-n", "-nf", "-nx", "-nh", "-nH", "-x mydestination smtpd_banner myorigin", "myhostname mydomain mynetworks",
        "-h mydomain", "-h mydomain relay_domains nosuch", "nosuch", "-C user", "-nC service", "-C service",
        "-d mydestination smtpd_timeout append_dot_mydomain", "-dx relay_domains", "-dh alias_maps",
        "polite_destination_concurrency_limit relay_destination_rate_delay maildrop_time_limit",
        "-x smtpd_relay_restrictions append_dot_mydomain relay_domains respectful_logging",
        "-o myhostname=other.test -x smtpd_banner", "-o relayhost=[a.test] -n",
        "-M", "-Mf", "-M smtp", "-M smtp/inet", "-M smtp/unix", "-M */unix", "-M nosuch/inet",
        "-P", "-Ph", "-P submission/inet", "-P submission/inet/syslog_name", "-P */*/syslog_name", "-Px relay/unix",
        "-P smtp/inet", "-F smtp/inet", "-F */inet/chroot", "-Fh submission/inet/command", "-F */*/wakeup nosuch/unix",
        "-n -d", "-n -e", "-M -p", "-C nope",
    ],
)  # fmt: skip
def test_shows_what_postfix_shows(directory, capsys, call):
    compare(directory, capsys, call.split())


def test_shows_all_settings(directory, capsys):
    def lines(text):
        return [line for line in text.splitlines() if line.split(" =")[0] not in DIFFERS]

    theirs, ours = run_real(directory)[1], run_ours(directory, capsys)[1]
    names = {line.split(" =")[0] for line in theirs.splitlines()}
    assert [line for line in lines(ours) if line.split(" =")[0] in names] == lines(theirs)


@pytest.mark.parametrize("expand", ["-d", "-dx"])
def test_has_every_default_of_postfix(directory, capsys, expand):
    theirs = dict(line.split(" =", 1) for line in run_real(directory, expand)[1].splitlines())
    ours = dict(line.split(" =", 1) for line in run_ours(directory, capsys, expand)[1].splitlines())
    for name in DIFFERS:
        theirs.pop(name, None)
    assert {name: ours.get(name) for name in theirs} == theirs


EXPRESSIONS = [
    "$mydomain", "${mydomain}", "$(mydomain)", "a$$b", "$mydomain-x", "$a.b", "{$mydomain}", "$$mydomain $$",
    "${mydomain?yes}", "${nope?yes}", "${nope:no}", "${mydomain:no}", "[${mydomain?{ a }:{ b }}]", "${nope?{a}:{b}}",
    "${mydomain?{a}:b}", "${mydomain ? {a} : {b}}", "${nope : b c }", "${mydomain? b c }x", "${mydomain?}",
    "${mydomain?{${nope?{x}:{z}}}}", "$(mydomain?{a}:{b})", "$({1}=={1}?{a}:{b})", "${  }",
    "${{1} == {01} ? {a} : {b}}", "${{1} == {x} ? {a} : {b}}", "${{10}<{9}?{lt}:{ge}}", "${{a}!={b}?{ne}}",
    "${{1}<={1}}", "${{1}>{1}}", "${{1}=={1}:{b}}", "${{-1} < {1} ? {y} : {n}}", "${{} == {} ? {y}:{n}}",
    "${{3.6} <level {3.10}?{y}:{n}}", "${{3} ==level {3.0.0}?{y}:{n}}", "${{$mydomain}=={test}?{y}:{n}}",
    "${{a}<{b}?x:y}", "${{ 1 } == {1} ? {y} : {n}}", "${{$compatibility_level} >=level {2} ? {y} : {n}}",
    "${}", "$(a", "${a", "a$", "a$ b", "${a b}", "${a-b}", "${mydomain?{a}{b}}", "${mydomain?{a}:{b} c}",
    "${{1} ~ {2} ? {a}}", "${{1} == 2 ? {a}}", "${{1}=={1}?{a}:{b} c}", "${-1 == 1}", "$relayhost",
    "${{3.x} <level {3.10}?{y}:{n}}", "${{1}=={1}?{a}", "{", "}", "${mydomain?{a}:{b}}}", "$_", "$9",
    "${mydomain?{}:{b}}",
]  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expands_as_postfix_does(tmp_path, capsys, expression):
    write(tmp_path / "main.cf", f"mydomain = test\nrelayhost = {expression}\n")
    write(tmp_path / "master.cf", "")
    theirs, ours = run_real(tmp_path, "-hx", "relayhost"), run_ours(tmp_path, capsys, "-hx", "relayhost")
    assert ours[:2] == theirs[:2]


BAD_MAIN = [
    "relayhost", "= x", "a b = x", "{ foo = bar }", " relayhost = x", "relayhost = x\nrelayhost = y",
    "#c\n  cont\nrelayhost=b",
    "myhostnam = x", "foo = $bar\nrelayhost = $foo", "compatibility_level = x", "relayhost = a\r", "relayhost = a\0b",
    "relayhost = a\\\n b", "relayhost=a # b", "biff = maybe", "mydomain=x.y", "inet_interfaces = loopback-only",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_MAIN)
def test_treats_odd_main_cf_as_postfix_does(tmp_path, capsys, text):
    write(tmp_path / "main.cf", text + "\n")
    write(tmp_path / "master.cf", "")
    theirs, ours = run_real(tmp_path, "-n"), run_ours(tmp_path, capsys, "-n")
    assert ours[:2] == theirs[:2]
    theirs, ours = (
        run_real(tmp_path, "mynetworks", "myhostname", "relayhost"),
        run_ours(tmp_path, capsys, "mynetworks", "myhostname", "relayhost"),
    )
    assert ours[:2] == theirs[:2]


BAD_MASTER = [
    "smtp inet n - y -", "smtp foo n - y - - smtpd", "smtp inet q - y - - smtpd", "smtp inet n n n x - smtpd",
    "smtp inet n n n ? - smtpd", "smtp inet n n n - x smtpd", "smtp inet n n n - -1 smtpd",
    "smtp inet n n n - - smtpd -o",
    "smtp inet n n n - - smtpd -o foo", "smtp inet n n n - - smtpd -o { foo }", "smtp inet n n n - - smtpd -o { a = b",
    " smtp inet n n n - - smtpd", "smtp inet n - y 60? 1 smtpd -o foo=bar -v x y", "smtp inet n n n - - smtpd -o=x",
    "smtp inet n n n - - smtpd\nsmtp inet n n n - - smtpd", "smtp inet n n n - - smtpd -o foo=bar -o foo=baz",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_MASTER)
def test_treats_odd_master_cf_as_postfix_does(tmp_path, capsys, text):
    write(tmp_path / "main.cf", "")
    write(tmp_path / "master.cf", text + "\n")
    theirs, ours = run_real(tmp_path, "-M"), run_ours(tmp_path, capsys, "-M")
    assert ours[:2] == theirs[:2]


EDITS = [
    ["-e", "relayhost=new   x", "mydomain = foo", "smtpd_banner=b"],
    ["relayhost=[a.test]:587"],
    ["-e", "relayhost="],
    ["-e", "foo"],
    ["-e", "# x=y"],
    ["-X", "mydestination", "nosuch"],
    ["-#", "mydestination"],
    ["-X", "a=b"],
    ["-Me", "smtp/inet=smtp inet n - n - - smtpd -o x=y"],
    ["-Me", "foo/unix=foo unix - - - - - pipe flags=F user=a argv=/bin/x -a b -c d -e f -g h -i j -k l -m n -o p -q r"],
    ["-Me", "foo/unix=foo unix - - - - pipe"],
    ["-M#", "submission/inet"],
    ["-MX", "relay/unix"],
    ["-Pe", "smtp/inet/smtpd_banner=hello", "submission/inet/syslog_name=x"],
    ["-Pe", "smtp/inet/smtpd_banner=hello there"],
    ["-PX", "submission/inet/syslog_name"],
    ["-Fe", "smtp/inet/chroot=n", "smtp/inet/command=smtpd -v"],
    ["-Fe", "*/*/chroot=n"],
]


@pytest.mark.parametrize("arguments", EDITS, ids=" ".join)
def test_edits_as_postfix_does(tmp_path, capsys, arguments):
    results = []
    for name in ("theirs", "ours"):
        directory = tmp_path / name
        directory.mkdir()
        write(directory / "main.cf", MAIN + "relayhost = a\n  b\n# c\nbiff = no\nrelayhost = d\n")
        write(directory / "master.cf", STOCK_MASTER)
        status = (run_real(directory, *arguments) if name == "theirs" else run_ours(directory, capsys, *arguments))[0]
        # Postfix moves comments in master.cf to the other side of a changed entry; ours stay where they are.
        services = [line for line in (directory / "master.cf").read_text().splitlines() if line.strip()[:1] != "#"]
        results.append((status, (directory / "main.cf").read_text(), services))
    assert results[1] == results[0]


def test_an_installed_configuration_reads_the_same(tmp_path, capsys):
    if not Path("/etc/postfix/main.cf").is_file():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs /etc/postfix")
    for name in ("main.cf", "master.cf"):
        shutil.copy2(f"/etc/postfix/{name}", tmp_path / name)
    for call in (["-n"], ["-M"], ["-Mf"], ["-P"], ["-F"]):
        compare(tmp_path, capsys, call)


def test_mail_config_and_the_program_itself(directory):
    environment = {**os.environ, "MAIL_CONFIG": str(directory)}
    real = subprocess.run([REAL, "-n"], capture_output=True, text=True, env=environment)
    ours = subprocess.run(
        [sys.executable, "-m", "angarium.commands.postconf", "-n"], capture_output=True, text=True, env=environment
    )
    assert (ours.returncode, ours.stdout) == (real.returncode, real.stdout)
