import json
import os

import pytest

from angarium.commands.angarium import main

MAIN = """
compatibility_level = 3.6
myhostname = mail.example.test
mydestination = $myhostname, local.test
mynetworks = 10.0.0.0/8
inet_interfaces = 127.0.0.1
smtpd_peername_lookup = no
smtpd_client_restrictions = permit_mynetworks,
    check_client_access cidr:clients
smtpd_sender_restrictions = check_sender_access texthash:senders
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated reject_unauth_destination
smtpd_restriction_classes = strict
strict = reject_non_fqdn_sender
virtual_alias_domains = valias.test
virtual_alias_maps = texthash:virtual
sender_canonical_maps = inline:{inner@x.test=outer@x.test}
virtual_mailbox_domains = vbox.test
virtual_mailbox_maps = inline:{{alice@vbox.test=alice@vbox.test}}
transport_maps = inline:{{closed.test = error:5.1.1 closed}, {strange.test = nowhere:},
    {stored.test = lmtp:unix:private/Store}}
relayhost = [127.0.0.1]:587
relay_domains = closed.test strange.test stored.test
lmtp_tls_security_level = may
local_recipient_maps = inline:{joe=x}
header_checks = regexp:{{/^X-Secret:/ IGNORE}, {/^Subject: bad/ REJECT no bad subjects}}
smtp_generic_maps = inline:{{a@x.test = public@x.test}}
smtpd_sasl_auth_enable = yes
"""
MASTER = """smtp inet n - n - - smtpd
2587 inet n - n - - smtpd -o smtpd_client_restrictions=reject
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
virtual unix - n n - - virtual
local unix - n n - - local
error unix - - n - - error
"""
STRANGER = ("--client", "203.0.113.9")


@pytest.fixture
def explain(tmp_path, capsys):
    directory = tmp_path / "etc"
    directory.mkdir()
    queue = f"queue_directory = {tmp_path}\ndata_directory = {tmp_path}\n"
    (directory / "main.cf").write_text(MAIN + queue)
    (directory / "master.cf").write_text(MASTER)
    (directory / "clients").write_text("192.0.2.0/24 REJECT bad net\n")
    (directory / "senders").write_text("bad@x.test REJECT no\nheld@x.test HOLD\nshort strict\n")
    (directory / "virtual").write_text(
        "info@valias.test alice@vbox.test, out@remote.test\nloop@valias.test loop2@valias.test\n"
    )

    def run(sender, recipient, *more):
        status = main(["-c", str(directory), "explain", "--json", "--from", sender, "--to", recipient, *more])
        out, err = capsys.readouterr()
        return status, json.loads(out) if out else err

    run.directory = directory
    return run


def test_a_stranger_cannot_relay_and_is_told_what_would_help(explain):
    status, value = explain("a@x.test", "o@remote.test", *STRANGER)
    assert status == os.EX_UNAVAILABLE
    assert value["outcome"] == "refused"
    assert value["reply"] == "554 5.7.1 <o@remote.test>: Relay access denied"
    last = value["stages"][-1]
    assert last["stage"] == "RCPT"
    assert last["steps"][-1]["rule"] == "reject_unauth_destination"
    assert [step["answer"] for step in last["steps"]] == ["no opinion"] * 5 + ["reject"]
    assert value["alternatives"] == [
        "the client had logged in (as a@x.test)",
        "the client's address were in mynetworks (10.0.0.1)",
        "remote.test were in relay_domains",
    ]
    assert value["delivery"] == []


def test_the_line_of_a_table_is_named(explain):
    status, value = explain("bad@x.test", "joe@local.test", "--client", "192.0.2.9")
    assert status == os.EX_UNAVAILABLE
    step = value["stages"][-1]["steps"][-1]
    assert step["rule"] == "check_client_access cidr:clients"
    assert step["source"].endswith("etc/clients:1")
    assert value["tables"][0]["value"] == "REJECT bad net"
    assert value["alternatives"] == []
    removed = "smtpd_client_restrictions did not have check_client_access cidr:clients"
    assert f"{removed}: 554 5.7.1 <bad@x.test>: Sender address rejected: no" in value["other_refusals"]


def test_mail_for_a_store_goes_by_lmtp(explain):
    status, value = explain("a@x.test", "joe@stored.test", *STRANGER)
    assert status == 0
    (way,) = value["delivery"]
    assert (way["transport"], way["nexthop"]) == ("lmtp", "unix:private/Store")
    assert way["hosts"] == [{"host": "mail.example.test", "address": "private/Store", "port": 0, "tls": "may"}]
    assert way["lines"] == ["mail.example.test[private/Store], TLS may"]


def test_the_way_of_an_alias(explain):
    status, value = explain("a@x.test", "info@valias.test", *STRANGER)
    assert status == 0
    assert value["rewriting"]["recipients"] == ["alice@vbox.test", "out@remote.test"]
    assert value["rewriting"]["tables"][0]["source"].endswith("etc/virtual:1")
    inside, outside = value["delivery"]
    assert (inside["class"], inside["transport"], inside["account"]) == (
        "virtual mailbox",
        "virtual",
        "alice@vbox.test",
    )
    assert inside["folder"] == "INBOX"
    assert (outside["class"], outside["transport"], outside["nexthop"]) == ("default", "smtp", "[127.0.0.1]:587")
    assert outside["source"].endswith("main.cf:21 relayhost")
    assert outside["hosts"] == [{"host": "127.0.0.1", "address": "127.0.0.1", "port": 587, "tls": "none"}]
    assert any(line.startswith("leaves as public@x.test instead of a@x.test") for line in outside["lines"])


def test_senders_are_rewritten(explain):
    _, value = explain("inner@x.test", "joe@local.test", *STRANGER)
    assert value["rewriting"]["sender"] == "outer@x.test"


def test_a_hold_is_told(explain):
    _, value = explain("held@x.test", "joe@local.test", *STRANGER)
    assert value["rewriting"]["hold"]
    assert value["stages"][-3]["requests"][0]["effect"] == "hold"


def test_restriction_classes_are_followed(explain):
    status, value = explain("short", "joe@local.test", *STRANGER)
    assert status in (os.EX_UNAVAILABLE, 0)
    assert value["stages"]


@pytest.mark.parametrize(
    ("recipient", "outcome"),
    [("u@closed.test", "refused"), ("u@strange.test", "accepted"), ("joe@local.test", "accepted")],
)
def test_other_transports(explain, recipient, outcome):
    _, value = explain("a@x.test", recipient, *STRANGER)
    assert value["outcome"] == outcome


def test_a_transport_that_is_missing_defers(explain):
    _, value = explain("a@x.test", "u@strange.test", *STRANGER)
    assert value["delivery"][0]["outcome"] == "deferred"


def test_a_log_in_and_another_service(explain):
    status, value = explain("a@x.test", "o@remote.test", *STRANGER, "--sasl", "alice")
    assert status == 0
    assert "the client had not logged in" in value["alternatives"]
    status, value = explain("a@x.test", "o@remote.test", "--service", "2587")
    assert status == os.EX_UNAVAILABLE
    assert value["service"]["name"] == "2587"


def test_the_message_is_checked(explain, tmp_path):
    message = tmp_path / "m.eml"
    message.write_bytes(b"From: a@x.test\nX-Secret: 1\nSubject: ok\n\nbody\n")
    _, value = explain("a@x.test", "joe@local.test", *STRANGER, "--eml", str(message))
    assert "- X-Secret: 1" in value["rewriting"]["header"]
    message.write_bytes(b"From: a@x.test\nSubject: bad\n\nbody\n")
    status, value = explain("a@x.test", "joe@local.test", *STRANGER, "--eml", str(message))
    assert status == os.EX_UNAVAILABLE
    assert value["reply"] == "550 5.7.1 no bad subjects"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--client", "nowhere"), os.EX_DATAERR),
        (("--eml", "/no/such/file"), os.EX_NOINPUT),
        (("--service", "465"), os.EX_CONFIG),
    ],
)
def test_what_cannot_be_explained(explain, more, expected):
    status, text = explain("a@x.test", "joe@local.test", *more)
    assert status == expected
    assert text.startswith("angarium: ")


def test_lines_for_people(explain, capsys):
    arguments = ["-c", str(explain.directory), "explain", "--from", "", "--to", "info@valias.test", *STRANGER]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    for words in ("RCPT: go on", "reject_unauth_destination: no opinion", "class virtual mailbox", "Outcome: 250"):
        assert words in out


def test_nothing_is_left_behind(explain, tmp_path):
    before = sorted(path.name for path in tmp_path.rglob("*"))
    explain("a@x.test", "info@valias.test", *STRANGER)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_commands_and_files(explain):
    path = explain.directory / "main.cf"
    path.write_text(
        path.read_text().replace("{strange.test = nowhere:}", "{strange.test = drop:hop}, {files.test = files:}")
        + "virtual_uid_maps = inline:{{d@vbox.test=1234}}\nvirtual_gid_maps = static:99\n"
    )
    path = explain.directory / "master.cf"
    path.write_text(
        f"{MASTER}drop unix - n n - - pipe flags=R user=daemon argv=/bin/cat ${{recipient}}\n"
        "files unix - n n - - virtual -o virtual_mailbox_format=files -o virtual_mailbox_base=/vmail\n"
        "  -o { virtual_mailbox_maps = inline:{d@files.test=d/} }\n"
        "  -o { virtual_uid_maps = inline:{d@files.test=1234} }\n"
    )
    _status, value = explain("a@x.test", "b@strange.test")
    (ending,) = value["delivery"]
    assert (ending["outcome"], ending["argv"], ending["user"]) == ("command", ["/bin/cat", "${recipient}"], "daemon")
    _status, value = explain("a@x.test", "d@files.test", "--client", "10.0.0.1")
    (ending,) = value["delivery"]
    assert (ending["outcome"], ending["path"], ending["uid"], ending["gid"]) == ("maildir", "/vmail/d/", 1234, 99)
    _status, value = explain("a@x.test", "e@files.test", "--client", "10.0.0.1")
    (ending,) = value["delivery"]
    assert (ending["outcome"], ending["status"]) == ("bounced", "5.1.1")


def test_what_is_thrown_away_goes_nowhere_and_a_filter_takes_all(explain):
    (explain.directory / "senders").write_text(
        "gone@x.test DISCARD\nfiltered@x.test FILTER smtp:[127.0.0.1]:10025\nshort strict\n"
    )
    _, value = explain("gone@x.test", "info@valias.test", *STRANGER)
    assert (value["outcome"], value["rewriting"]["discard"], value["delivery"]) == ("accepted", True, [])
    _, value = explain("filtered@x.test", "info@valias.test", *STRANGER)
    ways = [(way["recipient"], way["class"], way["transport"], way["nexthop"]) for way in value["delivery"]]
    assert ways == [
        ("alice@vbox.test", "virtual mailbox", "smtp", "[127.0.0.1]:10025"),
        ("out@remote.test", "default", "smtp", "[127.0.0.1]:10025"),
    ]


def test_with_soft_bounce_nothing_is_returned(explain):
    with (explain.directory / "main.cf").open("a") as file:
        file.write("soft_bounce = yes\n")
    (explain.directory / "virtual").write_text("closed@valias.test o@closed.test\n")
    _, value = explain("a@x.test", "closed@valias.test", *STRANGER)
    assert (value["delivery"][0]["outcome"], value["delivery"][0]["status"]) == ("deferred", "4.1.1")


def test_a_before_queue_filter_gets_all(explain):
    with (explain.directory / "main.cf").open("a") as file:
        file.write("smtpd_proxy_filter = 127.0.0.1:10024\n")
    _, value = explain("a@x.test", "info@valias.test", *STRANGER)
    (way,) = value["delivery"]
    assert (value["outcome"], way["outcome"], way["nexthop"]) == ("accepted", "filtered", "127.0.0.1:10024")


def test_a_certificate_lets_a_client_relay(explain, tmp_path):
    with (tmp_path / "etc" / "main.cf").open("a", encoding="utf-8") as file:
        file.write("relay_clientcerts = inline:{AA:BB=x}\nsmtpd_relay_restrictions = permit_tls_clientcerts, reject\n")
    for fingerprint, status in (("aa:bb", 0), ("cc:dd", os.EX_UNAVAILABLE)):
        assert explain("a@x.test", "o@remote.test", *STRANGER, "--ccert", fingerprint)[0] == status


@pytest.fixture
def with_verp(explain):
    path = explain.directory / "main.cf"
    path.write_text(path.read_text() + "smtpd_authorized_verp_clients = 10.0.0.1\nrecipient_delimiter = +\n")
    return explain


def test_verp_names_the_recipient_as_the_sender_wrote_him(with_verp):
    status, value = with_verp("l@x.test", "info@valias.test", "--client", "10.0.0.1", "--verp")
    assert status == 0
    assert [(way["recipient"], way["sender"]) for way in value["delivery"]] == [
        ("alice@vbox.test", "l+info=valias.test@x.test"),
        ("out@remote.test", "l+info=valias.test@x.test"),
    ]
    _status, value = with_verp("l@x.test", "o@remote.test", "--client", "10.0.0.1", "--verp=-=")
    assert value["delivery"][0]["sender"] == "l-o=remote.test@x.test"
    _status, value = with_verp("l@x.test", "o@remote.test", "--client", "10.0.0.1")
    assert "sender" not in value["delivery"][0]


@pytest.mark.parametrize(
    ("sender", "client", "option", "reply"),
    [
        ("l@x.test", "10.0.0.2", "--verp", "555 5.5.4 Unsupported option: XVERP"),
        ("l@x.test", "10.0.0.1", "--verp=%%", "501 5.5.4 Error: XVERP needs two characters from -=+"),
        ("", "10.0.0.1", "--verp", "503 5.5.4 Error: XVERP requires non-null sender"),
    ],
)
def test_verp_that_is_refused(with_verp, sender, client, option, reply):
    status, value = with_verp(sender, "o@remote.test", "--client", client, option)
    assert (status, value["reply"]) == (os.EX_UNAVAILABLE, reply)
