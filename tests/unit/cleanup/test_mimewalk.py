import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.cleanup.mimewalk import Class, Fault, MimeWalk, WalkedHeader, WalkLimits

ALL = frozenset(Fault)


def walked(message, limits=None):
    """``(class or body, text)`` of everything after the main header, and the walk."""
    head, _, body = message.partition("\n\n")
    walk = MimeWalk(len(head), limits or WalkLimits())
    for line in head.split("\n") if head else ():
        walk.primary(line.encode())
    found = []
    for line in ["", *body.split("\n")]:
        found += walk.line(line.encode(), 2)
    found += walk.end()
    return [(each.kind if isinstance(each, WalkedHeader) else "body", each.text.decode()) for each in found], walk


PARTS = (
    'Content-Type: multipart/mixed; boundary="b\\b"\n\npre\n--bb\nX: 1\n 2\nContent-Type: text/plain\n\n'
    "A: b\n--bb--\nC: d"
)


def test_parts_have_headers_of_their_own():
    found, walk = walked(PARTS)
    assert found == [
        ("body", ""),
        ("body", "pre"),
        ("body", "--bb"),
        (Class.MIME, "X:1\n 2".replace("X:", "X: ")),
        (Class.MIME, "Content-Type: text/plain"),
        ("body", ""),
        ("body", "A: b"),
        ("body", "--bb--"),
        ("body", "C: d"),
    ]
    assert walk.plain


def test_an_attached_message_has_headers_and_parts():
    text = "Content-Type: message/rfc822\n\nS : 1\nContent-Type: multipart/x; boundary=q\n\n--q\nT: 2\n\nx"
    found, walk = walked(text)
    assert [each for each in found if each[0] != "body"] == [
        (Class.NESTED, "S: 1".replace(": ", ": ")),
        (Class.MIME, "Content-Type: multipart/x; boundary=q"),
        (Class.MIME, "T: 2"),
    ]
    assert not walk.plain


def test_without_mime_all_is_body():
    found, walk = walked(PARTS, WalkLimits(disable_mime_input_processing=True))
    assert {each[0] for each in found} == {"body"}
    assert walk.plain


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Subject: ö\n\nb", Fault.EIGHT_BIT_HEADER),
        ("A: b\n\nö", Fault.EIGHT_BIT_BODY),
        ("Content-Transfer-Encoding: quoted-printable\n\nö", None),
        ("Content-Transfer-Encoding: 8bit (c)\n\nö", None),
        ("Content-Type: multipart/x; boundary=a\nContent-Transfer-Encoding: base64\n\nb", Fault.ENCODING),
        ("Content-Type: message/partial\nContent-Transfer-Encoding: 8bit\n\nb", Fault.ENCODING),
        ("Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nb", None),
        ("Content-Type: multipart/x; boundary=a\n\n--a\n\nö\n", Fault.EIGHT_BIT_BODY),
        (
            "Content-Type: multipart/x; boundary=a\n\n--a\nContent-Transfer-Encoding: 8bit\n\nö\n--a--\nö",
            Fault.EIGHT_BIT_BODY,
        ),
    ],
)
def test_what_mime_forbids_is_found_when_asked_for(text, fault):
    assert list(walked(text, WalkLimits(report=ALL))[1].faults) == ([fault] if fault else [])
    assert not walked(text)[1].faults


def test_nesting_is_bounded():
    parts = "".join(f"--{n}\nContent-Type: multipart/x; boundary={n + 1}\n\n" for n in range(10_000))
    _, walk = walked("Content-Type: multipart/x; boundary=0\n\n" + parts, WalkLimits(mime_nesting_limit=5, report=ALL))
    assert list(walk.faults) == [Fault.NESTING]
    assert walk.faults[Fault.NESTING] == b"Content-Type: multipart/x; boundary=7"


def test_a_header_is_kept_up_to_the_limit():
    text = "Content-Type: multipart/x; boundary=a\n\n--a\nX: y\n" + " z\n" * 1000 + "\n"
    found, _ = walked(text, WalkLimits(header_size_limit=50))
    assert 50 <= len(next(text for kind, text in found if kind is Class.MIME)) < 60


@settings(max_examples=100)
@given(
    st.lists(
        st.sampled_from(["--a", "--a--", "X: y", " z", "", "--b", "text", "Content-Type: message/rfc822"]), max_size=30
    )
)
def test_every_byte_is_told_once(lines):
    message = "Content-Type: multipart/x; boundary=a\n\n" + "\n".join(lines)
    head, _, body = message.partition("\n\n")
    walk = MimeWalk(0, WalkLimits())
    walk.primary(head.encode())
    position = 0
    for line in ["", *body.split("\n"), None]:
        for each in walk.line(line.encode(), 2) if line is not None else walk.end():
            assert each.start == position
            position = each.stop
    assert position == len(body.encode()) + body.count("\n") + 4
