"""``angarium init`` below a root directory of the test's own."""

import getpass
import io
import os
import sys

import pytest
from cryptography import x509

from angarium.commands import angarium
from angarium.commands.setup.answers import AnswerError, Answers, likely_domain
from angarium.commands.setup.files import ExistingFilesError, NewFile, filled, refuse_existing, write
from angarium.commands.setup.records import public_addresses, records
from angarium.config import Config
from angarium.config.interfaces import ipaddress
from angarium.directory.admin import SqliteDirectoryAdmin
from angarium.runtime.authority import Authority

GIVEN = ["--hostname", "mail.example.org", "--domain", "example.org", "--account", "you@example.org"]


@pytest.fixture
def init(tmp_path, monkeypatch, capsys):
    def run(*words, password="secret"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
        monkeypatch.delenv("MAIL_CONFIG", raising=False)
        status = angarium.main(["init", "--root", str(tmp_path), *words])
        run.told, run.complaint = capsys.readouterr()
        return status

    run.root = tmp_path
    return run


def test_the_files_say_what_was_answered(init):
    assert init(*GIVEN) == 0, init.complaint
    conf = Config.load(init.root / "etc" / "postfix")
    assert conf.text("myhostname") == "mail.example.org"
    assert conf.text("mydomain") == "example.org"
    assert conf.text("smtpd_tls_cert_file") == "/etc/postfix/tls/server.pem"
    main = (init.root / "etc/postfix/main.cf").read_text()
    assert main.count("myhostname = ") == 1
    assert "\nmyhostname = mail.example.org\n" in main
    assert main.index("myhostname = ") < main.index("virtual_mailbox_domains = ")
    assert "root: you@example.org" in (init.root / "etc/aliases").read_text()
    assert (init.root / "etc/aliases.db").exists()
    assert (init.root / "etc/postfix/tls/server.key").stat().st_mode & 0o077 == 0
    admin = SqliteDirectoryAdmin(init.root / "var/lib/postfix/directory.sqlite")
    assert [account.address for account in admin.accounts()] == ["you@example.org"]
    assert {alias.address for alias in admin.aliases()} == {
        f"{name}@example.org" for name in ("abuse", "postmaster", "root")
    }
    admin.close()
    assert "IN MX    10 mail.example.org." in init.told


def test_nothing_is_overwritten_and_nothing_is_half_done(init):
    aliases = init.root / "etc" / "aliases"
    aliases.parent.mkdir()
    aliases.write_text("mine\n")
    assert init(*GIVEN) == os.EX_CANTCREAT
    assert str(aliases) in init.complaint
    assert aliases.read_text() == "mine\n"
    assert not (init.root / "etc/postfix").exists()
    assert init(*GIVEN, "--force") == 0
    assert "mine" not in aliases.read_text()
    assert init(*GIVEN, "--force", password="another") == 0
    assert "is there already, with the password that it has" in init.told
    assert init(*GIVEN) == 0, "it may be repeated when it was ended by something"
    assert init("--hostname", "other.example.org", *GIVEN[2:]) == os.EX_CANTCREAT


def test_a_certificate_of_ones_own_choice_is_named_and_none_is_made(init):
    assert init(*GIVEN, "--cert", "/etc/ssl/a.pem", "--key", "/etc/ssl/a.key") == 0
    assert Config.load(init.root / "etc/postfix").text("smtpd_tls_key_file") == "/etc/ssl/a.key"
    assert not (init.root / "etc/postfix/tls").exists()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (GIVEN[2:], os.EX_USAGE),
        (GIVEN[:4], os.EX_USAGE),
        (["--hostname", "localhost", *GIVEN[2:]], os.EX_DATAERR),
        (["--hostname", "192.0.2.1", *GIVEN[2:]], os.EX_DATAERR),
        ([*GIVEN[:5], "you@elsewhere.org"], os.EX_DATAERR),
        ([*GIVEN[:5], "you"], os.EX_DATAERR),
        ([*GIVEN[:5], "not you@example.org"], os.EX_DATAERR),
        ([*GIVEN[:5], "you/../../x@example.org"], os.EX_DATAERR),
        ([*GIVEN, "--cert", "/a.pem"], os.EX_DATAERR),
        (["--keep"], os.EX_USAGE),
        ([*GIVEN, "--system", "--keep"], os.EX_USAGE),
        (["--system", "--keep"], os.EX_CONFIG),
    ],
)
def test_answers_that_are_missing_or_bad(init, words, status):
    assert init(*words) == status
    assert not (init.root / "etc").exists()


def test_files_that_say_the_same_are_in_nobodys_way(tmp_path):
    file = NewFile(tmp_path / "a", "text\n")
    write([file])
    refuse_existing([file])
    with pytest.raises(ExistingFilesError):
        refuse_existing([NewFile(file.path, "other\n")])
    (tmp_path / "b").symlink_to(file.path)
    with pytest.raises(ExistingFilesError):
        refuse_existing([NewFile(tmp_path / "b", "text\n")])


def test_an_empty_password_writes_nothing(init):
    assert init(*GIVEN, password="") == os.EX_DATAERR
    assert not (init.root / "etc").exists()


def test_the_account_is_folded(init):
    assert (
        init("--hostname", "Mail.Example.ORG.", "--domain", "Example.org", "--account", "Postmaster@EXAMPLE.org") == 0
    )
    assert Config.load(init.root / "etc" / "postfix").text("myhostname") == "mail.example.org"
    admin = SqliteDirectoryAdmin(init.root / "var/lib/postfix/directory.sqlite")
    assert [account.address for account in admin.accounts()] == ["postmaster@example.org"]
    assert [alias.address for alias in admin.aliases()] == ["abuse@example.org", "root@example.org"]
    admin.close()


def test_a_certificate_that_no_service_could_use_writes_nothing(init):
    place = init.root / "cert"
    place.mkdir()
    authority = Authority.ensure(place, "x")
    certificate, key = authority.issue(place, ("mail.example.org",))
    (place / "nonsense.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    for one, other in (("nonsense.pem", "server.key"), ("server.pem", "ca.key"), ("server.pem", "missing.key")):
        assert init(*GIVEN, "--cert", f"/cert/{one}", "--key", f"/cert/{other}") == os.EX_DATAERR
        assert not (init.root / "etc").exists()
    assert (certificate, key) == (place / "server.pem", place / "server.key")
    assert init(*GIVEN, "--cert", "/cert/server.pem", "--key", "/cert/server.key") == 0


def test_another_name_wants_another_certificate(init):
    def names():
        found = x509.load_pem_x509_certificate((init.root / "etc/postfix/tls/server.pem").read_bytes())
        return found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )

    assert init(*GIVEN) == 0
    (init.root / "etc/postfix/tls/server.pem").unlink()  # as if it had been ended between the two files
    assert init(*GIVEN, "--force") == 0
    assert names() == ["mail.example.org", "example.org"]
    assert init("--hostname", "mx.example.org", *GIVEN[2:], "--force") == 0
    assert names() == ["mx.example.org", "example.org"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_is_asked_again_after_a_bad_answer(init, monkeypatch, capsys):
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: "secret")
    monkeypatch.setattr(
        sys, "stdin", Terminal("mail\nmail.example.org\n\nme and you@example.org\nyou@elsewhere.org\nyou@example.org\n")
    )
    assert angarium.main(["init", "--root", str(init.root)]) == 0
    told, complaint = capsys.readouterr()
    assert "Domain to receive mail for [example.org]: First account [postmaster@example.org]: " in told
    assert len(complaint.splitlines()) == 3
    assert "you@example.org: account made" in told


def test_a_terminal_that_says_no_more(init, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal("mail.example.org\n"))
    assert angarium.main(["init", "--root", str(init.root)]) == os.EX_USAGE
    assert not (init.root / "etc").exists()


@pytest.mark.parametrize(
    ("hostname", "domain"), [("mail.example.org", "example.org"), ("example.org", "example.org"), ("a.b.c.d", "b.c.d")]
)
def test_the_likely_domain(hostname, domain):
    assert likely_domain(hostname) == domain


@pytest.mark.parametrize("name", ["a..b", "-a.b", "a-.b", "a" * 64 + ".b", "ab", "a_b.c", "", "x." * 130 + "y"])
def test_names_that_are_none(name):
    with pytest.raises(AnswerError):
        Answers(name, "example.org", "you@example.org")


def test_settings_go_where_main_cf_has_them():
    text = "# a\n#one = x\n#two = y\nthree = z\n#one = again\n"
    settings = {"one": "1", "three": "3", "four": "4"}
    assert filled(text, settings) == "# a\none = 1\n#two = y\nthree = 3\n#one = again\nfour = 4\n"


def test_records_of_a_server_with_addresses():
    interfaces = [
        ipaddress.ip_interface(text)
        for text in ("127.0.0.1/8", "10.1.1.1/8", "198.41.0.4/24", "2001:500::1/64", "fe80::1/64")
    ]
    addresses = public_addresses(interfaces)
    assert addresses == ["198.41.0.4", "2001:500::1"]
    zone = list(records(Answers("mail.example.org", "example.org", "you@example.org"), addresses))
    assert "mail.example.org.                        IN A     198.41.0.4" in zone
    assert "mail.example.org.                        IN AAAA  2001:500::1" in zone
    assert (
        zone[-1] == "; and where the address comes from, the reverse name: 198.41.0.4, 2001:500::1 -> mail.example.org."
    )
    assert not any("put this machine's" in line for line in zone)
