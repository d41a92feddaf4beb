"""Names that mean something, and those that do not."""

from __future__ import annotations

import pytest

from angarium.config import Config
from angarium.config.registry import registry
from angarium.config.usage import examine, nearest, without_effect


def load(tmp_path, main, master=""):
    (tmp_path / "main.cf").write_text(main)
    (tmp_path / "master.cf").write_text(master)
    return Config.load(tmp_path)


def test_a_misspelt_name_has_a_nearest_one():
    assert nearest("smtpd_bannner", registry()) == "smtpd_banner"
    assert nearest("nothing_like_it", registry()) == ""


def test_names_of_the_administrators_own_are_used_by_reference(tmp_path):
    conf = load(
        tmp_path,
        "mua = permit\nsmtpd_helo_restrictions = $mua\nsmtpd_restriction_classes = grey\ngrey = reject\n"
        "virtual_alias_maps = ldap:people\npeople_server_host = x\nin_master = y\nunused = z\n",
        "smtp inet n - n - - smtpd -o smtpd_banner=$in_master -o own=1 -o smtpd_etrn_restrictions=$own -o lost=2\n",
    )
    usage = examine(conf, conf.master.services)
    assert usage.user == {"mua", "grey", "people_server_host", "in_master"}
    assert [setting.name for setting in usage.unused] == ["unused"]
    assert [name for _entry, name, _text in usage.unused_overrides] == ["lost"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("ipc_timeout", "1s", "main.cf:1: ipc_timeout has no effect: services talk inside a process"),
        ("postscreen_greet_wait", "3s", "main.cf:1: postscreen_greet_wait is not supported yet: there"),
        ("max_use", "100", ""),  # it says what the default says
        ("biff", "no", ""),  # it asks for nothing
        ("readme_directory", "/usr/share/doc/postfix", ""),  # Postfix does nothing with it either
        ("relay_delivery_slot_cost", "7", "main.cf:1: relay_delivery_slot_cost has no effect: the scheduler works on"),
        ("relay_destination_rate_delay", "7s", ""),
        ("relayhost", "x", ""),
    ],
)  # fmt: skip
def test_parameters_without_effect_are_told(name, text, told):
    said = "".join(without_effect(name, "main.cf:1", text))
    assert said.startswith(told)
    assert bool(said) == bool(told)


def test_services_bring_parameters(tmp_path):
    conf = load(
        tmp_path,
        "polite_destination_rate_delay = 1s\nslow_destination_rate_delay = 1s\n",
        "polite unix - - n - - smtp\n",
    )
    assert [setting.name for setting in examine(conf, conf.master.services).unused] == ["slow_destination_rate_delay"]
