from __future__ import annotations

from pathlib import Path

from angarium.config.config import Config
from angarium.master.secrets import hold_secrets, wanted


def test_tables_and_client_keys_are_wanted(tmp_path):
    (tmp_path / "main.cf").write_text(
        "smtp_sasl_password_maps = hash:/etc/p/sasl\n"
        "virtual_alias_maps = proxy:mysql:/etc/p/alias.cf, texthash:rel, inline:{{a=b}}\n"
        "smtp_tls_cert_file = /etc/p/c.pem\nsmtp_tls_chain_files = /etc/p/one /etc/p/two\n"
        "smtpd_tls_key_file = /etc/p/server.key\nx = lmdb:$config_directory/y\n"
        "header_checks = pcre:/etc/p/checks\nbroken = ${a\n"
    )
    (tmp_path / "master.cf").write_text(
        "smtp unix - - n - - smtp\n  -o smtp_generic_maps=cdb:/etc/p/generic\n  -o smtp_tls_key_file=/etc/p/k.pem\n"
    )
    names = {str(path) for path in wanted(Config.load(tmp_path))}
    assert names == {
        "/etc/p/sasl", "/etc/p/sasl.db", "/etc/p/alias.cf", f"{tmp_path}/rel", "/etc/p/c.pem", "/etc/p/one",
        "/etc/p/two", f"{tmp_path}/y", f"{tmp_path}/y.lmdb", "/etc/p/checks", "/etc/p/generic",
        "/etc/p/generic.cdb", "/etc/p/k.pem",
    }  # fmt: skip


def test_nothing_is_held_for_oneself(tmp_path):
    (tmp_path / "main.cf").write_text(f"smtp_sasl_password_maps = hash:{tmp_path / 'sasl'}\n")
    (tmp_path / "master.cf").write_text("")
    assert hold_secrets(Config.load(Path(tmp_path)), None) == ()
