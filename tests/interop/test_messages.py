"""Messages made by others come back byte for byte, with the BODY and BODYSTRUCTURE that Dovecot answers for them."""

import imaplib
import re
from pathlib import Path

import pytest

MESSAGES = Path(__file__).parents[1] / "data" / "messages"
BOB = "bob@example.test"
LETTERS = sorted(MESSAGES.rglob("*.eml"))


@pytest.fixture(scope="module")
def mailbox(server):
    client = imaplib.IMAP4_SSL(server.site.host, server.site.ports.imaps, ssl_context=server.tls, timeout=20)
    client.login(BOB, server.passwords[BOB])
    client.create("messages")
    client.select("messages")
    yield client
    client.close()
    client.delete("messages")
    client.logout()


def append(client, content):
    """APPEND as it stands: imaplib's own would make CRLF of each lone CR."""
    client.send(b"a1 APPEND messages {%d+}\r\n%b\r\n" % (len(content), content))
    while not (line := client.readline()).startswith(b"a1 "):
        assert line
    assert line.startswith(b"a1 OK"), line


def fetched(client, item):
    status, data = client.fetch("*", f"({item})")
    assert status == "OK"
    return b"".join(b"\r\n".join(piece) if isinstance(piece, tuple) else piece for piece in data)


def structure(text, name):
    """The parenthesised list behind ``name``, with runs of blanks folded: Dovecot wraps none, recorders may."""
    found = re.search(rf"\b{name} (\(.*\))\)", text, re.DOTALL)
    assert found is not None, text
    return re.sub(r"\s+", " ", found[1])


def test_there_are_messages():
    assert len(LETTERS) >= 16


@pytest.mark.parametrize("letter", LETTERS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_message_comes_back_as_it_was(mailbox, letter):
    sent = letter.read_bytes()
    append(mailbox, sent)
    mailbox.noop()
    _status, data = mailbox.fetch("*", "(BODY.PEEK[] RFC822.SIZE)")
    assert data[0][1] == sent
    assert f"RFC822.SIZE {len(sent)}".encode() in b"".join(
        piece if isinstance(piece, bytes) else piece[0] for piece in data
    )
    if b"\r\r\n" in sent:  # Dovecot's answers to this one were recorded when its line ends had been put right
        append(mailbox, sent.replace(b"\r\r\n", b"\r\n"))
        mailbox.noop()
    for item, suffix in (("BODYSTRUCTURE", ".dovecot.bodystructure"), ("BODY", ".dovecot.body")):
        recorded = letter.with_suffix(suffix)
        expected = structure(recorded.read_text(encoding="utf-8", errors="replace"), item)
        assert structure(fetched(mailbox, item).decode("utf-8", "replace"), item) == expected
