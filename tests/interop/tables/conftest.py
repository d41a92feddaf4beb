"""Database servers of Debian's, each run by the tests themselves, as an ordinary user in a directory of its own.

Postfix's own ``postmap`` stands beside them as the oracle, with the same table files.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from angarium.model.lookup import Lookup
from angarium.runtime.authority import Authority
from angarium.tables.opener import TableOpener

_PATH = ":".join(
    (
        os.environ.get("PATH", ""),
        "/usr/sbin:/usr/bin",
        *(str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"))),
    )
)


def need(program: str) -> str:
    """The path of a program that is not ours; without it the test is skipped, and fails under CI."""
    path = shutil.which(program, path=_PATH)
    if path is None:
        message = f"{program} is not installed (.ci/install-peers installs it)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def need_driver(module: str) -> None:
    """A Python driver that an extra brings."""
    if os.environ.get("CI"):
        __import__(module)
    else:
        pytest.importorskip(module)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            pytest.fail(f"the server does not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def accepts_tcp(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Daemon:
    """A process with a directory, taken down by ``stop``."""

    root: Path
    process: subprocess.Popen[bytes] | None = None
    end: signal.Signals = signal.SIGTERM

    @classmethod
    def make(cls) -> Daemon:
        return cls(Path(tempfile.mkdtemp(prefix="angdb")))

    @property
    def log(self) -> Path:
        return self.root / "log"

    def start(self, words: list[str], ready: Callable[[], bool], *, user: str | None = None) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user,
                group=_group(user),
                extra_groups=[] if user else None,
                cwd=self.root,
            )
        wait_until(ready, self.process, self.log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(self.end)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)


def _group(user: str | None) -> int | None:
    return pwd.getpwnam(user).pw_gid if user else None


def run(words: list[str], text: str = "", **more: object) -> str:
    done = subprocess.run(words, input=text.encode(), capture_output=True, check=False, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    return str(done.stdout.decode(errors="replace"))


@dataclass(frozen=True)
class MariaDb:
    """MariaDB on a socket and a port, with TLS from a CA of its own."""

    socket: Path
    port: int
    ca: Path

    def sql(self, text: str, database: str = "") -> str:
        words = [
            "mariadb",
            "--no-defaults",
            "-N",
            "-S",
            str(self.socket),
            "-u",
            "root",
            "--default-character-set=utf8mb4",
        ]
        return run([*words, *([database] if database else [])], text)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    need_driver("pymysql")
    program, install = need("mariadbd"), need("mariadb-install-db")
    daemon = Daemon.make()
    data, path, port = daemon.root / "data", daemon.root / "s", free_port()
    authority = Authority.ensure(daemon.root, "databases")
    authority.issue(daemon.root, ("localhost", "127.0.0.1"))
    user = pwd.getpwuid(os.getuid()).pw_name
    run(
        [
            install,
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            f"--datadir={data}",
            f"--user={user}",
        ]
    )
    words = [
        program,
        "--no-defaults",
        f"--user={user}",
        f"--datadir={data}",
        f"--socket={path}",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        "--skip-log-bin",
        "--innodb-buffer-pool-size=16M",
        "--skip-name-resolve",
        "--innodb-flush-log-at-trx-commit=0",
        f"--pid-file={daemon.root / 'pid'}",
        f"--ssl-cert={daemon.root / 'server.pem'}",
        f"--ssl-key={_key(daemon.root)}",
    ]
    daemon.start(words, lambda: accepts(path))
    yield MariaDb(path, port, daemon.root / "ca.pem")
    daemon.stop()


def _key(root: Path) -> Path:
    found = sorted(root.glob("server*key*")) or [root / "server.pem"]
    return found[0]


@dataclass(frozen=True)
class Postgres:
    """PostgreSQL on a socket (in a directory) and a port."""

    directory: Path
    port: int
    ca: Path

    @property
    def socket(self) -> Path:
        return self.directory / f".s.PGSQL.{self.port}"

    def sql(self, text: str, database: str = "postgres") -> str:
        words = [need("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.directory)]
        return run([*words, "-p", str(self.port), "-U", "postgres", database], text)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    need_driver("asyncpg")
    initdb, program = need("initdb"), need("postgres")
    daemon = Daemon.make()
    daemon.end = signal.SIGINT  # it waits for its clients at a SIGTERM
    user = "nobody" if os.getuid() == 0 else None  # it refuses to run as root
    authority = Authority.ensure(daemon.root, "databases")
    authority.issue(daemon.root, ("localhost", "127.0.0.1"))
    daemon.root.chmod(0o755)
    if user:
        for path in (daemon.root, *daemon.root.iterdir()):
            shutil.chown(path, user)
    data, port = daemon.root / "data", free_port()
    password = daemon.root / "password"
    password.write_text("super\n")
    password.chmod(0o644)
    as_user = {"user": user, "group": _group(user), "extra_groups": []} if user else {}
    run(
        [
            initdb,
            "-D",
            str(data),
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            f"--pwfile={password}",
        ],
        cwd=daemon.root,
        **as_user,
    )
    words = [
        program,
        "-D",
        str(data),
        "-k",
        str(daemon.root),
        "-p",
        str(port),
        "-h",
        "127.0.0.1",
        "-F",
        "-c",
        "shared_buffers=16MB",
        "-c",
        "ssl=on",
        "-c",
        f"ssl_cert_file={daemon.root / 'server.pem'}",
        "-c",
        f"ssl_key_file={_key(daemon.root)}",
    ]
    server = Postgres(daemon.root, port, daemon.root / "ca.pem")
    daemon.start(words, lambda: "accept connections" in daemon.log.read_text(errors="replace"), user=user)
    yield server
    daemon.stop()


@dataclass(frozen=True)
class Memcached:
    port: int
    socket: Path

    def tell(self, text: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall(text + b"quit\r\n")
            reply = b""
            while chunk := connection.recv(65536):
                reply += chunk
            return reply

    def set(self, key: str, value: str) -> None:
        data = value.encode()
        assert self.tell(b"set %s 0 0 %d\r\n%s\r\n" % (key.encode(), len(data), data)) == b"STORED\r\n"


@pytest.fixture(scope="session")
def memcached() -> Iterator[Memcached]:
    program = need("memcached")
    daemon = Daemon.make()
    user = pwd.getpwuid(os.getuid()).pw_name
    port = free_port()
    daemon.start([program, "-u", user, "-l", "127.0.0.1", "-p", str(port), "-m", "8"], lambda: accepts_tcp(port))
    yield Memcached(port, daemon.root / "s")
    daemon.stop()


def _make_old(path: Path) -> None:
    """Postfix waits two seconds for a file that has just been written: somebody may be at it still."""
    then = time.time() - 60
    os.utime(path, (then, then))


@dataclass
class Lab:
    """Asks a table of ours, and the real postmap about the same table.

    Attributes:
        root: where table files go; it is main.cf's directory too.
        warnings: what our tables told the log.
    """

    root: Path
    warnings: list[str] = field(default_factory=list)
    main_cf: dict[str, str] = field(default_factory=dict)

    def table(self, name: str, text: str) -> str:
        """Write a table file; return its path."""
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        _make_old(path)
        return str(path)

    def opener(self) -> TableOpener:
        return TableOpener(self.warnings.append, base=self.root, parameter=self.main_cf.get)

    def ask(self, name: str, *keys: str) -> list[Lookup]:
        async def work() -> list[Lookup]:
            opener = self.opener()
            table = opener.open(name)
            try:
                return [await table.lookup(key) for key in keys]
            finally:
                await opener.close()

        return asyncio.run(work())

    def postmap(self, name: str, *keys: str) -> list[str | None]:
        """What Postfix's postmap finds for each key, in one run (``-q -``)."""
        program = need("postmap")
        main = {
            "compatibility_level": "3.7",
            "queue_directory": str(self.root),
            "data_directory": str(self.root),
            "maillog_file": "/dev/stdout",
            "mail_owner": "postfix",
            **self.main_cf,
        }
        self.table("main.cf", "".join(f"{key} = {value}\n" for key, value in main.items()))
        text = "".join(f"{key}\n" for key in keys)
        done = subprocess.run(
            [program, "-c", str(self.root), "-q", "-", name],
            input=text.encode(),
            capture_output=True,
            check=False,
            env={"PATH": _PATH},
        )
        assert b"fatal" not in done.stderr, done.stderr
        found: dict[str, str] = {}
        for line in done.stdout.decode().splitlines():
            key, _, value = line.partition("\t")
            found[key] = value
        return [found.get(key) for key in keys]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@dataclass(frozen=True)
class Slapd:
    """OpenLDAP's server on a port, another for TLS, and a socket; ``dc=example,dc=test`` is its tree."""

    port: int
    tls_port: int
    url: str
    ca: Path
    password: str = "top secret"


SLAPD_CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/dyngroup.schema
include {root}/mail.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {root}/pid
TLSCertificateFile {root}/server.pem
TLSCertificateKeyFile {key}
TLSCACertificateFile {root}/ca.pem
allow bind_v2
sizelimit 500
authz-regexp "gidNumber=.*,cn=peercred,cn=external,cn=auth" "cn=admin,dc=example,dc=test"
authz-regexp "uid=([^,]*),cn=plain,cn=auth" "uid=$1,ou=logins,dc=example,dc=test"
sasl-secprops none
access to dn.subtree="ou=secret,dc=example,dc=test" by users read by * none
access to * by * read
database mdb
suffix "dc=example,dc=test"
rootdn "cn=admin,dc=example,dc=test"
rootpw "top secret"
directory {root}/db
maxsize 16777216
index mail,mailAlternateAddress eq
"""

MAIL_SCHEMA = """
attributetype ( 1.3.6.1.4.1.99999.1.1 NAME 'mailAlternateAddress' EQUALITY caseIgnoreIA5Match
  SUBSTR caseIgnoreIA5SubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )
attributetype ( 1.3.6.1.4.1.99999.1.2 NAME 'maildrop' EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.1.3 NAME 'mailacceptinggeneralid' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.1.4 NAME 'memberdn' EQUALITY distinguishedNameMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
attributetype ( 1.3.6.1.4.1.99999.1.5 NAME 'memberaddr' EQUALITY caseIgnoreIA5Match
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )
attributetype ( 1.3.6.1.4.1.99999.1.6 NAME 'memberany' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.3.6.1.4.1.99999.2.1 NAME 'mailRecipient' SUP top AUXILIARY
  MAY ( mail $ mailAlternateAddress $ maildrop $ mailacceptinggeneralid $ memberdn $ memberaddr $ memberany ) )
"""


@pytest.fixture(scope="session")
def slapd() -> Iterator[Slapd]:
    program, add = need("slapd"), need("slapadd")
    daemon = Daemon.make()
    authority = Authority.ensure(daemon.root, "databases")
    authority.issue(daemon.root, ("localhost", "127.0.0.1"))
    (daemon.root / "db").mkdir()
    (daemon.root / "mail.schema").write_text(MAIL_SCHEMA)
    conf = daemon.root / "slapd.conf"
    conf.write_text(SLAPD_CONF.format(root=daemon.root, key=_key(daemon.root)))
    run([add, "-q", "-f", str(conf)], (Path(__file__).parent / "tree.ldif").read_text(encoding="utf-8"))
    port, tls_port, path = free_port(), free_port(), daemon.root / "s"
    url = f"ldapi://{str(path).replace('/', '%2F')}"
    words = [program, "-f", str(conf), "-d", "0", "-h", f"ldap://127.0.0.1:{port} ldaps://127.0.0.1:{tls_port} {url}"]
    daemon.start(words, lambda: accepts(path))
    yield Slapd(port, tls_port, url, daemon.root / "ca.pem")
    daemon.stop()
