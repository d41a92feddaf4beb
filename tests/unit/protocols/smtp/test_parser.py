"""The parser's own cases; ``tests/golden/smtpd`` compares many more with Postfix."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.model.envelope import BodyType, Notify, Ret
from angarium.protocols.smtp import parser
from angarium.protocols.smtp.parser import parse_bdat, parse_mail, parse_rcpt, split_words
from angarium.protocols.smtp.types import BdatCommand, CommandError, MailCommand, RcptCommand


def test_mail_with_everything() -> None:
    text = "MAIL FROM:<a@b.test> SIZE=12 BODY=8BITMIME SMTPUTF8 AUTH=x+40y RET=HDRS ENVID=e+2B1"
    expected = MailCommand("a@b.test", 12, BodyType.EIGHTBITMIME, "x+40y", Ret.HDRS, "e+1", smtputf8=True)
    assert parse_mail(text) == expected


def test_rcpt_with_everything() -> None:
    expected = RcptCommand("a@b.test", Notify.SUCCESS | Notify.DELAY, "rfc822;x+y@z.test")
    assert parse_rcpt("rcpt to:<a@b.test> notify=delay,success orcpt=rfc822;x+2By@z.test") == expected


def test_an_orcpt_cannot_break_a_header_line() -> None:
    assert parse_rcpt("RCPT TO:<a@b.test> ORCPT=rfc822;a+0D+0Ab").orcpt == "rfc822;a+0D+0Ab"


def test_an_error_names_what_is_no_address() -> None:
    with pytest.raises(CommandError) as caught:
        parse_mail("MAIL FROM:<a@b..c> SIZE=1")
    assert (str(caught.value.reply), caught.value.address) == ("501 5.1.7 Bad sender address syntax", "<a@b..c>")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("BDAT 5", BdatCommand(5, last=False)), ("bdat 0 last", BdatCommand(0, last=True))],
)
def test_bdat(text: str, expected: BdatCommand) -> None:
    assert parse_bdat(text) == expected


@pytest.mark.parametrize(
    "text", ["BDAT", "BDAT x", "BDAT -1", "BDAT 1 FIRST", "BDAT 1 LAST x", "BDAT " + "9" * 19, "BDAT ٣"]
)
def test_bdat_that_nobody_can_follow(text: str) -> None:
    with pytest.raises(CommandError):
        parse_bdat(text)


PIECES = st.sampled_from(
    [
        "MAIL",
        " ",
        "FROM:",
        "from:",
        "<",
        ">",
        "<a@b.test>",
        '"',
        "\\",
        ":",
        "SIZE=1",
        " SIZE=2",
        "(",
        "é",
        "\t",
        "BODY=7BIT",
        "@",
        ",",
    ]
)


@settings(max_examples=100)
@given(st.lists(PIECES, max_size=10).map("".join))
def test_any_text_is_a_command_or_an_error(tail: str) -> None:
    for read in (parse_mail, parse_rcpt):
        with contextlib.suppress(CommandError):
            read("MAIL FROM:" + tail)


@settings(max_examples=100)
@given(st.lists(PIECES, max_size=10).map("".join))
def test_the_short_path_does_what_the_long_one_does(tail: str) -> None:
    text = "MAIL FROM:" + tail
    words, unclosed = split_words(text)
    try:
        path, parameters = parser._path_and_parameters(text, "FROM:", parser.MAIL_SYNTAX, parser.BAD_SENDER)
    except CommandError:
        assert unclosed == 2 or len(words) < 3
    else:
        assert words == ["MAIL", "FROM:", path, *parameters] or words == ["MAIL", "from:", path, *parameters]
