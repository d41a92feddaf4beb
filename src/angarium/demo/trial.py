"""The trial: one message with an attachment from alice to bob, over every protocol a mail client uses.

It is a client like any other: it knows ports, passwords and the CA, and nothing of the server's insides. Each step
prints what it did; the first that fails ends the trial with its error.
"""

from __future__ import annotations

import email
import email.policy
import imaplib
import poplib
import smtplib
import ssl
import time
from email.message import EmailMessage
from email.utils import make_msgid

from angarium.demo.site import Site

_PATIENCE = 10.0
"""Seconds to wait for the message; it takes milliseconds."""

_ATTACHMENT = bytes(range(256)) * 40


class TrialError(Exception):
    """The message did not come through as it was sent."""


def compose(sender: str, recipient: str) -> EmailMessage:
    """The message: a text, a name outside ASCII, an attachment with every byte value."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = f"Alice <{sender}>"
    message["To"] = f"Bob <{recipient}>"
    message["Subject"] = "Angarium carries this ✉ پیام"
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message.set_content("Neither snow nor rain nor heat nor night stays these couriers.\n\n.a line with a dot\n")
    message.add_attachment(_ATTACHMENT, maintype="application", subtype="octet-stream", filename="bytes.bin")
    return message


def submit(site: Site, context: ssl.SSLContext, sender: str, password: str, message: EmailMessage) -> None:
    """Send it through submission: STARTTLS, AUTH, MAIL, RCPT, DATA."""
    with smtplib.SMTP(site.host, site.ports.submission, timeout=_PATIENCE) as client:
        client.starttls(context=context)
        client.login(sender, password)
        client.send_message(message)


class Idler:
    """An IMAP session that waits in IDLE. imaplib has no IDLE before Python 3.14, so its three lines are here."""

    def __init__(self, site: Site, context: ssl.SSLContext, user: str, password: str) -> None:
        self.client = imaplib.IMAP4_SSL(site.host, site.ports.imaps, ssl_context=context, timeout=_PATIENCE)
        self.client.login(user, password)
        self.client.select("INBOX")

    def begin(self) -> None:
        """Enter IDLE (RFC 2177)."""
        self.client.send(b"idle1 IDLE\r\n")
        self._expect(b"+")

    def wait(self) -> None:
        """Wait for an EXISTS, then leave IDLE."""
        while not self.client.readline().rstrip().endswith(b"EXISTS"):
            pass
        self.client.send(b"DONE\r\n")
        self._expect(b"idle1 OK")

    def _expect(self, start: bytes) -> None:
        while True:
            line = self.client.readline()
            if not line:
                msg = "the IMAP server hung up"
                raise TrialError(msg)
            if line.startswith(start):
                return

    def newest(self) -> bytes:
        """The last message of the mailbox."""
        _status, found = self.client.uid("SEARCH", "ALL")
        _status, data = self.client.uid("FETCH", found[0].split()[-1].decode(), "(BODY.PEEK[])")
        literal = data[0]
        assert isinstance(literal, tuple)
        content: bytes = literal[1]
        return content


def over_pop3(site: Site, context: ssl.SSLContext, user: str, password: str) -> bytes:
    """The last message of the maildrop."""
    client = poplib.POP3_SSL(site.host, site.ports.pop3s, context=context, timeout=_PATIENCE)
    try:
        client.user(user)
        client.pass_(password)
        count, _size = client.stat()
        _status, lines, _octets = client.retr(count)
    finally:
        client.quit()
    return b"\r\n".join(lines) + b"\r\n"


def check(sent: EmailMessage, received: bytes, protocol: str) -> email.message.EmailMessage:
    """Compare what came with what was sent. Raises TrialError."""
    message = email.message_from_bytes(received, policy=email.policy.SMTP)
    for name in ("Message-ID", "Subject", "From", "To"):
        if str(message[name]) != str(sent[name]):
            msg = f"{protocol}: {name} is {message[name]!r}, not {sent[name]!r}"
            raise TrialError(msg)
    attachments = [part.get_content() for part in message.iter_attachments()]
    if attachments != [_ATTACHMENT]:
        msg = f"{protocol}: the attachment differs"
        raise TrialError(msg)
    return message


def run(site: Site, passwords: dict[str, str]) -> None:
    """The whole trial, told on standard output.

    Raises:
        TrialError, OSError, smtplib.SMTPException, imaplib.IMAP4.error, poplib.error_proto: a step failed.
    """
    alice, bob = f"alice@{site.domain}", f"bob@{site.domain}"
    context = ssl.create_default_context(cafile=str(site.authority))
    idler = Idler(site, context, bob, passwords[bob])
    idler.begin()
    print(f"bob waits in IMAP IDLE on {site.host}:{site.ports.imaps}")

    message = compose(alice, bob)
    begun = time.monotonic()
    submit(site, context, alice, passwords[alice], message)
    accepted = time.monotonic()
    print(f"alice submitted {message['Message-ID']} over STARTTLS: accepted after {(accepted - begun) * 1000:.0f} ms")
    idler.wait()
    print(f"IDLE told bob of it {(time.monotonic() - accepted) * 1000:.0f} ms after that")

    over_imap = idler.newest()
    check(message, over_imap, "IMAP")
    idler.client.logout()
    print(f"\nwhat bob reads over IMAP ({len(over_imap)} bytes, the attachment is whole):\n")
    print(_excerpt(over_imap))
    retrieved = over_pop3(site, context, bob, passwords[bob])
    check(message, retrieved, "POP3")
    if retrieved != over_imap:
        msg = "POP3 and IMAP show different bytes"
        raise TrialError(msg)
    print(f"\nand over POP3: the same {len(retrieved)} bytes")
    print("\nits path in the log:\n")
    for line in path_in_log(site, str(message["Message-ID"])):
        print("  " + line)


def _excerpt(content: bytes) -> str:
    lines = content.decode("utf-8", "replace").splitlines()
    shown = lines[:28]
    return "\n".join("  " + line for line in shown) + (
        f"\n  … {len(lines) - len(shown)} more lines" if lines[28:] else ""
    )


def path_in_log(site: Site, message_id: str) -> list[str]:
    """The log lines of the queue id that carried ``message_id``."""
    lines = site.log.read_text(encoding="utf-8", errors="replace").splitlines()
    ids = [_queue_id(line) for line in lines if f"message-id={message_id}" in line]
    return [line for line in lines if any(f" {queue_id}: " in line for queue_id in ids)]


def _queue_id(line: str) -> str:
    return line.partition("]: ")[2].partition(":")[0]
