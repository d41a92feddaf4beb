"""What the checks find, with file and line."""

from __future__ import annotations

import datetime as dt
import grp
import json
import os
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from angarium.commands import angarium
from angarium.commands.check import engine, files, manual, networks
from angarium.commands.check.finding import Severity

DOCS = Path(__file__).parents[4] / "docs"

BASE = "myhostname = mail.example.test\nmail_owner = root\n"
MASTER = (
    "smtp inet n - n - - smtpd\nsmtp unix - - n - - smtp\nrelay unix - - n - - smtp\nvirtual unix - - n - - virtual\n"
    "local unix - - n - - local\n"
)
QUIET = {"unsupported-service", "wrong-owner", "missing-directory", "mynetworks-gateway", "missing-user"}
"""What depends on the machine, or on what this release does."""


@pytest.fixture
def check(tmp_path):
    """``check(main, master)`` -> (id, line) of what is found in the two files; ``check.found`` has it all."""

    def run(main, master=MASTER):
        etc = tmp_path / "etc"
        etc.mkdir(exist_ok=True)
        for name in ("spool", "lib"):
            (tmp_path / name).mkdir(exist_ok=True)
        directories = f"queue_directory = {tmp_path}/spool\ndata_directory = {tmp_path}/lib\n"
        (etc / "main.cf").write_bytes((main + BASE + directories).encode("utf-8", "surrogateescape"))
        (etc / "master.cf").write_text(master)
        run.found = [each for each in engine.run(etc) if each.rule.id not in QUIET]
        return [(each.rule.id, each.line) for each in run.found]

    run.directory = tmp_path
    return run


def test_nothing_to_say(check):
    assert check("") == []


SIMPLE = {
    "smtpd_bannner = x": [("misspelt-parameter", 1)],
    "nothing_like_it = x": [("unknown-parameter", 1)],
    "smtpd_tls_cipherlist = HIGH": [("gone-parameter", 1)],
    "smtpd_use_tls = no": [("old-parameter", 1)],
    "virtual_maps =": [("old-parameter", 1)],
    "ipc_timeout = 1s": [("parameter-without-effect", 1)],
    "relayhost = a.test\nrelayhost = b.test": [("overridden-setting", 2)],
    "relayhost = a.test # for now": [("hash-in-value", 1)],
    "mydestination = a.test,\n  # a comment\n  b.test, # not one": [("hash-in-value", 3)],
    "relayhost = $nowhere": [("undefined-reference", 1)],
    " relayhost = a.test": [("stray-line", 1)],
    "relayhost = $relayhost": [("bad-value", 1)],
    "a = $b\nb = $a\nrelayhost = x$a": [("bad-value", 1), ("bad-value", 2), ("bad-value", 3)],
    "content_filter = nosuch:[127.0.0.1]:10024": [("missing-transport", 1)],
    "transport_maps = inline:{a.test=nosuch:x, b.test=smtp:y, c.test=:z}": [("missing-transport", 1)],
    "swap_bangpath = maybe": [("bad-value", 1)],
    "default_verp_delimiters = +": [("bad-value", 1)],
    "verp_delimiter_filter =": [("bad-value", 1)],
    "smtpd_banner = $myhostname\ndefault_verp_delimiters = ++-": [("bad-value", 2)],
    "default_verp_delimiters = +%": [("bad-value", 1)],
    "verp_delimiter_filter = !:": [("bad-value", 1)],
    "verp_delimiter_filter = !:\ndefault_verp_delimiters = :!": [],
    "smtpd_authorized_verp_clients = 127.0.0.1": [("verp-without-extension", 1)],
    "recipient_delimiter = -+\nsmtpd_authorized_verp_clients = 127.0.0.1": [],
    "smtpd_timeout = 5x\nmessage_size_limit = big": [("bad-value", 1), ("bad-value", 2)],
    "relayhost = ${a": [("unusable-configuration", 1)],
    "relayhost": [("unusable-configuration", 1)],
    "myhostname = localhost": [("overridden-setting", 2)],
    "virtual_alias_domains = a.test, b.test\nmydestination = c.test\n  B.test": [("domain-in-two-classes", 1)],
    "mydestination = a.test\nrelay_domains = a.test": [],
    "relay_domains = a.test\nvirtual_mailbox_domains =\n x.test\n a.test": [("domain-in-two-classes", 1)],
    "virtual_alias_maps = nosuch:/x": [("unknown-table-type", 1)],
    "mynetworks = 127.0.0.1,\n  !nosuch:/x": [("unknown-table-type", 2)],
    "mydestination = a.test\n  /nonexistent/domains": [("missing-table", 2)],
    "mynetworks = 127.0.0.1 !/nonexistent/networks": [("missing-table", 1)],
    "virtual_alias_maps =\n  inline:{a=b}\n  hash:/nonexistent/x": [("missing-table", 3)],
    "smtpd_sender_restrictions = check_sender_access hash:/nonexistent/x": [("missing-table", 1)],
    "smtpd_tls_session_cache_database = btree:/nonexistent/x": [("parameter-without-effect", 1)],
    "mynetworks = 127.0.0.0/8, 0.0.0.0/0": [("mynetworks-world", 1), ("open-relay", 1)],
    "smtpd_authorized_xclient_hosts = 127.0.0.1\n  static:all": [("xclient-world", 2)],
    "mynetworks = 127.0.0.0/8\n  10.0.0.1/8": [("mynetworks-malformed", 2)],
    "mynetworks = ::1": [("mynetworks-malformed", 1)],
    "mynetworks = localhost": [("mynetworks-malformed", 1)],
    "smtpd_client_restrictions =\n permit\n reject_unknown_client_hostname": [("unreachable-restriction", 3)],
    "smtpd_client_restrictions = check_client_access static:REJECT, permit": [("unreachable-restriction", 1)],
    "smtpd_client_restrictions = warn_if_reject reject, permit": [],
    "smtpd_restriction_classes = a\na = permit_mynetworks, reject\nsmtpd_helo_restrictions = a, permit":
        [("unreachable-restriction", 3)],
    "smtpd_helo_restrictions = reject_unknown_helo_hostnam": [("unknown-restriction", 1)],
    "smtpd_helo_restrictions = check_helo_access": [("restriction-without-argument", 1)],
    "smtpd_helo_restrictions = permit_mynetworks warn_if_reject": [("restriction-without-argument", 1)],
    "smtpd_helo_restrictions = reject_invalid_hostname": [("old-restriction", 1)],
    "smtpd_tls_cert_file = /nonexistent/c.pem": [("tls-file-unreadable", 1)],
    "smtp_tls_eccert_file = /nonexistent/c.pem": [("tls-file-unreadable", 1)],
    "smtpd_client_restrictions =\n permit_mynetworks,\n permit_tls_clientcerts": [("client-certificate-not-asked", 3)],
    "smtpd_client_restrictions = permit_tls_clientcerts\nsmtpd_tls_ask_ccert = yes": [],
    "smtpd_tls_req_ccert = yes": [("client-certificate-not-required", 1)],
    "smtpd_tls_req_ccert = yes\nsmtpd_tls_security_level = encrypt": [],
    "smtp_tls_security_level = dane": [("dane-without-dnssec", 1)],
    "smtp_tls_security_level = dane\nsmtp_dns_support_level = dnssec\nsmtp_host_lookup = native":
        [("dane-without-dnssec", 1)],
    "smtp_tls_security_level = dane-only\nsmtp_dns_support_level = dnssec": [],
    "smtpd_helo_restrictions = permit_mynetworks,\n permit_naked_ip_address":
        [("old-restriction", 2), ("unsupported-restriction", 2)],
    "local_transport = nosuch:x": [("missing-transport", 1)],
    "dnssec_probe = ns:x.test": [("unsupported-parameter", 1)],
    "biff = no\nvirtual_alias_maps =\n  texthash:nosuch-name": [("relative-table", 3), ("missing-table", 3)],
}  # fmt: skip


@pytest.mark.parametrize("main", SIMPLE)
def test_found_in_main_cf(check, main):
    assert check(f"{main}\n") == SIMPLE[main]


def test_a_host_name(check):
    check("")
    (check.directory / "etc" / "main.cf").write_text("mydomain = a.test\n\nmyhostname = mail\n")
    found = [(each.rule.id, each.line) for each in engine.run(check.directory / "etc")]
    assert ("hostname-not-qualified", 3) in found


def test_found_in_master_cf(check):
    master = MASTER + "smtp inet n - n - - smtpd\nx unix - - n - - smtpdd\ny inet n - y - - smtpd\n  -o bif=no\n"
    assert check("", master) == [
        ("doubled-service", 6), ("unknown-service", 7), ("chroot-not-done", 8), ("misspelt-parameter", 9)
    ]  # fmt: skip
    assert check.found[1].hint == "did you mean smtpd?"


def test_an_entry_of_a_transport_map(check):
    (check.directory / "transport").write_text("a.test smtp:x\n# b\nb.test nosuch:[y]\n")
    assert check(f"transport_maps = texthash:{check.directory}/transport\n") == [("missing-transport", 3)]
    assert check.found[0].text == "transport_maps: b.test = nosuch:[y]: master.cf has no service nosuch"


def test_odd_braces_in_master_cf(check):
    assert check("", MASTER + "x unix - - n - - smtp\n  -o { smtpd_banner = a\n") == [("odd-service-line", 6)]


def test_a_stale_table(check):
    source = check.directory / "aliases"
    built = check.directory / "aliases.db"
    source.write_text("a: b\n")
    built.write_bytes(b"")
    os.utime(built, (1, 1))
    assert check(f"biff = no\nalias_maps = hash:{source}\n") == [("stale-table", 2)]
    assert check.found[0].hint == f"run: postalias hash:{source}"
    os.utime(source, (1, 1))
    assert check(f"alias_maps = hash:{source}\n") == []


def test_a_directory_instead_of_a_table(check):
    assert check(f"alias_maps = texthash:{check.directory}\n") == [("missing-table", 1)]
    assert "Is a directory" in check.found[0].text


def test_the_directory_is_nobody_elses_to_read(check):
    database = check.directory / "directory.sqlite"
    database.touch(0o600)
    setting = f"directory_database = {database}\n"
    assert check(setting) == []
    database.chmod(0o644)
    assert check(setting) == [("secrets-exposed", 1)]


def test_the_settings_of_a_table(check):
    settings = check.directory / "db.cf"
    settings.write_text("hosts = a\nhost = b\n")
    settings.chmod(0o644)
    found = check(f"virtual_alias_maps = mysql:{settings}, pgsql:/nonexistent/x\n")
    assert ("table-setting", 0) in found
    assert ("missing-table-settings", 1) in found
    assert ("secrets-exposed", 1) in found


def test_domains_of_a_file_and_of_a_table(check):
    listed = check.directory / "domains"
    listed.write_text("# ours\nx.test\na.test\n")
    assert check(f"mydestination = a.test\nvirtual_mailbox_domains = {listed}\n") == [("domain-in-two-classes", 3)]
    assert check.found[0].file == str(listed)
    assert check(f"mydestination = a.test\nvirtual_alias_domains = texthash:{check.directory}/map\n") == [
        ("missing-table", 2)
    ]
    (check.directory / "map").write_text("b.test x\nA.test x\n")
    assert check(f"mydestination = a.test\nvirtual_alias_domains = texthash:{check.directory}/map\n") == [
        ("domain-in-two-classes", 2)
    ]


def test_a_gateway_that_is_trusted(check, monkeypatch):
    monkeypatch.setattr(networks, "default_gateways", lambda: [networks.ipaddress.ip_address("10.0.0.1")])
    check("mynetworks = 127.0.0.0/8, 10.0.0.0/24\n")
    found = engine.run(check.directory / "etc")
    assert [each.line for each in found if each.rule is networks.GATEWAY] == [1]
    check("mynetworks = 127.0.0.0/8, !10.0.0.1, 10.0.0.0/24\n")
    assert networks.GATEWAY not in [each.rule for each in engine.run(check.directory / "etc")]


def test_files_that_others_can_change(check):
    check("")
    (check.directory / "etc" / "main.cf").chmod(0o666)
    found = [(each.rule.id, each.place) for each in engine.run(check.directory / "etc")]
    assert ("writable-by-others", str(check.directory / "etc" / "main.cf")) in found


def test_a_program_that_the_workers_cannot_read(tmp_path):
    closed = tmp_path / "home"
    program = closed / "venv" / "angarium"
    program.mkdir(parents=True)
    before = [each.place for each in files.unreadable("postfix", [program])]  # what is above is the machine's
    closed.chmod(0o700)
    assert [each.place for each in files.unreadable("postfix", [program])] == [*before, str(closed)]


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two certificates with their keys, made by the demo's authority."""
    from angarium.runtime.authority import Authority

    directories = []
    for name in ("one", "two"):
        directory = tmp_path_factory.mktemp(name)
        Authority.ensure(directory, "A").issue(directory, ("mail.example.test",))
        directories.append(directory)
    return directories


def test_a_key_and_its_certificate(check, keys):
    one, two = keys
    good = f"smtpd_tls_cert_file = {one}/server.pem\nsmtpd_tls_key_file = {one}/server.key\n"
    assert check(good) == []
    assert check(good.replace(f"{one}/server.key", f"{two}/server.key")) == [("tls-key-mismatch", 2)]
    assert check(good.replace("server.key", "nosuch.key")) == [("tls-file-unreadable", 2)]
    (one / "server.key").chmod(0o644)
    assert check(good) == [("tls-key-exposed", 2)]
    (one / "server.key").chmod(0o600)
    assert check("myhostname = other.test\n" + good)[-1] == ("overridden-setting", 4)


ODD = {
    "a NUL": "relayhost = a\0b\n",
    "10 MB in a line": "mynetworks = " + "10.0.0.0/8 " * 900_000 + "\n",
    "10 MB without a blank": "relayhost = " + "x" * 10_000_000 + "\n",
    "no UTF-8": "smtpd_banner = caf\udce9\nmydestination = \udcff.test\n",
    "a name of itself": "a = $b\nb = $a\nrelayhost = $a\n",
    "an include of itself": "mydestination = FILE\n",
    "a directory": "mydestination = /tmp\nvirtual_alias_maps = texthash:/tmp\n",
    "braces": "relayhost = " + "${a?{" * 2000 + "\n",
    "very many lines": "a =\n" + " x\n" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_input_is_told_and_bounded(check, name):
    include = check.directory / "include"
    include.write_text(f"{include}\na.test\n")
    check(ODD[name].replace("FILE", str(include)))
    assert all(str(each) and each.hint for each in check.found)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "main.cf").mkdir()
    assert [each.rule.id for each in engine.run(tmp_path)] == ["unusable-configuration"]
    (tmp_path / "main.cf").rmdir()
    assert [each.rule.id for each in engine.run(tmp_path)] == ["unusable-configuration"]
    (tmp_path / "main.cf").write_text("")
    assert [each.rule.id for each in engine.run(tmp_path)] == ["unusable-configuration"]
    (tmp_path / "master.cf").write_text("smtp inet\n")
    ((finding),) = engine.run(tmp_path)
    assert (finding.line, finding.text) == (1, "bad field count")


def test_every_rule_has_an_id_of_its_own_and_a_hint():
    rules = [engine.UNUSABLE, *(rule for family in engine.families() for rule in family.rules)]
    assert len({rule.id for rule in rules}) == len(rules)
    assert all(rule.hint and rule.text for rule in rules)


def test_the_page_is_up_to_date():
    assert (DOCS / manual.NAME).read_text() == manual.page(), "run: python -m angarium.commands.check.manual docs"


def test_the_command(check, capsys):
    check("biff = no\nsmtpd_bannner = x\n")
    directory = check.directory / "etc"
    assert angarium.main(["-c", str(directory), "check", "--severity", "warning"]) in (0, os.EX_CONFIG)
    out = capsys.readouterr().out
    assert f"warning: {directory}/main.cf:2: unused parameter: smtpd_bannner=x (did you mean smtpd_banner?)" in out
    assert "    write smtpd_banner = x\n" in out
    check("mynetworks = 0.0.0.0/0\n")
    assert angarium.main(["-c", str(directory), "check", "--json"]) == os.EX_CONFIG
    (first, *_rest) = json.loads(capsys.readouterr().out)
    assert first["id"] == "mynetworks-world"
    assert first["line"] == 1
    assert first["severity"] == Severity.ERROR.value


def test_mail_config_and_a_program_of_its_own(check):
    check("smtpd_bannner = x\n")
    program = Path(os.sys.executable).with_name("angarium")
    environment = {**os.environ, "MAIL_CONFIG": str(check.directory / "etc")}
    done = subprocess.run([program, "check", "--json"], capture_output=True, text=True, env=environment, timeout=60)
    assert "misspelt-parameter" in [each["id"] for each in json.loads(done.stdout)]


def test_a_password_is_in_no_finding(check):
    check("mydb_passwrd = hush\nmydb_password = hush\nmydb_password = hushed\nsmtp_sasl_passwd = hush\n")
    assert len(check.found) >= 3
    assert "hush" not in " ".join(f"{each.text} {each.hint}" for each in check.found)


def certificate(path, name, days):
    """A certificate for a name that ends in so many days, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    end = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - dt.timedelta(days=100))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(built.public_bytes(Encoding.PEM) + secret)
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("name", "days", "rules"),
    [
        ("mail.example.test", 90, []),
        ("*.example.test", 90, []),
        ("mail.example.test", 5, ["tls-certificate-expiring"]),
        ("mail.example.test", -1, ["tls-certificate-expired"]),
        ("else.example.test", 90, ["tls-certificate-name"]),
    ],
)
def test_the_time_and_the_name_of_a_certificate(check, name, days, rules):
    path = check.directory / "c.pem"
    certificate(path, name, days)
    assert check(f"biff = no\nsmtpd_tls_cert_file =\n  {path}\n") == [(each, 3) for each in rules]


def test_links_that_leave_and_a_foreign_group(check, monkeypatch):
    check("")
    (check.directory / "etc" / "link").symlink_to("/etc/passwd")
    (check.directory / "etc" / "inside").symlink_to("main.cf")
    check("")
    assert [Path(each.file).name for each in check.found if each.rule.id == "symlink-leaves"] == ["link"]
    if os.geteuid() == 0:
        drop = check.directory / "spool" / "maildrop"
        drop.mkdir()
        os.chown(drop, -1, grp.getgrnam("adm").gr_gid)
        drop.chmod(0o2710)
        check("setgid_group = daemon\n")
        assert [each.file for each in check.found if each.rule.id == "wrong-group"] == [str(drop)]


def test_a_program_that_the_owner_of_mail_cannot_read(check):
    closed = check.directory / "closed"
    (closed / "lib").mkdir(parents=True)
    closed.chmod(0o700)
    found = [(each.rule.id, each.file) for each in files.unreadable("postfix", [closed / "lib"])]
    assert ("unreadable-program", str(closed)) in found


def test_every_rule_has_a_test():
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parents[3].rglob("test_*.py"))
    rules = [rule for family in engine.families() for rule in family.rules]
    assert len(rules) > 50
    assert [rule.id for rule in rules if f'"{rule.id}"' not in tests and rule.id not in tests] == []
