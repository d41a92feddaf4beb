"""Names that mean something, and those that do not."""

from __future__ import annotations

from angarium.config import Config
from angarium.config.usage import complaints, examine


def load(tmp_path, main, master=""):
    (tmp_path / "main.cf").write_text(main)
    (tmp_path / "master.cf").write_text(master)
    return Config.load(tmp_path)


def test_a_misspelt_name_is_told_with_the_nearest_known_one(tmp_path):
    conf = load(tmp_path, "relayhost = x\nsmtpd_bannner = y\n")
    assert list(complaints(conf)) == [
        f"{tmp_path}/main.cf:2: unused parameter: smtpd_bannner=y (did you mean smtpd_banner?)"
    ]


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


def test_parameters_without_effect_are_told(tmp_path):
    told = "\n".join(
        complaints(load(tmp_path, "ipc_timeout = 1s\npostscreen_greet_wait = 3s\nmax_use = 100\nbiff = no\n"))
    )
    assert f"{tmp_path}/main.cf:1: ipc_timeout has no effect: services talk inside a process" in told
    assert f"{tmp_path}/main.cf:2: postscreen_greet_wait is not supported yet" in told
    assert "max_use" not in told  # it says what the default says
    assert "biff" not in told  # it asks for nothing


def test_services_bring_parameters(tmp_path):
    conf = load(
        tmp_path,
        "polite_destination_rate_delay = 1s\nslow_destination_rate_delay = 1s\n",
        "polite unix - - n - - smtp\n",
    )
    assert [setting.name for setting in examine(conf, conf.master.services).unused] == ["slow_destination_rate_delay"]
