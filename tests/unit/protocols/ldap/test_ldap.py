"""LDAP without I/O: BER, filters, messages, URLs."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.ldap import ber, messages, url
from angarium.protocols.ldap import filter as filters
from angarium.protocols.ldap.ber import BerError, Decoder
from angarium.protocols.ldap.filter import FilterError
from angarium.protocols.ldap.messages import Entry, LdapReader, Message, Other, Reference, Result, Scope, Search


@settings(max_examples=100)
@given(st.integers(0, 2**40))
def test_numbers_come_back(number):
    assert Decoder(ber.integer(number)).integer() == number


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=300)))
def test_sequences_come_back(parts):
    encoded = ber.sequence(*map(ber.octets, parts))
    assert ber.element_length(encoded) == len(encoded)
    decoder = Decoder(encoded).nested()
    found = []
    while decoder:
        found.append(decoder.take(ber.OCTETS))
    assert found == parts


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("mail=x", "a309 0404 6d61696c 0401 78"),
        ("(mail=x)", "a309 0404 6d61696c 0401 78"),
        ("(cn=*)", "8702 636e"),
        ("(cn=a*b*c)", "a40f 0402 636e 3009 8001 61 8101 62 8201 63"),
        ("(cn=*b*)", "a409 0402 636e 3003 8101 62"),
        ("(&(a=1)(!(b=2)))", "a012 a306 0401 61 0401 31 a208 a306 0401 62 0401 32"),
        ("(|)", "a100"),
        ("(a>=1)", "a506 0401 61 0401 31"),
        ("(a<=1)", "a606 0401 61 0401 31"),
        ("(a~=1)", "a806 0401 61 0401 31"),
        (r"(a=\2a\28\29\5c\00)", "a30a 0401 61 0405 2a28295c00"),
        (r"(a=\z)", "a306 0401 61 0401 7a"),
        ("(a:=1)", "a906 8201 61 8301 31"),
        ("(a:dn:1.2:=1)", "a90e 8103 312e32 8201 61 8301 31 8401 ff"),
        ("(:1.2:=1)", "a908 8103 312e32 8301 31"),
        (" ( & ( a=1 ) ) ", "a009 a307 0401 61 0402 3120"),
    ],
)
def test_filters(text, encoded):
    assert filters.encode(text) == bytes.fromhex(encoded)


@pytest.mark.parametrize(
    "text", ["", "(", ")", "()", "(a)", "(a=1", "(a=1))", "(!(a=1)(b=2))", "(!)", "(=x)", "(&(a=1)x)", "(a:b:c:d:=1)",
             "(" * 100, "(&" * 100 + "(a=1)" + ")" * 100, "mail=x)("]
)  # fmt: skip
def test_what_is_no_filter(text):
    with pytest.raises(FilterError):
        filters.encode(text)


@settings(max_examples=100)
@given(st.text(max_size=50))
def test_an_escaped_value_stays_one_value(text):
    encoded = filters.encode(f"(mail={filters.escape(text)})")
    assert encoded == ber.sequence(ber.octets(b"mail"), ber.octets(text.encode()), tag=0xA3)


@settings(max_examples=100)
@given(st.text(alphabet="()&|!=*\\:~<>ab2 ", max_size=40))
def test_any_text_is_a_filter_or_an_error(text):
    with contextlib.suppress(FilterError):
        filters.encode(text)


ENTRY = ber.sequence(
    ber.integer(7),
    ber.sequence(
        ber.octets(b"uid=a"),
        ber.sequence(ber.sequence(ber.octets(b"mail"), ber.sequence(ber.octets(b"x"), ber.octets(b"y"), tag=ber.SET))),
        tag=0x64,
    ),
)
DONE = ber.sequence(
    ber.integer(7),
    ber.sequence(
        ber.enumerated(10),
        ber.octets(b""),
        ber.octets(b"text"),
        ber.sequence(ber.octets(b"ldap://x"), tag=0xA3),
        tag=0x65,
    ),
)
REFERENCE = ber.sequence(ber.integer(7), ber.sequence(ber.octets(b"ldap://y"), tag=0x73))
NOTICE = ber.sequence(ber.integer(0), ber.sequence(tag=0x79))
STREAM = ENTRY + REFERENCE + DONE + NOTICE
MESSAGES = [
    Message(7, Entry("uid=a", (("mail", (b"x", b"y")),))),
    Message(7, Reference(("ldap://y",))),
    Message(7, Result(10, "text", ("ldap://x",))),
    Message(0, Other(0x79)),
]


def test_messages_whole_and_byte_by_byte():
    assert LdapReader().receive_data(STREAM) == MESSAGES
    reader = LdapReader()
    assert [message for byte in STREAM for message in reader.receive_data(bytes((byte,)))] == MESSAGES
    reader = LdapReader()
    assert reader.receive_data(ENTRY + REFERENCE[:5]) == MESSAGES[:1]
    assert reader.receive_data(REFERENCE[5:]) == MESSAGES[1:2]


def test_partial_results_of_version_2_are_a_success_with_references():
    text = b"Referral:\nldap://x/\nldap://y/"
    done = ber.sequence(ber.enumerated(9), ber.octets(b""), ber.octets(text), tag=0x65)
    answer = Message(1, Result(0, "", ("ldap://x/", "ldap://y/")))
    assert LdapReader().receive_data(ber.sequence(ber.integer(1), done)) == [answer]


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400",
        b"\x30\x80",
        b"\x30\x89",
        b"\x30\x84\x7f\xff\xff\xff",
        b"\x30\x00",
        b"\x30\x03\x02\x01\x01",
        b"\x30\x05\x04\x01\x01\x65\x00",
        b"\x30\x05\x02\x01\x01\x65\x00",
        b"\x30\x05\x02\x7f\x01\x65\x00",
    ],
)
def test_what_is_not_ldap(data):
    with pytest.raises(BerError):
        LdapReader().receive_data(data)


@settings(max_examples=100)
@given(st.integers(0, len(STREAM) - 1), st.integers(0, 255))
def test_a_damaged_stream_is_messages_or_an_error(position, byte):
    data = bytearray(STREAM)
    data[position] = byte
    with contextlib.suppress(BerError):
        LdapReader().receive_data(bytes(data))


def test_requests():
    assert messages.simple_bind(1, 3, "cn=a", "pw") == bytes.fromhex("3012 020101 600d 020103 0404 636e3d61 8002 7077")
    request = Search("dc=x", Scope.SUB, "(a=1)", ("mail",), 3, 5, 10)
    outer = Decoder(messages.search(2, request, filters.encode(request.filter))).nested()
    assert outer.integer() == 2
    operation = outer.nested(0x63)
    assert operation.take(ber.OCTETS) == b"dc=x"
    assert [operation.integer(ber.ENUMERATED), operation.integer(ber.ENUMERATED)] == [2, 3]
    assert [operation.integer(), operation.integer()] == [5, 10]
    assert messages.unbind(3) == bytes.fromhex("3005 020103 4200")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ldap://", ("ldap", "", 389, "", (), Scope.BASE, "(objectClass=*)")),
        ("LDAP://h:1389/dc=a,dc=b", ("ldap", "h", 1389, "dc=a,dc=b", (), Scope.BASE, "(objectClass=*)")),
        ("ldaps://[::1]/", ("ldaps", "::1", 636, "", (), Scope.BASE, "(objectClass=*)")),
        ("ldapi://%2Frun%2Fs", ("ldapi", "/run/s", 0, "", (), Scope.BASE, "(objectClass=*)")),
        ("ldap:///o=a%20b?mail,cn?sub?(a=%2a)", ("ldap", "", 389, "o=a b", ("mail", "cn"), Scope.SUB, "(a=*)")),
        ("ldap:///o=a??one", ("ldap", "", 389, "o=a", (), Scope.ONE, "(objectClass=*)")),
    ],
)
def test_urls(text, parts):
    found = url.parse(text)
    assert url.is_url(text)
    assert (found.scheme, found.host, found.port, found.base, found.attributes, found.scope, found.filter) == parts


@pytest.mark.parametrize("text", ["http://x", "ldap", "ldap://h:x/", "ldap://h:70000/", "ldap:///a??far"])
def test_what_is_no_url(text):
    with pytest.raises(ValueError, match=r"URL|port"):
        url.parse(text)
