"""The local process: what it is asked, whose rights it uses, and what happens when it is not there."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

import pytest

from angarium.agents.local.deliverer import Part
from angarium.agents.local.exchange import decode_parts, encode_parts
from angarium.agents.local.remote import RemoteDeliverer
from angarium.agents.local.service import LocalService
from angarium.delivery import answerer
from angarium.delivery.command import CommandRules
from angarium.delivery.rights import ForkedRights, OwnRights
from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")
PART = Part("a\udc80@x", Status.BOUNCED, Dsn(5, 1, 1), "no", ("b@y", "c@z"), "o@x")
SOMEBODY = User("somebody", 54321, 54322, "/")
SIZE = 3_000_000


def request_for(*addresses):
    people = tuple(QueuedRecipient(n, Recipient(address, f"old-{address}")) for n, address in enumerate(addresses))
    origin = Origin("ESMTP", "h", "192.0.2.1", 7, "helo")
    envelope = Envelope("s@x", tuple(each.recipient for each in people), 1.0, origin)
    content = MemoryContent(b"y" * SIZE)
    return DeliveryRequest("4F2A", "local", "x", envelope, people, b"P: 1\r\n", content, 1.0, 2.0)


class Recorder:
    """A deliverer that remembers what it was asked."""

    def __init__(self):
        self.asked = []

    async def deliver(self, request):
        self.asked.append((request, request.content.read()))
        return [[PART]] * len(request.recipients)


def exchange(owner, askers, asks=1):
    """Ask over a real socket; what the asker heard, and the deliverer."""
    recorder, log = Recorder(), ServiceLog(MemoryLog(), "t")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("")
    listener.listen()
    listener.setblocking(False)

    async def body():
        service = LocalService(recorder, frozenset(askers), log)
        task = asyncio.create_task(service.run([listener]))
        remote = RemoteDeliverer(listener.getsockname(), log, owner)
        heard = await asyncio.gather(*[remote.deliver(request_for("a@x", "b@x")) for _ in range(asks)])
        service.drain()
        await task
        return heard

    with listener:
        return asyncio.run(body()), recorder


def test_parts_survive_the_way():
    assert decode_parts(encode_parts([[PART, PART], [PART]])) == [[PART, PART], [PART]]


def test_a_question_and_its_answer():
    heard, recorder = exchange(os.geteuid(), {os.geteuid()}, asks=5)
    assert heard == [[[PART], [PART]]] * 5
    request, content = recorder.asked[0]
    wanted = request_for("a@x", "b@x")
    assert content == b"y" * SIZE
    assert request.prefix == wanted.prefix
    assert [each.recipient.address for each in request.recipients] == ["a@x", "b@x"]
    assert request.envelope.origin == wanted.envelope.origin


@pytest.mark.parametrize(("owner", "askers"), [(os.geteuid() + 1, {os.geteuid()}), (os.geteuid(), set())])
def test_strangers_are_told_nothing(owner, askers):
    heard, recorder = exchange(owner, askers)
    assert recorder.asked == []
    assert [part.status for parts in heard[0] for part in parts] == [Status.DEFERRED] * 2


def test_who_had_no_descriptor_for_a_connection_accepts_the_next(monkeypatch):
    monkeypatch.setattr(answerer, "_PAUSE", 0)
    failures = [OSError(errno.EMFILE, os.strerror(errno.EMFILE))]
    accept = asyncio.SelectorEventLoop.sock_accept

    async def sock_accept(loop, listener):
        if failures:
            raise failures.pop()
        return await accept(loop, listener)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_accept", sock_accept)
    heard, _recorder = exchange(os.geteuid(), {os.geteuid()})
    assert heard == [[[PART], [PART]]]


def test_who_is_cancelled_leaves_the_message_to_the_thread_that_reads_it():
    async def run():
        started, descriptors = asyncio.Event(), []

        async def answer(request):
            descriptors.append(request.content._descriptor)
            started.set()
            await asyncio.Event().wait()

        service = answerer.Answerer(answer, frozenset({os.geteuid()}), ServiceLog(MemoryLog(), "t"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("")
            listener.listen()
            listener.setblocking(False)
            serving = asyncio.create_task(service.run([listener]))
            remote = RemoteDeliverer(listener.getsockname(), ServiceLog(MemoryLog(), "t"), os.geteuid())
            asking = asyncio.create_task(remote.deliver(request_for("a@x")))
            await started.wait()
            serving.cancel()
            await asyncio.gather(serving, asking, return_exceptions=True)
        assert os.pread(descriptors[0], 1, SIZE) == b"y"
        os.close(descriptors[0])

    asyncio.run(run())


def test_a_process_that_is_not_there_defers():
    remote = RemoteDeliverer(b"\0nobody-listens-here", ServiceLog(MemoryLog(), "t"))
    ((part,),) = asyncio.run(remote.deliver(request_for("a@x")))
    assert (part.status, str(part.dsn)) == (Status.DEFERRED, "4.3.0")


def test_our_own_rights_are_for_ourselves():
    me = User("me", os.geteuid(), os.getegid())
    assert asyncio.run(OwnRights().run(me, lambda: ["x"])) == ["x"]
    with pytest.raises(DeliveryError):
        asyncio.run(OwnRights().run(User("other", os.geteuid() + 1, 1), lambda: ["x"]))


@root_only
def test_a_child_is_the_user_and_nobody_else(tmp_path):
    path = tmp_path / "roots"
    path.write_text("secret")
    path.chmod(0o600)

    def work():
        seen = [str(each) for each in (*os.getresuid(), *os.getresgid())]
        seen.append(",".join(map(str, os.getgroups())))
        try:
            seen.append(path.read_text())
        except PermissionError:
            seen.append("refused")
        try:
            os.setuid(0)
        except PermissionError:
            seen.append("no way back")
        return seen

    told = asyncio.run(ForkedRights().run(SOMEBODY, work))
    assert told == [*["54321"] * 3, *["54322"] * 3, "54322", "refused", "no way back"]


@root_only
def test_a_child_that_fails():
    def refuses():
        raise DeliveryError(Dsn(5, 2, 2), "full")

    with pytest.raises(DeliveryError, match="full"):
        asyncio.run(ForkedRights().run(SOMEBODY, refuses))

    def dies():
        os._exit(3)

    with pytest.raises(DeliveryError, match="died"):
        asyncio.run(ForkedRights().run(SOMEBODY, dies))


@root_only
def test_a_long_answer():
    assert asyncio.run(ForkedRights().run(SOMEBODY, lambda: ["x" * SIZE])) == ["x" * SIZE]


@root_only
def test_a_command_cannot_look_into_the_process_that_runs_it(commands):
    """That is root's: neither its memory nor its open files may be had."""
    script = (
        "for each in fd mem environ maps; do cat /proc/$PPID/$each && ls /proc/$PPID/$each; done 2>/dev/null; id -u"
    )
    rules = CommandRules(["sh", "-c", script], {"PATH": "/usr/bin:/bin"}, "/", 20.0, SOMEBODY)
    assert asyncio.run(commands.run(script, [b""], rules)).said == str(SOMEBODY.uid)


@root_only
def test_a_command_has_no_descriptors_but_its_three(commands):
    descriptor = os.open("/etc/shadow", os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    script = "ls /proc/self/fd; cat <&" + str(descriptor)
    rules = CommandRules(["sh", "-c", script], {"PATH": "/usr/bin:/bin"}, "/", 20.0, SOMEBODY)
    try:
        outcome = asyncio.run(commands.run(script, [b""], rules))
    finally:
        os.close(descriptor)
    said = outcome.said or outcome.output
    assert said.startswith("0 1 2 3 ")  # ls itself has the directory open
    assert "root:" not in said
