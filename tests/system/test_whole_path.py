"""From submission to mailbox through the real processes, as a user meets them."""

import email
import smtplib
import time

from angarium.demo import trial


def test_the_trial_passes(server, capsys):
    trial.run(server.site, server.passwords)
    told = capsys.readouterr().out
    assert "IDLE told bob" in told
    assert "status=sent (delivered to mailbox)" in told
    assert ": removed" in told


def test_a_restart_keeps_mail_and_takes_under_two_seconds(servers):
    server = servers.start()
    trial.run(server.site, server.passwords)
    server.stop()
    begun = time.monotonic()
    server.start()
    assert time.monotonic() - begun < 2.0
    content = trial.over_pop3(server.site, server.tls, "bob@example.test", server.passwords["bob@example.test"])
    assert "Angarium carries this" in str(
        email.header.make_header(email.header.decode_header(email.message_from_bytes(content)["Subject"]))
    )


def test_a_stranger_cannot_relay(server):
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=10, source_address=("127.0.0.2", 0)) as client:
        client.ehlo("stranger.example")
        client.mail("someone@elsewhere.example")
        code, text = client.rcpt("victim@elsewhere.example")
    assert code in (454, 554)
    assert b"Relay access denied" in text


def test_an_unknown_user_is_refused_in_the_session(server):
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=10) as client:
        client.ehlo("client.example")
        client.mail("someone@elsewhere.example")
        code, text = client.rcpt("nobody@example.test")
    assert code == 550
    assert b"5.1.1 <nobody@example.test>: Recipient address rejected: User unknown in virtual mailbox table" in text


def test_a_password_that_is_wrong_is_refused_and_logged(server):
    with smtplib.SMTP(server.site.host, server.site.ports.submission, timeout=30) as client:
        client.starttls(context=server.tls)
        client.ehlo()
        code, text = client.docmd("AUTH", "PLAIN AGFsaWNlAHdyb25n")
    assert code == 535
    assert text.startswith(b"5.7.8 Error: authentication failed")
    assert "SASL PLAIN authentication failed" in server.log()
