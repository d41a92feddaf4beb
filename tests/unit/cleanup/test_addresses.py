import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.cleanup.addresses import NAMES, address_edits
from angarium.cleanup.headers import HeaderBlock
from angarium.model.content import MemoryContent
from angarium.rewrite.address import complete_listed
from angarium.rewrite.parameters import RewriteParameters

PARAMETERS = RewriteParameters("mail.example.test", "example.test", "example.test", append_dot_mydomain=True)


CC = b"""\
Cc: joe@example.test, root@example.test (x), "Q" <bob@example.test>, grp: a@example.test, b@example.test; , c@x.test,\r
 second@example.test"""


def rewritten(data):
    edits = address_edits(
        HeaderBlock.read(MemoryContent(data)),
        lambda address: complete_listed(address, PARAMETERS),
    )
    for start, stop, instead in sorted(edits, reverse=True):
        data = data[:start] + instead + data[stop:]
    return data


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"To: joe", b"To: joe@example.test"),
        (
            b'Cc: joe, root (x), "Q" <bob>, grp: a, b; , c@x.test,\r\n second',
            CC,
        ),
        (b'From: "a b"', b'From: "a b"@example.test'),
        (b"Reply-To: joe@short, x!y, u%h", b"Reply-To: joe@short.example.test, y@x.example.test, u@h.example.test"),
        (b"Errors-To: Joe Doe <joe>, joe (Joe)", b"Errors-To: Joe Doe <joe@example.test>, joe@example.test (Joe)"),
        (b"X-To: joe", b"X-To: joe"),
        (b"Apparently-To: joe", b"Apparently-To: joe@example.test"),
        (b"Resent-To: joe", b"Resent-To: joe@example.test"),
        (b"To: <>, <@a,@b:joe@c>, undisclosed-recipients:;", b"To: <>, <joe@c.example.test>, undisclosed-recipients:;"),
        (b"Cc: joe . doe, joe@[1.2.3.4]", b"Cc: joe.doe@example.test, joe@[1.2.3.4]"),
        (b'To: "joe" @ x.test', b'To: "joe" @ x.test'),
        (b"To: (joe (nested) ,) a@x.test (b, c)", b"To: (joe (nested) ,) a@x.test (b, c)"),
        (b'To: "Doe, Joe" <joe@x.test>, "a\\"b" <c@y.test>', b'To: "Doe, Joe" <joe@x.test>, "a\\"b" <c@y.test>'),
        (b"To: joe\r\nSubject: joe\r\nTo: amy", b"To: joe@example.test\r\nSubject: joe\r\nTo: amy@example.test"),
        (b"Sender: Joe Doe", b"Sender: Joe@example.test, Doe@example.test"),
        (b'To: "open', b"To: open@example.test"),
        (b"To: <open", b'To: "<open"@example.test'),
        (b'From: !|"x@y"', b'From: "|x@y"@'),
        (b'Cc: %"x@y", "a@b"%c', b'Cc: "@x"@y.example.test, "a@b"@c.example.test'),
        (b"To: @b.test", b'To: ""@b.test'),
        (b"To: .a@b.test, a..b@c.test (d)", b'To: ".a"@b.test, "a..b"@c.test (d)'),
        (b"To: a@[192.0.2.1", b"To: a@[192.0.2.1"),
        (b"To: b, a@[192.0.2.1", b"To: b@example.test, a@[192.0.2.1]"),
        (b"To: @a.b:", b'To: @a.b:""'),
        (b"To: b:!", b'To: @b:".example.test"'),
        (b'To: a@"b c".test', b"To: a@b c.test"),
        (b'To: "a" (x) . b @ c.test, "d" @ e.test', b'To: "a" (x) . b @ c.test, "d" @ e.test'),
        (b"To: j\xc3\xb6e", b"To: j\xc3\xb6e@example.test"),
        (b"To:", b"To:"),
    ],
)
def test_addresses_are_completed_as_postfix_does_it_and_nothing_else_changes(before, after):
    tail = b"\r\nSubject: joe\r\n\r\nTo: joe\r\n"
    assert rewritten(before + tail) == after + tail


@pytest.mark.parametrize(
    "value", [b"a@x.test", b"Joe <a@x.test>, b@y.test", b"a@[192.0.2.1]", b" a@x.test ,\r\n b@x.test"]
)
def test_what_mail_programs_write_is_left_alone(value):
    data = b"To: " + value + b"\r\n\r\n"
    assert rewritten(data) is data


@settings(max_examples=100)
@given(st.text(st.sampled_from('ab@.,;:<>()"\\ \r\n\t![]%é'), max_size=40))
def test_any_value_keeps_its_shape(value):
    data = b"To: " + value.encode().replace(b"\n", b"\r\n\t") + b"\r\nSubject: x\r\n\r\nbody"
    once = rewritten(data)
    assert once.endswith(b"\r\n\r\nbody")
    assert once.startswith(b"To: ")


def test_the_time_grows_with_the_size_alone():
    for piece in (b"a,", b'"', b"(", b"<", b"\\", b'"\\', b"[", b". "):
        header = HeaderBlock.read(MemoryContent(b"To: " + piece * 100_000 + b"\r\n\r\n"))
        address_edits(header, lambda address: address.text.lower())
    assert len(NAMES) == len(set(NAMES))
