"""The shared values refuse what is illegal, and take apart what they are given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angarium.model.address import Address
from angarium.model.content import MemoryContent
from angarium.model.dsn import Dsn
from angarium.model.error import MailError
from angarium.model.reply import Reply
from angarium.model.verdict import Action, Verdict


@given(st.sampled_from([2, 4, 5]), st.integers(0, 999), st.integers(0, 999))
def test_a_dsn_is_read_as_it_is_written(klass, subject, detail):
    dsn = Dsn(klass, subject, detail)
    assert Dsn.parse(str(dsn)) == dsn


@pytest.mark.parametrize("text", ["", "3.1.1", "5.1", "5.1.1000", "5.1.1 ", "٥.1.1", "5.1.1.1"])
def test_what_is_no_dsn_is_refused(text):
    with pytest.raises(ValueError, match="enhanced status"):
        Dsn.parse(text)


@pytest.mark.parametrize(
    ("text", "dsn", "rest"),
    [
        ("5.7.9 no entry", "5.7.9", "no entry"),
        ("5.7.9", "5.7.9", ""),
        ("no entry 5.7.9", None, "no entry 5.7.9"),
        ("5.7.9x", None, "5.7.9x"),
    ],
)
def test_a_leading_dsn_is_split_off(text, dsn, rest):
    found, remaining = Dsn.split(text)
    assert (str(found) if found else None, remaining) == (dsn, rest)


@pytest.mark.parametrize(
    ("code", "dsn", "lines"),
    [(199, None, ("x",)), (600, None, ("x",)), (250, None, ()), (250, "5.1.1", ("x",)), (250, None, ("a\r\nb",))],
)
def test_an_illegal_reply_cannot_be_built(code, dsn, lines):
    with pytest.raises(ValueError):  # noqa: PT011 - each has a text of its own
        Reply.of(code, dsn, *lines)


def test_an_unclassified_error_is_temporary():
    error = MailError.temporary_failure("the directory is locked")
    assert error.temporary
    assert "locked" not in str(error.reply)


def test_a_refusal_needs_a_negative_reply():
    with pytest.raises(ValueError, match="negative reply"):
        Verdict(Action.REJECT, "because", "main.cf:1")
    with pytest.raises(ValueError, match="negative reply"):
        Verdict(Action.DEFER, "because", "main.cf:1", Reply.of(250, "2.0.0", "Ok"))


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [("a@b", "a", "b"), ("a@b@c", "a@b", "c"), ("a", "a", ""), ("", "", ""), ("@b", "", "b")],
)
def test_an_address_splits_at_its_last_at(text, local, domain):
    assert Address.split(text) == Address(local, domain)


@pytest.mark.parametrize(
    ("local", "delimiters", "expected"),
    [
        ("user+ext", "+", ("user", "+ext")),
        ("user-a+b", "+-", ("user", "-a+b")),
        ("+ext", "+", ("+ext", "")),
        ("user", "+", ("user", "")),
        ("user+ext", "", ("user+ext", "")),
        ("owner-list", "-", ("owner-list", "")),
        ("list-request", "-", ("list-request", "")),
        ("MAILER-DAEMON", "-", ("MAILER-DAEMON", "")),
    ],
)
def test_an_extension_is_split_where_postfix_splits_it(local, delimiters, expected):
    assert Address(local, "example.test").extension(delimiters) == expected


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 200))
def test_content_is_read_in_ranges(data, start, stop):
    content = MemoryContent(data)
    assert content.read(start, stop) == data[start:stop]
    assert b"".join(content.chunks(start, stop)) == data[start:stop]
    assert content.size == len(data)
