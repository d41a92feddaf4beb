"""postfix(1): starts, stops and controls the mail system.

===========================  ==========================================================================================
``start`` ``quick-start``    check, start in the background, return when it listens
``start-fg``                 check, run in the foreground until a signal; in one process with worker_processes = 0
``stop`` ``drain``           stop in an orderly fashion, by force after some seconds
``abort`` ``quick-stop``     stop at once, without waiting
``reload``                   read the configuration again; sessions under way run to their end
``status``                   exit 0 when it runs, 1 when not
``check``                    make missing directories; warn of all that the checks find (docs/manual/checks.md)
``flush``                    attempt to deliver every message that waits
``logrotate``                move maillog_file aside, compress it, and go on in a new one
``set-permissions``          make directories, give the mail system what is its own, write the fast sendmail script
``upgrade-configuration``    add services to master.cf that are missing
``tls`` …                    keys and certificates: see ``postfix_tls``
``-c``                       the configuration directory
``-D`` ``-v``                accepted
===========================  ==========================================================================================

Called for /etc/postfix, without ``-c``, when that has other instances beside it, it leaves the work to
multi_instance_wrapper. Words after a command that takes none are ignored.

Messages go to the mail log under ``postfix/postfix-script``, and what matters to standard error. Exit status 0 or 1;
that of postqueue(1) for ``flush``.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from angarium.commands.command import CommandError, complain, parse_options, tell
from angarium.config.config import Config, configuration_directory
from angarium.config.derived import MAIL_VERSION
from angarium.config.error import ConfigError
from angarium.master.pidfile import AlreadyRunningError, PidFile
from angarium.runtime.log import MailLog, ServiceLog, open_log

USAGE = "usage: postfix [-c config_dir] [-Dv] command"
_ROTATE_PATIENCE = 5.0
_ROTATE_PAUSE = 0.5
"""Seconds for the children to follow the master to the new log file, before the old one is compressed."""

STOP_PATIENCE = 15
"""Seconds that ``stop`` waits before it uses force."""


class PostfixError(Exception):
    """The command failed; the text is for the log and the terminal."""


class Script:
    """One run of the command: its configuration and where it speaks."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            self.conf = Config.load(directory)
            self.sink: MailLog = open_log(
                self.conf.text("maillog_file"),
                self.conf.choice("log_format"),
                self.conf.text("myhostname").split(".")[0],
                self.conf.choice("syslog_facility"),
            )
            self.name = self.conf.text("syslog_name")
            self.queue_directory = Path(self.conf.text("queue_directory"))
        except PermissionError:
            raise
        except (ConfigError, OSError) as error:
            raise PostfixError(str(error)) from error
        self.log = ServiceLog(self.sink, f"{self.name}/postfix-script")
        self.pid_file = PidFile(self.queue_directory)

    def say(self, text: str) -> None:
        """An ordinary message."""
        self.log.info(text)
        if sys.stderr.isatty():
            print(f"{self.log.tag}: {text}", file=sys.stderr)

    def warn(self, text: str) -> None:
        """A warning."""
        self.log.warning(text)
        print(f"{self.log.tag}: warning: {text}", file=sys.stderr)

    def running(self) -> int | None:
        """The master's pid. Raises PostfixError when it cannot be told."""
        try:
            return self.pid_file.running()
        except OSError as error:
            raise PostfixError(f"open {self.pid_file.path}: {error.strerror}") from error

    def master_pid(self) -> int:
        """The pid of the running master. Raises PostfixError when it does not run."""
        pid = self.running()
        if pid is None:
            raise PostfixError("the Postfix mail system is not running")
        return pid

    # -- the commands

    def check(self) -> None:
        """Make missing directories, then warn of what is odd; PostfixError for what cannot be used."""
        from angarium.master.privileges import mail_owner  # late: the checks that a start makes do without
        from angarium.master.supervisor import prepare_directories

        self._check(quick=False)
        try:
            prepare_directories(self.conf, mail_owner(self.conf))
        except (ConfigError, OSError) as error:
            raise PostfixError(f"unable to create missing queue directories: {error}") from error

    def _check(self, *, quick: bool) -> None:
        """Warn of what the checks find, with notes unless it is to be quick; PostfixError for a bad value."""
        from angarium.commands.check.engine import findings  # late: most commands check nothing
        from angarium.commands.check.finding import Severity
        from angarium.commands.check.installation import Installation
        from angarium.commands.check.settings import BAD_VALUE

        try:
            found = findings(Installation(self.conf, self.conf.master.services), quick=quick)
        except ConfigError as error:
            raise PostfixError(str(error)) from error
        fatal = ""
        for finding in found:
            if finding.rule is BAD_VALUE and not fatal:
                fatal = f"{finding.file}, line {finding.line}: {finding.text}" if finding.line else finding.text
            elif not quick or finding.rule.severity is not Severity.NOTE:
                self.warn(finding.log_line)
        if fatal:
            raise PostfixError(fatal)

    def start(self) -> None:
        """In the background."""
        self._begin()
        if not self._daemonize():
            raise PostfixError("mail system startup failed")

    def start_fg(self) -> None:
        """In the foreground: does not return before the server has ended."""
        self._begin()
        status = self._supervise(_notify_service_manager, background=False)
        if status:
            raise PostfixError("mail system startup failed")

    def _begin(self) -> None:
        if self.running() is not None:
            raise PostfixError("the Postfix mail system is already running")
        self._check(quick=True)
        self.say("starting the Postfix mail system")

    def _daemonize(self) -> bool:
        """Fork the master into the background and wait for its word; True when it listens."""
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        if os.fork() == 0:
            status = 1
            try:
                os.close(ours)
                os.setsid()
                devnull = os.open(os.devnull, os.O_RDWR)
                for descriptor in (0, 1):
                    os.dup2(devnull, descriptor)

                def ready() -> None:
                    os.write(theirs, b"+")
                    os.close(theirs)

                status = self._supervise(ready, background=True)
            finally:
                self.sink.flush()
                os._exit(status)
        os.close(theirs)
        said = os.read(ours, 1)
        os.close(ours)
        return bool(said)

    def _supervise(self, ready: Callable[[], None], *, background: bool) -> int:
        """Be the master. The exit status."""
        from angarium.master import supervisor  # the whole server: only a start should wait for its import
        from angarium.master.privileges import mail_owner
        from angarium.runtime.tls import TlsError

        log = ServiceLog(self.sink, f"{self.name}/master")
        try:
            supervisor.prepare_directories(self.conf, mail_owner(self.conf))
            self.pid_file.acquire()
            if supervisor.worker_count(self.conf) == 0:
                return self._one_process(ready)
            return supervisor.Master(self.directory, self.sink, self.pid_file, ready, background=background).run()
        except AlreadyRunningError:
            self._fatal(log, "the Postfix mail system is already running")
        except (ConfigError, TlsError, OSError) as error:
            self._fatal(log, str(error))
        except supervisor.StartError:
            self._fatal(log, "a process could not start")
        finally:
            self.pid_file.release()
        return 1

    def _one_process(self, ready: Callable[[], None]) -> int:
        import asyncio

        import uvloop

        from angarium.master.inprocess import OneProcess
        from angarium.master.privileges import mail_owner

        async def serve() -> None:
            server = OneProcess(self.conf, self.sink)
            owner = mail_owner(self.conf)
            if owner is not None:  # the ports are bound and the keys read: nothing here is root's any more
                owner.become()

            def started() -> None:
                ServiceLog(self.sink, f"{self.name}/master").info(
                    f"daemon started -- version {MAIL_VERSION}, configuration {self.directory}"
                )
                ready()

            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, server.stop)
            await server.serve(started)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())
        return 0

    def _fatal(self, log: ServiceLog, text: str) -> None:
        log.fatal(text)
        self.sink.flush()
        print(f"{log.tag}: fatal: {text}", file=sys.stderr)

    def stop(self) -> None:
        """In an orderly fashion, then by force."""
        pid = self.master_pid()
        self.say("stopping the Postfix mail system")
        _kill(pid, signal.SIGTERM)
        if self._gone(STOP_PATIENCE):
            return
        self.warn("stopping the Postfix mail system with force")
        _kill(pid, signal.SIGKILL)
        self._gone(2)

    def _gone(self, patience: float) -> bool:
        """Wait for the master's lock to be free."""
        begun = time.monotonic()
        said = begun
        while time.monotonic() - begun < patience:
            if self.running() is None:
                return True
            if time.monotonic() - said > 1:
                said = time.monotonic()
                self.say("waiting for the Postfix mail system to terminate")
            time.sleep(0.01)
        return False

    def abort(self) -> None:
        """Without waiting."""
        pid = self.master_pid()
        self.say("aborting the Postfix mail system")
        _kill(pid, signal.SIGTERM)

    def reload(self) -> None:
        """Tell the master to read its files again."""
        pid = self.master_pid()
        self._check(quick=True)
        self.say("refreshing the Postfix mail system")
        _kill(pid, signal.SIGHUP)

    def logrotate(self) -> None:
        """Move the log file aside under a name with the time, and compress it when everyone writes to the new one."""
        path = Path(self.conf.text("maillog_file"))
        if not path.is_file():
            raise PostfixError(f"maillog_file is no file that could be rotated: {path}")
        aside = path.with_name(f"{path.name}.{time.strftime(self.conf.text('maillog_file_rotate_suffix'))}")
        try:
            path.rename(aside)
            pid = self.running()
            if pid is not None:
                _kill(pid, signal.SIGUSR1)
                deadline = time.monotonic() + _ROTATE_PATIENCE
                while not path.exists() and time.monotonic() < deadline:
                    time.sleep(0.01)
                time.sleep(_ROTATE_PAUSE)
            compressor = self.conf.text("maillog_file_compressor")
            done = subprocess.run([*compressor.split(), str(aside)], capture_output=True, text=True, check=False)
        except OSError as error:
            raise PostfixError(f"logrotate: {error}") from error
        if done.returncode:
            raise PostfixError(f"{compressor}: {done.stderr.strip()}")

    def status(self) -> None:
        """Say whether it runs."""
        pid = self.running()
        text = "the Postfix mail system is " + ("not running" if pid is None else f"running: PID: {pid}")
        self.log.info(text)
        if sys.stderr.isatty():
            print(f"{self.log.tag}: {text}", file=sys.stderr)
        if pid is None:
            raise SystemExit(1)

    def flush(self) -> None:
        """Attempt to deliver what waits."""
        from angarium.commands import postqueue

        if self.running() is None:
            print("postqueue: fatal: Cannot flush mail queue - mail system is down", file=sys.stderr)
            raise SystemExit(postqueue.UNAVAILABLE)
        status = postqueue.main(["-c", str(self.directory), "-f"])
        if status:
            raise SystemExit(status)

    def quick_stop(self) -> None:
        """As ``abort``, but it does not matter whether anything runs."""
        pid = self.running()
        if pid is not None:
            _kill(pid, signal.SIGTERM)

    def set_permissions(self) -> None:
        """Give the mail system what is its own."""
        from angarium.commands.postfix_install import set_permissions

        self._installation(lambda: set_permissions(self.conf, self.say))

    def upgrade_configuration(self) -> None:
        """Add to master.cf what is missing."""
        from angarium.commands.postfix_install import upgrade_configuration

        self._installation(lambda: upgrade_configuration(self.directory))

    @staticmethod
    def _installation(work: Callable[[], None]) -> None:
        try:
            work()
        except (ConfigError, OSError) as error:
            raise PostfixError(str(error)) from error


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise PostfixError(f"kill {pid}: {error.strerror}") from error


def _notify_service_manager() -> None:
    """Tell systemd that we are ready (sd_notify(3)), if it asked to be told."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        manager.connect("\0" + address[1:] if address.startswith("@") else address)
        manager.send(b"READY=1")


COMMANDS: dict[str, Callable[[Script], None]] = {
    "start": Script.start,
    "start-fg": Script.start_fg,
    "stop": Script.stop,
    "drain": Script.stop,
    "reload": Script.reload,
    "abort": Script.abort,
    "quick-start": Script.start,
    "quick-stop": Script.quick_stop,
    "flush": Script.flush,
    "check": Script.check,
    "status": Script.status,
    "set-permissions": Script.set_permissions,
    "upgrade-configuration": Script.upgrade_configuration,
    "logrotate": Script.logrotate,
}

_NAMED = "reload, abort, flush, check, status, set-permissions, upgrade-configuration, logrotate"


def _wrapped(words: Sequence[str], option: str | None) -> int | None:
    """The exit status of multi_instance_wrapper, which does what is asked for all instances; None when it is not asked.

    Raises:
        PostfixError: the wrapper cannot be started.
    """
    if option is not None or os.environ.get("MAIL_CONFIG"):
        return None
    try:
        conf = Config.load(configuration_directory())
        if not conf.names("multi_instance_directories"):
            return None
        wrapper = conf.text("multi_instance_wrapper").split()
    except ConfigError:
        return None  # which is said in a moment
    if not wrapper:
        return None
    if Path(wrapper[0]).name == "postmulti":
        from angarium.commands import postmulti

        return postmulti.main([*wrapper[1:], *words])
    try:
        return subprocess.run([*wrapper, *words], check=False).returncode
    except OSError as error:
        raise PostfixError(f"{wrapper[0]}: {error.strerror}") from error


def _reserved(error: PermissionError) -> str:
    """What somebody hears whose rights do not suffice; most of them want something else."""
    if os.geteuid():
        tell("postfix: error: to submit mail, use the Postfix sendmail command")
        return "the postfix command is reserved for the superuser"
    return f"{error.filename}: {error.strerror}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    try:
        options, words = parse_options("postfix", sys.argv[1:] if argv is None else argv, "c:Dv", USAGE)
        if not words:
            raise CommandError(USAGE)
        option = dict(options).get("-c")
        if option is not None and not option.startswith("/"):
            raise CommandError("-c requires absolute pathname")
        status = _wrapped(words, option)
        if status is not None:
            return status
        script = Script(configuration_directory(option).absolute())
    except PermissionError as error:
        complain("postfix", _reserved(error))
        return 1
    except (CommandError, PostfixError) as error:
        complain("postfix", error)
        return 1
    return _perform(script, words)


def _perform(script: Script, words: Sequence[str]) -> int:
    try:
        if words[0] == "tls":
            from angarium.commands import postfix_tls

            return postfix_tls.run(script.conf, words[1:], script.say)
        if words[0] == "logrotate" and len(words) > 1:
            raise PostfixError("usage postfix logrotate (no arguments)")
        if words[0] not in COMMANDS:
            raise PostfixError(f"unknown command: '{words[0]}'. Usage: postfix start (or stop, {_NAMED})")
        COMMANDS[words[0]](script)
    except PostfixError as error:
        script.log.fatal(str(error))
        tell(f"{script.log.tag}: fatal: {error}")
        return 1
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        script.sink.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
