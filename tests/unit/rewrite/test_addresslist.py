import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.rewrite.addresslist import list_texts, parse_list, unmasked


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("", []),
        ("a@b.test", ["a@b.test"]),
        ("a, b ,c", ["a", "b", "c"]),
        ("a,,b,", ["a", "b"]),
        ("Joe D. Doe <joe@x.test>, <amy>", ["joe@x.test", "amy"]),
        ('"Doe, J." <joe@x.test>', ["joe@x.test"]),
        ("joe doe", ["joe", "doe"]),
        ("a@b.test c@d.test e", ["a@b.test", "c@d.test", "e"]),
        ("<a> b <c>", ["a", "c"]),
        ("grp: a, B <b>; , other:;", ["a", "b"]),
        ("x: <a@b.test>", ["x", "a@b.test"]),
        ("joe . doe @ x . test", ["joe.doe@x.test"]),
        ("<@a,@b:joe@c>", ["@a,@b:joe@c"]),
        ("<>", []),
        ("<open", ["<open"]),
        ('"open', ["open"]),
        ('"a b"@x.test', ["a b@x.test"]),
        (r'"a\"b"@x.test', ['a"b@x.test']),
        (r"a\@b", ["a@b"]),
        ("u@[192.0.2.1]", ["u@[192.0.2.1]"]),
        ("u@[192.0.2.1", ["u@[192.0.2.1]"]),
        ("a (x (y) , z) @ (w) b.test", ["a@b.test"]),
        ("(only a comment)", []),
        ("(never closed, a@b.test", []),
        ("a!b%c|d", ["a!b%c|d"]),
        ("a > b", ["a", "b"]),
        ("a; b", ["a", "b"]),
        ("کاربر@نمونه.ایران، علی", ["کاربر@نمونه.ایران،", "علی"]),
    ],
)
def test_addresses_are_found_as_postfix_finds_them(text, addresses):
    assert list_texts(text) == addresses


def test_where_an_address_stands_and_what_is_missing():
    raw = b"To: joe (x) doe, a(c)@b"
    first, second, third = parse_list(raw, 3).addresses
    assert raw[first.start : first.stop] == b"joe"
    assert (second.comma, raw[: second.comma]) == (11, b"To: joe (x)")
    assert (third.comma, third.comments, raw[third.start : third.stop]) == (-1, (b"(c)",), b"a(c)@b")
    listed = parse_list(rb'"a" "b"@c d\!e f "g@h" "i@j"!k "l@m"n o.p [q.r]').addresses
    assert [each.text for each in listed if each.masked != each.text] == ["d!e", "g@h", "i@j!k", "l@m", "[q.r]"]
    assert all(unmasked(each.masked) == each.text for each in listed)


def test_no_more_tokens_than_asked_for():
    found = parse_list(b"a@b, c@d, e@f", limit=8)
    assert [each.text for each in found.addresses] == ["a@b", "c@d"]
    assert found.stop == 10
    assert parse_list(b"a@b, c@d", limit=7).stop == 8


@settings(max_examples=100)
@given(st.lists(st.sampled_from([*'ab@.,;:<>()"\\ \r\n\t![]%|', "é", "\udcff"]), max_size=60).map("".join))
def test_any_text_is_read_and_the_spans_are_in_order(text):
    raw = text.encode("utf-8", "surrogateescape")
    position = 0
    for each in parse_list(raw).addresses:
        assert position <= each.start < each.stop <= len(raw)
        assert each.comma < 0 or position <= each.comma <= each.start
        position = each.stop
    assert parse_list(b"x" + raw + b"y", 1, 1 + len(raw)).stop == 1 + len(raw)


@pytest.mark.parametrize("piece", [b"a,", b"a ", b'"', b"(", b"<", b"\\", b'"\\', b"[", b". ", b"(a)b ", b">", b":;"])
def test_the_time_grows_with_the_size_alone(piece):
    def seconds(count):
        begin = time.process_time()
        parse_list(piece * count)
        return time.process_time() - begin

    seconds(1000)
    assert seconds(40_000) < 200 * (min(seconds(2000) for _ in range(3)) + 0.001)
