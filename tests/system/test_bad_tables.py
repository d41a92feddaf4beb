"""Tables that are missing, wrong, endless or loops of themselves: mail waits, and the log says what is the matter."""

from __future__ import annotations

import smtplib

import pytest

from angarium.demo.site import Site

PATIENCE = 20
LATER = (451, b"4.3.0 <bob@example.test>: Temporary lookup failure")


def session(site: Site, recipient: str, content: bytes = b"Subject: hi\r\n\r\nb\r\n") -> tuple[int, bytes]:
    """The answer to RCPT, or that to the message."""
    with smtplib.SMTP(site.host, site.ports.smtp, timeout=PATIENCE) as client:
        client.ehlo("client.example")
        client.mail("s@x.test")
        code, text = client.docmd("RCPT", f"TO:<{recipient}>")
        return client.data(content) if code == 250 else (code, text)


def test_a_map_that_is_missing(servers):
    server = servers.start({"virtual_alias_maps": "hash:/nonexistent/aliases"})
    assert session(server.site, "bob@example.test") == LATER
    assert "open database /nonexistent/aliases.db: No such file or directory" in server.log()
    assert "bounced" not in server.log()


def test_a_table_with_lines_that_are_wrong(servers):
    server = servers.prepare()
    table, rules = server.site.root / "table", server.site.root / "rules"
    table.write_text("good.test error:5.1.1 known\nnothing\nx.test error:5.1.1 known too\n")
    rules.write_text("/^good@/ OK\nno slash\n/(/ REJECT\n/^bad@/ REJECT by rule\n")
    with (server.site.configuration / "main.cf").open("a") as file:
        file.write(f"transport_maps = texthash:{table}\nrelay_domains = good.test\n")
        file.write(f"smtpd_recipient_restrictions = check_recipient_access regexp:{rules}, reject_unauth_destination\n")
    server.start()
    assert session(server.site, "bob@example.test")[0] == 250
    assert session(server.site, "bad@example.test") == (
        554,
        b"5.7.1 <bad@example.test>: Recipient address rejected: by rule",
    )
    assert session(server.site, "a@good.test") == (550, b"5.1.1 <a@good.test>: Recipient address rejected: known")
    for words in (
        f"{table}, line 2: expected format: key whitespace value",
        f"{rules}, line 2: ",
        f"{rules}, line 3: ",
    ):
        assert words in server.log()


@pytest.mark.parametrize("kind", ["pcre", "regexp"])
def test_a_pattern_without_end_costs_its_own_mail_a_delay(servers, kind):
    pattern = "/^(a+)+$/" if kind == "pcre" else r"/^((a+)+)*(z?)$\3/"
    pattern = pattern.replace("$", "$$")
    rules = f"check_recipient_access {kind}:{{{{{pattern} REJECT}}}}, reject_unauth_destination"
    checks = f"{kind}:{{{{/^Subject: {pattern[2:]} REJECT}}}}"
    server = servers.start({"smtpd_recipient_restrictions": rules, "header_checks": checks})
    many = "a" * 60 + "!"
    assert session(server.site, f"{many}@example.test")[0] == 451
    assert session(server.site, "bob@example.test", f"Subject: {many}\r\n\r\nb\r\n".encode())[0] == 451
    assert session(server.site, "bob@example.test")[0] == 250
    assert "takes too long" in server.log()
    assert "bounced" not in server.log()


def test_a_list_of_domains_that_includes_itself(servers):
    server = servers.prepare()
    listed = server.site.root / "domains"
    listed.write_text(f"a.test\n{listed}\nb.test\n")
    with (server.site.configuration / "main.cf").open("a") as file:
        file.write(f"relay_domains = {listed}\n")
    server.start()
    code, text = session(server.site, "u@other.test")
    assert (code, text[:5]) == (451, b"4.3.0")
    assert session(server.site, "bob@example.test")[0] == 250
    assert "include one another too deeply" in server.log()


def test_aliases_that_are_a_circle(servers):
    server = servers.start(
        {"virtual_alias_maps": "inline:{{l1@example.test=l2@example.test},{l2@example.test=l1@example.test}}"}
    )
    assert session(server.site, "l1@example.test")[0] == 451
    assert "unreasonable virtual_alias_maps map nesting for l1@example.test -- message not accepted" in server.log()
    assert session(server.site, "bob@example.test")[0] == 250


def test_keys_that_no_table_can_have(servers):
    server = servers.start(
        {
            "virtual_alias_maps": "inline:{a=b} texthash:/dev/null regexp:{{/^x@/ y@example.test}}",
            "smtpd_recipient_restrictions": "check_recipient_access texthash:/dev/null, reject_unauth_destination",
        }
    )
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=PATIENCE) as client:
        client.ehlo("client.example")
        client.mail("s@x.test")
        sent = [
            b"a\0b@example.test",
            b"\xff\xfe@example.test",
            b"\xc3@example.test",
            b'"' + b"a" * 1500 + b'"@example.test',
        ]
        for address in sent:
            client.sock.sendall(b"RCPT TO:<" + address + b">\r\n")
            assert client.getreply()[0] in (500, 501, 550)
        assert client.docmd("RCPT", "TO:<bob@example.test>")[0] == 250
        assert client.data(b"Subject: a\r\n\r\nb\r\n")[0] == 250
