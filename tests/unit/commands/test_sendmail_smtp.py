import os
import socket
import threading

import pytest

from angarium.commands.sendmail_smtp import Pacer, converse, smtpd_address
from angarium.config.config import Config


def test_lines_wait_for_their_replies():
    pacer = Pacer()
    assert pacer.commands(b"HELO x\r\nMAIL FROM:<>\r\nDATA\r\n") == b""
    assert pacer.replies(b"220 hi\r\n") == b"HELO x\r\n"
    assert pacer.replies(b"250-a\r\n250 ") == b""
    assert pacer.replies(b"b\r\n") == b"MAIL FROM:<>\r\n"
    assert pacer.replies(b"250 ok\r\n") == b"DATA\r\n"
    assert pacer.replies(b"354 go\r\n") == b""
    assert pacer.commands(b"one\r\n..\r\ntw") == b"one\r\n..\r\n"
    assert pacer.commands(b"o\n.\nQUIT\r\nNOOP\r\n") == b"two\n.\n"
    assert not pacer.idle
    assert pacer.replies(b"250 queued\r\n") == b"QUIT\r\n"
    assert pacer.replies(b"221 bye\r\n") == b"NOOP\r\n"
    assert pacer.idle


def test_a_chunk_goes_with_its_command():
    pacer = Pacer()
    pacer.replies(b"220 hi\r\n")
    assert pacer.commands(b"BDAT 6 LAST\r\nab\ncd") == b"BDAT 6 LAST\r\nab\ncd"
    assert pacer.commands(b"\nQUIT\r\n") == b"\n"
    assert pacer.replies(b"250 queued\r\n") == b"QUIT\r\n"


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("127.0.0.5:2525 inet n - n - - smtpd", ("127.0.0.5", 2525)),
        ("2525 inet n - n - - smtpd -o a=b", ("127.0.0.9", 2525)),
        ("smtp inet n - n - - smtpd", ("127.0.0.9", 25)),
        ("[::1]:26 inet n - n - - smtpd", ("::1", 26)),
    ],
)
def test_the_first_smtpd_is_found(tmp_path, line, address):
    (tmp_path / "main.cf").write_text("inet_interfaces = 127.0.0.9\n")
    (tmp_path / "master.cf").write_text(f"pickup unix n - n 60 1 pickup\n{line}\n")
    assert smtpd_address(Config.load(tmp_path)) == address


def test_a_conversation(tmp_path, monkeypatch, capfdbinary):
    server = socket.create_server(("127.0.0.1", 0))
    (tmp_path / "main.cf").write_text("")
    (tmp_path / "master.cf").write_text(f"127.0.0.1:{server.getsockname()[1]} inet n - n - - smtpd\n")
    seen = []

    def serve():
        client, _ = server.accept()
        with client:
            client.sendall(b"220 hi\r\n")
            seen.append(client.recv(100))
            client.sendall(b"221 bye\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    reader, writer = os.pipe()
    os.write(writer, b"QUIT\r\n")
    os.close(writer)
    with os.fdopen(reader) as standard_input:
        monkeypatch.setattr("sys.stdin", standard_input)
        assert converse(str(tmp_path)) == 0
    thread.join()
    server.close()
    assert seen == [b"QUIT\r\n"]
    assert capfdbinary.readouterr().out == b"220 hi\r\n221 bye\r\n"


def test_without_a_server_it_says_so(tmp_path, capsys):
    (tmp_path / "main.cf").write_text("")
    (tmp_path / "master.cf").write_text("")
    assert converse(str(tmp_path)) == 69
    assert "no smtpd service in master.cf" in capsys.readouterr().err
