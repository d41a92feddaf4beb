"""What ``test_installation`` runs inside its namespaces; see there.

usage: installation.py probe|install|unprivileged DIRECTORY
"""

import fcntl
import imaplib
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
PASSWORD = "correct horse battery"
PATIENCE = 20.0
NOBODY = 65534
STRANGER = "192.0.2.7"
LOG = Path("/var/log/angarium-test.log")


def run(*words, text="", status=0, **more):
    done = subprocess.run(words, input=text, capture_output=True, text=True, **more)
    if done.returncode != status:
        sys.exit(f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr


def enter(directory):
    """An overlay of the root directory, and become its inhabitant; loopback is up."""
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "tmpfs", "tmpfs", directory)
    upper, work, root = (Path(directory) / name for name in ("upper", "work", "root"))
    for each in (upper, work, root):
        each.mkdir()
    run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", str(root))
    run("mount", "--rbind", "/dev", str(root / "dev"))
    run("mount", "-t", "proc", "proc", str(root / "proc"))
    os.chroot(root)
    os.chdir("/")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anchor:
        address = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(STRANGER))
        fcntl.ioctl(anchor, 0x8916, address)  # SIOCSIFADDR
        fcntl.ioctl(anchor, 0x8914, struct.pack("16sh22x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up and running


def become_bare():
    """Take away what this machine has of a mail server."""
    for place in ("/etc/postfix", "/var/spool/postfix", "/var/lib/postfix", "/var/vmail"):
        shutil.rmtree(place, ignore_errors=True)
    for name in ("aliases", "aliases.db"):
        Path("/etc", name).unlink(missing_ok=True)
    for place in ("/usr/sbin", "/usr/bin", "/usr/lib"):
        for name in ("sendmail", "mailq", "newaliases", "postfix", "postconf", "postqueue", "postsuper", "postmap"):
            if not Path(place, name).is_dir():
                Path(place, name).unlink(missing_ok=True)
    subprocess.run(["userdel", "postfix"], capture_output=True)


def open_to_all():
    """Have the program where all may read it, as an installation in /opt/angarium is."""
    for place in (Path(os.__file__), BIN, Path(__file__)):
        for directory in place.parents:
            directory.chmod(directory.stat().st_mode | 0o111)


def install():
    words = [BIN / "angarium", "init", "--hostname", "mail.example.org", "--domain", "example.org"]
    words += ["--account", "you@example.org", "--system"]
    told = run(*words, text=f"{PASSWORD}\n")
    assert "example.org.                             IN MX    10 mail.example.org." in told
    assert Path("/etc/alternatives/sendmail").readlink() == BIN / "sendmail"
    before = Path("/etc/postfix/main.cf").read_bytes()
    words[3] = "other.example.org"
    assert "there already" in run(*words, text="other\n", status=os.EX_CANTCREAT)
    assert Path("/etc/postfix/main.cf").read_bytes() == before
    unit = Path("/etc/systemd/system/angarium.service").read_text()
    assert f"ExecStart={BIN}/postfix start-fg" in unit
    found = run("/usr/sbin/postfix", "check")
    assert found == "", found
    assert run("/usr/sbin/angarium", "check", "--severity", "warning") == ""


def use():
    run("/usr/sbin/postconf", "-e", f"maillog_file = {LOG}")  # this place has no syslogd
    run("/usr/sbin/postfix", "start")
    try:
        letter = "From: root\nTo: you@example.org\nSubject: first\n\nThe first letter.\n"
        run("/usr/sbin/sendmail", "-t", text=letter)
        assert "The first letter." in read("you@example.org", PASSWORD)
        assert "queue is empty" in run("/usr/bin/mailq")
        run("/usr/bin/newaliases")
        assert "550 5.1.1" in spoken("nobody@example.org")
        assert "Relay access denied" in spoken("victim@elsewhere.example", source=STRANGER)
        assert not any(word in LOG.read_text() for word in ("fatal", "panic", "fault"))
    except BaseException:
        print(LOG.read_text())
        raise
    finally:
        run("/usr/sbin/postfix", "stop")


def take_over():
    """A configuration of Postfix's that was there before us, by ``--keep``; then an update."""
    subprocess.run(["update-alternatives", "--remove-all", "sendmail"], check=True, capture_output=True)
    for name in ("system/angarium.service", "sysusers.d/angarium.conf", "tmpfiles.d/angarium.conf"):
        Path("/etc/systemd" if name.startswith("system/") else "/etc", name).unlink()
    shutil.rmtree("/var/spool/postfix")
    main = Path("/etc/postfix/main.cf").read_bytes()
    keep = (BIN / "angarium", "init", "--system", "--keep")
    for told in (run(*keep), run(*keep)):
        assert "queue, data and mailboxes: directories are there" in told
        assert "systemctl restart angarium" in told
    unit = Path("/etc/systemd/system/angarium.service")
    unit.write_text("mine\n")
    assert "there already" in run(*keep, status=os.EX_CANTCREAT)
    run(*keep, "--force")
    assert Path("/etc/postfix/main.cf").read_bytes() == main
    assert Path("/usr/lib/sendmail").resolve() == BIN / "sendmail"
    assert run("/usr/sbin/postfix", "check") == ""
    if shutil.which("systemd-analyze"):
        run("systemd-analyze", "verify", str(unit))


def read(user, password):
    """The newest message in INBOX, by the certificate authority that init has made."""
    trust = ssl.create_default_context(cafile="/etc/postfix/tls/ca.pem")
    trust.check_hostname = False  # this place has no DNS: the name is looked at below
    with imaplib.IMAP4_SSL("127.0.0.1", 993, ssl_context=trust, timeout=PATIENCE) as client:
        names = [name for _kind, name in client.sock.getpeercert()["subjectAltName"]]
        assert names == ["mail.example.org", "example.org"]
        client.login(user, password)
        until = time.monotonic() + PATIENCE
        while client.select()[1] == [b"0"]:
            assert time.monotonic() < until
        return client.fetch("*", "(RFC822)")[1][0][1].decode()


def spoken(recipient, source="127.0.0.1"):
    """What port 25 says to a recipient."""
    with socket.create_connection(("127.0.0.1", 25), PATIENCE, (source, 0)) as link, link.makefile("rwb") as file:
        for line in (b"EHLO client.example", b"MAIL FROM:<a@example.net>", b"RCPT TO:<" + recipient.encode() + b">"):
            answer(file)
            file.write(line + b"\r\n")
            file.flush()
        return answer(file)


def answer(file):
    while (line := file.readline())[3:4] == b"-":
        pass
    return line.decode()


def deliver_unprivileged():
    """The tests of deliveries, as a user who may become nobody else: what wants root skips itself."""
    here = Path(__file__).parent
    home = Path("/tmp/home")
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    words = [
        "-n0",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        here.parents[1],
        "-c",
        here.parents[1] / "pyproject.toml",
    ]
    tests = [
        here / name for name in ("test_local_delivery.py", "test_commands_and_trees.py", "test_local_submission.py")
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    print(run(sys.executable, "-m", "pytest", *map(str, [*words, *tests]), env=environment, cwd=home).splitlines()[-1])


if __name__ == "__main__":
    task, directory = sys.argv[1:]
    enter(directory)
    open_to_all()
    if task == "unprivileged":
        deliver_unprivileged()
    if task == "install":
        become_bare()
        install()
        use()
        take_over()
        print("all is well")
