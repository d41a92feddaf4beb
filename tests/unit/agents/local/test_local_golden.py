"""Recipients end as they do for Postfix's local(8): ``tests/golden/local.txt``, recorded from it."""

from __future__ import annotations

import asyncio
import os
import re
import runpy
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from angarium.agents.local import world
from angarium.agents.local.aliases import OwnedAlias
from angarium.agents.local.deliverer import LocalDeliverer
from angarium.agents.local.expansion import ExpansionRules
from angarium.agents.local.parameters import LocalParameters
from angarium.agents.local.plan import Addressee
from angarium.agents.local.world import MachineWorld
from angarium.delivery.mailboxfile import LockRules
from angarium.delivery.rights import OwnRights
from angarium.delivery.user import User
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, QueuedRecipient
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.lookup import NOT_FOUND, TemporaryError
from angarium.rewrite.interface import AddressClass, Resolution
from angarium.runtime.log import MemoryLog, ServiceLog

GOLDEN = Path(__file__).parents[3] / "golden"
CASES = runpy.run_path(str(GOLDEN / "record_local.py"))
RECORDED = (GOLDEN / "local.txt").read_text("utf-8").splitlines()
USERS = {"daemon", "nobody", "root", *CASES["FORWARDS"]}


class FakeResolver:
    """Knows local.test, and that all else is elsewhere."""

    def rewrite(self, address: str) -> str:
        return address if "@" in address else f"{address}@local.test"

    async def resolve(self, sender: str, recipient: str) -> Resolution:
        local, _, domain = recipient.rpartition("@")
        address = recipient if local.lower() != "mailer-daemon" else "MAILER-DAEMON@mail.example.test"
        here = domain in ("local.test", "mail.example.test")
        kind = AddressClass.LOCAL if here else AddressClass.DEFAULT
        return Resolution("local" if here else "smtp", domain, address, kind, "", "")


class NobodysRights:
    """Runs everything here and now, whoever it is for."""

    async def run(self, user, work):
        return work()


class Scene:
    """A deliverer whose users are all ourselves, with homes in a temporary directory."""

    def __init__(self, root: Path, commands=None, rights=None, **settings):
        self.root = root
        self.log = MemoryLog()
        CASES["prepare"](root, owned=False)
        parameters = LocalParameters(
            queue_directory=str(root),
            rules=ExpansionRules(recipient_delimiter="+", myhostname="mail.example.test"),
            lock=LockRules(delay=0.0),
            mail_spool_directory=str(root / "spool"),
            default_privs="privs",
            **settings,
        )
        log = ServiceLog(self.log, "postfix/local")
        rights = rights or NobodysRights()
        self.aliases = {name: self.placed(value) for name, value in CASES["ALIASES"].items()}
        world = MachineWorld(parameters, self.alias, rights, log, self.user)
        self.deliverer = LocalDeliverer(parameters, world, FakeResolver(), commands, rights, log)

    def placed(self, text: str) -> str:
        return text.replace("ROOT", str(self.root))

    async def alias(self, name: str):
        return OwnedAlias(self.aliases[name], 0, "aliases") if name in self.aliases else NOT_FOUND

    def user(self, name: str):
        if name == "privs":
            return User(name, 65534, 65534)
        if name not in USERS:
            return NOT_FOUND
        home = str(self.root / "home" / name) if name in CASES["FORWARDS"] else "/nonexistent"
        return User(name, os.geteuid(), os.getegid(), home, "/bin/bash")

    def parts(self, *names: str, content: bytes = b"Subject: a\r\n\r\nFrom me\r\n>From you\r\nb\r\n"):
        people = tuple(QueuedRecipient(n, Recipient(f"{name}@local.test", "")) for n, name in enumerate(names))
        envelope = Envelope("s@remote.test", tuple(p.recipient for p in people), 1.0, Origin("ESMTP", helo="c"))
        message = MemoryContent(content)
        request = DeliveryRequest(
            "4F2A", "local", "local.test", envelope, people, b"Received: x\r\n", message, 1.0, 2.0
        )
        return asyncio.run(self.deliverer.deliver(request))

    def lines(self, name: str) -> list[str]:
        (parts,) = self.parts(name)
        said = [
            f"{p.address} {p.status.value} {p.dsn} ({p.text or 'forwarded as QUEUE-ID'})".replace(
                str(self.root), "ROOT"
            )
            for p in parts
        ]
        return sorted(said)


@pytest.fixture
def tmp_path():
    """A directory that everybody may write to: commands are never root's."""
    root = Path(tempfile.mkdtemp(prefix="local"))
    root.chmod(0o777)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def scene(tmp_path, commands):
    return Scene(tmp_path, commands)


def recorded(name: str) -> list[str]:
    """What Postfix said of a recipient. It says nothing of destinations that it has delivered to already."""
    prefix = f"{name}@local.test -> "
    return sorted(line.removeprefix(prefix) for line in RECORDED if line.startswith(prefix))


@pytest.mark.parametrize("name", [name for name in CASES["RECIPIENTS"] if name != "eve"])
def test_a_recipient_ends_as_with_postfix(scene, name):
    assert recorded(name), "not recorded"
    assert scene.lines(name) == recorded(name)


def test_a_mailbox_is_what_postfix_writes(scene):
    scene.parts("dave")
    text = (scene.root / "spool" / "dave").read_bytes()
    text = re.sub(rb"^From (\S+)  \w{3} \w{3} [ \d]\d [\d:]{8} \d{4}\n", rb"From \1  DATE\n", text)
    assert text == (
        b"From s@remote.test  DATE\n"
        b"Return-Path: <s@remote.test>\n"
        b"X-Original-To: dave@local.test\n"
        b"Delivered-To: dave@local.test\n"
        b"Received: x\n"
        b"Subject: a\n\n>From me\n>From you\nb\n\n"
    )


def test_a_maildir_is_what_postfix_writes(scene):
    scene.parts("lena")
    (file,) = (scene.root / "home" / "lena" / "M" / "new").iterdir()
    assert re.fullmatch(r"\d+\.V[0-9a-f]+I[0-9a-f]+M\d+\.\S+", file.name)
    assert list((scene.root / "home" / "lena" / "M" / "tmp").iterdir()) == []
    assert file.read_bytes() == (
        b"Return-Path: <s@remote.test>\nX-Original-To: lena@local.test\nDelivered-To: lena@local.test\n"
        b"Received: x\nSubject: a\n\nFrom me\n>From you\nb\n"
    )


def test_a_command_sees_what_postfix_tells_it(scene):
    scene.aliases["tell"] = f'"|env > {scene.root}/env; cat > {scene.root}/message"'
    ((part,),) = scene.parts("tell")
    assert part.text.startswith("delivered to command: env > ")
    told = dict(line.split("=", 1) for line in (scene.root / "env").read_text().splitlines())
    assert told["RECIPIENT"] == "tell@local.test"
    assert told["LOCAL"] == "tell"
    assert told["SENDER"] == "s@remote.test"
    assert told["CLIENT_HELO"] == "c"
    assert (scene.root / "message").read_bytes().startswith(b"From s@remote.test  ")
    assert (scene.root / "message").read_bytes().endswith(b"\n\nFrom me\n>From you\nb\n")


def test_mail_that_has_been_here_is_bounced(scene):
    ((part,),) = scene.parts("dave", content=b"Delivered-To: DAVE@local.test\r\n\r\nx\r\n")
    assert (str(part.dsn), part.text) == ("5.4.6", "mail forwarding loop for dave@local.test")


def test_a_mailbox_over_its_limit_keeps_what_it_had(tmp_path):
    scene = Scene(tmp_path, mailbox_size_limit=300)
    assert scene.parts("dave")[0][0].text == "delivered to mailbox"
    before = (tmp_path / "spool" / "dave").read_bytes()
    ((part,),) = scene.parts("dave")
    assert str(part.dsn) == "5.2.2"
    assert part.text.endswith("error writing message: File too large")
    assert (tmp_path / "spool" / "dave").read_bytes() == before


def test_home_mailbox(tmp_path):
    scene = Scene(tmp_path, home_mailbox="Maildir/")
    assert scene.parts("dave")[0][0].text == "delivered to maildir"
    assert len(list((tmp_path / "home" / "dave" / "Maildir" / "new").iterdir())) == 1


def test_mailbox_command(tmp_path, commands):
    scene = Scene(tmp_path, commands, mailbox_command='cat > "$HOME/got"; test "$EXTENSION" = ext')
    (tmp_path / "home" / "dave").chmod(0o777)
    ((part,),) = scene.parts("dave+ext")
    assert part.status.value == "sent"
    assert (tmp_path / "home" / "dave" / "got").read_bytes().endswith(b"\nFrom me\n>From you\nb\n")


def test_a_user_that_we_are_not_waits(tmp_path):
    scene = Scene(tmp_path, rights=OwnRights())
    ((part,),) = scene.parts("file")
    assert part.status.value == "deferred"
    assert "started by root" in part.text
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_table_that_cannot_be_asked_defers_the_whole(scene):
    async def alias(name):
        if name == "bob":
            return TemporaryError("down", "aliases")
        return OwnedAlias("dave, bob", 0, "aliases") if name == "both" else NOT_FOUND

    scene.alias = alias
    scene.deliverer._world._alias = alias
    ((part,),) = scene.parts("both")
    assert part.status.value == "deferred"
    assert list((scene.root / "spool").iterdir()) == []


def test_a_configuration_that_cannot_be_followed_defers(tmp_path):
    ((part,),) = Scene(tmp_path, forward_path=("${home",)).parts("dave")
    assert (part.status.value, str(part.dsn)) == ("deferred", "4.3.5")


def test_another_transport_takes_all_users(tmp_path):
    scene = Scene(tmp_path, mailbox_transport="lmtp:unix:x", fallback_transport="never:")
    ((part,),) = scene.parts("nosuch")
    assert (part.transport, part.nexthop) == ("lmtp", "unix:x")
    ((part,),) = scene.parts("list")
    assert part.forward == ("ext@remote.test", "daemon@local.test")


def test_another_transport_takes_who_is_not_known(tmp_path):
    scene = Scene(tmp_path, fallback_transport="smtp:[other]")
    assert [part.transport for (part,) in scene.parts("nosuch", "dave")] == ["smtp", ""]


def test_files_that_include_each_other_end(scene):
    path = scene.root / "lists" / "again"
    path.write_text(f":include:{path}, loop1\n" * 50)
    scene.aliases["again"] = f":include:{path}"
    (parts,) = scene.parts("again")
    assert {str(part.dsn) for part in parts} == {"5.4.6"}


def test_a_list_that_is_too_long_is_not_cut_off(scene, monkeypatch):
    monkeypatch.setattr(world, "LIST", 100_000)
    path = scene.root / "lists" / "long"
    path.write_text("u@remote.test\n" * 10_000)
    scene.aliases["long"] = f":include:{path}"
    (scene.root / "home" / "dave" / ".forward").write_text("u@remote.test\n" * 10_000)
    for (part,) in scene.parts("long", "dave"):
        assert (part.status.value, str(part.dsn), part.forward) == ("deferred", "4.3.0", ())


def test_a_list_of_very_many(scene):
    scene.aliases["many"] = ", ".join(f"u{n}@remote.test" for n in range(100_000))
    ((part,),) = scene.parts("many")
    assert len(part.forward) == 100_000


def test_luser_relay(tmp_path):
    scene = Scene(tmp_path)
    scene.deliverer._parameters = replace(
        scene.deliverer._parameters,
        rules=replace(scene.deliverer._parameters.rules, luser_relay="${user}@remote.test"),
    )
    ((part,),) = scene.parts("stray")
    assert part.forward == ("stray@remote.test",)


@pytest.mark.parametrize(
    ("user", "actor"),
    [
        (None, (65534, 65534)),
        (User("root", 0, 0), (65534, 65534)),
        (User("toor", 0, 7), (65534, 65534)),
        (User("ann", 7, 0), (7, 65534)),
        (User("ann", 7, 8), (7, 8)),
    ],
)
def test_nobody_runs_commands_with_roots_rights(scene, user, actor):
    found = scene.deliverer._actor(user, Addressee("ann@local.test", "ann", "", ""))
    assert (found.uid, found.gid) == actor
