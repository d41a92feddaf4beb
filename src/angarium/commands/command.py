"""What commands have in common: the configuration, where they log, and how they fail.

Problems go to standard error and to the mail log, as ``postqueue: fatal: …``; a log that cannot be written to is no
reason to fail.
"""

from __future__ import annotations

import contextlib
import getopt
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from angarium.config.config import Config, configuration_directory
from angarium.config.error import ConfigError
from angarium.runtime.log import MailLog, ServiceLog, open_log


class CommandError(Exception):
    """The command ends with this text as ``fatal``."""


class Command:
    """One run of a command.

    Args:
        name: ``postqueue`` …
        directory: the ``-c`` option, or None.

    Raises:
        CommandError: there is no usable main.cf.
    """

    def __init__(self, name: str, directory: str | None) -> None:
        self.name = name
        try:
            self.config = Config.load(configuration_directory(directory))
            self.queue_directory = Path(self.config.text("queue_directory"))
        except ConfigError as error:
            raise CommandError(str(error)) from error
        self._log: ServiceLog | None = None

    @property
    def log(self) -> ServiceLog | None:
        """The mail log; None when it cannot be written to."""
        if self._log is None:
            from angarium.runtime.trace import TracedLog  # late: only what is logged needs it

            try:
                sink: MailLog = open_log(
                    self.config.text("maillog_file"),
                    self.config.choice("log_format"),
                    self.config.text("myhostname").partition(".")[0],
                    self.config.choice("syslog_facility"),
                )
                sink = TracedLog.of(self.config, sink)
            except (OSError, ConfigError):
                return None
            self._log = ServiceLog(sink, f"{self.config.text('syslog_name')}/{self.name}")
        return self._log

    def say(self, text: str) -> None:
        """Tell the administrator, and the log."""
        tell(f"{self.name}: {text}")
        if self.log is not None:
            self.log.info(text)

    def warn(self, text: str) -> None:
        """The same, as a warning."""
        self.say(f"warning: {text}")

    def fail(self, text: str) -> NoReturn:
        """End the command. Raises CommandError."""
        if self.log is not None:
            self.log.fatal(text)
        raise CommandError(text)


def guarded(name: str, work: Callable[[], int], failed: int = 1) -> int:
    """A command's work, to its exit status: ``failed`` when it fails, which is said, or when nobody reads on.

    Standard output may be closed, or a file on a full disk: what is written there in the end counts, too.
    """
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - it stays open, as any other would
    try:
        status = work()
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CommandError(f"output write error: {error.strerror}") from error
    except BrokenPipeError:
        status = failed
    except (CommandError, ConfigError, OSError) as error:
        complain(name, error)
        status = failed
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)  # what is left in the buffer has nowhere to go
    return status


def tell(line: str) -> None:
    """Print to standard error. What is to be done is done, also when nobody can be told."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)


def parse_options(name: str, words: Sequence[str], allowed: str, usage: str) -> tuple[list[tuple[str, str]], list[str]]:
    """getopt(3) with its complaints in its words: the options that are ``allowed``, and the operands.

    Raises:
        CommandError: the usage, when the complaint has been printed.
    """
    try:
        return getopt.getopt(list(words), allowed)
    except getopt.GetoptError as error:
        what = "option requires an argument" if "requires argument" in error.msg else "invalid option"
        letter = "-" if error.msg.startswith("option --") else error.opt  # there are no long options
        tell(f"{name}: {what} -- '{letter}'")
        raise CommandError(usage) from error


def complain(name: str, error: object) -> None:
    """What a command prints before it ends with an error."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    tell(f"{name}: fatal: {text}")
