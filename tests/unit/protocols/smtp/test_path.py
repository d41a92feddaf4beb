from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from angarium.protocols.smtp.path import decode_xtext, encode_xtext, is_domain, parse_path, quote_address


@pytest.mark.parametrize(
    ("wire", "internal"),
    [
        ("<>", ""),
        ("<a@b.test>", "a@b.test"),
        ("a@b.test", "a@b.test"),
        ('<"a b"@b.test>', "a b@b.test"),
        ('<"a\\"b\\\\"@b.test>', 'a"b\\@b.test'),
        ("<@x.test,@y.test:a@b.test>", "a@b.test"),
        ("<a@[127.0.0.1]>", "a@[127.0.0.1]"),
        ("<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
        ("(comment (nested))<a@b.test>", "a@b.test"),
        ("<postmaster>", "postmaster"),
    ],
)
def test_paths(wire: str, internal: str) -> None:
    assert parse_path(wire) == internal


@pytest.mark.parametrize(
    "wire", ["<a b@c.test>", "<a,b@c.test>", "<a@>", "@", "<a@b..c>", "<a@-b>", "<a@[x]>", "<a@1.2>"]
)
def test_what_is_no_path(wire: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_path(wire)


@pytest.mark.parametrize("wire", ["a@b.test", "(c)<a@b.test>", "<a(c)@b.test>", "a <a@b.test>"])
def test_strict_wants_brackets_and_no_comments(wire: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_path(wire, strict=True)


def test_a_domain_beyond_ascii_needs_smtputf8() -> None:
    with pytest.raises(ValueError, match="no domain"):
        parse_path("<é@é.test>")
    assert parse_path("<é@é.test>", smtputf8=True) == "é@é.test"


LOCALS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n\0"), min_size=1, max_size=20)


@settings(max_examples=100)
@given(LOCALS.filter(lambda text: not any(char < " " or char == "\x7f" for char in text)))
@example('"')
@example("\\")
@example("a@b")
@example(" ")
@example("a..b")
def test_what_is_quoted_is_read_back(local: str) -> None:
    address = f"{local}@b.test"
    assert parse_path(f"<{quote_address(address)}>") == address


@settings(max_examples=100)
@given(st.text(st.sampled_from('<>()@,;:\\".[] ab\t\r\né'), max_size=30))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        address = parse_path(text)
    except ValueError:
        return
    assert "\n" not in quote_address(address) or "\n" in text


@settings(max_examples=100)
@given(st.text(max_size=20))
def test_xtext_is_read_back(text: str) -> None:
    encoded = encode_xtext(text.encode("utf-8", "replace").decode("utf-8", "replace"))
    assert encoded.isascii()
    assert not set(encoded) & set(" =\r\n")
    assert decode_xtext(encoded) == text.encode("utf-8", "replace").decode("utf-8", "replace")


@pytest.mark.parametrize("text", ["+", "a+1", "+zz", "+ 1"])
def test_bad_xtext(text: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        decode_xtext(text)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("b.test", True),
        ("b.test.", True),
        ("b_c.test", True),
        ("[1.2.3.4]", True),
        ("", False),
        (".", False),
        ("x" * 63 + ".t", True),
        ("x" * 64 + ".t", False),
        ("1.2.3.4", False),
        ("t.1", True),
        ("a..b", False),
    ],
)
def test_domains(name: str, good: bool) -> None:
    assert is_domain(name) is good


@pytest.mark.parametrize("char", ["\r", "\n", "\0", "\t", "\x1b", "\x7f"])
@pytest.mark.parametrize("form", ['<"a{}b"@b.test>', '<"a\\{}b"@b.test>', '"a{}b"'])
def test_control_characters_have_no_place_in_an_address(char: str, form: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        parse_path(form.format(char))


@pytest.mark.parametrize(
    ("text", "switches", "expected"),
    [
        ("<a@192.0.2.1>", {"numeric": True}, "a@192.0.2.1"),
        ("<a@192.0.2.1>", {}, None),
        ("<a@192.0.2>", {"numeric": True}, None),
        ("<a@>", {"null": True}, "a@"),
        ("<a@>", {"numeric": True}, None),
    ],
)
def test_domains_that_some_tolerate(text, switches, expected):
    if expected is None:
        with pytest.raises(ValueError, match="no domain"):
            parse_path(text, **switches)
    else:
        assert parse_path(text, **switches) == expected
