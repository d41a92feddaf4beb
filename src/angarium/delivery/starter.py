"""The process that starts commands: becomes their users, executes, waits, kills (``launcher`` talks with it).

It is executed as a script by a process that has grown, so that a fork copies the pages of a small one: it imports
nothing of this package, and of Python's library only what it needs. It has one thread.

It takes orders from one end of a pair of sockets, which it has from its parent and nobody else can reach. With an order
come the descriptors of the command's standard input, of its output and error, and of a socket of its own, on which all
is told about this command and which ends it:

=====  =========  ==================================================================================
``S``  to parent  the process is there, by this number
``F``  to parent  it could not do this step, for this reason (errno); nothing was executed
``X``  to parent  it has ended: exit status, or minus the number of a signal
``K``  to us      kill its whole process group
end    of parent  nobody waits any more: kill the group of a command that runs, bury one that has ended
=====  =========  ==================================================================================

A command is not buried before its parent is through with it, so that its number goes on naming its group. When the
orders' socket ends, the parent is gone: all groups are killed, for they would take the end of a message that was cut
off for its end.

===========================  ===================================================================================
the order                    what happens
===========================  ===================================================================================
is for somebody else         a child becomes him, says that it is there, and executes the command
is for who we are            the command is spawned (posix_spawn(3)), which copies no pages
has no command               the child that has become somebody is a starter for him, whose orders' socket is its
                             standard input: it can start nothing but what he could
===========================  ===================================================================================

What a command gets: a session of its own without a terminal, the three descriptors, the environment of its order,
default signals, umask 077, no group but the user's. It enters its root directory as root, everything else as the user.
Nobody is made root here, whatever is ordered: a user or a group that is 0 is refused. A user may neither trace a
process that has become him here nor read its memory: for that it would have to execute something.

What is root's waits neither for a command nor for the files that it is read from: a user who hangs his own holds up
nobody else.
"""

from __future__ import annotations

import errno
import gc
import os
import resource
import select
import signal
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Execute = Callable[[bytes, list[bytes], dict[bytes, bytes]], int]

INLINE = 32 * 1024
"""Bytes of an order that are sent as they are; a longer one is in a file, whose descriptor comes last."""

FILES = 1024
"""Open files that a command may have: those that use select(2) rely on it, others close each of them at their start."""

_OURS = 20_000
"""Open files of this process: two for each command."""

_SHELL = b"/bin/sh"
_ELSEWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT})
"""A program that is not in one directory may be in the next, as execvp(3) has it."""


class Order:
    """What is to be run, and as whom.

    Attributes:
        uid: the user; -1 when he stays who we are.
        gid: his group, and the only one.
        directory: where it is run; he must be able to go there.
        root: what it sees as the root of all files; empty: the root.
        shell: the command line that a shell gets when there is no such program; empty: none.
        arguments: the program, searched in PATH of the environment unless it has a slash, and its arguments.
        environment: the whole of it, as ``name=value``.
    """

    __slots__ = ("arguments", "directory", "environment", "gid", "root", "shell", "uid")

    def __init__(
        self,
        uid: int,
        gid: int,
        directory: bytes,
        root: bytes,
        shell: bytes,
        arguments: list[bytes],
        environment: list[bytes],
    ) -> None:
        self.uid = uid
        self.gid = gid
        self.directory = directory
        self.root = root
        self.shell = shell
        self.arguments = arguments
        self.environment = environment

    def packed(self) -> bytes:
        """As bytes: fields that end with NULs, which cannot be in any of them. Raises ValueError if one is."""
        fields = [b"%d" % self.uid, b"%d" % self.gid, b"%d" % len(self.arguments)]
        fields += [self.directory, self.root, self.shell, *self.arguments, *self.environment]
        data = b"\0".join(fields)
        if data.count(b"\0") != len(fields) - 1:
            raise ValueError("embedded null byte")
        return data

    def for_ourselves(self) -> Order:
        """The same for a starter that is its user already."""
        return Order(-1, -1, self.directory, self.root, self.shell, self.arguments, self.environment)

    @classmethod
    def unpacked(cls, data: bytes) -> Order:
        """The order of its bytes. Raises ValueError, IndexError."""
        uid, gid, count, directory, root, shell, *rest = data.split(b"\0")
        number = int(count)
        return cls(int(uid), int(gid), directory, root, shell, rest[:number], rest[number:])


class _Command:
    """One that runs, or has ended and is not buried; or a starter, which sees to its end and its commands' itself."""

    __slots__ = ("ended", "pid", "pidfd", "starts", "status")

    def __init__(self, pid: int, pidfd: int, status: int, *, starts: bool) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.status = status
        self.starts = starts
        self.ended = False


class Starter:
    """The whole process.

    Args:
        control: the socket of the orders.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._poll = select.epoll()
        self._poll.register(control.fileno(), select.EPOLLIN)
        self._commands: dict[int, _Command] = {}  # by the descriptors of their socket and of their process

    def run(self) -> None:
        """Until the parent is gone."""
        control = self._control.fileno()
        while True:
            for descriptor, _events in self._poll.poll():
                if descriptor == control:
                    if not self._take():
                        self._kill_all()
                        return
                    continue
                command = self._commands.get(descriptor)
                if command is None:  # it was seen to in this very round
                    continue
                if descriptor == command.pidfd:
                    self._look(command)
                else:
                    self._hear(command)

    def _take(self) -> bool:
        """Take an order; whether there was one."""
        flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        try:
            data, ancillary, told, _address = self._control.recvmsg(INLINE, socket.CMSG_SPACE(4 * 4), flags)
        except BlockingIOError:
            return True
        received = b"".join(payload for _level, _kind, payload in ancillary)
        numbers = [int.from_bytes(received[at : at + 4], sys.byteorder) for at in range(0, len(received) // 4 * 4, 4)]
        if not data:
            return False
        if told & socket.MSG_CTRUNC or len(numbers) < 3:  # there is no room for descriptors: its socket says so, closed
            for each in numbers:
                os.close(each)
            return True
        if len(numbers) > 3:
            with open(numbers[3], "rb") as file:  # noqa: PTH123  # a descriptor
                file.seek(0)
                data = file.read()
        stdin, output, status = numbers[:3]
        try:
            self._start(Order.unpacked(data), stdin, output, status)
        finally:
            os.close(stdin)
            os.close(output)
        return True

    def _start(self, order: Order, stdin: int, output: int, status: int) -> None:
        """Have a command, or say why there is none."""
        step = b"fork"
        pid = 0
        try:
            if order.uid >= 0:
                pid = os.fork()
                if pid == 0:
                    _become(order, stdin, output, status)
            else:
                step = b"rights"
                _refuse_root()
                step = b"directory"
                os.chdir(order.directory)
                step = b"command"
                pid = _execute(order, _spawning(stdin, output))
                _tell(status, b"S%d" % pid)
            step = b"fork"
            pidfd = os.pidfd_open(pid)
        except (OSError, ValueError) as error:
            if pid:  # nobody would know when it has ended
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            _tell(status, _failed(step, error))
            os.close(status)
            return
        finally:
            os.chdir("/")  # nobody's directory is kept in use
        command = _Command(pid, pidfd, status, starts=not order.arguments)
        self._commands[pidfd] = self._commands[status] = command
        self._poll.register(pidfd, select.EPOLLIN)
        self._poll.register(status, select.EPOLLIN)

    def _look(self, command: _Command) -> None:
        """Say how it has ended, if it has."""
        result = os.waitid(os.P_PID, command.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if result is None:
            return
        code = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
        command.ended = True
        del self._commands[command.pidfd]
        os.close(command.pidfd)
        if command.status < 0 or not _tell(command.status, b"X%d" % code):
            self._bury(command)

    def _hear(self, command: _Command) -> None:
        """Kill its group, if that is what the parent wants; let go of it, if the parent has."""
        try:
            data = os.read(command.status, 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data == b"K" or not (command.ended or command.starts):
            _kill(command)
        if data != b"K":
            self._bury(command)

    def _bury(self, command: _Command) -> None:
        """Close its socket, and wait for it if it has ended; else that is done when it has."""
        if command.status >= 0:
            del self._commands[command.status]
            os.close(command.status)
            command.status = -1
        if command.ended:
            os.waitpid(command.pid, 0)

    def _kill_all(self) -> None:
        for command in self._commands.values():
            if not (command.ended or command.starts):
                _kill(command)


def _kill(command: _Command) -> None:
    try:  # noqa: SIM105  # contextlib is one more import
        os.killpg(command.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # there is nobody in it, or who has gained rights that we lack
        pass


def _tell(status: int, data: bytes) -> bool:
    """Say something about a command; whether anybody is there to hear it."""
    try:
        os.write(status, data)
    except OSError:
        return False
    return True


def _failed(step: bytes, error: OSError | ValueError) -> bytes:
    """What is told of a step that failed; a ValueError is of Python, which refuses a variable that has no name."""
    number = (error.errno or errno.EIO) if isinstance(error, OSError) else errno.EINVAL
    return b"F%s %d" % (step, number)


def _refuse_root() -> None:
    """Raise PermissionError if this process is root in any way."""
    if 0 in (*os.getresuid(), *os.getresgid()):
        raise PermissionError(errno.EPERM, "root")


def _become(order: Order, stdin: int, output: int, status: int) -> None:
    """The child, from fork to the end: it does not return."""
    step = b"rights"
    try:
        os.setsid()
        if not _tell(status, b"S%d" % os.getpid()):
            return
        os.dup2(stdin, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(3, status)
        os.closerange(status + 1, _OURS)
        if order.arguments:  # a starter has as many as this one, and its commands have fewer then
            resource.setrlimit(resource.RLIMIT_NOFILE, _few(FILES))
        if order.root:
            step = b"root"
            os.chroot(order.root)
            os.chdir("/")
            step = b"rights"
        os.setgroups([order.gid])
        os.setresgid(order.gid, order.gid, order.gid)
        os.setresuid(order.uid, order.uid, order.uid)
        _refuse_root()
        if not order.arguments:
            os.close(status)
            _serve()
            return
        step = b"directory"
        os.chdir(order.directory)
        step = b"command"
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        _execute(order, os.execve)
    except (OSError, ValueError) as error:
        _tell(status, _failed(step, error))
    finally:
        os._exit(75)


def _spawning(stdin: int, output: int) -> Execute:
    """What executes a program in a new process, and returns its number."""
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]

    def spawn(place: bytes, arguments: list[bytes], environment: dict[bytes, bytes]) -> int:
        ours = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, _few(FILES))
        try:
            return os.posix_spawn(
                place, arguments, environment, file_actions=actions, setsid=True, setsigdef=[signal.SIGPIPE]
            )
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, ours)

    return spawn


def _execute(order: Order, execute: Execute) -> int:
    """Execute its program, as execvp(3) would: what is no program is for the shell. Raises OSError."""
    name, *arguments = order.arguments
    environment = dict(each.split(b"=", 1) for each in order.environment)
    places = [name] if b"/" in name else [each + b"/" + name for each in environment[b"PATH"].split(b":") if name]
    refused: OSError = FileNotFoundError(errno.ENOENT, "no such program")
    for place in places:
        try:
            return execute(place, order.arguments, environment)
        except OSError as error:
            if error.errno == errno.ENOEXEC:
                return execute(_SHELL, [_SHELL, place, *arguments], environment)
            if error.errno == errno.EACCES:
                refused = error
            elif error.errno not in _ELSEWHERE or place is name:
                raise
    if order.shell and b"/" not in name and refused.errno == errno.ENOENT:
        return execute(_SHELL, [b"sh", b"-c", order.shell], environment)
    raise refused


def _few(files: int) -> tuple[int, int]:
    """A limit of open files, as far as there may be so many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return (files if hard == resource.RLIM_INFINITY else min(files, hard)), hard


def _serve() -> None:
    """Serve whoever has the other end of our standard input, until he is gone."""
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    for each in (0, 1, 2):
        os.dup2(nothing, each)
    os.close(nothing)
    Starter(control).run()


def main() -> None:
    """What this process is as a whole."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # who has gone is told nothing
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_NOFILE, _few(_OURS))
    gc.disable()
    gc.collect()
    gc.freeze()  # a collection would write to pages that a child shares
    _serve()


if __name__ == "__main__":
    main()
