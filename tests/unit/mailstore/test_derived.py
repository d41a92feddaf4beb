"""What is derived from a message: a prefix shifts, and changes nothing else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.mailstore.derived import Analysis, fields_of, pack_parts, shows, unpack_parts
from angarium.mailstore.interface import Column
from angarium.mailstore.uidset import condition, reading_condition
from angarium.protocols.mime.scanner import scan, spans

PREFIX = b"Return-Path: <a@b>\r\nDelivered-To: c@d\r\nReceived: by us\r\n\tfor you\r\n"

NESTED = (
    b"Content-Type: multipart/mixed; boundary=b\r\nSubject: y\r\n\r\n--b\r\n\r\none\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n--b--\r\n"
)
MESSAGES = [b"Subject: x\r\nFrom: a@b\r\n\r\nbody", NESTED, b"\r\nno header", b""]


@pytest.mark.parametrize("content", MESSAGES)
def test_a_prefix_gives_what_analysing_the_whole_gives(content):
    apart = Analysis(content).with_prefix(PREFIX)
    whole = Analysis(PREFIX + content).with_prefix(b"")
    assert apart == whole
    assert unpack_parts(apart.parts) == spans(scan(PREFIX + content))


def test_a_prefix_with_fields_that_imap_shows(open_store, run, mail):
    content = MESSAGES[0]
    prefix = b"Subject: before\r\nTo: t@u\r\n"
    assert shows(fields_of(prefix))
    assert not shows(fields_of(PREFIX))

    async def test(threshold):
        store = open_store(body_file_threshold=threshold)
        account = await store.open("bob@example.test")
        (where,) = await account.append([msgspec.structs.replace(mail(content), prefix=prefix)])
        ((_uid, envelope),) = await account.columns(where.mailbox, [where.uid], [Column.ENVELOPE])
        assert b'"t" "u"' in envelope
        ((_uid, whole),) = await account.bodies(where.mailbox, [where.uid])
        assert whole.read() == prefix + content
        await store.close()

    run(test(1_000_000))
    run(test(10))


def test_the_part_table_packs():
    table = spans(scan(NESTED))
    assert unpack_parts(pack_parts(table)) == table


@given(st.sets(st.integers(min_value=1, max_value=300), max_size=40))
@settings(max_examples=60)
def test_uid_conditions_are_exact(uids):
    from pathlib import Path

    from angarium.runtime.sqlite import connect

    connection = connect(Path(":memory:"))
    connection.execute("CREATE TABLE t (uid INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(1, 301, 2)])
    expected = sorted(uid for uid in uids if uid % 2)
    where, bindings = condition(sorted(uids))
    assert [row[0] for row in connection.execute(f"SELECT uid FROM t WHERE {where}", bindings)] == expected
    where, bindings, only = reading_condition(sorted(uids))
    found = [row[0] for row in connection.execute(f"SELECT uid FROM t WHERE {where}", bindings)]
    assert [uid for uid in found if only is None or uid in only] == expected
    connection.close()
