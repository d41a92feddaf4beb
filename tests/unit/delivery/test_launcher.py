"""Commands and the processes that start them: whatever one does, the others are none the worse, and nothing is left.

Each test has its commands started by the first starter, and then by their user's.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from angarium.delivery import launcher, starter
from angarium.delivery.command import CommandRules, Commands, OwnCommands
from angarium.delivery.launcher import Launcher, StartError
from angarium.delivery.starter import INLINE, Order
from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User
from angarium.model.content import ContentLostError

ROOT = os.geteuid() == 0
SOMEBODY = User("somebody", 54321, 54322) if ROOT else User("me", os.geteuid(), os.getegid())
_LIBRARYS = 0b11 << 31
"""Signals 32 and 33, which no program uses: posix_spawn(3) has them ignored."""
PATH = {"PATH": "/usr/bin:/bin"}


@pytest.fixture(autouse=True, params=["first", "users"])
def whose(request, monkeypatch):
    """Which starter it is."""
    if request.param == "first":
        monkeypatch.setattr(launcher, "_SOON", -1.0)
    elif ROOT:
        monkeypatch.setattr(launcher, "_SOON", float("inf"))
    else:
        pytest.skip("only root can become others")
    return request.param


def starter_of(whose):
    """The number of the process."""
    (first,) = (each for each in children_of(os.getpid()) if is_starter(each))
    if whose == "first":
        return first
    (own,) = (each for each in children_of(first) if is_starter(each))
    return own


def is_starter(pid):
    try:
        return b"starter.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:  # it has ended just now
        return False


def rules_for(script, limit=20.0, **changes):
    wanted = {"arguments": ["sh", "-c", script], "environment": PATH, "directory": "/", "user": SOMEBODY}
    return CommandRules(time_limit=limit, **wanted | changes)


def most_files(pid):
    """The limits, soft and hard."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return tuple(int(each) for line in lines if line.startswith("Max open files") for each in line.split()[3:5])


def open_files(pid):
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@contextlib.contextmanager
def launching():
    """A launcher, which must leave no descriptor behind."""
    before = open_files(os.getpid())
    ours = Launcher()
    ours._seen[SOMEBODY.uid, SOMEBODY.gid] = 0.0
    try:
        yield ours
    finally:
        ours.close()
    assert open_files(os.getpid()) <= before + 1  # epoll's, or the like, of an event loop that is open still


def told(scripts, pieces=(b"x\n",), limit=20.0, **changes):
    """What comes of scripts that run one after the other."""

    async def body():
        outcomes = []
        with launching() as ours:
            commands = (Commands if ROOT else OwnCommands)(ours)
            for script in scripts:
                try:
                    outcome = await commands.run(script, pieces, rules_for(script, limit, **changes))
                    outcomes.append(f"{outcome.status.value} {outcome.dsn} {outcome.text}{outcome.said}")
                except DeliveryError as error:
                    outcomes.append(f"{error.dsn} {error.text} {error.cause}")
            return outcomes

    return asyncio.run(body())


def is_running(pid):
    """Whether it is there, and is not just waiting to be buried."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_end(pid):
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline
        os.sched_yield()


def children_of(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def commands_below():
    """The numbers of sleeping commands."""
    below = [each for each in children_of(os.getpid()) if is_starter(each)]
    below += [each for first in below for each in children_of(first)]
    return {each for pid in below for each in children_of(pid) if not is_starter(each)}


async def nobody_below(pid):
    deadline = time.monotonic() + 10
    while children_of(pid):
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


def waiting_bytes(status):
    """What is there to be read behind the first thing that was told; the first alone counts as nothing."""
    buffer = bytearray(4)
    fcntl.ioctl(status, termios.FIONREAD, buffer)
    total = int.from_bytes(buffer, sys.byteorder)
    return 0 if not total or total == len(status.recv(64, socket.MSG_PEEK)) else total


def order_of(script, uid=SOMEBODY.uid, gid=SOMEBODY.gid, **changes):
    fields = {
        "uid": uid if ROOT else -1,
        "gid": gid if ROOT else -1,
        "directory": b"/",
        "root": b"",
        "shell": b"",
        "arguments": [b"sh", b"-c", script.encode()],
        "environment": [b"PATH=/usr/bin:/bin"],
    }
    return Order(**fields | changes)


def said_by(order, *, before=lambda _launcher: None):
    """The exit status of a command, and what it says."""

    async def body():
        with launching() as ours:
            before(ours)
            nothing = os.open(os.devnull, os.O_RDWR)
            readable, writable = os.pipe()
            try:
                async with ours.started(order, nothing, writable) as running:
                    code = await running.ended()
                return code, os.read(readable, 65536).decode()
            finally:
                os.close(readable)
                os.close(writable)
                os.close(nothing)

    return asyncio.run(body())


def test_what_ignores_signals_is_killed_with_its_children():
    (said,) = told(["trap '' TERM INT HUP; sleep 60 & echo $!; wait; sleep 60"], limit=0.3)
    assert said.startswith("5.3.0 Command time limit exceeded: ")
    wait_for_end(said.split("Command output: ")[1].strip())


def test_a_child_that_keeps_the_output_holds_up_its_command_until_the_limit():
    (said,) = told(["sleep 60 & echo $!; exit 0"], limit=0.3)
    assert said.startswith("5.3.0 Command time limit exceeded: ")
    wait_for_end(said.split("Command output: ")[1].strip())


def test_a_child_that_keeps_nothing_goes_on():
    (said,) = told(["sleep 60 <&- >&- 2>&- & echo $!; exit 69"])
    child = int(said.split("Command output: ")[1])
    assert said.startswith("bounced 5.3.0 service unavailable")
    assert is_running(child)
    os.kill(child, signal.SIGKILL)


def test_who_reads_nothing_and_says_nothing_and_who_dies():
    assert told(
        ["exec <&-; exit 0", "exec <&- >&- 2>&-; exit 67", "kill -9 $$", "kill -TERM $$", "exit 3"],
        [b"x" * 65536] * 40,
    ) == [
        "sent 2.0.0 delivered to command: exec <&-; exit 0",
        "bounced 5.1.1 user unknown",
        'deferred 4.3.0 Command died with signal 9: "kill -9 $$"',
        'deferred 4.3.0 Command died with signal 15: "kill -TERM $$"',
        'bounced 5.3.0 Command died with status 3: "exit 3"',
    ]


@pytest.fixture
def programs(tmp_path):
    """A directory of files that are no programs, or are odd ones."""
    for each in (tmp_path, *tmp_path.parents[:-2]):
        if each.stat().st_uid == os.geteuid():
            each.chmod(each.stat().st_mode | 0o055)
    for name, text, mode in [
        ("text", "echo $0 $#; exit 69\n", 0o755),
        ("closed", "#!/bin/sh\n", 0o644),
        ("empty", "", 0o755),
        ("lost", "#!/no/such\n", 0o755),
    ]:
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("text", "bounced 5.3.0 service unavailable. Command output: {place}/text 2"),
        ("empty", "sent 2.0.0 delivered to command: x"),
        ("closed", "execvp {place}/closed: Permission denied"),
        ("", "execvp {place}/: Permission denied"),
        ("lost", "execvp {place}/lost: No such file or directory"),
        ("nothing", "execvp {place}/nothing: No such file or directory"),
        ("text/x", "execvp {place}/text/x: Not a directory"),
    ],
)
def test_what_cannot_be_executed(programs, name, said):
    """Recorded from Postfix 3.7."""
    prefix = "deferred 4.3.0 temporary failure. Command output: local: fatal: " if said.startswith("execvp") else ""
    (heard,) = told(["x"], arguments=[f"{programs}/{name}", "a", "b"], shell="never used")
    assert heard.strip() == prefix + said.format(place=programs)


def test_what_is_no_program_may_be_for_a_shell():
    """Recorded from Postfix 3.7: local's commands are, pipe's are not."""
    assert told(["x"], arguments=["nosuchcommand", "x"], shell="nosuchcommand x") == [
        'bounced 5.3.0 Command died with status 127: "x". Command output: sh: 1: nosuchcommand: not found '
    ]
    assert told(["x"], arguments=["nosuchcommand", "x"]) == [
        f"deferred 4.3.0 temporary failure. Command output: local: fatal: execvp nosuchcommand: {os.strerror(2)} "
    ]


def test_a_thousand_commands_leave_nothing(whose):
    async def body():
        with launching() as ours:
            commands = (Commands if ROOT else OwnCommands)(ours)

            async def run(number):
                outcome = await commands.run("x", [b"a" * number], rules_for(f"test $(wc -c) -eq {number}"))
                assert outcome.text == "delivered to command: x"

            await run(1)
            pid = starter_of(whose)
            await nobody_below(pid)
            before = [open_files(each) for each in (os.getpid(), pid)]
            for start in range(0, 1000, 50):
                await asyncio.gather(*(run(number) for number in range(start, start + 50)))
            await nobody_below(pid)
            assert [open_files(each) for each in (os.getpid(), pid)] == before
            assert not any(each.running for each in ours._users.values())

    asyncio.run(body())


def test_a_starter_has_room_for_more_commands_than_a_command_for_files(whose):
    async def body():
        with launching() as ours:
            commands = (Commands if ROOT else OwnCommands)(ours)
            await commands.run("x", [b"x"], rules_for("exit 0"))
            return most_files(starter_of(whose))

    soft, hard = asyncio.run(body())
    assert soft == min(20_000, hard)


@pytest.mark.parametrize("room", range(24, 28))
def test_commands_for_which_there_is_no_room_cost_no_others(whose, room):
    async def body():
        with launching() as ours:
            commands = (Commands if ROOT else OwnCommands)(ours)
            ours._first_one()
            while not (first := [each for each in children_of(os.getpid()) if is_starter(each)]):
                await asyncio.sleep(0)
            while open_files(first[0]) < 5:  # it sets its own limit at first
                await asyncio.sleep(0)
            resource.prlimit(first[0], resource.RLIMIT_NOFILE, (room, room))
            silent = "exec <&- >&- 2>&-; sleep 60"
            running = [asyncio.create_task(commands.run("x", [b"x"], rules_for(silent))) for _ in range(16)]
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            with contextlib.suppress(DeliveryError):  # when this is answered, so are those before it
                await commands.run("x", [b"x"], rules_for("exit 0"))
            while len(commands_below()) + sum(each.done() for each in running) < len(running):
                await asyncio.sleep(0)
            below, pid = commands_below(), starter_of(whose)
            assert len(below) > 4
            assert {str(each.exception()) for each in running if each.done()} == {"4.3.0 temporary failure"}
            for each in sorted(below)[:3]:  # a command takes more descriptors at its start than it has then
                os.kill(each, signal.SIGKILL)
            outcome = None
            while outcome is None:  # there is room when they are buried
                with contextlib.suppress(DeliveryError):
                    outcome = await commands.run("x", [b"x"], rules_for("exit 0"))
            assert outcome.text == "delivered to command: x"
            assert starter_of(whose) == pid
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(body())


def test_a_variable_without_a_name_costs_no_other_command(whose):
    async def body():
        with launching() as ours:
            commands = (Commands if ROOT else OwnCommands)(ours)
            await commands.run("x", [b"x"], rules_for("exit 0"))
            pid = starter_of(whose)
            outcome = await commands.run("x", [b"x"], rules_for("exit 0", environment=PATH | {"": "x"}))
            assert outcome.text.endswith("Command output: local: fatal: execvp sh: Invalid argument ")
            assert starter_of(whose) == pid

    asyncio.run(body())


def test_a_starter_that_is_killed_takes_its_commands_along_and_is_replaced(whose):
    async def body():
        with launching() as ours:
            commands = (Commands if ROOT else OwnCommands)(ours)
            running = [asyncio.create_task(commands.run("x", [b"x"], rules_for("sleep 60"))) for _ in range(3)]
            while len(below := commands_below()) < 3:
                await asyncio.sleep(0.01)
            os.kill(starter_of(whose), signal.SIGKILL)
            failed = await asyncio.gather(*running, return_exceptions=True)
            assert {f"{each.dsn} {each.text}: {each.cause}" for each in failed} == {
                "4.3.0 temporary failure: the process that starts commands died"
            }
            for each in below:
                wait_for_end(each)
            assert (await commands.run("x", [b"x"], rules_for("exit 0"))).text == "delivered to command: x"

    asyncio.run(body())


def test_an_end_that_was_told_counts_though_the_starter_died_then(whose):
    async def body():
        with launching() as ours:
            nothing = os.open(os.devnull, os.O_RDWR)
            async with ours.started(order_of("exit 3"), nothing, nothing) as running:
                while waiting_bytes(running._status) < len("S1X3"):
                    await asyncio.sleep(0)
                os.kill(starter_of(whose), signal.SIGKILL)
                await running.lost
                assert await running.ended() == 3
            os.close(nothing)

    asyncio.run(body())


def test_a_starter_that_does_not_answer_is_replaced_and_the_mail_waits(whose):
    async def body():
        with launching() as ours:
            commands = (Commands if ROOT else OwnCommands)(ours)
            await commands.run("x", [b"x"], rules_for("exit 0"))
            os.kill(starter_of(whose), signal.SIGSTOP)
            with pytest.raises(DeliveryError, match=r"4\.3\.0 temporary failure"):
                await commands.run("x", [b"x"], rules_for("exit 0", 0.2))
            assert (await commands.run("x", [b"x"], rules_for("exit 0"))).text == "delivered to command: x"

    asyncio.run(body())


def test_orders_that_find_no_room_wait(whose):
    async def body():
        with launching() as ours:
            commands = (Commands if ROOT else OwnCommands)(ours)
            await commands.run("x", [b"x"], rules_for("exit 0"))
            os.kill(stopped := starter_of(whose), signal.SIGSTOP)
            padding = PATH | {"X": "x" * (INLINE - 1000)}
            waiting = [
                asyncio.create_task(commands.run("x", [b"x"], rules_for("exit 0", environment=padding)))
                for _ in range(30)
            ]
            while not any(each and each._full for each in (ours._first, *ours._users.values())):
                await asyncio.sleep(0)
            os.kill(stopped, signal.SIGCONT)
            assert {each.text for each in await asyncio.gather(*waiting)} == {"delivered to command: x"}

    asyncio.run(body())


def test_a_parent_that_is_killed_leaves_nothing_running(whose):
    program = f"""
import asyncio, os
from angarium.delivery import launcher as module
from angarium.delivery.launcher import Launcher
module._SOON = float("{launcher._SOON}")
from angarium.delivery.starter import Order
async def body():
    launcher = Launcher()
    launcher._seen[{SOMEBODY.uid}, {SOMEBODY.gid}] = 0.0
    nothing = os.open("/dev/null", os.O_RDWR)
    order = Order({order_of("").uid}, {order_of("").gid}, b"/", b"", b"", [b"sleep", b"60"], [b"PATH=/usr/bin:/bin"])
    async with launcher.started(order, nothing, nothing) as running:
        while not running.has_begun():
            await asyncio.sleep(0.01)
        print(running.pid, flush=True)
        await running.ended()
asyncio.run(body())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        command = int(parent.stdout.readline())
        first = [each for each in children_of(parent.pid) if is_starter(each)]
        pids = [command, *first, *(each for pid in first for each in children_of(pid) if is_starter(each))]
        assert len(pids) == (2 if whose == "first" else 3)
        assert is_running(command)
        parent.kill()
    for each in pids:
        wait_for_end(each)


def test_a_message_that_cannot_be_read_is_not_taken_for_a_shorter_one(tmp_path):
    path = tmp_path / "ended"
    path.write_text("")
    path.chmod(0o666)
    for each in (tmp_path, *tmp_path.parents[:-2]):
        if each.stat().st_uid == os.geteuid():
            each.chmod(each.stat().st_mode | 0o055)

    def pieces():
        yield b"x" * 200_000
        raise ContentLostError("the message became shorter")

    assert told([f"cat >/dev/null; sleep 0.05; echo x >{path}"], pieces()) == [
        "4.3.0 temporary failure command sh: the message became shorter"
    ]
    assert path.read_text() == ""


def test_what_a_command_has():
    script = "ls /proc/self/fd | tr '\\n' ' '; ulimit -n; umask; cat /proc/$$/stat; env"
    with socket.socket() as inheritable:
        inheritable.set_inheritable(True)
        ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        try:
            code, said = said_by(order_of(script))
            _code, masks = said_by(order_of("", arguments=[b"grep", b"Sig[BI]", b"/proc/self/status"]))
        finally:
            signal.signal(signal.SIGINT, ignored)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    descriptors, umask, stat, *environment = said.splitlines()
    blocked, ignored = masks.splitlines()
    assert descriptors.split()[:4] == ["0", "1", "2", "3"]  # ls itself has the directory open
    assert descriptors.split()[-1] == "1024"
    assert umask == "0077"
    pid, _name, _state, _parent, group, session, terminal, *_rest = stat.split()
    assert (group, session, terminal) == (pid, pid, "0")
    assert int(blocked.split()[1], 16) == 0
    assert int(ignored.split()[1], 16) & ~_LIBRARYS == 0
    assert sorted(environment) == ["PATH=/usr/bin:/bin", "PWD=/"]
    assert code == 0


@pytest.mark.skipif(not ROOT, reason="only root can become others")
@pytest.mark.parametrize(("uid", "gid"), [(0, 54322), (54321, 0), (0, 0), (-1, -1)])
def test_nobody_is_made_root(uid, gid):
    with pytest.raises(StartError) as caught:
        said_by(order_of("id -u", uid, gid))
    assert caught.value.step == "rights"


@pytest.mark.skipif(not ROOT, reason="only root can become others")
def test_who_may_not_go_to_a_directory_is_not_taken_there(tmp_path):
    tmp_path.chmod(0o700)
    with pytest.raises(StartError, match="directory: Permission denied"):
        said_by(order_of("pwd", directory=os.fsencode(tmp_path)))


@pytest.mark.skipif(not ROOT, reason="only root can change its root directory")
def test_a_root_directory_of_its_own(programs):
    (programs / "bin").mkdir(mode=0o755)
    order = order_of("", root=os.fsencode(programs), arguments=[b"text"], environment=[b"PATH=/bin:/"])
    with pytest.raises(StartError) as caught:  # there is no shell in it
        said_by(order)
    assert (caught.value.step, caught.value.reason) == ("command", "No such file or directory")


def test_orders_are_what_they_were():
    order = order_of("x", uid=7, gid=8, directory=b"/d", root=b"/r", shell=b"s", environment=[b"A=", b"B=c=d", b"C=\n"])
    again = Order.unpacked(order.packed())
    for name in Order.__slots__:
        assert getattr(again, name) == getattr(order, name)
    with pytest.raises(ValueError, match="null"):
        order_of("a\0b").packed()


def test_a_long_order():
    padding = [b"X%d=%s" % (number, b"x" * 100_000) for number in range(5)]
    assert said_by(order_of('echo "$X4" | wc -c', environment=[b"PATH=/usr/bin:/bin", *padding])) == (0, "100001\n")
    with pytest.raises(StartError, match="command: Argument list too long"):
        said_by(order_of("", environment=[b"X=" + b"x" * 200_000, b"PATH=/bin"]))


def test_a_nul_is_no_command():
    assert told(["x"], environment=PATH | {"X": "a\0b"}) == ["4.3.0 temporary failure command 'sh': embedded null byte"]


def test_a_python_that_is_not_there_defers(monkeypatch):
    monkeypatch.setattr(launcher.sys, "executable", "/no/such/python")
    (said,) = told(["exit 0"])
    assert said.startswith("4.3.0 temporary failure command sh: No such file")


def test_a_starter_that_ends_at_once_defers(monkeypatch):
    monkeypatch.setattr(launcher.sys, "executable", "/bin/false")
    assert {each.split(":")[0] for each in told(["exit 0"] * 3)} <= {
        "4.3.0 temporary failure the process that starts commands died",
        "4.3.0 temporary failure command sh",
    }


def test_it_has_few_modules():
    """Its pages are what each command costs."""
    place = str(Path(starter.__file__).parent)
    code = f"import sys; sys.path.append({place!r}); import starter; print(len(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True, text=True)
    assert int(done.stdout) < 70


def test_somebody_elses_command_is_not_run_by_ourselves():
    async def body():
        with launching() as ours:
            rules = rules_for("exit 0", user=User("other", os.geteuid() + 1, 1))
            with pytest.raises(
                DeliveryError, match="delivery for the user other needs a server that was started by root"
            ):
                await OwnCommands(ours).run("x", [b""], rules)

    asyncio.run(body())


def test_a_command_sees_nothing_of_its_starter():
    """It has been root's process, or has its orders' socket: nobody may trace it, read its memory or its files."""
    script = "for each in fd mem environ maps; do cat /proc/$PPID/$each; ls /proc/$PPID/$each/; done 2>/dev/null; id -u"
    assert said_by(order_of(script)) == (0, f"{SOMEBODY.uid}\n") or not ROOT


def starters_below(ours):
    return {key for key, channel in ours._users.items() if not channel.gone}


@pytest.mark.skipif(not ROOT, reason="only root can become others")
def test_users_who_have_much_to_do_have_starters_for_a_while(whose, monkeypatch):
    async def body():
        with launching() as ours:
            commands = Commands(ours)
            monkeypatch.setattr(launcher, "_USERS", 2)
            users = [User("u", 54321 + number, 54322) for number in range(4)]
            for _turn in range(2):
                for user in users:
                    outcome = await commands.run("x", [b""], rules_for("id -u; exit 69", user=user))
                    assert f"output: {user.uid} " in outcome.text
            if whose == "first":
                assert not starters_below(ours)
                return
            assert starters_below(ours) == {(each.uid, each.gid) for each in users[2:]}
            monkeypatch.setattr(launcher, "_IDLE", 0.0)
            await asyncio.gather(*(commands.run("x", [b""], rules_for("exit 0", user=each)) for each in users[2:]))
            while starters_below(ours):
                await asyncio.sleep(0.01)

    asyncio.run(body())


@pytest.mark.skipif(not ROOT, reason="only root can become others")
def test_who_kills_his_starter_has_killed_his_own(whose):
    if whose == "first":
        pytest.skip("nobody can kill that one")
    other = User("other", 54329, 54322)

    async def body():
        with launching() as ours:
            commands = Commands(ours)
            run = asyncio.create_task(commands.run("x", [b""], rules_for("sleep 0.5", user=other)))
            with pytest.raises(DeliveryError, match=r"4\.3\.0 temporary failure"):
                await commands.run("x", [b""], rules_for("kill -9 $PPID; sleep 60"))
            assert (await commands.run("x", [b""], rules_for("exit 0"))).text == "delivered to command: x"
            assert (await run).text == "delivered to command: x"

    asyncio.run(body())
