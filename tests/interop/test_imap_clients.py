"""Real mail clients against the real server over TLS: imaplib, curl, mbsync in both directions, fetchmail, mutt."""

from __future__ import annotations

import imaplib
import mailbox
import ssl
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.interop

ALICE = "alice@example.test"
MESSAGE = (
    b"From: Ann <ann@example.test>\r\nTo: bob@example.test\r\nSubject: A word\r\n"
    b"Date: Mon, 1 Jan 2024 10:00:00 +0100\r\n\r\nHello.\r\n"
)


@pytest.fixture
def server(servers):
    """A server of the test's own, for these clients empty mailboxes."""
    return servers.start()


def imaps(server) -> imaplib.IMAP4_SSL:
    """Alice's session."""
    client = imaplib.IMAP4_SSL(server.site.host, server.site.ports.imaps, ssl_context=server.tls, timeout=20)
    client.login(ALICE, server.passwords[ALICE])
    return client


def fill(server, count: int) -> None:
    """Put messages into Alice's INBOX."""
    with imaps(server) as client:
        for _ in range(count):
            assert client.append("INBOX", None, None, MESSAGE)[0] == "OK"


def messages(server, name: str) -> int:
    """How many messages a mailbox of Alice has."""
    with imaps(server) as client:
        return int(client.status(name, "(MESSAGES)")[1][0].split()[-1].rstrip(b")"))


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


def test_imaplib_over_starttls(server):
    client = imaplib.IMAP4(server.site.host, server.site.ports.imap, timeout=20)
    client.starttls(server.tls)
    assert "AUTH=PLAIN" in client.capabilities
    client.login(ALICE, server.passwords[ALICE])
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


def test_curl_reads_writes_and_searches(peer, server, tmp_path):
    user = f"{ALICE}:{server.passwords[ALICE]}"
    base = ("-sS", "--cacert", server.site.authority, "-u", user, "--connect-timeout", "10")
    url = f"imaps://{server.site.host}:{server.site.ports.imaps}"
    curl = peer("curl")
    (tmp_path / "mail.eml").write_bytes(MESSAGE)
    run(curl, *base, "-T", tmp_path / "mail.eml", f"{url}/INBOX")
    assert run(curl, *base, f"{url}/INBOX;UID=1").stdout.replace("\r", "") == MESSAGE.decode().replace("\r", "")
    assert "Subject: A word" in run(curl, *base, f"{url}/INBOX;MAILINDEX=1;SECTION=HEADER.FIELDS%20(SUBJECT)").stdout
    assert run(curl, *base, f"{url}/INBOX?SUBJECT%20word").stdout.split() == ["*", "SEARCH", "1"]
    assert '"/" INBOX' in run(curl, *base, url).stdout
    wrong = ("-u", f"{ALICE}:wrong")
    done = subprocess.run([curl, *map(str, base[:3]), *wrong, f"{url}/INBOX"], capture_output=True, check=False)
    assert done.returncode == 67  # CURLE_LOGIN_DENIED


MBSYNC = """
IMAPStore far
Host {host}
Port {port}
User {user}
Pass {password}
SSLType IMAPS
CertificateFile {certificate}

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


def test_mbsync_in_both_directions(peer, server, tmp_path):
    mbsync = peer("mbsync")
    maildir = tmp_path / "maildir"
    maildir.mkdir()
    rc = tmp_path / "mbsyncrc"
    site = server.site
    # mbsync compares names, and our host is an address: it is told the server's own certificate.
    certificate = tmp_path / "server.pem"
    certificate.write_text(ssl.get_server_certificate((site.host, site.ports.imaps)))
    rc.write_text(
        MBSYNC.format(
            host=site.host,
            port=site.ports.imaps,
            user=ALICE,
            password=server.passwords[ALICE],
            certificate=certificate,
            maildir=maildir,
        )
    )
    fill(server, 3)
    command = (mbsync, "-c", rc, "-a")
    run(*command, HOME=str(tmp_path))
    near = mailbox.Maildir(maildir / "INBOX", create=False)
    assert len(near) == 3
    assert {entry.name for entry in maildir.iterdir()} >= {"INBOX", "Sent", "Trash", "Archive"}
    # from here to there: a new message, a flag, a removal, a new mailbox
    keys = list(near.keys())
    near.add(mailbox.MaildirMessage(MESSAGE.replace(b"A word", b"From here").replace(b"\r\n", b"\n")))
    for key, flags in zip(keys, ("FS", "T"), strict=False):
        changed = mailbox.MaildirMessage(near[key])
        changed.set_subdir("cur")
        changed.set_flags(flags)
        near[key] = changed
    projects = mailbox.Maildir(maildir / "Projects", create=True)
    projects.add(mailbox.MaildirMessage(MESSAGE.replace(b"\r\n", b"\n")))
    run(*command, HOME=str(tmp_path))
    assert messages(server, "Projects") == 1
    with imaps(server) as client:
        assert client.select("INBOX") == ("OK", [b"3"])
        assert client.search(None, "SUBJECT", '"From here"')[1] != [b""]
        assert len(client.search(None, "FLAGGED", "SEEN")[1][0].split()) == 1
        # and from there to here again
        client.store("1:*", "+FLAGS", "\\Answered")
    run(*command, HOME=str(tmp_path))
    near = mailbox.Maildir(maildir / "INBOX", create=False)
    assert len(near) == 3
    assert all("R" in message.get_flags() for message in near)
    # nothing is left to be done
    before = sorted(path.name for path in maildir.rglob("cur/*"))
    run(*command, HOME=str(tmp_path))
    assert sorted(path.name for path in maildir.rglob("cur/*")) == before


def test_fetchmail_fetches_and_removes(peer, server, tmp_path):
    fetchmail = peer("fetchmail")
    fill(server, 2)
    got = tmp_path / "got"
    rc = tmp_path / "fetchmailrc"
    rc.write_text(
        f"poll {server.site.host} protocol imap port {server.site.ports.imaps} username {ALICE} "
        f'password "{server.passwords[ALICE]}" ssl sslcertck sslcertfile {server.site.authority} '
        f'sslcommonname {server.site.hostname} mda "cat >> {got}"\n'
    )
    rc.chmod(0o600)
    run(fetchmail, "-f", rc, "--pidfile", tmp_path / "pid", "-a", HOME=str(tmp_path), USER="alice")
    assert got.read_text().count("Subject: A word") == 2
    assert messages(server, "INBOX") == 0


def test_mutt_moves_messages(peer, server, tmp_path):
    mutt = peer("mutt")
    fill(server, 2)
    rc = tmp_path / "muttrc"
    url = f"imaps://{server.site.host}:{server.site.ports.imaps}/"
    rc.write_text(
        f"set folder={url} spoolfile=+INBOX imap_user={ALICE} imap_pass='{server.passwords[ALICE]}'\n"
        f"set certificate_file={server.site.authority} ssl_ca_certificates_file={server.site.authority}\n"
        "set ssl_usesystemcerts=no ssl_verify_host=no\n"
        'set move=no delete=yes confirmappend=no confirmcreate=no header_cache="" timeout=5\n'
        'push "<tag-pattern>.<enter><tag-prefix><save-message><kill-line>=Archive<enter><sync-mailbox><quit>"\n'
    )
    run("script", "-qec", f"{mutt} -F {rc}", "/dev/null", HOME=str(tmp_path), TERM="xterm")
    assert messages(server, "INBOX") == 0
    assert messages(server, "Archive") == 2
