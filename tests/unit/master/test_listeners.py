"""Where services listen."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from angarium.config import Config, ConfigError
from angarium.config.master_cf import parse_master_cf
from angarium.master.listeners import bind, bind_unix, known_ports, split_service


def service(name):
    return parse_master_cf(f"{name} inet n - n - - smtpd", "master.cf").services[0]


def test_names_of_services():
    assert split_service("127.0.0.1:2525") == ("127.0.0.1", "2525")
    assert split_service("[::1]:smtp") == ("::1", "smtp")
    assert split_service("smtp") == ("", "smtp")


def test_known_ports():
    ports = known_ports(Config.of({"known_tcp_ports": "smtp=25, smtps=submissions=465 nonsense x=y"}))
    assert [ports[name] for name in ("smtp", "smtps", "submissions", "imaps")] == ["25", "465", "465", "993"]
    assert "nonsense" not in ports


def test_binds_each_chosen_interface():
    conf = Config.of({"inet_interfaces": "127.0.0.1, 127.0.0.2", "inet_protocols": "ipv4", "known_tcp_ports": "any=0"})
    sockets = bind(service("any"), conf)
    try:
        assert [each.getsockname()[0] for each in sockets] == ["127.0.0.1", "127.0.0.2"]
        assert not sockets[0].getblocking()
    finally:
        for each in sockets:
            each.close()


ADOPTER = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
os.dup2(int(sys.argv[2]), 3)
from angarium.config import Config
from angarium.config.master_cf import parse_master_cf
from angarium.master.listeners import adopted_sockets, bind
entry = parse_master_cf(f"127.0.0.1:{sys.argv[1]} inet n - n - - smtpd", "x").services[0]
adopted = adopted_sockets()
(mine,) = bind(entry, Config.of(), adopted)
print(mine.fileno(), mine in adopted.values(), mine.getblocking())
"""


def test_a_socket_of_the_service_manager_is_used():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        environment = {**os.environ, "LISTEN_FDS": "1"}
        command = [sys.executable, "-c", ADOPTER, str(port), str(listener.fileno())]
        done = subprocess.run(command, env=environment, pass_fds=[listener.fileno()], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("3 True False\n", "")


def test_a_service_that_is_none():
    with pytest.raises(ConfigError, match="nosuch"):
        bind(service("127.0.0.1:nosuch"), Config.of())


def test_a_unix_socket_takes_the_place_of_an_older_one(tmp_path):
    first = bind_unix(tmp_path / "pickup")
    second = bind_unix(tmp_path / "pickup")
    assert (tmp_path / "pickup").stat().st_mode & 0o777 == 0o666
    first.close()
    second.close()
