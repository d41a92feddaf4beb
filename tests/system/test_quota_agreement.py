"""Whatever was done to two mailboxes: the list, IMAP, the policy, the domain's ledger and the files' sizes agree."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.fakes.imap_server import ImapServer

from angarium.commands.angarium import main
from angarium.config.config import Config
from angarium.directory.reader import SqliteDirectory
from angarium.mailstore.interface import MailStore, NewMail, OverQuotaError
from angarium.mailstore.layout import account_directory
from angarium.mailstore.main import open_mailstore
from angarium.mailstore.parameters import MailstoreParameters
from angarium.master.quotas import Quotas
from angarium.model.content import MemoryContent
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.sqlite import connect

NAMES = ("alice", "bob")
FOLDERS = ("INBOX", "Sent", "Junk", "Trash")
HEAD = b"Subject: x\r\n\r\n"

names = st.sampled_from(NAMES)
folders = st.sampled_from(FOLDERS)
sizes = st.integers(20, 1500)
limits = st.sampled_from(("0", "1K", "3K", "5000"))


class Agreement(RuleBasedStateMachine):
    """An imapd is one process, deliveries are another's, the administrator's commands are themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="quota"))
        (self.root / "mail").mkdir()
        (self.root / "main.cf").write_text(
            f"data_directory = {self.root}\nvirtual_mailbox_base = {self.root}/mail\n"
            "mailstore_quota_rules = Junk:ignore Trash:storage=+1K:messages=+2\nmailstore_quota_grace = 20%\n"
        )
        self.runner = asyncio.Runner()
        conf = Config.load(self.root)
        parameters = MailstoreParameters.from_config(conf)
        self.directory = SqliteDirectory(Path(conf.text("directory_database")))
        self.quotas = Quotas(self.directory, parameters.quota)
        self.store: MailStore = open_mailstore(parameters, ServiceLog(MemoryLog(), "x"), quota=self.quotas.plan)
        self.imap = ImapServer(self.root)
        self.imap.__enter__()
        self.imap.service.mailstore.plan = Quotas(self.directory_of_imap(conf), parameters.quota).plan
        self.clients = {name: self.imap.client(name) for name in NAMES}
        self.key = 0

    def directory_of_imap(self, conf: Config) -> SqliteDirectory:
        return SqliteDirectory(Path(conf.text("directory_database")))

    def teardown(self) -> None:
        for client in self.clients.values():
            client.close()
        self.imap.__exit__(None, None, None)
        self.runner.run(self.store.close())
        self.runner.close()
        self.directory.close()
        shutil.rmtree(self.root)

    def angarium(self, *words: str) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert main(["-c", str(self.root), *words]) == 0
        return out.getvalue()

    @initialize(total=limits)
    def accounts(self, total: str) -> None:
        self.angarium("domain", "add", "example.test")
        for name in NAMES:
            self.angarium("account", "add", f"{name}@example.test", "--no-password")
        self.angarium("quota", "set", "example.test", "4K", "--messages", "6", "--mail", "1400", "--total", total)

    @rule(name=names, size=limits)
    def limit(self, name: str, size: str) -> None:
        self.angarium("quota", "set", f"{name}@example.test", size)

    @rule(total=limits)
    def limit_domain(self, total: str) -> None:
        self.angarium("quota", "set", "example.test", "--total", total)

    @rule(name=names, size=sizes)
    def deliver(self, name: str, size: int) -> None:
        """A delivery goes as the policy has foretold."""
        account = f"{name}@example.test"
        self.key += 1
        mail = NewMail("INBOX", b"", MemoryContent(sized(size)), frozenset(), 0.0, key=f"{self.key}")

        async def run() -> None:
            foretold = await self.store.room(account, size)
            try:
                await (await self.store.open(account)).append([mail])
            except OverQuotaError:
                assert foretold is not None
            else:
                assert foretold is None

        self.runner.run(run())

    @rule(name=names, size=sizes, folder=folders)
    def append(self, name: str, size: int, folder: str) -> None:
        self.clients[name].append(sized(size), mailbox=folder)

    @rule(name=names, source=folders, into=folders, verb=st.sampled_from(("COPY", "MOVE")))
    def transfer(self, name: str, source: str, into: str, verb: str) -> None:
        client = self.clients[name]
        client.ok(f"SELECT {source}")
        client.last(f"UID {verb} 1:* {into}")

    @rule(name=names, folder=folders, uids=st.sampled_from(("1", "1:2", "1:*")))
    def expunge(self, name: str, folder: str, uids: str) -> None:
        client = self.clients[name]
        client.ok(f"SELECT {folder}")
        client.ok(f"UID STORE {uids} +FLAGS.SILENT (\\Deleted)")
        client.ok("EXPUNGE")

    @rule(name=names, folder=st.sampled_from(FOLDERS[1:]))
    def delete(self, name: str, folder: str) -> None:
        self.clients[name].ok(f"DELETE {folder}")
        self.clients[name].ok(f"CREATE {folder}")

    @rule()
    def recalculate(self) -> None:
        """Nothing is ever wrong."""
        for one in json.loads(self.angarium("quota", "recalculate", "--all", "--json")):
            assert one["wrong"] == []
            assert one["before"] == one["after"]

    @invariant()
    def all_agree(self) -> None:
        if not self.directory.quota("bob@example.test"):
            return
        listed = {one["name"]: one for one in json.loads(self.angarium("quota", "list", "--json"))}
        held = {name: self.real(name) for name in NAMES}
        for name in NAMES:
            one = listed[f"{name}@example.test"]
            assert (one["used"]["bytes"], one["used"]["messages"]) == held[name]
            resources = []
            if one["quota"]["bytes"]:
                resources.append(f"STORAGE {-(-held[name][0] // 1024)} {-(-one['quota']['bytes'] // 1024)}")
            if one["quota"]["messages"]:
                resources.append(f"MESSAGE {held[name][1]} {one['quota']['messages']}")
            [answer, _done] = self.clients[name].ok('GETQUOTA "User quota"')
            assert answer.decode() == f'* QUOTA "User quota" ({" ".join(resources)})'
        domain = json.loads(self.angarium("quota", "show", "example.test", "--json"))
        if "domain_used" in domain:
            both = tuple(map(sum, zip(*held.values(), strict=True)))
            assert (domain["domain_used"]["bytes"], domain["domain_used"]["messages"]) == both

    def real(self, name: str) -> tuple[int, int]:
        """What the messages that count have in all, by what is stored of each."""
        path = account_directory(self.root / "mail", f"{name}@example.test")
        if not (path / "mail.sqlite").exists():
            return 0, 0
        connection = connect(path / "mail.sqlite", readonly=True)
        try:
            rows = list(
                connection.execute(
                    "SELECT length(c.header) + coalesce(length(c.rest), 0) FROM message m"
                    " JOIN content c ON c.id = m.body JOIN mailbox b ON b.id = m.mailbox WHERE b.name <> 'Junk'"
                )
            )
        finally:
            connection.close()
        return sum(row[0] for row in rows), len(rows)


def sized(size: int) -> bytes:
    return HEAD + b"x" * (size - len(HEAD))


Agreement.TestCase.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
test_all_agree = Agreement.TestCase
