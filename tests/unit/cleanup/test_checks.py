"""Header and body checks: what the recordings from Postfix do not show. Tables, sizes, and what nobody changes."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.cleanup.actions import rejection
from angarium.cleanup.main import make_cleanup
from angarium.config.config import Config
from angarium.model.content import MemoryContent
from angarium.model.envelope import Envelope, Notify, Origin, Recipient
from angarium.model.error import MailError
from angarium.rewrite.main import make_resolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.spool import Spool, SpooledContent
from angarium.tables.opener import TableOpener

SETTINGS = {
    "myhostname": "mail.example.test",
    "mydomain": "example.test",
    "myorigin": "example.test",
    "inet_interfaces": "127.0.0.1",
    "mydestination": "",
}
NETWORK = Origin(protocol="ESMTP", client_name="client.test", client_address="192.0.2.9", helo="helo.test")
REPORT = Origin("local", service="postfix/bounce")


class ChunkedContent:
    """A message that comes in pieces of any size."""

    def __init__(self, data, size):
        self._data = data
        self._size = size

    @property
    def size(self):
        return len(self._data)

    def chunks(self, start=0, stop=None):
        stop = len(self._data) if stop is None else stop
        for at in range(start, stop, self._size):
            yield self._data[at : min(at + self._size, stop)]

    def read(self, start=0, stop=None):
        return self._data[start:stop]


def run(
    content, parameters, *, origin=NETWORK, recipients=("a@x.test",), spool=None, log=None, sender="s@x.test", **more
):
    log = MemoryLog() if log is None else log
    service_log = ServiceLog(log, "postfix/cleanup")
    conf = Config.of({**SETTINGS, **parameters})
    opener = TableOpener(service_log.warning)
    cleanup = make_cleanup(conf, make_resolver(conf, opener), opener, service_log, Spool(spool) if spool else None)
    people = tuple(Recipient(each, each) for each in recipients)
    envelope = Envelope(sender, people, 1795507122.0, origin)
    content = MemoryContent(content) if isinstance(content, bytes) else content
    return asyncio.run(cleanup.process("4F2A", envelope, content, **more)), log.lines


def rules(*texts):
    return "regexp:{" + ", ".join(f"{{{text}}}" for text in texts).replace("$", "$$") + "}"


BODY = b"Subject: a\r\nX: y\r\n\r\none\r\ntwo\r\n\r\nthree\r\nlast without end"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_are_the_same_however_the_body_comes(size):
    settings = {"body_checks": rules("/^two/ REPLACE 2", "/^three/ PREPEND before", "/^last/ REPLACE end")}
    message, _ = run(ChunkedContent(BODY, size), settings)
    assert message.content.read() == b"Subject: a\r\nX: y\r\n\r\none\r\n2\r\n\r\nbefore\r\nthree\r\nend\r\n"


def test_a_message_that_no_check_changes_is_passed_on_by_reference():
    content = MemoryContent(BODY)
    message, _ = run(content, {"body_checks": rules("/two/ WARN"), "header_checks": rules("/a/ INFO")})
    assert message.content is content


def test_a_body_is_read_no_further_than_a_check_looks():
    class Guarded(ChunkedContent):
        def chunks(self, start=0, stop=None):
            for number, chunk in enumerate(super().chunks(start, stop)):
                assert number < 40
                yield chunk

    head = b"Subject: a\r\n\r\n"
    settings = {"cleanup_replace_stray_cr_lf": "no"}  # this looks at the whole body, in passing
    run(Guarded(head + b"line\r\n" * 100_000, 1000), {**settings, "header_checks": rules("/^X: / WARN")})
    run(
        Guarded(head + b"line\r\n" * 100_000, 1000),
        {**settings, "body_checks": rules("/^X: / WARN"), "body_checks_size_limit": "9000"},
    )


def test_a_large_message_with_a_changed_line_goes_to_a_file(tmp_path):
    content = b"A: b\r\n\r\nchange\r\n" + b"x" * 98 + b"\r\n"
    content += b"y" * 98 + b"\r\n"
    big = content + b"z" * 1_500_000 + b"\r\n"
    message, _ = run(big, {"body_checks": rules("/^change/ REPLACE ok")}, spool=tmp_path)
    assert isinstance(message.content, SpooledContent)
    assert message.content.read() == big.replace(b"change", b"ok")


def test_reports_of_ours_are_not_checked_unless_asked_for():
    settings = {"header_checks": rules("/^Subject: / REJECT"), "always_bcc": "copy@x.test", "content_filter": "smtp:f"}
    message, _ = run(BODY, settings, origin=REPORT)
    assert [each.address for each in message.envelope.recipients] == ["a@x.test"]
    assert not message.envelope.content_filter
    with pytest.raises(MailError):
        run(BODY, {**settings, "internal_mail_filter_classes": "bounce"}, origin=REPORT)


def test_what_comes_before_our_header_is_checked_too():
    settings = {"header_checks": rules("/^X-One: / REPLACE X-Two: 2")}
    message, _ = run(BODY, settings, prepend=b"X-One: 1\r\n", copies=("copy@x.test",))
    assert message.prefix.startswith(b"X-Two: 2\r\nReceived: ")
    assert b"\r\n\tfor <a@x.test>; " in message.prefix
    assert [(each.address, each.notify) for each in message.envelope.recipients] == [
        ("a@x.test", Notify.UNSAID),
        ("copy@x.test", Notify.UNSAID),
    ]


def test_a_header_beyond_what_is_read_at_once_is_checked():
    head = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 90) for number in range(15_000))
    with pytest.raises(MailError) as caught:
        run(head + b"Bad: x\r\n\r\nbody\r\n", {"header_checks": rules("/^Bad: / REJECT no")})
    assert str(caught.value.reply) == "550 5.7.1 no"
    message, _ = run(head + b"Good: x\r\n\r\nBad: y\r\n", {"header_checks": rules("/^Bad: / REJECT no")})
    assert message.content.size == len(head) + 19


def test_a_header_of_ten_megabytes_is_cut():
    content = b"A: b\r\nSubject: " + b"x" * 10_000_000 + b"\r\nBcc: c\r\nD: e\r\n\r\nbody\r\n"
    message, _ = run(content, {})
    stored = message.content.read()
    assert stored.startswith(b"A: b\r\nSubject: xxx")
    assert stored.endswith(b"xxx\r\nD: e\r\n\r\nbody\r\n")
    assert len(stored) == 102400 + len(b"A: b\r\n\r\nD: e\r\n\r\nbody\r\n")


def test_a_list_of_a_hundred_thousand_addresses_is_cut_as_any_header_is():
    content = (
        b"To: "
        + b",\r\n ".join(b"user%d@x.test" % number for number in range(100_000))
        + b"\r\nFrom: a@x.test\r\n\r\nb"
    )
    settings = {"canonical_maps": "inline:{user1@x.test=first@x.test}"}
    message, _ = run(content, settings, origin=Origin("local", uid=1))
    stored = message.content.read()
    assert stored.startswith(b"To: user0@x.test,\r\n first@x.test,\r\n user2@x.test,\r\n")
    assert b"\r\nFrom: a@x.test\r\n" in stored
    assert len(stored) < 110_000


def test_expansion_to_a_hundred_thousand_is_refused():
    many = " ".join(f"u{number}@x.test" for number in range(100_000))
    with pytest.raises(MailError) as caught:
        run(BODY, {"virtual_alias_maps": f"inline:{{{{a@x.test={many}}}}}"})
    assert str(caught.value.reply) == "451 4.6.0 Alias expansion error"


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("", "550 5.7.1 message content rejected"),
        ("no", "550 5.7.1 no"),
        ("5.3.4 too big", "550 5.3.4 too big"),
        ("4.2.2 full", "451 4.2.2 full"),
        ("5.3.4", "550 5.3.4 "),
        ("5.3.4x y", "550 5.7.1 5.3.4x y"),
        ("2.0.0 ok", "451 4.0.0 ok"),
    ],
)
def test_the_reply_of_reject(text, reply):
    said = []
    assert str(rejection(text, said.append)) == reply
    assert bool(said) == text.startswith("2")


def test_copies_carry_no_wish_for_reports_and_come_last():
    settings = {"always_bcc": "arch", "header_checks": rules("/^X: / BCC copy@x.test", "/^Subject: / BCC a@x.test")}
    message, _ = run(BODY, settings)
    assert [(each.address, each.original, each.notify) for each in message.envelope.recipients] == [
        ("a@x.test", "a@x.test", Notify.UNSAID),
        ("a@x.test", "a@x.test", Notify.NEVER),
        ("copy@x.test", "copy@x.test", Notify.NEVER),
        ("arch@example.test", "arch@example.test", Notify.NEVER),
    ]


def test_a_redirected_message_has_one_recipient_and_no_filter():
    settings = {
        "content_filter": "smtp:f",
        "header_checks": rules("/^X: / REDIRECT else"),
        "body_checks": rules("/^one/ REDIRECT b@short"),
        "append_dot_mydomain": "yes",
    }
    log = MemoryLog()
    message, _ = run(BODY, settings, recipients=("z@a.test", "a@z.test"), log=log)
    [only] = message.envelope.recipients
    assert (only.address, only.original) == ("b@short.example.test", "z@a.test")
    assert (message.envelope.content_filter, message.envelope.redirect) == ("", "")
    assert any('bad REDIRECT target "else" in header_checks map -- need user@domain' in line for line in log.lines)


BUSY = {
    "canonical_maps": r"regexp:{{/^(a.*)@(.*)/ b$$1@$$2}, {/^q/ x}}",
    "masquerade_domains": "x.test test",
    "header_size_limit": "60",
    "header_address_token_limit": "9",
    "mime_nesting_limit": "0",
    "strict_mime_encoding_domain": "yes",
    "header_checks": rules("/a: b/ REPLACE A: b", "/b: c/ PREPEND B: c", "/c: d/ IGNORE", "/zz/ REJECT", "/z/ DISCARD"),
    "body_checks": rules("/^a/ REPLACE b", "/^b/ PREPEND c", "/^c/ IGNORE", "/zz/ REJECT", "/z/ HOLD"),
}
PIECES = [
    *(
        "\r\n",
        "\r\n\r\n",
        " ",
        "a",
        "b",
        "c",
        "d",
        "a: b",
        "b: c",
        "c: d",
        "z",
        "zz",
        "To: ",
        "From: ",
        "<",
        ">",
        "q@x",
    ),
    *("a@h.x.test", ", ", "(", '"', "Content-Type: multipart/mixed; boundary=a", "--a", "--a--", "Message-Id: <1>"),
    *("Content-Type: message/rfc822", "Content-Transfer-Encoding: base64", "Received: x", "y" * 40, "\u0633", "Bcc: b"),
]


@settings(max_examples=100)
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join), st.sampled_from([1, 5, 4096]), st.booleans())
def test_any_message_is_finished_or_refused(text, size, local):
    data = text.encode()
    origin = Origin("local", uid=1) if local else NETWORK
    try:
        message, _ = run(ChunkedContent(data, size), BUSY, origin=origin)
    except MailError:
        return
    stored = message.content.read()
    assert len(stored) == message.content.size
    assert b"".join(message.content.chunks()) == stored


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 10_000])
@pytest.mark.parametrize("limit", ["1", "20", "0"])
def test_parts_are_found_behind_lines_that_nobody_looks_at(size, limit):
    part = b"--q\r\nX-M: old\r\n\r\n" + b"-- no boundary\r\n-\r\nline\r\n" * 20
    data = b"Content-Type: multipart/mixed; boundary=q\r\n\r\n" + b"pre\r\n" * 9 + part * 3 + b"--q--\r\nX-M: old\r\n--"
    parameters = {
        "mime_header_checks": rules("/^X-M: / REPLACE X-M: new"),
        "body_checks": rules("/^line/ WARN"),
        "body_checks_size_limit": limit,
    }
    message, lines = run(ChunkedContent(data, size), parameters)
    assert message.content.read() == data.replace(b"X-M: old\r\n\r\n", b"X-M: new\r\n\r\n")
    assert sum("warning: body line" in line for line in lines) == {"1": 0, "20": 3, "0": 60}[limit]
