"""A message through the service: MAIL, RCPT, DATA, BDAT, and what happens when something fails."""

from __future__ import annotations

import errno

import pytest

from angarium.model.envelope import BodyType, Notify, Ret
from angarium.model.error import MailError
from angarium.model.reply import Reply
from angarium.model.verdict import Action, Verdict


def test_a_message_is_queued_before_it_is_answered(server):
    async def test():
        talk = await server.connect()
        assert (await talk.say("EHLO client.test")).endswith("250 CHUNKING")
        replies = await talk.say("MAIL FROM:<a@x.test> SIZE=100 BODY=8BITMIME", "RCPT TO:<b@y.test>", "DATA")
        assert replies == "250 2.1.0 Ok\n250 2.1.5 Ok\n354 End data with <CR><LF>.<CR><LF>"
        assert await talk.send(b"Subject: x\r\n\r\n..dot\r\n.\r\n") == "250 2.0.0 Ok: queued as A000001"
        assert await talk.say("QUIT") == "221 2.0.0 Bye"
        assert await talk.closed()
        await talk.close()

    server.run(test)
    (message,) = server.queue.messages
    assert message.content.read() == b"Subject: x\r\n\r\n.dot\r\n"
    envelope = message.envelope
    assert envelope.sender == "a@x.test"
    assert [recipient.address for recipient in envelope.recipients] == ["b@y.test"]
    assert envelope.body is BodyType.EIGHTBITMIME
    assert envelope.origin.protocol == "ESMTP"
    assert envelope.origin.client_name == "client.example.test"
    assert envelope.origin.helo == "client.test"
    assert server.lines == [
        "connect from client.example.test[127.0.0.1]",
        "A000001: client=client.example.test[127.0.0.1]",
        "disconnect from client.example.test[127.0.0.1] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
    ]


def test_dsn_parameters_reach_the_envelope(server):
    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        await talk.say(
            "MAIL FROM:<> RET=HDRS ENVID=a+2Bb SMTPUTF8",
        )
        assert await talk.say("RCPT TO:<b@y.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o+2Bx@y.test") == "250 2.1.5 Ok"
        assert (await talk.say("DATA")).startswith("354")
        assert (await talk.send(b"x\r\n.\r\n")).startswith("250")
        await talk.close()

    server.run(test)
    envelope = server.queue.messages[0].envelope
    assert (envelope.sender, envelope.ret, envelope.envid, envelope.smtputf8) == ("", Ret.HDRS, "a+b", True)
    assert envelope.recipients[0].notify == Notify.SUCCESS | Notify.DELAY
    assert envelope.recipients[0].orcpt == "rfc822;o+x@y.test"
    assert envelope.origin.protocol == "UTF8SMTP"


def test_bdat_in_pieces(server):
    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        await talk.say("MAIL FROM:<a@x.test>", "RCPT TO:<b@y.test>")
        assert await talk.send(b"BDAT 5\r\nhello") == "250 2.0.0 Ok: 5 bytes"
        assert await talk.send(b"BDAT 7 LAST\r\n world\n") == "250 2.0.0 Ok: 13 bytes queued as A000001"
        assert await talk.say("NOOP") == "250 2.0.0 Ok"
        await talk.close()

    server.run(test)
    assert server.queue.messages[0].content.read() == b"hello world\r\n"


def test_a_refused_bdat_is_read_and_answered_once(server):
    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        assert await talk.send(b"BDAT 5 LAST\r\nNOOP\n") == "503 5.5.1 Error: need RCPT command"
        assert await talk.say("NOOP") == "250 2.0.0 Ok"
        await talk.close()

    server.run(test)


@pytest.mark.parametrize(
    ("failure", "reply"),
    [
        (OSError("disk"), "451 4.3.0 Error: queue file write error"),
        (OSError(errno.ENOSPC, "full"), "452 4.3.1 Insufficient system storage"),
        (RuntimeError("bug"), "451 4.3.0 Error: internal server error"),
        (MailError(Reply.of(554, "5.4.6", "Too many hops")), "554 5.4.6 Too many hops"),
    ],
)
@pytest.mark.parametrize("where", ["queue", "cleanup"])
def test_what_fails_is_answered_and_the_session_goes_on(server, failure, reply, where):
    getattr(server, where).failure = failure

    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        await talk.say("MAIL FROM:<a@x.test>", "RCPT TO:<b@y.test>", "DATA")
        assert await talk.send(b"x\r\n.\r\n") == reply
        assert await talk.say("MAIL FROM:<a@x.test>") == "250 2.1.0 Ok"
        await talk.close()

    server.run(test)
    assert server.queue.messages == []


def test_a_refused_recipient_is_logged_with_its_verdict(server):
    reply = Reply.of(554, "5.7.1", "<b@y.test>: Relay access denied")
    server.policy.verdicts["rcpt", "b@y.test"] = Verdict(Action.REJECT, "reject_unauth_destination", "main.cf", reply)

    async def test():
        talk = await server.connect()
        await talk.say("EHLO c.test")
        await talk.say("MAIL FROM:<a@x.test>")
        assert await talk.say("RCPT TO:<b@y.test>") == "554 5.7.1 <b@y.test>: Relay access denied"
        assert await talk.say("DATA") == "554 5.5.1 Error: no valid recipients"
        await talk.say("QUIT")
        await talk.close()

    server.run(test)
    assert (
        "NOQUEUE: reject: RCPT from client.example.test[127.0.0.1]: 554 5.7.1 <b@y.test>: Relay access denied; "
        "from=<a@x.test> to=<b@y.test> proto=ESMTP helo=<c.test>"
    ) in server.lines
    assert server.lines[-1].endswith("ehlo=1 mail=1 rcpt=0/1 data=0/1 quit=1 commands=3/5")


def test_a_queue_that_gives_no_id_defers_the_recipient(server):
    def full():
        raise OSError(errno.ENOSPC, "full")

    server.queue.allocate_id = full

    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        await talk.say("MAIL FROM:<a@x.test>")
        assert await talk.say("RCPT TO:<b@y.test>") == "452 4.3.1 Insufficient system storage"
        assert await talk.say("DATA") == "554 5.5.1 Error: no valid recipients"
        await talk.close()

    server.run(test)


GOOD = b"MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nBDAT 5\r\n1234\r"
"""A chunk that is taken; the message is given up behind it."""


@pytest.mark.parametrize("refused", [b"BDAT 5\r\n1234\r", b"BDAT 5\r\n12345BDAT 5\r\nRSET\r", b"BDAT 3\r\nx\ny", GOOD])
@pytest.mark.parametrize("cut", [False, True])
def test_a_refused_chunk_leaves_nothing_to_the_next_message(server, refused, cut):
    """In one segment with the next transaction, its unfinished line was continued in another sender's message."""
    wire = (
        b"%bRSET\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\n"
        b"BDAT 14\r\nSubject: x\r\n\r\nBDAT 0 LAST\r\nQUIT\r\n" % refused
    )

    async def test():
        talk = await server.connect()
        await talk.say("EHLO client.test")
        if cut:
            for octet in wire:
                talk.writer.write(bytes([octet]))
                await talk.writer.drain()
        else:
            talk.writer.write(wire)
        while not (await talk.reply()).startswith("221"):
            pass

    server.configure(forbid_unauth_pipelining=False)
    server.run(test)
    (message,) = server.queue.messages
    assert message.content.read() == b"Subject: x\r\n\r\n"


@pytest.mark.parametrize("before", [b"RSET\r\n", b"EHLO c.test\r\n", b"BDAT 0 LAST\r\n", b"BDAT 3\r\nabc", b"NOOP\r\n"])
@pytest.mark.parametrize("cut", [False, True])
def test_what_comes_before_a_message_takes_nothing_from_it(server, before, cut):
    """Read ahead in one segment, its line end across two chunks was lost when the command before it was acted on."""
    wire = (
        b"%bMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nBDAT 11\r\nSubject: x\rBDAT 7 LAST\r\n\n\r\nbody"
        b"QUIT\r\n" % before
    )

    async def test():
        talk = await server.connect()
        await talk.say("EHLO client.test")
        if cut:
            for octet in wire:
                talk.writer.write(bytes([octet]))
                await talk.writer.drain()
        else:
            talk.writer.write(wire)
        while not (await talk.reply()).startswith("221"):
            pass

    server.configure(forbid_unauth_pipelining=False)
    server.run(test)
    if before.startswith(b"BDAT 3"):  # as in Postfix a refused chunk has to be followed by RSET
        assert len(server.queue.messages) <= 1
    else:
        assert len(server.queue.messages) == 1
    for message in server.queue.messages:
        assert message.content.read() == b"Subject: x\r\n\r\nbody\r\n"
