"""Appending, reading, flags, copying, moving, expunging: RFC 9051, RFC 4315, RFC 6851, RFC 7162."""

from __future__ import annotations

import asyncio
import math

import pytest

from angarium.mailstore.interface import (
    Column,
    FlagOperation,
    HeaderFields,
    NoSuchMailboxError,
    OverQuotaError,
    PartSpan,
    Place,
    TextWhere,
)
from angarium.model.content import MemoryContent
from angarium.model.quota import QuotaLimit, QuotaPlan

SEEN = frozenset({"\\Seen"})
DELETED = frozenset({"\\Deleted"})


def numbered(number: int) -> bytes:
    return b"Subject: number %d\r\nFrom: a@example.org\r\n\r\nbody %d\r\n" % (number, number)


def test_append_gives_uids_in_order_and_counts(run, mail):
    async def test(account, _store):
        first = await account.append([mail(numbered(1)), mail(numbered(2), "\\Seen", "work")])
        (third,) = await account.append([mail(numbered(3), "\\Deleted")])
        assert [one.uid for one in (*first, third)] == [1, 2, 3]
        assert first[0].modseq < first[1].modseq < third.modseq
        status = await account.status(third.mailbox)
        assert (status.messages, status.unseen, status.deleted, status.uidnext) == (3, 2, 1, 4)
        assert status.size == 3 * len(numbered(1))
        assert status.highestmodseq == third.modseq
        assert status.uidvalidity == third.uidvalidity
        states = await account.states(third.mailbox)
        assert [(one.uid, one.flags) for one in states] == [
            (1, frozenset()),
            (2, frozenset({"\\Seen", "work"})),
            (3, DELETED),
        ]

    run(test)


def test_a_header_folded_at_a_tab_is_found_with_a_blank(run, mail):
    async def test(account, _store):
        block = b"Subject: one\r\n\ttwo\r\nX-Other: one\r\n\ttwo\r\n\r\nx\r\n"
        (where,) = await account.append([mail(block)])
        assert await account.search_header(where.mailbox, "Subject", "One two") == {1}
        assert await account.search_header(where.mailbox, "X-Other", "one two") == {1}
        assert await account.search_text(where.mailbox, "one two", TextWhere.TEXT) == {1}

    run(test)


def test_what_is_recent_is_claimed_once(run, mail):
    async def test(account, _store):
        (first, _second) = await account.append([mail(), mail()])
        inbox = first.mailbox
        status = await account.status(inbox)
        assert (status.recent, status.first_recent) == (2, 1)
        assert [await account.claim_recent(inbox, 3), await account.claim_recent(inbox, 3)] == [1, 3]
        assert await account.claim_recent(inbox, 2) == 3  # an earlier state claims nothing back
        assert await account.claim_recent(inbox, 99) == 3  # nor what is to come
        assert (await account.status(inbox)).highestmodseq == status.highestmodseq
        await account.copy(inbox, [1], "INBOX")
        status = await account.status(inbox)
        assert (status.recent, status.first_recent) == (1, 3)
        await account.remove(inbox, [3])
        assert (await account.status(inbox)).recent == 0
        with pytest.raises(NoSuchMailboxError):
            await account.claim_recent(99_999, 1)

    run(test)


def test_append_is_all_or_nothing(run, mail):
    async def test(account, _store):
        with pytest.raises(NoSuchMailboxError):
            await account.append([mail(), mail(mailbox="missing")])
        inbox = await account.mailbox("INBOX")
        assert (await account.status(inbox.id)).messages == 0
        assert (await account.quota()).bytes_used == 0
        assert [one.uid for one in await account.append([mail()])] == [1]

    run(test)


def test_a_delivery_made_twice_is_stored_once(run, mail):
    async def test(account, _store):
        (first,) = await account.append([mail(key="4F2A 1")])
        (again,) = await account.append([mail(key="4F2A 1")])
        (other,) = await account.append([mail(key="4F2A 2")])
        assert again.duplicate
        assert (again.uid, again.uidvalidity, again.modseq) == (first.uid, first.uidvalidity, first.modseq)
        assert (other.uid, other.duplicate) == (2, False)
        both = await asyncio.gather(*[account.append([mail(key="4F2B 1")]) for _time in range(5)])
        assert sum(not one[0].duplicate for one in both) == 1

    run(test)


def test_a_delivery_that_was_expunged_is_still_known(run, mail):
    async def test(account, _store):
        (first,) = await account.append([mail(key="k")])
        await account.remove(first.mailbox, [first.uid])
        assert (await account.append([mail(key="k")]))[0].duplicate

    run(test)


@pytest.mark.parametrize("threshold", [16, 1_000_000])
def test_a_message_comes_back_byte_for_byte(run, mail, threshold):
    samples = [
        b"",
        b"\r\n",
        b"no header at all",
        b"Subject: x\r\n\r\n" + bytes(range(256)) * 10,
        b"Subject: \xff\xfe\0\r\n\r\nbare\nlines\r\r\n",
        b"Subject: big\r\n\r\n" + b"0123456789" * 200_000,
        b"A: " + b"x" * 100_000 + b"\r\n\r\nbody",
    ]

    async def test(account, _store):
        for sample in samples:
            (where,) = await account.append([mail(sample, prefix=b"Received: by us\r\n")])
            ((uid, content),) = await account.bodies(where.mailbox, [where.uid])
            whole = b"Received: by us\r\n" + sample
            assert (uid, content.size) == (where.uid, len(whole))
            assert content.read() == whole
            assert b"".join(content.chunks()) == whole
            assert content.read(5, 40) == whole[5:40]
            assert b"".join(content.chunks(10, 12)) == whole[10:12]
            assert content.read(len(whole), None) == b""
            assert (await account.columns(where.mailbox, [uid], [Column.SIZE])) == [(uid, len(whole))]

    run(test, body_file_threshold=threshold)


def test_columns(run, mail):
    async def test(account, _store):
        (where,) = await account.append([mail()])
        wanted = [
            Column.ENVELOPE,
            Column.BODY,
            Column.BODYSTRUCTURE,
            Column.INTERNALDATE,
            Column.SIZE,
            Column.HEADER,
            Column.SAVEDATE,
        ]
        ((uid, envelope, body, structure, internal, size, header, saved),) = await account.columns(
            where.mailbox, [where.uid], wanted
        )
        person = b'(("Alice" NIL "alice" "example.org"))'
        assert envelope == (
            b'("Tue, 24 Nov 2026 08:00:00 +0100" "=?utf-8?q?Caf=C3=A9?= plans" '
            + b" ".join([person] * 3)
            + b' (("Bob" NIL "bob" "example.test")) NIL NIL NIL NIL)'
        )
        assert body == b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 16 1)'
        assert structure == b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 16 1 NIL NIL NIL NIL)'
        assert internal == b'" 9-Sep-2001 03:46:40 +0200"'
        assert header.endswith(b"X-Rare: yes\r\n\r\n")
        assert saved == b'"24-Nov-2026 06:00:00 +0000"'
        assert size == len(header) + 16
        assert uid == 1

    run(test)


@pytest.mark.parametrize("count", [1, 5, 200])
def test_columns_of_some_messages_come_by_uid(run, mail, count):
    async def test(account, _store):
        appended = await account.append([mail(numbered(n + 1)) for n in range(count)])
        inbox = appended[0].mailbox
        some = [one.uid for one in appended if one.uid % 3 != 0]
        rows = await account.columns(inbox, [*some, 9999], [Column.SIZE, Column.HEADER])
        assert [row[0] for row in rows] == some
        assert all(row[2].startswith(b"Subject: number %d\r\n" % row[0]) for row in rows)
        assert await account.columns(inbox, [], [Column.SIZE]) == []
        assert await account.columns(inbox, [12345], [Column.SIZE]) == []
        assert await account.columns(inbox, some, []) == [(uid,) for uid in some]
        assert await account.columns(9999, some, [Column.SIZE]) == []

    run(test)


def test_a_nul_in_a_header_does_not_mix_up_columns(run, mail):
    async def test(account, _store):
        headers = [b"Subject: a\0b%d\r\n\r\n" % n for n in range(100)]
        appended = await account.append([mail(header) for header in headers])
        rows = await account.columns(appended[0].mailbox, [one.uid for one in appended], [Column.HEADER, Column.SIZE])
        assert [(header, size) for _uid, header, size in rows] == [(header, len(header)) for header in headers]

    run(test)


def test_emailid_stays_with_copies(run, mail):
    async def test(account, _store):
        (first, second) = await account.append([mail(), mail()])
        copied = await account.copy(first.mailbox, [first.uid], "Archive")
        archive = await account.mailbox("Archive")
        ((_, here),) = await account.columns(first.mailbox, [first.uid], [Column.EMAILID])
        ((_, there),) = await account.columns(archive.id, [copied.pairs[0][1]], [Column.EMAILID])
        ((_, other),) = await account.columns(first.mailbox, [second.uid], [Column.EMAILID])
        assert here == there != other

    run(test)


@pytest.mark.parametrize("count", [3, 100])
def test_header_fields_stand_as_they_were(run, mail, count):
    first = b"FROM: a@b\r\nSubject: one\r\n two\r\nX-Rare: 1\r\nDate: d\r\n\r\nx"
    second = b"Date: e\r\nsubject: three\r\nTo: c@d\r\n\r\nx"
    twice = b"Subject: s1\r\nTo: t\r\nSubject: s2\r\n\r\nx"

    async def test(account, _store):
        appended = await account.append([mail((first, second)[n % 2]) for n in range(count)])
        inbox, uids = appended[0].mailbox, [one.uid for one in appended]
        found = await account.header_fields(inbox, uids, ["Date", "SUBJECT", "from"])
        assert found[:2] == [
            (1, b"FROM: a@b\r\nSubject: one\r\n two\r\nDate: d\r\n"),
            (2, b"Date: e\r\nsubject: three\r\n"),
        ]
        assert len(found) == count
        assert (await account.header_fields(inbox, uids, ["x-rare", "to"]))[:2] == [
            (1, b"X-Rare: 1\r\n"),
            (2, b"To: c@d\r\n"),
        ]
        assert await account.header_fields(inbox, [1], ["nothing"]) == [(1, b"")]
        (last,) = await account.append([mail(twice)])
        assert await account.header_fields(inbox, [*uids, last.uid], ["Subject"]) == [
            *[(uid, b"Subject: one\r\n two\r\n" if uid % 2 else b"subject: three\r\n") for uid in uids],
            (last.uid, b"Subject: s1\r\nSubject: s2\r\n"),
        ]

    run(test)


def test_rendered_is_what_the_columns_say(run, mail):
    async def test(account, _store):
        appended = await account.append([mail(numbered(n), *(["\\Seen"] if n % 2 else [])) for n in range(10)])
        inbox, uids = appended[0].mailbox, [one.uid for one in appended]
        pieces = (b"* ", Place.NUMBER, b" FETCH (UID ", Place.UID, b" FLAGS ", Place.FLAGS, b" RFC822.SIZE ",
                  Column.SIZE,
                  b" X ", HeaderFields(("subject",)), b")\r\n")  # fmt: skip

        def expected(numbers):
            return b"".join(
                b"* %d FETCH (UID %d FLAGS (%b) RFC822.SIZE %d X {%d}\r\nSubject: number %d\r\n\r\n)\r\n"
                % (number, uid, b"\\Seen" if (uid - 1) % 2 else b"", len(numbered(1)), 21, uid - 1)
                for number, uid in numbers
            )

        assert await account.rendered(inbox, uids, 1, pieces) == expected([(uid, uid) for uid in uids])
        await account.remove(inbox, [2, 5])
        left = [uid for uid in uids if uid not in (2, 5)]
        numbers = [(n + 7, uid) for n, uid in enumerate(left)]
        assert await account.rendered(inbox, left, 7, pieces) == expected(numbers)
        assert await account.rendered(inbox, uids, 1, pieces) is None
        assert await account.rendered(inbox, left, 1, (Column.HEADER,)) is None
        assert await account.rendered(inbox, left, 1, (HeaderFields(("x-rare",)),)) is None
        assert await account.rendered(inbox, [], 1, pieces) == b""
        twice = b"Subject: s1\r\nTo: t\r\nSubject: s2\r\n\r\nx"
        (last,) = await account.append([mail(twice)])
        size = (b"* ", Place.NUMBER, b" ", Column.SIZE, b"\r\n")
        assert await account.rendered(inbox, [last.uid], 9, size) == b"* 9 %d\r\n" % len(twice)
        # Its subjects do not stand together, which the columns cannot give back.
        assert await account.rendered(inbox, [uids[-1], last.uid], 8, pieces) is None

    run(test)


def test_parts(run, mail):
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nX: y\r\n\r\ntwo\r\n--b--\r\n"

    async def test(account, _store):
        (where,) = await account.append([mail(data, prefix=b"Received: by us\r\n")])
        table = await account.parts(where.mailbox, where.uid)
        whole = b"Received: by us\r\n" + data
        assert [span.path for span in table] == [(), (1,), (2,)]
        assert table[0] == PartSpan((), 0, whole.index(b"--b\r\n"), len(whole))
        assert [whole[span.body : span.end] for span in table[1:]] == [b"one", b"two"]
        assert whole[table[2].start : table[2].body] == b"X: y\r\n\r\n"
        with pytest.raises(KeyError):
            await account.parts(where.mailbox, 99)

    run(test)


def test_search_text(run, mail):
    alternative = (
        b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"Stra=DFe nach K=F6ln =\r\nhin\r\n"
        b"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        b"PGI+Qm9sZDwvYj4=\r\n"
        b"--b\r\nContent-Type: image/png\r\n\r\ninvisible\r\n--b--\r\n"
    )

    async def test(account, _store):
        (plain, rich) = await account.append([mail(), mail(alternative)])
        inbox = plain.mailbox

        async def body(needle):
            return await account.search_text(inbox, needle, TextWhere.BODY)

        assert await body("SHALL WE") == {1}
        assert await body("strasse nach KÖLN hin") == {rich.uid}
        assert await body("<b>bold") == {rich.uid}
        assert await body("invisible") == set()
        assert await body("nach ko") == {rich.uid}
        assert await account.search_text(inbox, "image/PNG", TextWhere.TEXT) == {rich.uid}
        assert await body("alice") == set()
        assert await account.search_text(inbox, "alice", TextWhere.TEXT) == {1}
        assert await account.search_text(inbox, "grüsse", TextWhere.TEXT) == {rich.uid}
        assert await body("") == {1, 2}

    run(test)


def test_search_in_a_large_mailbox(run, mail):
    async def test(account, _store):
        await account.append([mail(numbered(n)) for n in range(2100)])
        inbox = (await account.mailbox("INBOX")).id
        found = await asyncio.gather(
            account.search_text(inbox, "body 2050", TextWhere.BODY),
            account.search_header(inbox, "Subject", "NUMBER 2051"),
            account.append([mail()]),
        )
        assert found[:2] == [{2051}, {2052}]

    run(test)


def test_search_header(run, mail):
    async def test(account, _store):
        (one, two) = await account.append([mail(), mail(b"To: x@y\r\nSubject:\r\n\r\n")])
        inbox = one.mailbox
        assert await account.search_header(inbox, "Subject", "CAFÉ") == {1}
        assert await account.search_header(inbox, "subject", "") == {1, 2}
        assert await account.search_header(inbox, "From", "alice@EXAMPLE") == {1}
        assert await account.search_header(inbox, "From", "") == {1}
        assert await account.search_header(inbox, "to", "x@y") == {two.uid}
        assert await account.search_header(inbox, "x-rare", "YES") == {1}
        assert await account.search_header(inbox, "X-Rare", "") == {1}
        assert await account.search_header(inbox, "X-None", "") == set()

    run(test)


def test_search_dates(run, mail):
    async def test(account, _store):
        (one, _two) = await account.append([mail(), mail(b"Subject: x\r\n\r\n")])
        first, second = await account.search_dates(one.mailbox)
        assert first[:3] == (1, 1_000_000_000.0, 120)
        assert first[3] == 1_795_503_600.0
        assert math.isnan(second[3])
        assert second[4] == 14

    run(test)


def test_store_flags(run, mail):
    async def test(account, _store):
        appended = await account.append([mail(numbered(n)) for n in range(5)])
        inbox = appended[0].mailbox
        states, kept = await account.store_flags(inbox, [1, 2, 3], FlagOperation.ADD, SEEN | {"work"})
        assert [(one.uid, one.flags) for one in states] == [(uid, SEEN | {"work"}) for uid in (1, 2, 3)]
        assert kept == []
        assert len({one.modseq for one in states}) == 1
        assert states[0].modseq > appended[-1].modseq
        assert (await account.status(inbox)).unseen == 2
        again, _kept = await account.store_flags(inbox, [1, 4], FlagOperation.ADD, SEEN)
        assert [one.uid for one in again] == [4]
        states, _kept = await account.store_flags(inbox, [1, 4], FlagOperation.REMOVE, SEEN)
        assert [(one.uid, one.flags) for one in states] == [(1, frozenset({"work"})), (4, frozenset())]
        states, _kept = await account.store_flags(inbox, [1, 2], FlagOperation.REPLACE, DELETED)
        assert [one.flags for one in states] == [DELETED, DELETED]
        status = await account.status(inbox)
        assert (status.unseen, status.deleted) == (4, 2)
        assert await account.states(inbox) == sorted(
            [*states, *[one for one in await account.states(inbox) if one.uid > 2]]
        )
        assert (await account.store_flags(inbox, [99], FlagOperation.ADD, SEEN)) == ([], [])
        assert (await account.store_flags(inbox, [], FlagOperation.ADD, SEEN)) == ([], [])

    run(test)


def test_keywords_are_the_same_in_any_case(run, mail):
    async def test(account, _store):
        (one, two) = await account.append([mail(numbered(1), "$Label1"), mail(numbered(2), "$label1", "Work")])
        await account.store_flags(one.mailbox, [one.uid], FlagOperation.ADD, frozenset({"WORK"}))
        await account.store_flags(one.mailbox, [two.uid], FlagOperation.REMOVE, frozenset({"$LABEL1"}))
        assert [state.flags for state in await account.states(one.mailbox)] == [
            frozenset({"$Label1", "Work"}),
            frozenset({"Work"}),
        ]

    run(test)


def test_a_large_message_to_many_at_once(run, mail):
    data = b"Subject: large\r\n\r\n" + b"line\r\n" * 100_000
    one_mail = mail(data)

    async def test(_account, store):
        accounts = [await store.open(f"user{n}@example.test") for n in range(5)]
        await asyncio.gather(*[account.append([one_mail]) for account in accounts])
        for account in accounts:
            ((_uid, content),) = await account.bodies((await account.mailbox("INBOX")).id, [1])
            assert content.read() == data

    run(test)


def test_unchangedsince_keeps_newer_messages(run, mail):
    async def test(account, _store):
        appended = await account.append([mail(numbered(n)) for n in range(3)])
        inbox = appended[0].mailbox
        since = (await account.status(inbox)).highestmodseq
        await account.store_flags(inbox, [2], FlagOperation.ADD, SEEN)
        states, kept = await account.store_flags(inbox, [1, 2, 3], FlagOperation.ADD, DELETED, since)
        assert [one.uid for one in states] == [1, 3]
        assert kept == [2]
        assert (await account.states(inbox))[1].flags == SEEN

    run(test)


def test_changes(run, mail):
    async def test(account, _store):
        appended = await account.append([mail(numbered(n)) for n in range(4)])
        inbox = appended[0].mailbox
        since = (await account.status(inbox)).highestmodseq
        nothing = await account.changes(inbox, since)
        assert (list(nothing.states), list(nothing.vanished), nothing.highestmodseq) == ([], [], since)
        await account.store_flags(inbox, [3], FlagOperation.ADD, SEEN)
        await account.remove(inbox, [1, 4])
        (new,) = await account.append([mail()])
        changes = await account.changes(inbox, since)
        assert [(one.uid, one.flags) for one in changes.states] == [(3, SEEN), (new.uid, frozenset())]
        assert changes.vanished == [1, 4]
        assert changes.highestmodseq == new.modseq
        with pytest.raises(NoSuchMailboxError):
            await account.changes(9999, 0)

    run(test)


def test_copy(run, mail):
    async def test(account, _store):
        appended = await account.append([mail(numbered(n), "\\Flagged") for n in range(5)])
        inbox = appended[0].mailbox
        copied = await account.copy(inbox, [2, 4, 77], "Sent")
        sent = await account.mailbox("Sent")
        assert copied.uidvalidity == sent.uidvalidity
        assert list(copied.pairs) == [(2, 1), (4, 2)]
        assert [(one.uid, one.flags) for one in await account.states(sent.id)] == [
            (1, frozenset({"\\Flagged"})),
            (2, frozenset({"\\Flagged"})),
        ]
        assert [content.read() for _uid, content in await account.bodies(sent.id, [1, 2])] == [numbered(1), numbered(3)]
        assert (await account.quota()).messages_used == 7
        status = await account.status(sent.id)
        assert (status.messages, status.unseen, status.uidnext) == (2, 2, 3)
        assert status.size == 2 * len(numbered(1))
        with pytest.raises(NoSuchMailboxError):
            await account.copy(inbox, [1], "missing")
        assert list((await account.copy(inbox, [99], "Sent")).pairs) == []

    run(test)


@pytest.mark.parametrize("threshold", [16, 1_000_000])
def test_a_body_lives_as_long_as_its_last_copy(run, mail, threshold):
    async def test(account, _store):
        (one, other) = await account.append([mail(numbered(1)), mail(numbered(2))])
        inbox = one.mailbox
        await account.copy(inbox, [1], "INBOX")
        await account.copy(inbox, [1, 2], "Archive")
        archive = await account.mailbox("Archive")
        await account.remove(inbox, [1, other.uid, 3])
        assert [content.read() for _uid, content in await account.bodies(archive.id, [1, 2])] == [
            numbered(1),
            numbered(2),
        ]
        await account.remove(archive.id, [1])
        assert await account.bodies(archive.id, [1]) == []
        assert [content.read() for _uid, content in await account.bodies(archive.id, [2])] == [numbered(2)]

    run(test, body_file_threshold=threshold)


def test_move(run, mail):
    async def test(account, _store):
        appended = await account.append([mail(numbered(n)) for n in range(4)])
        inbox = appended[0].mailbox
        before = await account.quota()
        moved = await account.move(inbox, [1, 3], "Trash")
        trash = await account.mailbox("Trash")
        assert list(moved.pairs) == [(1, 1), (3, 2)]
        assert [one.uid for one in await account.states(inbox)] == [2, 4]
        assert [one.uid for one in await account.states(trash.id)] == [1, 2]
        assert await account.quota() == before
        assert (await account.changes(inbox, appended[-1].modseq)).vanished == [1, 3]
        assert ((await account.status(inbox)).messages, (await account.status(trash.id)).messages) == (2, 2)
        with pytest.raises(NoSuchMailboxError):
            await account.move(inbox, [2], "missing")
        assert [one.uid for one in await account.states(inbox)] == [2, 4]

    run(test)


def test_expunge(run, mail):
    async def test(account, _store):
        appended = await account.append([mail(numbered(n), *(["\\Deleted"] if n % 2 else [])) for n in range(6)])
        inbox = appended[0].mailbox
        assert await account.expunge(inbox, [1, 2]) == [2]
        assert await account.expunge(inbox) == [4, 6]
        assert await account.expunge(inbox) == []
        assert [one.uid for one in await account.states(inbox)] == [1, 3, 5]
        assert await account.remove(inbox, [3, 99]) == [3]
        status = await account.status(inbox)
        assert (status.messages, status.deleted, status.unseen, status.uidnext) == (2, 0, 2, 7)
        assert (await account.quota()).messages_used == 2

    run(test)


def test_uids_are_never_given_twice(run, mail):
    async def test(account, _store):
        (one,) = await account.append([mail()])
        await account.remove(one.mailbox, [one.uid])
        (two,) = await account.append([mail()])
        assert two.uid == one.uid + 1
        assert two.modseq > one.modseq

    run(test)


def test_quota_is_checked_in_the_transaction(run, mail):
    async def quota(account):
        return QuotaPlan(QuotaLimit(3 * len(numbered(1))))

    async def test(account, _store):
        await account.append([mail(numbered(1)), mail(numbered(2))])
        with pytest.raises(OverQuotaError):
            await account.append([mail(numbered(3)), mail(numbered(4))])
        (third,) = await account.append([mail(numbered(3))])
        with pytest.raises(OverQuotaError):
            await account.copy(third.mailbox, [1], "Sent")
        await account.move(third.mailbox, [1], "Sent")
        found = await account.quota()
        assert (found.bytes_used, found.bytes_limit) == (3 * len(numbered(1)), 3 * len(numbered(1)))
        assert (found.messages_used, found.messages_limit) == (3, 0)
        await account.remove(third.mailbox, [2])
        await account.append([mail(numbered(9))])

    run(test, quota=quota)


def test_quota_of_messages(run, mail):
    async def test(account, _store):
        await account.append([mail(), mail()])
        with pytest.raises(OverQuotaError):
            await account.append([mail()])

    run(test, plan=QuotaPlan(QuotaLimit(messages=2)))


def test_one_failing_append_does_not_spoil_its_neighbours(run, mail):
    async def test(account, _store):
        results = await asyncio.gather(
            *[account.append([mail(mailbox="missing" if n % 3 == 0 else "INBOX")]) for n in range(9)],
            return_exceptions=True,
        )
        assert [isinstance(one, NoSuchMailboxError) for one in results] == [n % 3 == 0 for n in range(9)]
        assert (await account.quota()).messages_used == 6

    run(test)


def test_changes_are_announced_after_the_commit(run, mail):
    async def test(account, store):
        told = []
        end = store.subscribe("Bob@example.test", told.append)
        (one,) = await account.append([mail()])
        await account.store_flags(one.mailbox, [1], FlagOperation.ADD, SEEN)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [(change.account, change.mailbox) for change in told] == [("bob@example.test", one.mailbox)] * 2
        assert told[-1].modseq == (await account.status(one.mailbox)).highestmodseq
        end()
        end()
        await account.append([mail()])
        await asyncio.sleep(0)
        assert len(told) == 2

    run(test)


def test_many_accounts_at_once_with_few_open(run, mail):
    async def test(_account, store):
        async def one(number):
            account = await store.open(f"user{number}@example.test")
            await account.append([mail(), mail()])
            return (await account.quota()).messages_used

        assert await asyncio.gather(*[one(number) for number in range(12)]) == [2] * 12
        for number in range(12):
            account = await store.open(f"user{number}@example.test")
            assert (await account.status((await account.mailbox("INBOX")).id)).messages == 2

    run(test, open_accounts=3)


def test_idle_accounts_are_closed_and_opened_again(run, mail):
    async def test(account, store):
        await account.append([mail()])
        async with asyncio.timeout(10):
            while store.statistics()["open"]:
                await asyncio.sleep(0.01)
        assert (await account.quota()).messages_used == 1

    run(test, idle_limit=0.02)


def test_two_stores_on_the_same_accounts(open_store, mail):
    async def test():
        first, second = open_store(), open_store()
        one = await first.open("bob@example.test")
        two = await second.open("bob@example.test")
        await asyncio.gather(*[account.append([mail()]) for account in (one, two) * 20])
        inbox = (await one.mailbox("INBOX")).id
        assert [state.uid for state in await one.states(inbox)] == list(range(1, 41))
        assert await one.states(inbox) == await two.states(inbox)
        await first.close()
        await second.close()

    asyncio.run(test())


def test_a_large_content_is_not_kept_in_memory(run, mail):
    async def test(account, _store):
        data = b"Subject: x\r\n\r\n" + b"line\r\n" * 100_000
        (where,) = await account.append([mail(data)])
        ((_uid, content),) = await account.bodies(where.mailbox, [where.uid])
        assert not isinstance(content, MemoryContent)
        assert content.read(0, 20) == data[:20]
        await account.remove(where.mailbox, [where.uid])

    run(test, body_file_threshold=4096)
