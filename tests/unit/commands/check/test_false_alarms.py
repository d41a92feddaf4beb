"""The checks say nothing of configurations that are sound: those that were recorded beside Postfix, and whole ones."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from angarium.commands.check import engine

TESTS = Path(__file__).parents[3]
ROUTING = runpy.run_path(str(TESTS / "golden" / "record_routing.py"))
REWRITING = runpy.run_path(str(TESTS / "golden" / "record_rewriting.py"))
WHOLE = sorted(path.name for path in (TESTS / "data" / "configurations").iterdir())
SETTINGS = {
    **{f"routing-{name}": {**ROUTING["BASE"], **case[1]} for name, case in ROUTING["CASES"].items()},
    **{f"rewriting-{name}": {**REWRITING["BASE"], **case[0]} for name, case in REWRITING["CONFIGS"].items()},
}
WITHOUT_EFFECT = {"in_flow_delay"}
"""What is said of these is true."""
MASTER = "".join(
    f"{name} {kind} - - n - - {command}\n"
    for name, kind, command in (
        ("smtp", "inet", "smtpd"),
        *((name, "unix", name) for name in ("smtp", "lmtp", "virtual", "local", "error", "discard", "cleanup")),
        *((name, "unix", "smtp") for name in ("relay", "slow", "outer", "inner", "mailbox", "one", "two", "other")),
        *((name, "unix", "smtp") for name in ("smtp_enforced_tls", "dovecot")),
        ("retry", "unix", "error"),
    )
)


TRUE = {
    "routing-double_class": {"domain-in-two-classes"},
    "routing-double_virtual": {"domain-in-two-classes"},
    "routing-transport_results": {"missing-transport"},
    "routing-transport_results_relayhost": {"missing-transport"},
}
"""What is wrong with these on purpose: a domain of two classes, and ``SMTP:``, which is no ``smtp:``."""
OF_THE_MACHINE = {
    *("missing-table", "missing-table-settings", "tls-file-unreadable", "command-user", "command-program"),
    *("unreadable-program", "mynetworks-gateway", "hostname-not-qualified", "wrong-owner", "missing-directory"),
    *("unsupported-service", "unsupported-parameter", "parameter-without-effect", "trees-not-used", "chroot-not-done"),
    *(
        "old-parameter",
        "missing-user",
        "mail-spool",
        "default-privs",
        "wrong-group",
        "symlink-leaves",
        "unreadable-directory",
    ),
}
"""Files that are not there, and what this server does not do."""
OWN = {
    "box": set(),
    "container": {("undefined-reference", "master.cf", 14)},
    "gateway": set(),
    "ldapstack": {("misspelt-parameter", "main.cf", 55)},
    "panel": {
        *(("misspelt-parameter", "master.cf", 6), ("misspelt-parameter", "main.cf", 51)),
        *(("misspelt-parameter", "main.cf", 52), ("gone-parameter", "main.cf", 54), ("hash-in-value", "main.cf", 58)),
        *(("overridden-setting", "main.cf", 50), ("doubled-service", "master.cf", 2)),
        *(("old-restriction", "main.cf", 32), ("missing-transport", "main.cf", 35)),
    },
    "sqlsuite": {("undefined-reference", "master.cf", 69), ("mailbox-smaller-than-messages", "main.cf", 26)},
    "tutorial": set(),
}
"""What is wrong with the whole ones, as their models have it."""


def found(directory):
    return sorted({(each.rule.id, Path(each.file).name, each.line) for each in engine.run(directory)})


@pytest.mark.parametrize("name", SETTINGS)
def test_what_was_recorded_is_sound(tmp_path, name):
    for each in ("etc", "spool", "lib"):
        (tmp_path / each).mkdir()
    own = {"queue_directory": tmp_path / "spool", "data_directory": tmp_path / "lib", "mail_owner": "root"}
    lines = [f"{key} = {value}\n" for key, value in {**SETTINGS[name], **own}.items() if key not in WITHOUT_EFFECT]
    (tmp_path / "etc" / "main.cf").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "etc" / "master.cf").write_text(MASTER)
    assert {each for each, _, _ in found(tmp_path / "etc")} == TRUE.get(name, set())


@pytest.mark.parametrize("name", WHOLE)
def test_whole_configurations_have_what_their_models_have(name):
    directory = TESTS / "data" / "configurations" / name
    assert {each for each in found(directory) if each[0] not in OF_THE_MACHINE} == OWN[name]
