import asyncio
import time

import pytest

from angarium.cleanup.main import make_cleanup
from angarium.config.config import Config
from angarium.model.content import MemoryContent
from angarium.model.envelope import BodyType, Envelope, Origin, Recipient
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
    "mydestination": "mail.example.test",
    "virtual_alias_maps": "inline:{{info@valias.test = alice@vbox.test, bob@vbox.test}, d@valias.test=alice@vbox.test,"
    "@catch.test=bob@vbox.test, @dom.test=@vbox.test, l1@valias.test=l2@valias.test, l2@valias.test=l1@valias.test,"
    "{self@valias.test=self@valias.test, alice@vbox.test}}",
    "virtual_alias_domains": "valias.test",
    "virtual_mailbox_domains": "vbox.test",
    "recipient_delimiter": "+",
}
NETWORK = Origin(protocol="ESMTP", client_name="client.test", client_address="192.0.2.9", helo="helo.test")
LOCAL = Origin(protocol="local", uid=1000)
ARRIVAL = 1795507122.5


def run(content, recipients=("alice@vbox.test",), origin=NETWORK, settings=None, spool=None, log=None, **more):
    utf8 = more.pop("smtputf8", False)
    body = more.pop("body", BodyType.UNSAID)
    log = MemoryLog() if log is None else log
    service_log = ServiceLog(log, "postfix/cleanup")
    conf = Config.of({**SETTINGS, **(settings or {})})
    opener = TableOpener(service_log.warning)
    cleanup = make_cleanup(conf, make_resolver(conf, opener), opener, service_log, Spool(spool) if spool else None)
    envelope = Envelope(
        "s@sender.test", tuple(Recipient(each, each) for each in recipients), ARRIVAL, origin, body, smtputf8=utf8
    )
    message = asyncio.run(cleanup.process("4F2A", envelope, MemoryContent(content), **more))
    return message, log.lines


def whole(message):
    return message.prefix + message.content.read()


PLAIN = b"Message-ID: <1@client.test>\r\nSubject: hi\r\n\r\nbody\r\n"


def test_content_of_a_network_client_is_passed_by_reference_behind_our_received_header(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    message, lines = run(PLAIN)
    assert message.prefix == (
        b"Received: from helo.test (client.test [192.0.2.9])\r\n"
        b"\tby mail.example.test (Postfix) with ESMTP id 4F2A\r\n"
        b"\tfor <alice@vbox.test>; Tue, 24 Nov 2026 07:58:42 +0000 (UTC)\r\n"
    )
    assert message.content.read() is PLAIN
    assert next(line for line in lines if "message-id" in line).endswith("4F2A: message-id=<1@client.test>")


def test_two_recipients_are_not_named_in_the_received_header():
    message, _ = run(PLAIN, ("a@x.test", "b@x.test"))
    assert b" id 4F2A;\r\n\t" in message.prefix
    assert b"for <" not in message.prefix


def test_local_submission_gets_the_headers_that_are_missing_after_those_that_are_there():
    message, lines = run(
        b"Subject: hi\r\nBcc: hidden@x.test,\r\n more@x.test\r\n\r\nbody\r\n", origin=LOCAL, full_name="Joe X."
    )
    text = whole(message).decode()
    assert text.startswith("Received: by mail.example.test (Postfix, from userid 1000)\r\n\tid 4F2A; ")
    assert "Bcc" not in text
    assert "more@x.test" not in text
    names = [line.partition(":")[0] for line in text.partition("\r\n\r\n")[0].split("\r\n") if line[0] != "\t"]
    assert names == ["Received", "Subject", "Message-Id", "Date", "From"]
    assert 'From: "Joe X." <s@sender.test>\r\n\r\nbody\r\n' in text
    assert lines[0].endswith("4F2A: message-id=<20261124075842.4F2A@mail.example.test>")


def test_aliases_expand_and_keep_the_original_address():
    message, _ = run(PLAIN, ("info+e@valias.test", "d@valias.test", "x+y@dom.test", "q+z@catch.test", "joe"))
    assert [(each.address, each.original) for each in message.envelope.recipients] == [
        ("alice+e@vbox.test", "info+e@valias.test"),
        ("bob+e@vbox.test", "info+e@valias.test"),
        ("alice@vbox.test", "d@valias.test"),
        ("x+y@vbox.test", "x+y@dom.test"),
        ("bob@vbox.test", "q+z@catch.test"),
        ("joe@example.test", "joe"),
    ]


def test_an_alias_may_name_itself_once():
    message, _ = run(PLAIN, ("self@valias.test",))
    assert [each.address for each in message.envelope.recipients] == ["self@valias.test", "alice@vbox.test"]


def test_duplicates_go_by_address_and_original_whatever_their_case():
    message, _ = run(PLAIN, ("alice@vbox.test", "Alice@VBOX.test", "alice@vbox.test", "d@valias.test"))
    assert [each.original for each in message.envelope.recipients] == ["alice@vbox.test", "d@valias.test"]


@pytest.mark.parametrize(
    ("table", "expanded"),
    [
        ("{a@x.test=a@x.test, b@x.test}", ["a@x.test", "b@x.test"]),
        ("{a@x.test=a@x.test b@x.test}, b@x.test=c@x.test, {c@x.test=a@x.test d@x.test}", ["a@x.test", "d@x.test"]),
        ('{a@x.test = "a b"@x.test}', ["a b@x.test"]),
        ("{a@x.test = bare, root}", ["bare@example.test", "root@example.test"]),
        ("{a@x.test = z@x.test, Z@x.test, z@x.test}", ["z@x.test"]),
        ("{a@x.test = b@x.test}, {@x.test = c@y.test}", ["c@y.test"]),
    ],
)
def test_expansion_is_postfixs(table, expanded):
    message, _ = run(PLAIN, ("a@x.test",), settings={"virtual_alias_maps": f"inline:{{{table}}}"})
    assert [each.address for each in message.envelope.recipients] == expanded


@pytest.mark.parametrize(
    ("table", "cause"),
    [
        ("{a@x.test=b@x.test}, {b@x.test=a@x.test}", "unreasonable virtual_alias_maps map nesting for a@x.test"),
        ("{a@x.test=a+x@x.test b@x.test}", "unreasonable virtual_alias_maps result a+x+x+x"),
        (
            "{a@x.test=b@x.test c@x.test d@x.test e@x.test}",
            "unreasonable virtual_alias_maps map expansion size for a@x",
        ),
    ],
)
def test_expansion_ends(table, cause):
    log = MemoryLog()
    settings = {"virtual_alias_maps": f"inline:{{{table}}}", "virtual_alias_expansion_limit": "3"}
    with pytest.raises(MailError) as caught:
        run(PLAIN, ("a@x.test",), settings=settings, log=log)
    assert str(caught.value.reply) == "451 4.6.0 Alias expansion error"
    assert cause in log.lines[-1]
    assert log.lines[-1].endswith(" -- message not accepted, try again later")


def test_a_loop_of_aliases_waits_for_the_administrator():
    with pytest.raises(MailError) as caught:
        run(PLAIN, ("l1@valias.test",))
    assert str(caught.value.reply).startswith("451 4.6.0")


def test_a_table_that_cannot_be_asked_defers():
    with pytest.raises(MailError) as caught:
        run(PLAIN, settings={"virtual_alias_maps": "fail:down"})
    assert caught.value.temporary


def test_too_many_hops():
    hop = b"Received: from x\r\n\tby y; z\r\n"
    run(hop + PLAIN, settings={"hopcount_limit": "3"})
    with pytest.raises(MailError) as caught:
        run(hop * 2 + PLAIN, settings={"hopcount_limit": "3"})
    assert str(caught.value.reply) == "554 5.4.0 Error: too many hops"


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        (b"", b""),
        (b"\r\nonly body\r\n", b"\r\nonly body\r\n"),
        (b"no header\r\nline\r\n", b"\r\nno header\r\nline\r\n"),
        (b" lead\r\nx\r\n", b"\r\n lead\r\nx\r\n"),
        (b"A: b\r\n", b"A: b\r\n"),
        (b"A: b\r\nnot a header\r\n", b"A: b\r\n\r\nnot a header\r\n"),
        (b"From x y\r\nhello\r\n", b"X-Mailbox-Line: From x y\r\n\r\nhello\r\n"),
        (b"From x y\r\nA: b\r\n\r\nc\r\n", b"X-Mailbox-Line: From x y\r\nA: b\r\n\r\nc\r\n"),
        (b"A: b\r\nReturn-Path: <x>\r\nBcc : y\r\n\tz\r\nC: d\r\n\r\nBcc: z\r\n", b"A: b\r\nC: d\r\n\r\nBcc: z\r\n"),
    ],
)
def test_what_is_no_header_is_kept_out_of_ours(content, stored):
    message, _ = run(content)
    assert message.content.read() == stored
    assert message.content.size == len(stored)


def test_a_large_message_whose_headers_change_goes_to_a_file(tmp_path):
    body = b"x" * 998 + b"\r\n"
    content = b"Bcc: y\r\nA: b\r\n\r\n" + body * 1100
    message, _ = run(content, spool=tmp_path)
    assert isinstance(message.content, SpooledContent)
    assert message.content.read() == content[8:]


@pytest.mark.parametrize(
    ("fields", "smtputf8", "protocol"),
    [
        ({"protocol": "SMTP"}, False, "SMTP"),
        ({"protocol": "ESMTP", "tls": "TLSv1.3"}, False, "ESMTPS"),
        ({"protocol": "ESMTP", "sasl_username": "alice"}, False, "ESMTPA"),
        ({"protocol": "ESMTP", "tls": "TLSv1.3", "sasl_username": "alice"}, False, "ESMTPSA"),
        ({"protocol": "ESMTP", "tls": "TLSv1.3", "sasl_username": "alice"}, True, "UTF8SMTPSA"),
    ],
)
def test_the_protocol_in_received(fields, smtputf8, protocol):
    message, _ = run(PLAIN, origin=Origin(client_address="192.0.2.1", **fields), smtputf8=smtputf8)
    assert f" with {protocol} id 4F2A\r\n".encode() in message.prefix


def test_tls_and_login_are_told_when_asked_for():
    settings = {"smtpd_tls_received_header": "yes", "smtpd_sasl_authenticated_header": "yes"}
    tls = "TLSv1.3 with cipher X (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits)"
    origin = Origin("ESMTP", "c.test", "2001:db8::1", helo="h.test", sasl_username="a(b)", tls=tls)
    message, _ = run(PLAIN, origin=origin, settings=settings)
    assert message.prefix.startswith(
        b"Received: from h.test (c.test [IPv6:2001:db8::1])\r\n"
        b"\t(using TLSv1.3 with cipher X (256/256 bits)\r\n"
        b"\t key-exchange X25519 server-signature RSA-PSS (2048 bits))\r\n"
        b"\t(No client certificate requested)\r\n"
        b"\t(Authenticated sender: a?b?)\r\n"
        b"\tby mail.example.test (Postfix) with ESMTPSA id 4F2A\r\n"
    )
    quiet, _ = run(PLAIN, origin=origin)
    assert b"using" not in quiet.prefix
    assert b"Authenticated" not in quiet.prefix


@pytest.mark.parametrize(
    ("origin", "clients", "added"),
    [
        (NETWORK, "permit_inet_interfaces", False),
        (Origin("ESMTP", "localhost", "127.0.0.1"), "permit_inet_interfaces", True),
        (Origin("ESMTP", "localhost", "127.0.0.1"), "", False),
        (NETWORK, "static:all", True),
        (NETWORK, "inline:{192.0.2.9=x}", True),
        (NETWORK, "permit_mynetworks", False),
        (Origin("ESMTP", "x", "198.51.100.9"), "permit_mynetworks", True),
        (NETWORK, "permit_sasl_authenticated", False),
        (Origin("ESMTP", "x", "192.0.2.9", sasl_username="a"), "permit_sasl_authenticated", True),
        (Origin("local", service="postfix/bounce"), "", True),
    ],
)
def test_whose_missing_headers_are_added(origin, clients, added):
    settings = {"local_header_rewrite_clients": clients, "mynetworks": "198.51.100.0/24"}
    message, _ = run(b"Subject: a\r\n\r\nb\r\n", origin=origin, settings=settings)
    assert (b"Message-Id: <" in message.content.read()) == added
    always, _ = run(b"Subject: a\r\n\r\nb\r\n", origin=origin, settings={"always_add_missing_headers": "yes"})
    assert b"Date: " in always.content.read()


def test_undisclosed_recipients_are_said_when_asked_for():
    settings = {"undisclosed_recipients_header": "To: undisclosed-recipients:;"}
    message, _ = run(b"Subject: a\r\n\r\n", origin=LOCAL, settings=settings)
    assert message.content.read().endswith(b"\r\nTo: undisclosed-recipients:;\r\n\r\n")
    message, _ = run(b"Cc: a@x.test\r\n\r\n", origin=LOCAL, settings=settings)
    assert b"undisclosed" not in message.content.read()


def test_resent_messages_get_resent_headers():
    message, lines = run(b"Message-Id: <1@x>\r\nResent-To: a@x.test\r\n\r\nb\r\n", origin=LOCAL)
    text = message.content.read()
    assert b"Resent-Message-Id: <20261124075842.4F2A@mail.example.test>\r\nResent-Date: " in text
    assert b"Resent-From: s@sender.test\r\n" in text
    assert [line.partition(": ")[2] for line in lines] == [
        "4F2A: message-id=<1@x>",
        "4F2A: resent-message-id=<20261124075842.4F2A@mail.example.test>",
    ]


@pytest.mark.parametrize(
    ("content", "origin", "settings", "needed"),
    [
        ("Subject: ö\r\n\r\nb\r\n", LOCAL, {}, True),
        ("Subject: o\r\n\r\nö\r\n", LOCAL, {}, False),
        ("Subject: ö\r\n\r\nb\r\n", NETWORK, {}, False),
        ("Subject: ö\r\n\r\nb\r\n", NETWORK, {"smtputf8_autodetect_classes": "all"}, True),
        ("Subject: ö\r\n\r\nb\r\n", LOCAL, {"smtputf8_enable": "no"}, False),
        ("Subject: o\r\n\r\nb\r\n", LOCAL, {"virtual_alias_maps": "inline:{alice@vbox.test=علی@vbox.test}"}, True),
    ],
)
def test_what_needs_smtputf8_is_noticed_where_it_is_looked_for(content, origin, settings, needed):
    message, _ = run(content.encode(), origin=origin, settings={"smtputf8_enable": "yes", **settings})
    assert message.envelope.smtputf8 == needed


@pytest.mark.parametrize(
    ("name", "standard", "obsolete"),
    [
        ("Joe (X) Q.", '"Joe (X) Q." <s@sender.test>', "s@sender.test (Joe (X) Q.)"),
        ("a@b", '"a@b" <s@sender.test>', "s@sender.test (a@b)"),
        ("Joe", "Joe <s@sender.test>", "s@sender.test (Joe)"),
        ("J) x", '"J) x" <s@sender.test>', "s@sender.test (J\\) x)"),
        ("J\\", '"J\\\\" <s@sender.test>', "s@sender.test (J\\\\)"),
        ("", "s@sender.test", "s@sender.test"),
    ],
)
def test_the_name_in_a_missing_from_header(name, standard, obsolete):
    for form, shown in (("standard", standard), ("obsolete", obsolete)):
        message, _ = run(b"A: b\r\n\r\n", origin=LOCAL, full_name=name, settings={"header_from_format": form})
        assert f"From: {shown}\r\n".encode() in message.content.read()


@pytest.mark.parametrize(
    ("encoding", "body", "becomes"),
    [
        ("8bit", BodyType.UNSAID, BodyType.EIGHTBITMIME),
        (" BINARY ", BodyType.SEVENBIT, BodyType.EIGHTBITMIME),
        ("8bit", BodyType.BINARYMIME, BodyType.BINARYMIME),
        ("8bit (x)", BodyType.UNSAID, BodyType.UNSAID),
        ("base64", BodyType.SEVENBIT, BodyType.SEVENBIT),
    ],
)
def test_a_message_that_says_that_it_has_8_bits_has_them(encoding, body, becomes):
    header = f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    assert run(header, body=body)[0].envelope.body is becomes
    off = {"detect_8bit_encoding_header": "no"}
    assert run(header, body=body, settings=off)[0].envelope.body is body


def test_a_header_as_long_as_the_message_holds_nobody_up():
    """Looking at each of a million header lines took three seconds, in which no other client was served."""
    conf = Config.of(SETTINGS)
    opener = TableOpener(lambda _text: None)
    log = ServiceLog(MemoryLog(), "postfix/cleanup")
    cleanup = make_cleanup(conf, make_resolver(conf, opener), opener, log, None)
    envelope = Envelope("s@sender.test", (Recipient("alice@vbox.test", "alice@vbox.test"),), ARRIVAL, NETWORK)
    content = MemoryContent(b"X: y\r\n" * 800_000 + b"\r\nbody\r\n")

    async def main():
        stalls = []

        async def watch():
            last = time.perf_counter()
            while True:
                await asyncio.sleep(0.001)
                now = time.perf_counter()
                stalls.append(now - last)
                last = now

        watching = asyncio.get_running_loop().create_task(watch())
        await asyncio.sleep(0)
        await cleanup.process("4F2A", envelope, content)
        watching.cancel()
        return max(stalls)

    assert asyncio.run(main()) < 0.3


def test_a_full_name_that_is_not_ascii_becomes_encoded_words():
    def origin_of(**settings):
        message, _ = run(b"\r\nbody\r\n", origin=LOCAL, full_name="علی رضا", settings=settings)
        return next(line for line in whole(message).decode().split("\r\n") if line.startswith("From: "))

    words = "=?utf-8?B?2LnZhNuMINix2LbYpw==?="
    assert origin_of() == f"From: {words} <s@sender.test>"
    assert origin_of(header_from_format="obsolete") == f"From: s@sender.test ({words})"
    assert origin_of(full_name_encoding_charset="") == "From: علی رضا <s@sender.test>"


def test_the_client_can_be_kept_out_of_the_received_header():
    origin = Origin("ESMTPSA", "client.test", "192.0.2.9", 1, "helo.test", sasl_username="u@x.test", tls="TLSv1.3")
    settings = {"smtpd_hide_client_session": "yes", "smtpd_sasl_authenticated_header": "yes"}
    message, _ = run(PLAIN, origin=origin, settings=settings)
    first, second, *rest = message.prefix.decode().split("\r\n")
    assert first == "Received: by mail.example.test (Postfix) id 4F2A"
    assert second.startswith("\tfor <alice@vbox.test>; ")
    assert rest == [""]
    message, _ = run(PLAIN, ("a@vbox.test", "b@vbox.test"), origin=origin, settings=settings)
    assert message.prefix.startswith(b"Received: by mail.example.test (Postfix) id 4F2A;\r\n\t")


@pytest.mark.parametrize(("replace", "body"), [("yes", b"a b\r\nc\r\n"), ("no", b"a\rb\r\nc\r\r\n")])
def test_half_a_line_break_of_a_local_message(replace, body):
    settings = {"cleanup_replace_stray_cr_lf": replace}
    message, _ = run(b"Subject: x\r\n\r\na\rb\r\nc\r\r\n", origin=LOCAL, settings=settings)
    assert message.content.read().endswith(b"\r\n\r\n" + body)


def test_eight_bits_are_encoded_on_the_way_in_before_they_are_checked():
    content = (
        b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\nJ\xc3\xb6rg\r\n"
    )
    settings = {"force_mime_input_conversion": "yes", "body_checks": "regexp:{{/^J=C3/ WARN seen}}"}
    message, lines = run(content, settings=settings)
    assert message.content.read().endswith(b"Content-Transfer-Encoding: quoted-printable\r\n\r\nJ=C3=B6rg\r\n")
    assert any("seen" in line for line in lines)
    message, _ = run(PLAIN, settings={"force_mime_input_conversion": "yes"})
    assert message.content == MemoryContent(PLAIN)
    message, _ = run(content)
    assert message.content == MemoryContent(content)


def test_recipients_that_no_alias_concerns_stay_as_they_are_and_duplicates_do_not():
    def recipients(*addresses):
        message, _ = run(PLAIN, addresses)
        return [each.address for each in message.envelope.recipients]

    assert recipients("alice@vbox.test") == ["alice@vbox.test"]
    assert recipients("alice@vbox.test", "alice@vbox.test") == ["alice@vbox.test"]
    assert recipients("d@valias.test") == ["alice@vbox.test"]
    assert recipients("d@valias.test", "alice@vbox.test") == ["alice@vbox.test"] * 2
