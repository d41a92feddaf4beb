"""The configuration that we ship is one that we understand."""

from __future__ import annotations

from pathlib import Path

from angarium.commands.check import names, relay, restrictions, services, settings
from angarium.commands.check.installation import Installation
from angarium.config import Config
from angarium.master import programs
from angarium.master.listeners import known_ports

DIRECTORY = Path(__file__).parents[3] / "packaging" / "postfix"


def test_nothing_in_it_is_unknown_or_without_effect():
    conf = Config.load(DIRECTORY)
    site = Installation(conf, conf.master.services)
    found = [each for family in (names, settings, services, restrictions, relay) for each in family.check(site)]
    assert [str(each) for each in found if each.rule is not settings.HOSTNAME] == []  # that is the machine's
    assert programs.unsupported(conf.master.services) == []
    for name in conf.main.settings:
        conf.check(name)


def test_its_services_have_the_usual_ports():
    conf = Config.load(DIRECTORY)
    ports = known_ports(conf)
    found = {entry.name: int(ports[entry.name]) for entry in conf.master.services if entry.type == "inet"}
    assert found == {
        "smtp": 25,
        "submission": 587,
        "submissions": 465,
        "imap": 143,
        "imaps": 993,
        "pop3": 110,
        "pop3s": 995,
    }


def test_log_readers_know_the_tags():
    conf = Config.load(DIRECTORY)
    tags = {entry.key: conf.for_service(entry).text("syslog_name") for entry in conf.master.services}
    assert tags["submission/inet"] == "postfix/submission"
    assert tags["submissions/inet"] == "postfix/smtps"
    assert tags["relay/unix"] == "postfix/relay"
    assert tags["smtp/inet"] == "postfix"
