"""The master on a real server: start, stop, reload, status; what dies is replaced."""

from __future__ import annotations

import contextlib
import gzip
import os
import pwd
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from angarium.demo import trial


def until(check, patience=15.0):
    """Wait for a condition; the value that made it true."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        value = check()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail("it did not come to pass")


def postfix(server, *words):
    done = subprocess.run(server.site.command("postfix", *words), capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def master_pid(server):
    return int((server.site.root / "spool" / "pid" / "master.pid").read_text())


def children(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid):
    """A process that is there and no zombie, which some containers' init leaves."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def smtp(server):
    return smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20)


def can_serve(server):
    try:
        with smtp(server) as client:
            return client.noop()[0] == 250
    except OSError:
        return False


def send(server, subject):
    with smtp(server) as client:
        client.sendmail("x@remote.test", ["bob@example.test"], f"Subject: {subject}\r\n\r\nhello\r\n")


def test_starts_tells_its_state_and_stops(servers):
    server = servers.prepare()
    assert postfix(server, "status") == (1, "")
    assert "postfix/postfix-script" in server.log()
    assert "the Postfix mail system is not running" in server.log()
    code, text = postfix(server, "stop")
    assert code == 1
    assert "postfix/postfix-script: fatal: the Postfix mail system is not running" in text

    begun = time.monotonic()
    server.start()
    assert time.monotonic() - begun < 10
    assert can_serve(server)
    pid = master_pid(server)
    assert postfix(server, "status") == (0, "")  # it speaks to terminals, and to the log
    assert f"the Postfix mail system is running: PID: {pid}" in server.log()
    code, text = postfix(server, "start")
    assert code == 1
    assert "fatal: the Postfix mail system is already running" in text

    processes = children(pid)
    server.stop()
    until(lambda: not [each for each in [pid, *processes] if alive(each)])
    log = server.log()
    assert "postfix/postfix-script" in log
    for text in ("starting the Postfix mail system", "daemon started -- version 3.9", "terminating on signal 15"):
        assert text in log
    assert f"configuration {server.site.configuration}" in log


def test_replaces_a_worker_that_is_killed(servers):
    server = servers.start({"worker_processes": "2", "service_throttle_time": "1s"})
    pid = master_pid(server)
    before = set(children(pid))
    assert len(before) == 3
    for victim in sorted(before):
        os.kill(victim, signal.SIGKILL)
    after = until(lambda: len(now := set(children(pid)) - before) == 3 and now)
    assert not after & before
    until(lambda: can_serve(server))
    send(server, "after the crash")
    until(lambda: "status=sent" in server.log())
    assert "killed by signal 9" in server.log()
    # One that does not last is replaced too, only not at once.
    for victim in after:
        os.kill(victim, signal.SIGKILL)
    until(lambda: len(set(children(pid)) - before - after) == 3)
    until(lambda: can_serve(server))


def test_limits_hold_over_all_workers(servers):
    server = servers.start(
        {
            "worker_processes": "4",
            "smtpd_client_connection_count_limit": "3",
            "smtpd_client_message_rate_limit": "4",
            "smtpd_client_event_limit_exceptions": "",
            "anvil_status_update_time": "1s",
        }
    )
    sessions = []
    try:
        for _number in range(6):
            session = socket.create_connection((server.site.host, server.site.ports.smtp), 20)
            sessions.append(session)
        greetings = [session.recv(200)[:4] for session in sessions]
    finally:
        for session in sessions:
            session.close()
    assert sorted(greetings) == [b"220 "] * 3 + [b"421 "] * 3
    assert "Connection concurrency limit exceeded: 4 from" in server.log()

    until(lambda: can_serve(server))
    codes = []
    for _number in range(8):
        with smtp(server) as client:
            client.ehlo("client.test")
            codes.append(client.mail("x@remote.test")[0])
    assert sorted(codes) == [250] * 4 + [450] * 4
    until(lambda: "statistics: max connection count " in server.log())


def test_maxproc_lets_others_wait(servers):
    server = servers.prepare({"worker_processes": "2"})
    site = server.site
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    ports = {"smtp": False, "submissions": True, "imap": False, "imaps": True, "pop3": False, "pop3s": True}
    for name in ports:
        site.administer("postconf", "-Fe", f"{site.host}:{getattr(site.ports, name)}/inet/process_limit=3")
    server.start()
    for name, tls in ports.items():
        clients = []
        for _number in range(4):
            client = socket.create_connection((site.host, getattr(site.ports, name)), 20)
            if tls:
                client = context.wrap_socket(client, do_handshake_on_connect=False)
            clients.append(client)
        for client in clients[:3]:
            assert client.recv(100), name
        clients[3].settimeout(0.2)
        with pytest.raises(TimeoutError):
            clients[3].recv(100)
        clients[3].settimeout(20)
        clients[1].close()
        assert clients[3].recv(100), name
        if tls:  # a handshake that fails gives its place back
            clients[0].close()
            with socket.create_connection((site.host, getattr(site.ports, name)), 20) as noise:
                noise.sendall(b"QUIT\r\n" * 100)
                while noise.recv(100):
                    pass
            with context.wrap_socket(socket.create_connection((site.host, getattr(site.ports, name)), 20)) as client:
                assert client.recv(100), name
        for client in clients:
            client.close()


def test_limits_hold_over_a_reload_and_do_not_outlive_a_worker(servers):
    server = servers.start(
        {
            "worker_processes": "2",
            "smtpd_client_connection_count_limit": "1",
            "smtpd_client_event_limit_exceptions": "",
        }
    )
    pid = master_pid(server)
    before = set(children(pid))
    with smtp(server) as client:
        client.ehlo("client.test")
        client.mail("x@remote.test")  # a session with a transaction stays
        os.kill(pid, signal.SIGHUP)
        until(lambda: len(set(children(pid)) - before) >= 3)
        assert not can_serve(server)
        for worker in before & set(children(pid)):
            os.kill(worker, signal.SIGKILL)
        until(lambda: can_serve(server))
        client.close()


def test_a_reload_keeps_sessions_and_brings_the_new_settings(servers):
    server = servers.start()
    pid = master_pid(server)
    before = set(children(pid))
    with contextlib.suppress(smtplib.SMTPResponseException), smtp(server) as old:  # 421 to QUIT is an answer too
        old.ehlo("client.test")
        server.site.administer("postconf", "-e", "smtpd_banner = mail.example.test ESMTP reloaded")
        assert postfix(server, "reload") == (0, "")

        def new_banner():
            with socket.create_connection((server.site.host, server.site.ports.smtp), 20) as client:
                return b"reloaded" in client.recv(200)

        until(new_banner)
        assert master_pid(server) == pid
        assert old.mail("x@remote.test")[0] in (250, 421)  # smtpd may end a session between transactions
    until(lambda: not before & set(children(pid)))
    send(server, "after the reload")
    until(lambda: "status=sent" in server.log())
    assert "refreshing the Postfix mail system" in server.log()
    assert "reload -- version 3.9" in server.log()


def test_a_transaction_survives_a_reload(servers):
    server = servers.start()
    pid = master_pid(server)
    before = set(children(pid))
    client = smtp(server)
    try:
        client.ehlo("client.test")
        client.mail("x@remote.test")
        client.rcpt("bob@example.test")
        os.kill(pid, signal.SIGHUP)
        until(lambda: len(set(children(pid)) - before) >= 2)
        assert client.data(b"Subject: survivor\r\n\r\nx\r\n")[0] == 250
    finally:
        client.close()  # without QUIT: the old worker ends the session once the transaction is over
    until(lambda: "status=sent" in server.log())


def test_a_reload_opens_and_closes_services(servers):
    server = servers.start()
    site = server.site
    service = f"{site.host}:2526/inet"
    site.administer("postconf", "-Me", f"{service}={site.host}:2526 inet n - n - - smtpd")
    site.administer("postconf", "-MX", f"{site.host}:{site.ports.pop3}/inet")
    assert postfix(server, "reload")[0] == 0

    def answers(port):
        try:
            with socket.create_connection((site.host, port), 20) as client:
                return client.recv(100) != b""
        except OSError:
            return False

    until(lambda: answers(2526))
    until(lambda: not answers(site.ports.pop3))
    assert answers(site.ports.imap)


def test_a_bad_configuration_does_not_stop_a_running_server(servers):
    server = servers.start()
    path = server.site.configuration / "main.cf"
    good = path.read_text()
    path.write_text(good + "smtpd_helo_required = perhaps\n")
    code, text = postfix(server, "reload")
    line = len(good.splitlines()) + 1
    assert code == 1
    assert f"{path}, line {line}: bad boolean configuration: smtpd_helo_required = perhaps" in text
    path.write_text(good + "nonsense\n")
    os.kill(master_pid(server), signal.SIGHUP)
    until(lambda: "reload refused" in server.log())
    assert f"line {line}: missing '=' after attribute name" in server.log()
    assert can_serve(server)
    path.write_text(good)


def test_says_why_it_cannot_start(servers):
    server = servers.prepare()
    site = server.site
    with socket.create_server((site.host, site.ports.imap)):
        code, text = postfix(server, "start")
    assert code == 1
    assert f"bind {site.host}:{site.ports.imap}: Address already in use" in text
    assert "master.cf, line" in text
    assert "fatal: mail system startup failed" in text

    key = site.root / "tls" / "server.key"
    content = key.read_bytes()
    key.write_text("no key\n")
    code, text = postfix(server, "start")
    assert code == 1
    assert str(key) in text
    key.write_bytes(content)
    assert postfix(server, "start") == (0, "")
    assert can_serve(server)


def test_tls_from_the_start_wants_a_certificate(servers):
    server = servers.prepare({"imapd_tls_cert_file": "", "imapd_tls_key_file": ""})
    code, text = postfix(server, "start")
    assert code == 1
    assert "master.cf, line" in text
    assert "imapd_tls_wrappermode needs imapd_tls_cert_file" in text


def test_check_warns_of_files_that_others_can_change(servers):
    server = servers.prepare()
    (server.site.configuration / "master.cf").chmod(0o666)
    (server.site.root / "tls" / "server.key").chmod(0o644)
    code, text = postfix(server, "check")
    assert code == 0
    assert f"group or other writable: {server.site.configuration}/./master.cf" in text
    assert "smtpd_tls_key_file: everyone may read or write" in text


def test_rotates_the_log(servers):
    server = servers.start()
    pid = master_pid(server)
    before = children(pid)
    send(server, "in the old log")
    until(lambda: "status=sent" in server.log())
    assert postfix(server, "logrotate") == (0, "")
    assert children(pid) == before
    (packed,) = server.site.log.parent.glob("mail.log.*.gz")
    assert b"status=sent" in gzip.decompress(packed.read_bytes())
    assert "status=sent" not in server.log()
    send(server, "in the new log")
    until(lambda: "status=sent" in server.log())


def test_children_do_not_outlive_a_killed_master(servers):
    server = servers.start()
    pid = master_pid(server)
    processes = children(pid)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not [each for each in processes if alive(each)])
    assert postfix(server, "status")[0] == 1
    server.start()
    assert can_serve(server)


def test_check_warns_with_file_and_line(servers):
    server = servers.prepare({"smtpd_bannner": "x", "qmqpd_error_delay": "5s"})
    code, text = postfix(server, "check")
    assert code == 0
    assert "unused parameter: smtpd_bannner=x (did you mean smtpd_banner?)" in text
    assert "qmqpd_error_delay is not supported yet" in text
    assert f"{server.site.configuration}/main.cf:" in text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_workers_give_up_root(servers):
    server = servers.prepare({"mail_owner": "nobody", "worker_processes": "1"})
    server.site.root.chmod(0o711)
    server.start()
    pid = master_pid(server)
    uid = pwd.getpwnam("nobody").pw_uid
    for each in children(pid):
        status = Path(f"/proc/{each}/status").read_text()
        assert [line for line in status.splitlines() if line.startswith("Uid:")] == ["Uid:" + f"\t{uid}" * 4]
    assert Path(f"/proc/{pid}").stat().st_uid == 0
    send(server, "as nobody")
    until(lambda: "status=sent" in server.log())


def test_the_whole_server_in_one_process(servers):
    server = servers.prepare({"worker_processes": "0"})
    with subprocess.Popen(server.site.command("postfix", "start-fg"), stderr=subprocess.PIPE) as process:
        try:
            until(lambda: can_serve(server) or process.poll() is not None)
            assert children(process.pid) == []
            send(server, "in one process")
            until(lambda: "status=sent" in server.log())
            assert postfix(server, "status")[0] == 0
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            if process.poll() is None:
                process.kill()


def test_the_configuration_that_we_ship_works_with_other_ports_and_places(servers):
    server = servers.prepare()
    site, ports = server.site, server.site.ports
    shipped = Path(__file__).parents[2] / "packaging" / "postfix"
    for name in ("main.cf", "master.cf"):
        (site.configuration / name).write_text((shipped / name).read_text())
    names = {"smtp": ports.smtp, "submission": ports.submission, "submissions": ports.submissions, "imap": ports.imap}
    names |= {"imaps": ports.imaps, "pop3": ports.pop3, "pop3s": ports.pop3s}
    settings = {
        "myhostname": site.hostname,
        "mydomain": site.domain,
        "mail_owner": pwd.getpwuid(os.geteuid()).pw_name,
        "queue_directory": site.root / "spool",
        "data_directory": site.root / "lib",
        "virtual_mailbox_base": site.root / "mail",
        "maillog_file": site.log,
        "inet_interfaces": site.host,
        "inet_protocols": "ipv4",
        "known_tcp_ports": " ".join(f"{name}={port}" for name, port in names.items()),
        "smtpd_tls_cert_file": site.root / "tls" / "server.pem",
        "smtpd_tls_key_file": site.root / "tls" / "server.key",
    }
    site.administer("postconf", "-e", *(f"{name} = {value}" for name, value in settings.items()))
    assert postfix(server, "start") == (0, "")
    trial.run(site, server.passwords)
    assert "postfix/submission/smtpd" in server.log()


def test_a_child_that_hangs_is_replaced_and_children_are_confined(servers):
    server = servers.start({"worker_processes": "1"})
    pid = master_pid(server)
    before = children(pid)
    for child in before:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{child}/status").read_text().splitlines())
        assert status["NoNewPrivs"].strip() == "1"
        limits = Path(f"/proc/{child}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    time.sleep(2.1)  # the time after which an end counts as an accident: it is replaced at once
    os.kill(before[0], signal.SIGALRM)  # what its watchdog would have the kernel do
    until(lambda: "hung: killed by its watchdog" in server.log())
    until(lambda: len(children(pid)) == 2)
    until(lambda: can_serve(server))


def test_a_chroot_that_is_asked_for_is_said_not_to_be(servers):
    server = servers.prepare()
    path = server.site.configuration / "master.cf"
    path.write_text(re.sub(r"^(pickup .*?)-       n", r"\1-       y", path.read_text(), flags=re.MULTILINE))
    code, text = postfix(server, "check")
    assert code == 0
    assert "chroot is not done here: these services see the whole file system: pickup/unix" in text
