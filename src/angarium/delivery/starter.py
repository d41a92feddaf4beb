"""The process that starts commands: forks, becomes the user, executes, waits, kills (``launcher`` talks with it).

It is executed as a script by a process that has grown, so that a fork copies the pages of a small one: it imports
nothing of this package, and of Python's library only what it needs. It has one thread.

It takes orders from one end of a pair of sockets, which it has from its parent and nobody else can reach. With an order
come the descriptors of the command's standard input, of its output and error, and of a socket of its own, on which all
is told about this command and which ends it:

=====  =========  ==================================================================================
``S``  to parent  the process is there, by this number; said by itself, before it can do anything
``F``  to parent  it could not do this step, for this reason (errno); nothing was executed
``X``  to parent  it has ended: exit status, or minus the number of a signal
``K``  to us      kill its whole process group
end    of parent  nobody waits any more: kill the group of a command that runs, bury one that has ended
=====  =========  ==================================================================================

A command is not buried before its parent is through with it, so that its number goes on naming its group. When the
orders' socket ends, the parent is gone: all groups are killed, for they would take the end of a message that was cut
off for its end.

What a command gets: a session of its own without a terminal, the three descriptors, the environment of its order,
default signals, umask 077, no group but the user's. It enters its root directory as root, everything else as the user.
Nobody is made root here, whatever is ordered: the number of a user or a group that is 0 is refused.

Nothing here waits for a command or for the files that it is read from: a user who hangs his own holds up nobody else.
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

    @classmethod
    def unpacked(cls, data: bytes) -> Order:
        """The order of its bytes. Raises ValueError, IndexError."""
        uid, gid, count, directory, root, shell, *rest = data.split(b"\0")
        number = int(count)
        return cls(int(uid), int(gid), directory, root, shell, rest[:number], rest[number:])


class _Command:
    """One that runs, or has ended and is not buried."""

    __slots__ = ("ended", "pid", "pidfd", "status")

    def __init__(self, pid: int, pidfd: int, status: socket.socket) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.status = status
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
            data, ancillary, _flags, _address = self._control.recvmsg(INLINE, socket.CMSG_SPACE(4 * 4), flags)
        except BlockingIOError:
            return True
        received = b"".join(payload for _level, _kind, payload in ancillary)
        numbers = [int.from_bytes(received[at : at + 4], sys.byteorder) for at in range(0, len(received) // 4 * 4, 4)]
        if not data or len(numbers) < 3:
            return False
        if len(numbers) > 3:
            with open(numbers[3], "rb") as file:  # noqa: PTH123  # a descriptor
                file.seek(0)
                data = file.read()
        status = socket.socket(fileno=numbers[2])
        try:
            self._start(Order.unpacked(data), numbers[0], numbers[1], status)
        finally:
            os.close(numbers[0])
            os.close(numbers[1])
        return True

    def _start(self, order: Order, stdin: int, output: int, status: socket.socket) -> None:
        """Fork."""
        try:
            pid = os.fork()
            if pid == 0:
                _become_command(order, stdin, output, status)
        except OSError as error:
            _tell(status, b"Ffork %d" % (error.errno or errno.EAGAIN))
            status.close()
            return
        pidfd = os.pidfd_open(pid)
        command = _Command(pid, pidfd, status)
        self._commands[pidfd] = self._commands[status.fileno()] = command
        self._poll.register(pidfd, select.EPOLLIN)
        self._poll.register(status.fileno(), select.EPOLLIN)

    def _look(self, command: _Command) -> None:
        """Say how it has ended, if it has."""
        result = os.waitid(os.P_PID, command.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if result is None:
            return
        code = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
        command.ended = True
        del self._commands[command.pidfd]
        os.close(command.pidfd)
        if command.status.fileno() < 0 or not _tell(command.status, b"X%d" % code):
            self._bury(command)

    def _hear(self, command: _Command) -> None:
        """Kill its group, if that is what the parent wants; let go of it, if the parent has."""
        try:
            data = command.status.recv(16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data == b"K" or not command.ended:
            _kill(command)
        if data != b"K":
            self._bury(command)

    def _bury(self, command: _Command) -> None:
        """Close its socket, and wait for it if it has ended; else that is done when it has."""
        if command.status.fileno() >= 0:
            self._commands.pop(command.status.fileno(), None)
            command.status.close()
        if command.ended:
            os.waitpid(command.pid, 0)

    def _kill_all(self) -> None:
        for command in self._commands.values():
            if not command.ended:
                _kill(command)


def _kill(command: _Command) -> None:
    try:  # noqa: SIM105  # contextlib is one more import
        os.killpg(command.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # there is nobody in it, or who has gained rights that we lack
        pass


def _tell(status: socket.socket, data: bytes) -> bool:
    """Say something about a command; whether anybody is there to hear it."""
    try:
        status.send(data, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
    except OSError:
        return False
    return True


def _become_command(order: Order, stdin: int, output: int, status: socket.socket) -> None:
    """The child, from fork to the end: it does not return."""
    step = b"rights"
    try:
        os.setsid()
        if not _tell(status, b"S%d" % os.getpid()):
            return
        os.dup2(stdin, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(3, status.fileno())
        os.closerange(status.fileno() + 1, _OURS)
        resource.setrlimit(resource.RLIMIT_NOFILE, _few(FILES))
        if order.root:
            step = b"root"
            os.chroot(order.root)
            os.chdir("/")
            step = b"rights"
        if order.uid >= 0:
            os.setgroups([order.gid])
            os.setresgid(order.gid, order.gid, order.gid)
            os.setresuid(order.uid, order.uid, order.uid)
        if 0 in (*os.getresuid(), *os.getresgid()):
            raise PermissionError(errno.EPERM, "root")
        step = b"directory"
        os.chdir(order.directory)
        step = b"command"
        _execute(order)
    except OSError as error:
        _tell(status, b"F%s %d" % (step, error.errno or errno.EIO))
    finally:
        os._exit(75)


def _execute(order: Order) -> None:
    """Execute it, as execvp(3) would: what is no program is for the shell. Raises OSError."""
    name, *arguments = order.arguments
    environment = dict(each.split(b"=", 1) for each in order.environment)
    places = [name] if b"/" in name else [each + b"/" + name for each in environment[b"PATH"].split(b":") if name]
    refused: OSError = FileNotFoundError(errno.ENOENT, "no such program")
    for place in places:
        try:
            os.execve(place, order.arguments, environment)  # noqa: S606  # that is what it is for
        except OSError as error:
            if error.errno == errno.ENOEXEC:
                os.execve(_SHELL, [_SHELL, place, *arguments], environment)  # noqa: S606  # likewise
            if error.errno == errno.EACCES:
                refused = error
            elif error.errno not in _ELSEWHERE or place is name:
                raise
    if order.shell and b"/" not in name and refused.errno == errno.ENOENT:
        os.execve(_SHELL, [b"sh", b"-c", order.shell], environment)  # noqa: S606  # likewise
    raise refused


def _few(files: int) -> tuple[int, int]:
    """A limit of open files, as far as there may be so many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return (files if hard == resource.RLIM_INFINITY else min(files, hard)), hard


def main() -> None:
    """Serve the parent, whose socket is our standard input."""
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_NOFILE, _few(_OURS))
    gc.disable()
    gc.collect()
    gc.freeze()  # a collection would write to pages that a child shares
    Starter(control).run()


if __name__ == "__main__":
    main()
