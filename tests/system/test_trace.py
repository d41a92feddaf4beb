"""``angarium trace`` against the real server: what it tells of messages that came by all the ways there are."""

import json
import smtplib
import subprocess
import time

import pytest

from angarium.demo import trial

PATIENCE = 20.0


def traced(server, key, *words):
    """The stories of a key, as soon as the last event of the newest is there: events are written in turns."""
    answer = subprocess.run(server.site.command("angarium", "trace", "--json", *words, key), capture_output=True)
    return json.loads(answer.stdout) if answer.returncode == 0 else []


def awaited(server, key, *texts):
    until = time.monotonic() + PATIENCE
    while True:
        stories = traced(server, key)
        lines = [event["text"] for story in stories for event in story["events"]]
        if all(any(text in line for line in lines) for text in texts):
            return stories
        assert time.monotonic() < until, lines


def send(server, sender, recipients, subject="x"):
    with smtplib.SMTP(server.site.host, server.site.ports.submission, timeout=10) as client:
        client.starttls(context=server.tls)
        client.login("alice@example.test", server.passwords["alice@example.test"])
        message = (
            f"From: {sender}\r\nTo: someone@example.test\r\nMessage-ID: <{subject}@trace.example>\r\n\r\nHello\r\n"
        )
        return client.sendmail(sender, recipients, message)


def test_one_message_from_the_connection_to_its_folder(server):
    server.site.administer("angarium", "alias", "add", "traced@example.test", "bob@example.test")
    send(server, "alice@example.test", ["traced@example.test"], "one")
    [story] = awaited(server, "<one@trace.example>", "removed", "disconnect from")
    [queue_id] = story["queue_ids"]
    texts = [event["text"] for event in story["events"]]
    order = [
        "connect from ",
        "TLS connection established",
        "permit: RCPT from",
        f"{queue_id}: client=",
        f"{queue_id}: virtual_alias_maps: traced@example.test -> bob@example.test",
        f"{queue_id}: message-id=<one@trace.example>",
        f"{queue_id}: to=<bob@example.test> goes by virtual",
        "in INBOX of bob@example.test",
        f"{queue_id}: from=<alice@example.test>, size=",
        "status=sent (delivered to mailbox)",
        f"{queue_id}: removed",
        "disconnect from ",
    ]
    places = [next(at for at, text in enumerate(texts) if words in text) for words in order]
    assert places == sorted(places)
    assert texts[0].startswith("connect from ")
    permit = story["events"][places[2]]
    assert permit["source"]
    stored = story["events"][places[7]]
    assert (stored["account"], stored["mailbox"]) == ("bob@example.test", "INBOX")
    assert stored["uid"] > 0


def test_a_session_of_several_messages_is_told_apart(server):
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=10) as client:
        client.ehlo("client.example")
        client.mail("first@elsewhere.example")
        client.rcpt("nobody-1@example.test")
        client.rcpt("bob@example.test")
        client.data(b"Message-ID: <several-1@trace.example>\r\n\r\n")
        client.mail("second@elsewhere.example")
        client.rcpt("nobody-2@example.test")
        client.rcpt("bob@example.test")
        client.data(b"Message-ID: <several-2@trace.example>\r\n\r\n")
    [first] = awaited(server, "<several-1@trace.example>", "removed", "disconnect from")
    [second] = awaited(server, "<several-2@trace.example>", "removed", "disconnect from")
    for story, own, other in ((first, "nobody-1", "nobody-2"), (second, "nobody-2", "nobody-1")):
        whole = "\n".join(event["text"] for event in story["events"])
        assert own in whole
        assert other not in whole
        assert whole.count("client=") == 1


def test_who_was_refused_is_found_by_the_address(server):
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=10) as client:
        client.ehlo("client.example")
        client.mail("stranger@elsewhere.example")
        assert client.rcpt("traced-nobody@example.test")[0] == 550
    [story] = awaited(server, "traced-nobody@example.test", "disconnect from")
    assert story["queue_ids"] == []
    refusal = next(event for event in story["events"] if "reject: RCPT" in event["text"])
    assert refusal["source"]
    assert "User unknown" in refusal["text"]
    assert story["events"][0]["text"].startswith("connect from")


def test_a_bounce_is_told_with_the_report(server):
    send(server, "alice@example.test", ["someone@missing.invalid"], "bounced")
    [story] = awaited(server, "<bounced@trace.example>", "status=bounced", "notification", "to=<alice@example.test>")
    assert len(story["queue_ids"]) == 2


def test_nothing_known_is_66_and_a_bad_time_65(server):
    words = server.site.command("angarium", "trace", "0123456789ABCDEF")
    answer = subprocess.run(words, capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (66, "")
    assert "nothing is known of 0123456789ABCDEF" in answer.stderr
    words = server.site.command("angarium", "trace", "--since", "yesterday", "x")
    assert subprocess.run(words, capture_output=True).returncode == 65


@pytest.mark.parametrize("since", ["1h", "2020-01-01"])
def test_since_and_lines_for_people(server, since):
    trial.run(server.site, server.passwords)
    awaited(server, "alice@example.test", "removed")
    words = server.site.command("angarium", "trace", "--since", since, "--most", "1", "alice@example.test")
    answer = subprocess.run(words, capture_output=True, text=True, check=True)
    head, *lines = answer.stdout.splitlines()
    assert all(queue_id.isalnum() for queue_id in head.split(", "))
    assert all(line.startswith("  20") for line in lines)
    future = server.site.command("angarium", "trace", "--since", "2999-01-01", "alice@example.test")
    assert subprocess.run(future, capture_output=True).returncode == 66
