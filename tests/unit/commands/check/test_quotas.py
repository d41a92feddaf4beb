"""What the checks find in quotas."""

from __future__ import annotations

import pytest

from angarium.commands.check import engine, quotas

OURS = {rule.id for rule in quotas.RULES}
MASTER = "smtp inet n - n - - smtpd\nvirtual unix - n n - - virtual\n"
MAIN = "myhostname = mail.example.test\nmail_owner = root\n"


@pytest.fixture
def check(tmp_path):
    """``check(main, master)`` -> what is found, by this family alone."""

    def run(main, master=""):
        (tmp_path / "main.cf").write_text(MAIN + main)
        (tmp_path / "master.cf").write_text(MASTER + master)
        return [f"{each.rule.id}:{each.line}: {each.text}" for each in engine.run(tmp_path) if each.rule.id in OURS]

    return run


def test_what_makes_sense_is_left_alone(check, tmp_path):
    assert check("") == []
    assert check("over_quota_reject_code = 452\n") == []
    main = (
        "mailstore_quota_grace = 1M\nmailstore_quota_rules = Junk:ignore\nmailstore_quota_warnings = 80%, -80%\n"
        f"mailstore_quota_template_directory = {tmp_path}\n"
    )
    assert check(main, "127.0.0.1:12340 inet n - n - - quota-status\nquota unix - - n - - quota-status\n") == []


def test_values_without_sense(check):
    main = "mailstore_quota_grace = much\nmailstore_quota_rules = Junk\nmailstore_quota_warnings = 80\n"
    assert check(main) == [
        "quota-value:3: mailstore_quota_grace: not a size: 'much' (for example 500M, 1G; 0 for no limit)",
        "quota-value:4: mailstore_quota_rules: not a rule: 'Junk' (for example Trash:storage=+100M, Junk:ignore)",
        "quota-value:5: mailstore_quota_warnings: not a threshold: '80' (for example 80%, messages=95%, -100%)",
    ]
    assert check("mailstore_quota_template_directory = /no/such\n") == [
        "quota-templates-missing:3: mailstore_quota_template_directory: /no/such is no directory"
    ]


def test_what_contradicts_itself(check):
    assert check("over_quota_action = defer\n") == [
        "quota-answers-differ:3: clients are told 552 for a full mailbox, and what is in the queue waits"
    ]
    assert check("over_quota_reject_code = 452\nover_quota_action = bounce\n") == [
        "quota-answers-differ:4: clients are told 452 for a full mailbox, and what is in the queue is returned"
    ]


def test_who_may_ask_for_quotas(check):
    [told] = check("", "12340 inet n - n - - quota-status\n")
    assert told.startswith("quota-status-open:3: 12340/inet: anybody who reaches this port may ask which mailboxes")
