from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.model.envelope import BodyType, Envelope, Notify, Origin, Recipient, Ret
from angarium.protocols.smtp.client_render import encode_content, mail_command, rcpt_command


def envelope(**fields) -> Envelope:
    values = {"sender": "a@example.org", "recipients": (), "arrival": 0.0, "origin": Origin("ESMTP")} | fields
    return Envelope(**values)


def test_mail_sends_only_what_is_offered():
    full = envelope(body=BodyType.EIGHTBITMIME, ret=Ret.HDRS, envid="x y")
    assert mail_command(full, {}, 10, smtputf8=False) == "MAIL FROM:<a@example.org>"
    assert (
        mail_command(full, {"SIZE": "", "8BITMIME": "", "DSN": ""}, 10, smtputf8=True)
        == "MAIL FROM:<a@example.org> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+20y"
    )


def test_addresses_are_quoted():
    assert mail_command(envelope(sender="two words@x.org"), {}, 1, smtputf8=False) == 'MAIL FROM:<"two words"@x.org>'
    assert mail_command(envelope(sender=""), {}, 1, smtputf8=False) == "MAIL FROM:<>"


def test_rcpt_carries_dsn_parameters():
    recipient = Recipient("b@example.org", "alias@example.org", Notify.SUCCESS | Notify.DELAY, "rfc822;x+y@example.org")
    assert rcpt_command(recipient, {}) == "RCPT TO:<b@example.org>"
    assert (
        rcpt_command(recipient, {"DSN": ""})
        == "RCPT TO:<b@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@example.org"
    )
    never = Recipient("b@example.org", "b@example.org", Notify.NEVER)
    assert rcpt_command(never, {"DSN": ""}) == "RCPT TO:<b@example.org> NOTIFY=NEVER ORCPT=rfc822;b@example.org"
    international = Recipient("ü@example.org", "ü@example.org")
    assert rcpt_command(international, {"DSN": ""}) == "RCPT TO:<ü@example.org> ORCPT=utf-8;\\x{FC}@example.org"


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], b".\r\n"),
        ([b"x"], b"x\r\n.\r\n"),
        ([b"x\r\n"], b"x\r\n.\r\n"),
        ([b"x\r", b"\n"], b"x\r\n.\r\n"),
        ([b"x\r"], b"x\r\n.\r\n"),
        ([b".\r\n..\r\nx.\r\n"], b"..\r\n...\r\nx.\r\n.\r\n"),
        ([b"a\r\n", b".b\r\n"], b"a\r\n..b\r\n.\r\n"),
        ([b"a\r", b"\n.", b"b"], b"a\r\n..b\r\n.\r\n"),
        ([b"a", b".b"], b"a.b\r\n.\r\n"),
    ],
)
def test_content_is_stuffed_and_ended(chunks, expected):
    assert b"".join(encode_content(chunks)) == expected


def test_long_lines_are_folded():
    assert b"".join(
        encode_content([b"a" * 25 + b"\r\n"], 10)
    ) == b"a" * 10 + b"\r\n " + b"a" * 9 + b"\r\n " + b"a" * 6 + (b"\r\n.\r\n")
    assert b"".join(encode_content([b"a" * 998 + b"\r\n"])) == b"a" * 998 + b"\r\n.\r\n"
    assert b"".join(encode_content([b"a" * 999 + b"\r\n"])) == b"a" * 998 + b"\r\n a\r\n.\r\n"
    assert b"".join(encode_content([b"a" * 2000 + b"\r\n"], 0)) == b"a" * 2000 + b"\r\n.\r\n"


def test_a_fold_does_not_come_between_cr_and_lf():
    assert b"".join(encode_content([b"a" * 10 + b"\r", b"\n"], 10)) == b"a" * 10 + b"\r\n.\r\n"


def unstuff(data: bytes) -> bytes:
    assert data.endswith(b"\r\n.\r\n") or data == b".\r\n"
    lines = data[:-3].split(b"\r\n")
    assert b"." not in lines
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text("a.\n", max_size=30).map(lambda text: text.replace("\n", "\r\n").encode()), max_size=6),
    st.data(),
)
def test_decoding_gives_the_content_back_however_it_is_cut(lines, data):
    content = b"".join(lines)
    cut = data.draw(st.integers(0, len(content)))
    expected = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    assert unstuff(b"".join(encode_content([content[:cut], content[cut:]], 0))) == expected
    bytewise = [content[at : at + 1] for at in range(len(content))]
    assert unstuff(b"".join(encode_content(bytewise, 0))) == expected
    folded = unstuff(b"".join(encode_content([content[:cut], content[cut:]], 7)))
    assert max(map(len, folded.split(b"\r\n"))) <= 8
    assert folded.replace(b"\r\n ", b"") == expected
