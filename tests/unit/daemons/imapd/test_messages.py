"""SELECT, APPEND, FETCH, STORE, SEARCH, COPY, MOVE, EXPUNGE: one session's work on messages."""

from __future__ import annotations

import pytest
from tests.fakes.imap_server import MESSAGE

NESTED = (
    b"From: a@example.test\r\nSubject: outer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nfirst\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: inner\r\nX-Other: y\r\n\r\ninner text\r\n--b--\r\n"
)


@pytest.fixture
def client(connect):
    """INBOX is selected, with three messages."""
    client = connect()
    for _ in range(3):
        client.append()
    client.ok("SELECT INBOX")
    client.ok("SELECT INBOX")  # nothing is \\Recent any more
    return client


def test_select_tells_what_it_must(connect):
    client = connect()
    client.append(options="(\\Seen)")
    client.append(options="(Work)")
    responses = client.ok("SELECT INBOX")
    assert b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft Work)" in responses
    assert (
        b"* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft Work \\*)] Flags permitted." in responses
    )
    assert b"* 2 EXISTS" in responses
    assert b"* OK [UNSEEN 2] First unseen." in responses
    assert b"* OK [UIDNEXT 3] Predicted next UID" in responses
    assert responses[-1] == b"OK [READ-WRITE] Select completed."
    assert client.ok("EXAMINE INBOX")[-1] == b"OK [READ-ONLY] Examine completed."
    assert client.last("SELECT nowhere").startswith(b"NO [NONEXISTENT]")
    assert client.last("FETCH 1 FLAGS").startswith(b"BAD")  # a failed SELECT selects nothing


def test_append(connect):
    client = connect()
    assert client.append(options='(\\Seen $Forwarded) " 1-Jan-2020 10:00:00 +0100"').startswith(b"OK [APPENDUID ")
    assert client.append(mailbox="nowhere").startswith(b"NO [TRYCREATE]")
    assert client.append(b"").startswith(b"NO ")
    client.ok("SELECT INBOX")
    assert client.ok("FETCH 1 (FLAGS INTERNALDATE)")[0] == (
        b'* 1 FETCH (FLAGS (\\Seen \\Recent $Forwarded) INTERNALDATE " 1-Jan-2020 10:00:00 +0100")'
    )
    head = b"APPEND INBOX {%d+}\r\n" % len(MESSAGE)
    responses = client.ok(head + MESSAGE + b" (\\Flagged) {%d+}\r\n" % len(MESSAGE) + MESSAGE)
    assert b"* 3 EXISTS" in responses
    assert responses[-1].endswith(b" 2:3] Append completed.")


def test_a_large_append_goes_through_a_file_and_comes_back(server, connect):
    client = connect()
    large = MESSAGE + b"0123456789abcde\r\n" * 200_000
    assert client.append(large).startswith(b"OK")
    assert list((server.directory / "spool").iterdir()) == []
    client.ok("SELECT INBOX")
    assert client.ok("FETCH 1 (UID BODY.PEEK[] RFC822.SIZE)")[0] == (
        b"* 1 FETCH (UID 1 BODY[] {%d}\r\n" % len(large) + large + b" RFC822.SIZE %d)" % len(large)
    )
    assert client.ok("FETCH 1 BODY.PEEK[]<117.17>")[0] == b"* 1 FETCH (BODY[]<117> {17}\r\n0123456789abcde\r\n)"


def test_a_client_that_goes_in_the_middle_of_a_literal(server, connect):
    client = connect()
    client.send(b"a APPEND INBOX {3000000}\r\n")
    assert client.line() == b"+ OK"
    client.send(b"x" * 2_000_000)
    client.close()
    server.settled()
    assert list((server.directory / "spool").iterdir()) == []
    assert connect().ok("STATUS INBOX (MESSAGES)")[0].endswith(b"(MESSAGES 0)")


def test_fetch_by_number_and_uid(client):
    assert client.ok("FETCH 2:3 (UID FLAGS)")[:2] == [
        b"* 2 FETCH (UID 2 FLAGS ())",
        b"* 3 FETCH (UID 3 FLAGS ())",
    ]
    assert client.ok("uid fetch 6:* (FLAGS)")[0] == b"* 3 FETCH (UID 3 FLAGS ())"
    assert client.ok("UID FETCH 10:20 (FLAGS)") == [b"OK Fetch completed."]
    assert client.last("FETCH 4 FLAGS") == b"BAD Invalid messageset"


def test_fetch_of_a_body_sets_seen_and_peek_does_not(client):
    assert client.ok("FETCH 1 BODY.PEEK[TEXT]")[0] == b"* 1 FETCH (BODY[TEXT] {8}\r\nHello.\r\n)"
    assert client.ok("UID FETCH 1 BODY[TEXT]")[0] == b"* 1 FETCH (UID 1 FLAGS (\\Seen) BODY[TEXT] {8}\r\nHello.\r\n)"
    assert client.ok("FETCH 1 RFC822.HEADER")[0].startswith(b"* 1 FETCH (RFC822.HEADER {109}\r\nFrom: ")
    client.ok("EXAMINE INBOX")
    client.ok("FETCH 2 BODY[]")
    assert client.ok("FETCH 2 FLAGS")[0] == b"* 2 FETCH (FLAGS ())"


@pytest.mark.parametrize(
    ("item", "value"),
    [
        (b"BODY[1]", b"first"),
        (b"BODY[1.MIME]", b"Content-Type: text/plain\r\n\r\n"),
        (b"BODY[2.HEADER]", b"Subject: inner\r\nX-Other: y\r\n\r\n"),
        (b"BODY[2.TEXT]", b"inner text"),
        (b"BODY[2.1]", b"inner text"),
        (b"BODY[2.HEADER.FIELDS (SUBJECT)]", b"Subject: inner\r\n\r\n"),
        (b"BODY[2.HEADER.FIELDS.NOT (SUBJECT)]", b"X-Other: y\r\n\r\n"),
        (b"BODY[HEADER.FIELDS (SUBJECT FROM)]", b"From: a@example.test\r\nSubject: outer\r\n\r\n"),
        (
            b"BODY[HEADER.FIELDS.NOT (FROM SUBJECT)]",
            b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        ),
        (b"BODY[1]<1>", b"irs"),
        (b"BODY[9]", b""),
        (b"BODY[1.1]", b"first"),  # as Dovecot answers
        (b"BODY[1.1.1]", b""),
        (b"BODY[2.1.1]", b""),
        (b"BODY[1.HEADER]", b""),
        (b"BODY[]", NESTED),
    ],
)
def test_sections(connect, item, value):
    client = connect()
    client.append(NESTED)
    client.ok("EXAMINE INBOX")
    asked = item.replace(b"<1>", b"<1.3>")
    assert client.ok(b"FETCH 1 " + asked)[0] == b"* 1 FETCH (" + item + b" {%d}\r\n" % len(value) + value + b")"


def test_below_a_message_that_is_one_part_there_is_nothing(client):
    assert client.ok("FETCH 1 (BODY.PEEK[1] BODY.PEEK[1.1])")[0] == (
        b"* 1 FETCH (BODY[1] {8}\r\nHello.\r\n BODY[1.1] {0}\r\n)"
    )


def test_the_last_log_line_counts_headers(server, client):
    for item in ("BODY.PEEK[HEADER]", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]"):
        client.ok(f"FETCH 1 {item}")
    client.close()
    (line,) = [line for line in server.settled() if "hdr_count=2" in line]
    assert int(line.partition("hdr_bytes=")[2].split()[0]) > 130


def test_store(client):
    assert client.ok("STORE 1:2 +FLAGS (\\Seen)")[:2] == [
        b"* 1 FETCH (FLAGS (\\Seen))",
        b"* 2 FETCH (FLAGS (\\Seen))",
    ]
    assert client.ok("STORE 1 -FLAGS.SILENT (\\Seen)") == [b"OK Store completed."]
    assert client.ok("UID STORE 3 FLAGS (\\Draft Work)")[-2] == b"* 3 FETCH (UID 3 FLAGS (\\Draft Work))"
    # a new keyword is announced, and its first spelling stays
    assert client.ok("STORE 1 +FLAGS (New)")[0].startswith(b"* FLAGS (")
    assert client.ok("STORE 2 +FLAGS (nEW)")[0] == b"* 2 FETCH (FLAGS (\\Seen New))"
    assert client.ok("NOOP") == [b"OK NOOP completed."]  # no echo
    client.ok("EXAMINE INBOX")
    assert client.last("STORE 1 +FLAGS (\\Seen)").startswith(b"NO [READ-ONLY]")


def test_condstore(client):
    assert client.ok("FETCH 1 (MODSEQ)")[0].startswith(b"* OK [HIGHESTMODSEQ ")
    highest = int(client.ok("STATUS INBOX (HIGHESTMODSEQ)")[0].split()[-1][:-1])
    stored = client.ok("STORE 2 +FLAGS.SILENT (\\Seen)")
    assert stored[0] == b"* 2 FETCH (UID 2 MODSEQ (%d))" % (highest + 1)
    assert client.ok(f"FETCH 1:* (FLAGS) (CHANGEDSINCE {highest})")[:-1] == [
        b"* 2 FETCH (FLAGS (\\Seen) MODSEQ (%d))" % (highest + 1)
    ]
    assert client.ok(f"STORE 1:2 (UNCHANGEDSINCE {highest}) +FLAGS (\\Flagged)")[-1] == (
        b"OK [MODIFIED 2] Conditional store failed."
    )
    assert client.ok(f"SEARCH MODSEQ {highest + 2}")[0] == b"* SEARCH 1 (MODSEQ %d)" % (highest + 2)
    assert client.ok(f"SEARCH RETURN (ALL) MODSEQ {highest + 1}")[0].endswith(b" ALL 1:2 MODSEQ %d" % (highest + 2))


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("ALL", b" 1 2 3"),
        ("2", b" 2"),
        ("9", b""),
        ("UID 2:*", b" 2 3"),
        ("SEEN", b" 2"),
        ("UNSEEN DELETED", b" 3"),
        ("OR SEEN DELETED", b" 2 3"),
        ("NOT (OR SEEN DELETED)", b" 1"),
        ("KEYWORD work", b" 1"),
        ("UNKEYWORD Work", b" 2 3"),
        ('SUBJECT "a WORD"', b" 1 2 3"),
        ("FROM ann", b" 1 2 3"),
        ("TO ann", b""),
        ('HEADER Subject ""', b" 1 2 3"),
        ("HEADER X-None x", b""),
        ("BODY hello", b" 1 2 3"),
        ("TEXT bob@example", b" 1 2 3"),
        ("BODY bob@example", b""),
        ("LARGER 116", b" 1 2 3"),
        ("SMALLER 117", b""),
        ("SENTON 1-Jan-2024", b" 1 2 3"),
        ("SENTBEFORE 1-Jan-2024", b""),
        ("SENTSINCE 1-Jan-2024", b" 1 2 3"),
        ("SINCE 1-Jan-2024", b" 1 2 3"),
        ("BEFORE 1-Jan-2024", b""),
        ("CHARSET UTF-8 SUBJECT word", b" 1 2 3"),
    ],
)
def test_search(client, program, found):
    client.ok("STORE 1 +FLAGS.SILENT (Work)")
    client.ok("STORE 2 +FLAGS.SILENT (\\Seen)")
    client.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
    assert client.ok("SEARCH " + program)[0] == b"* SEARCH" + found


def test_esearch_and_saved_results(client):
    assert client.ok("UID SEARCH RETURN (MIN MAX COUNT) ALL")[0].endswith(b" UID MIN 1 MAX 3 COUNT 3")
    assert client.ok("SEARCH RETURN (COUNT) SEEN")[0].endswith(b" COUNT 0")
    assert client.ok("SEARCH RETURN (SAVE) 2:3") == [b"OK Search completed."]
    assert client.ok("FETCH $ UID")[:-1] == [b"* 2 FETCH (UID 2)", b"* 3 FETCH (UID 3)"]
    assert client.last("SEARCH CHARSET klingon SUBJECT x").startswith(b"NO [BADCHARSET")


def test_copy_move_and_expunge(client):
    copied = client.last("COPY 1:2 Archive")
    assert copied.startswith(b"OK [COPYUID ")
    assert copied.endswith(b" 1:2 1:2] Copy completed.")
    assert client.last("COPY 1 nowhere").startswith(b"NO [TRYCREATE]")
    assert client.last("UID COPY 77 Archive") == b"OK Copy completed."
    moved = client.ok("UID MOVE 2 Trash")
    assert moved[0].startswith(b"* OK [COPYUID ")
    assert moved[1:] == [b"* 2 EXPUNGE", b"OK Move completed."]
    client.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    assert client.ok("UID EXPUNGE 3")[0] == b"* 2 EXPUNGE"
    assert client.ok("EXPUNGE")[0] == b"* 1 EXPUNGE"
    assert client.ok("STATUS Archive (MESSAGES)")[0].endswith(b"(MESSAGES 2)")


def test_close_expunges_silently_and_unselect_does_not(client):
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok("UNSELECT")
    client.ok("SELECT INBOX")
    assert client.ok("CLOSE") == [b"OK Close completed."]
    assert client.ok("STATUS INBOX (MESSAGES)")[0].endswith(b"(MESSAGES 2)")


@pytest.mark.parametrize(
    ("date", "day"),
    [
        ("Mon, 1 Jan 2024 23:30:00 -0800", "1-Jan-2024"),
        ("1 Jan 2024 00:30:00 +0900 (JST)", "1-Jan-2024"),
        ("Mon,\r\n 1 Jan 2024 00:30 EST", "1-Jan-2024"),
    ],
)
def test_the_date_sent_is_the_one_that_is_written(connect, date, day):
    client = connect()
    client.append(f"Date: {date}\r\n\r\n".encode())
    client.append(b"Subject: no date\r\n\r\n")
    client.ok("SELECT INBOX")
    assert client.ok(f"SEARCH SENTON {day}")[0] == b"* SEARCH 1"
    assert client.ok(f"SEARCH SENTSINCE {day}")[0] == b"* SEARCH 1"
    assert client.ok(f"SEARCH SENTBEFORE {day}")[0] == b"* SEARCH"
    assert client.ok(f"SEARCH NOT SENTON {day}")[0] == b"* SEARCH 2"
    assert client.ok("SEARCH SENTBEFORE 2-Jan-2024")[0] == b"* SEARCH 1"


def test_keywords_are_bounded(client):
    many = " ".join(f"k{number}" for number in range(600))
    assert client.last(f"STORE 1 +FLAGS ({many})").startswith(b"NO [LIMIT]")
    assert client.last(f"STORE 1 +FLAGS ({'x' * 300})").startswith(b"NO [LIMIT]")
    assert client.append(options=f"({many})").startswith(b"NO [LIMIT]")
    assert client.ok("FETCH 1 FLAGS")[0] == b"* 1 FETCH (FLAGS ())"
