"""Two instances on one machine, made, started, asked and stopped with postmulti(1)."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest

from angarium.commands import postmulti

SECONDS = 25.0


@pytest.fixture
def multi(servers, monkeypatch):
    """postmulti with a site of the tests for the primary instance; a second one beside it."""
    monkeypatch.delenv("MAIL_CONFIG", raising=False)
    server = servers.prepare()
    root = server.site.root

    def call(*words: str) -> int:
        return postmulti.main(list(words), primary=server.site.configuration)

    second = [f"{kind}_directory={root}/second/{kind}" for kind in ("config", "queue", "data")]
    assert call("-e", "init") == 0
    assert call("-e", "create", "-I", "postfix-out", "-G", "out", *second) == 0
    main_cf = root / "second" / "config" / "main.cf"
    log = root / "second" / "log"
    main_cf.write_text(
        main_cf.read_text().replace("authorized_submit_users =", "authorized_submit_users = static:anyone")
        + f"maillog_file = {log}\nmaillog_file_prefixes = /\ndefault_transport = discard:gone\nmydestination =\n"
        + f"myhostname = out.example.test\nalias_maps =\nvirtual_mailbox_base = {root}/second/mail\n"
        + f"directory_database = {root}/second/directory.sqlite\n"
    )
    yield call, server, log
    call("-p", "stop")


def until(log, text: str) -> str:
    deadline = time.monotonic() + SECONDS
    while not log.exists() or text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text() if log.exists() else "no log"
        time.sleep(0.02)
    return log.read_text()


def test_two_instances_live_side_by_side(multi):
    call, server, log = multi
    assert call("-p", "start") == 0
    assert call("-p", "status") == 1
    assert re.search(r"postfix-out/postfix-script\[\d+\]: the Postfix mail system is not running", log.read_text())
    assert call("-e", "enable", "-i", "postfix-out") == 0
    assert call("-i", "postfix-out", "-p", "start") == 0
    assert call("-p", "status") == 0
    running = r"/postfix-script\[\d+\]: the Postfix mail system is running: PID: "
    assert re.search("postfix" + running, server.log())
    assert re.search("postfix-out" + running, log.read_text())
    command = [sys.executable, "-m", "angarium.commands.sendmail", "-C", str(log.parent / "config"), "a@x.test"]
    subprocess.run(command, input=b"Subject: x\n\nx\n", check=True, timeout=60)
    assert ", status=sent (gone)" in until(log, ": removed")
    assert " postfix-out/qmgr[" in log.read_text()
    assert "gone" not in server.log()
    assert call("-p", "stop") == 0
    assert call("-p", "status") == 1
    assert call("-e", "destroy", "-i", "postfix-out") == 1
    assert call("-e", "disable", "-i", "postfix-out") == 0
    assert call("-e", "destroy", "-i", "postfix-out") == 0
    assert not (log.parent / "config").exists()
    assert not (log.parent / "queue").exists()
    assert not (log.parent / "data").exists()


@pytest.mark.parametrize("action", ["deport", "destroy"])
def test_an_instance_that_runs_is_not_removed(multi, capfd, action):
    call, server, log = multi
    directory = log.parent / "config"
    assert call("-e", "enable", "-i", "postfix-out") == 0
    assert call("-i", "postfix-out", "-p", "start") == 0
    assert call("-e", action, "-i", "postfix-out") == 1
    assert "Cannot remove enabled instances" in capfd.readouterr().err
    assert call("-e", "disable", "-i", "postfix-out") == 0
    try:
        assert call("-e", action, "-i", "postfix-out") == 1
        assert f"Instance '{directory}' is not stopped" in capfd.readouterr().err
        assert "postfix/postmulti-script[" in server.log()
        assert (directory / "main.cf").exists()
    finally:
        subprocess.run([sys.executable, "-m", "angarium.commands.postfix", "-c", str(directory), "stop"], check=True)
    assert call("-e", action, "-i", "postfix-out") == 0
    main_cf = (server.site.configuration / "main.cf").read_text()
    assert "multi_instance_directories = \n" in main_cf or "multi_instance_directories =\n" in main_cf
    assert (f"alternate_config_directories = {directory}\n" in main_cf) is (action == "deport")
