"""What XCLIENT, XFORWARD and the PROXY protocol say of a client; the golden files have what Postfix makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.smtp.forwarding import EVERY_FAMILY, parse_attributes
from angarium.protocols.smtp.proxyheader import LIMIT, ProxyHeaderError, parse_proxy_header
from angarium.protocols.smtp.types import CommandError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 192.0.2.25 4711 25\r\n"
V2 = SIGNATURE + b"\x21\x11\0\x0c\xc0\0\2\7\xc0\0\2\x19\x12\x67\0\x19"


def test_attributes_are_decoded_and_what_a_log_line_must_not_hold_is_replaced():
    said = parse_attributes("XFORWARD name=a+2Eexample HELO=<x>+0Ay IDENT=[unavailable] source=local")
    assert said == {"NAME": "a.example", "HELO": "?x??y", "IDENT": "[UNAVAILABLE]", "SOURCE": "LOCAL"}


@given(st.text(max_size=40), st.sampled_from(("XCLIENT ", "XFORWARD ")))
@settings(max_examples=100)
def test_any_attributes_are_values_without_controls_or_a_refusal(text, verb):
    try:
        said = parse_attributes(verb + text)
    except CommandError:
        return
    assert all(value.isascii() and value.isprintable() for value in said.values())


@pytest.mark.parametrize("header", [V1, V2])
def test_a_header_is_read_whole_byte_by_byte_and_with_what_follows(header):
    for size in range(len(header)):
        assert parse_proxy_header(header[:size], EVERY_FAMILY) is None
    for more in (b"", b"EHLO x\r\n"):
        found = parse_proxy_header(header + more, EVERY_FAMILY)
        assert (found.size, found.client, found.server) == (len(header), ("192.0.2.7", 4711), ("192.0.2.25", 25))


@pytest.mark.parametrize("address", ["fe80::1%eth0", "::1%x"])
def test_an_address_has_no_zone(address):
    with pytest.raises(ProxyHeaderError):
        parse_proxy_header(f"PROXY TCP6 {address} ::1 1 25\r\n".encode(), EVERY_FAMILY)
    with pytest.raises(CommandError):
        parse_attributes(f"XCLIENT ADDR=IPV6:{address}")


def test_a_header_without_end_is_refused_at_the_limit():
    assert parse_proxy_header(b"PROXY " + b"x" * (LIMIT - 7), EVERY_FAMILY) is None
    with pytest.raises(ProxyHeaderError):
        parse_proxy_header(b"PROXY " + b"x" * LIMIT, EVERY_FAMILY)
    with pytest.raises(ProxyHeaderError):
        parse_proxy_header(SIGNATURE + b"\x21\x11\xff\xff", EVERY_FAMILY)


@given(st.binary(max_size=60), st.sampled_from((b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x21")))
@settings(max_examples=100)
def test_any_octets_are_a_header_more_or_an_error(data, start):
    try:
        found = parse_proxy_header(start + data, EVERY_FAMILY)
    except ProxyHeaderError:
        return
    assert found is None or found.size <= len(start + data)
