"""Real mail clients against imapd over TLS: imaplib, curl, mbsync in both directions, fetchmail, mutt."""

from __future__ import annotations

import imaplib
import mailbox
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.imap_server import MESSAGE, ImapServer

from angarium.daemons.imapd.main import ImapdParameters
from angarium.demo.authority import Authority

pytestmark = pytest.mark.interop

ALICE = "alice@example.test"


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    authority = Authority.ensure(tmp_path, "Test CA")
    certificate, key = authority.issue(tmp_path, ("localhost", "127.0.0.1"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return authority.certificate, context


@pytest.fixture
def starttls(tmp_path: Path, certificates: tuple[Path, ssl.SSLContext]) -> Iterator[ImapServer]:
    parameters = ImapdParameters(tls_security_level="encrypt")
    with ImapServer(tmp_path, parameters, certificates[1]) as server:
        yield server


@pytest.fixture
def imaps(tmp_path: Path, certificates: tuple[Path, ssl.SSLContext]) -> Iterator[ImapServer]:
    parameters = ImapdParameters(tls_security_level="may", tls_wrappermode=True)
    with ImapServer(tmp_path, parameters, certificates[1]) as server:
        yield server


def run(*command: str | Path, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **environment},
        check=False,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return done


def test_imaplib_over_starttls(starttls, certificates):
    client = imaplib.IMAP4("localhost", starttls.port, timeout=20)
    assert "LOGINDISABLED" in client.capabilities
    with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"):
        client.login("alice", "secret")
    client.starttls(ssl.create_default_context(cafile=str(certificates[0])))
    assert "LOGINDISABLED" not in client.capabilities
    client.login("alice", "secret")
    for use in ("Archive", "Drafts", "Junk", "Sent", "Trash"):
        assert any(f"\\{use}".encode() in line for line in client.list()[1])
    assert client.append("INBOX", "\\Flagged", imaplib.Time2Internaldate(1704103200), MESSAGE)[0] == "OK"
    assert client.select("INBOX") == ("OK", [b"1"])
    assert client.search(None, "FLAGGED", "SUBJECT", '"word"') == ("OK", [b"1"])
    status, data = client.fetch("1", "(BODY[] UID)")
    assert (status, data[0][1]) == ("OK", MESSAGE)
    assert client.copy("1", "Archive")[0] == "OK"
    assert client.store("1", "+FLAGS", "\\Deleted")[0] == "OK"
    assert client.expunge() == ("OK", [b"1"])
    assert client.create("Stra&AN8-e")[0] == "OK"
    assert client.getquotaroot("INBOX")[0] == "OK"
    client.logout()


def test_curl_reads_writes_and_searches(peer, imaps, certificates, tmp_path):
    base = ("-sS", "--cacert", certificates[0], "-u", "alice:secret", "--connect-timeout", "10")
    url = f"imaps://localhost:{imaps.port}"
    curl = peer("curl")
    (tmp_path / "mail.eml").write_bytes(MESSAGE)
    run(curl, *base, "-T", tmp_path / "mail.eml", f"{url}/INBOX")
    assert run(curl, *base, f"{url}/INBOX;UID=1").stdout.replace("\r", "") == MESSAGE.decode().replace("\r", "")
    assert "Subject: A word" in run(curl, *base, f"{url}/INBOX;MAILINDEX=1;SECTION=HEADER.FIELDS%20(SUBJECT)").stdout
    assert run(curl, *base, f"{url}/INBOX?SUBJECT%20word").stdout.split() == ["*", "SEARCH", "1"]
    assert '"/" INBOX' in run(curl, *base, url).stdout
    done = subprocess.run(
        [curl, *map(str, base[:3]), "-u", "alice:wrong", f"{url}/INBOX"], capture_output=True, check=False
    )
    assert done.returncode == 67  # CURLE_LOGIN_DENIED


MBSYNC = """
IMAPStore far
Host localhost
Port {port}
User alice
Pass secret
SSLType IMAPS
CertificateFile {authority}

MaildirStore near
Path {maildir}/
Inbox {maildir}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
"""


def test_mbsync_in_both_directions(peer, imaps, certificates, tmp_path):
    mbsync = peer("mbsync")
    maildir = tmp_path / "maildir"
    maildir.mkdir()
    rc = tmp_path / "mbsyncrc"
    rc.write_text(MBSYNC.format(port=imaps.port, authority=certificates[0], maildir=maildir))
    imaps.deliver(ALICE, count=3)
    command = (mbsync, "-c", rc, "-a")
    run(*command, HOME=str(tmp_path))
    near = mailbox.Maildir(maildir / "INBOX", create=False)
    assert len(near) == 3
    assert {entry.name for entry in maildir.iterdir()} >= {"INBOX", "Sent", "Trash", "Archive"}
    # from here to there: a new message, a flag, a removal, a new mailbox
    near.add(mailbox.MaildirMessage(MESSAGE.replace(b"A word", b"From here").replace(b"\r\n", b"\n")))
    keys = list(near.keys())
    seen = mailbox.MaildirMessage(near[keys[0]])
    seen.set_subdir("cur")
    seen.set_flags("FS")
    near[keys[0]] = seen
    trashed = mailbox.MaildirMessage(near[keys[1]])
    trashed.set_subdir("cur")
    trashed.set_flags("T")
    near[keys[1]] = trashed
    mailbox.Maildir(maildir / "Projects", create=True).add(mailbox.MaildirMessage(MESSAGE.replace(b"\r\n", b"\n")))
    run(*command, HOME=str(tmp_path))
    with imaplib.IMAP4_SSL(
        "localhost", imaps.port, ssl_context=ssl.create_default_context(cafile=str(certificates[0])), timeout=20
    ) as client:
        client.login("alice", "secret")
        assert client.select("INBOX") == ("OK", [b"3"])
        assert client.search(None, "SUBJECT", '"From here"')[1] != [b""]
        assert len(client.search(None, "FLAGGED", "SEEN")[1][0].split()) == 1
        assert client.select("Projects") == ("OK", [b"1"])
        # and from there to here again
        client.select("INBOX")
        client.store("1:*", "+FLAGS", "\\Answered")
    run(*command, HOME=str(tmp_path))
    near = mailbox.Maildir(maildir / "INBOX", create=False)
    assert len(near) == 3
    assert all("R" in message.get_flags() for message in near)
    # nothing is left to be done
    before = sorted(path.name for path in maildir.rglob("cur/*"))
    run(*command, HOME=str(tmp_path))
    assert sorted(path.name for path in maildir.rglob("cur/*")) == before


def test_fetchmail_fetches_and_removes(peer, imaps, certificates, tmp_path):
    fetchmail = peer("fetchmail")
    imaps.deliver(ALICE, count=2)
    got = tmp_path / "got"
    rc = tmp_path / "fetchmailrc"
    rc.write_text(
        f"poll localhost protocol imap port {imaps.port} username alice password secret ssl sslcertck "
        f'sslcertfile {certificates[0]} mda "cat >> {got}"\n'
    )
    rc.chmod(0o600)
    run(fetchmail, "-f", rc, "--pidfile", tmp_path / "pid", "-a", HOME=str(tmp_path), USER="alice")
    assert got.read_text().count("Subject: A word") == 2
    with imaps.client_over(ssl.create_default_context(cafile=str(certificates[0]))) as client:
        assert client.ok("STATUS INBOX (MESSAGES)")[0] == b"* STATUS INBOX (MESSAGES 0)"


def test_mutt_moves_messages(peer, imaps, certificates, tmp_path):
    mutt = peer("mutt")
    imaps.deliver(ALICE, count=2)
    rc = tmp_path / "muttrc"
    rc.write_text(
        f"set folder=imaps://alice@localhost:{imaps.port}/ spoolfile=+INBOX imap_pass=secret\n"
        f"set certificate_file={certificates[0]} ssl_ca_certificates_file={certificates[0]} ssl_usesystemcerts=no\n"
        "set move=no delete=yes confirmappend=no confirmcreate=no header_cache= timeout=5\n"
        'push "<tag-pattern>.<enter><tag-prefix><save-message><kill-line>=Archive<enter><sync-mailbox><quit>"\n'
    )
    run("script", "-qec", f"{mutt} -F {rc}", "/dev/null", HOME=str(tmp_path), TERM="xterm")
    with imaps.client_over(ssl.create_default_context(cafile=str(certificates[0]))) as client:
        assert client.ok("STATUS INBOX (MESSAGES)")[0] == b"* STATUS INBOX (MESSAGES 0)"
        assert client.ok("STATUS Archive (MESSAGES)")[0] == b"* STATUS Archive (MESSAGES 2)"
