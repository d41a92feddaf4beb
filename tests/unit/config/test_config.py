"""Config: look-up order, typed reads, overlays, errors with their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from angarium.config import Config, ConfigError, configuration_directory
from angarium.config.master_cf import parse_master_cf


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "main.cf").write_text(
        "myhostname = mail.example.com\nbiff = maybe\nmydestination = $myhostname,\n  localhost\n"
        "smtpd_restriction_classes = greylist\ngreylist = permit\n"
        "polite_destination_concurrency_limit = 3\n"
    )
    (tmp_path / "master.cf").write_text("polite unix - - n - - smtp\n")
    return tmp_path


def test_reads_settings_and_defaults(directory):
    conf = Config.load(directory)
    assert conf.names("mydestination") == ["mail.example.com", "localhost"]
    assert conf.text("mydomain") == "example.com"
    assert conf.text("smtpd_banner") == "mail.example.com ESMTP Postfix"
    assert conf.seconds("smtpd_timeout") == 300.0
    assert conf.size("message_size_limit") == 10240000
    assert conf.integer("smtpd_hard_error_limit") == 20
    assert conf.text("greylist") == "permit"
    assert conf.text("config_directory") == str(directory)


def test_services_have_parameters_of_their_own(directory):
    conf = Config.load(directory)
    assert conf.integer("polite_destination_concurrency_limit") == 3
    assert conf.integer("other_destination_concurrency_limit") == 20
    assert conf.seconds("polite_destination_rate_delay") == 0.0


def test_an_error_names_file_and_line(directory):
    with pytest.raises(ConfigError) as caught:
        Config.load(directory).boolean("biff")
    assert str(caught.value) == f"{directory}/main.cf, line 2: bad boolean configuration: biff = maybe"


def test_an_unknown_name_is_an_error():
    with pytest.raises(ConfigError, match="nosuch: unknown parameter"):
        Config.of().text("nosuch")


def test_overlays_do_not_change_what_they_lie_over(directory):
    conf = Config.load(directory)
    over = conf.overlay({"myhostname": "other.test", "smtpd_timeout": "x"}, "master.cf", 7)
    assert over.text("smtpd_banner") == "other.test ESMTP Postfix"
    assert conf.text("smtpd_banner") == "mail.example.com ESMTP Postfix"
    with pytest.raises(ConfigError, match=r"master\.cf, line 7: parameter smtpd_timeout"):
        over.seconds("smtpd_timeout")
    assert over.source("myhostname") == "master.cf:7"
    assert conf.source("myhostname") == f"{directory}/main.cf:1"
    assert conf.source("smtpd_timeout") == "default"


def test_a_service_knows_its_name():
    line = "relay unix - - n - - smtp -o { syslog_name = postfix/$service_name }"
    entry = parse_master_cf(line, "master.cf").services[0]
    assert Config.of().for_service(entry).text("syslog_name") == "postfix/relay"


def test_raw_parameters_stay_unexpanded():
    assert "$rbl_code" in Config.of().text("default_rbl_reply")


def test_compatibility_level_moves_defaults():
    assert Config.of().boolean("append_dot_mydomain")
    assert not Config.of({"compatibility_level": "3.6"}).boolean("append_dot_mydomain")


def test_where_the_configuration_is(monkeypatch):
    monkeypatch.delenv("MAIL_CONFIG", raising=False)
    assert configuration_directory() == Path("/etc/postfix")
    monkeypatch.setenv("MAIL_CONFIG", "/elsewhere")
    assert configuration_directory() == Path("/elsewhere")
    assert configuration_directory("/here") == Path("/here")


def test_networks_follow_style_and_interfaces():
    conf = Config.of({"inet_interfaces": "loopback-only", "inet_protocols": "ipv4", "mynetworks_style": "host"})
    assert conf.text("mynetworks") == "127.0.0.1/32"
