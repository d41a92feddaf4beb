"""postmulti(1): several instances, each with its own configuration, queue and data, run as one.

===========================  ======================================================================================
``-l``                       list: name, group, enabled or not, configuration directory
``-p COMMAND``               ``postfix COMMAND`` for each: a command of postmulti_start_commands becomes ``check`` for
                             who is disabled; postmulti_stop_commands go in reverse, and skip them;
                             postmulti_control_commands skip them
``-x COMMAND``               any command, with the instance's directories in the environment
``-e ACTION``                ``init create import destroy deport assign enable disable``: see ``postmulti_edit``
``-a`` ``-g`` ``-i`` ``-R``  all (as it is without), a group, one by name or directory (``-`` the primary), in reverse
``-I`` ``-G``                with ``-e``: the name and the group to assign
``-v``                       accepted
===========================  ======================================================================================

The primary instance is /etc/postfix, always; its multi_instance_directories name the others. The ``postfix`` command,
when it is called for the primary without ``-c``, calls this one for all (multi_instance_wrapper).

Exit status 0, or 1 when a command of any instance had another. Complaints go to standard error and the log.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from angarium.commands.command import CommandError, complain, guarded, parse_options
from angarium.config.config import DEFAULT_DIRECTORY, Config
from angarium.config.error import ConfigError
from angarium.runtime.log import ServiceLog, open_log

USAGE = (
    "Usage:postmulti -l [-v] [-a] [-g group] [-i instance] | "
    "postmulti -p [-v] [-a] [-g group] [-i instance] command... | "
    "postmulti -x [-v] [-a] [-i name] [-g group] command... | "
    "postmulti -e action [-v] [-a] [-i name] [-g group] [-I name] [-G group] [param=value ...]"
)
ACTIONS = ("create", "destroy", "import", "deport", "enable", "disable", "assign", "init")
PARAMETERS = ("config_directory", "queue_directory", "data_directory")


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance: what its main.cf says of it, and its configuration."""

    directory: str
    conf: Config
    primary: bool = False

    @property
    def name(self) -> str:
        """multi_instance_name."""
        return self.conf.text("multi_instance_name")

    @property
    def group(self) -> str:
        """multi_instance_group."""
        return self.conf.text("multi_instance_group")

    @property
    def enabled(self) -> bool:
        """The primary is enabled while nothing else is said of anyone."""
        if self.primary and not self.conf.names("multi_instance_directories"):
            return True
        return self.conf.boolean("multi_instance_enable")

    def called(self, name: str) -> bool:
        """Whether ``-i name`` means it."""
        return (name == "-" and self.primary) or name == self.directory or (bool(name) and name == self.name)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a command finds in its environment."""
        names = [f"{kind}_directory" for kind in ("command", "daemon", "queue", "data")]
        return {
            "MAIL_CONFIG": self.directory,
            "config_directory": self.directory,
            **{name: self.conf.text(name) for name in names},
            "multi_instance_name": self.name,
            "multi_instance_group": self.group,
            "multi_instance_enable": "yes" if self.enabled else "no",
        }


@dataclass(frozen=True, slots=True)
class Selection:
    """Which instances, and in what order."""

    name: str | None = None
    group: str | None = None
    front: bool = False
    reverse: bool = False

    def of(self, instances: Sequence[Instance]) -> list[Instance]:
        """Those that are meant."""
        chosen = [
            each
            for each in instances
            if (self.name is None or each.called(self.name)) and (self.group is None or each.group == self.group)
        ]
        return chosen[::-1] if self.reverse else chosen


class Instances:
    """All instances, by the primary's main.cf.

    Raises:
        CommandError: a main.cf cannot be read.
    """

    def __init__(self, primary: Path) -> None:
        self.directory = primary
        self.primary = self._read(str(primary), primary=True)
        self.others = [self._read(name) for name in self.primary.conf.names("multi_instance_directories")]

    @staticmethod
    def _read(directory: str, *, primary: bool = False) -> Instance:
        try:
            return Instance(directory, Config.load(Path(directory)), primary)
        except (ConfigError, OSError) as error:
            raise CommandError(str(error)) from error

    @property
    def all(self) -> list[Instance]:
        """The primary first."""
        return [self.primary, *self.others]

    def fail(self, text: str, *, script: bool = False) -> NoReturn:
        """Say so in the log, and end; ``script``: as what Postfix leaves to postmulti-script. Raises CommandError."""
        conf = self.primary.conf
        tag = f"{conf.text('syslog_name')}/postmulti-script" if script else "postmulti"
        try:
            host, facility = conf.text("myhostname").partition(".")[0], conf.choice("syslog_facility")
            sink = open_log(conf.text("maillog_file"), "text", host, facility)
            ServiceLog(sink, tag).fatal(text)
            sink.flush()
        except (OSError, ConfigError):
            pass  # a log that cannot be written to is no reason not to say it on the terminal
        raise CommandError(text)


def listing(instances: Iterable[Instance]) -> str:
    """The lines of ``-l``."""
    rows = (
        f"{each.name or '-':<15} {each.group or '-':<15} {'y' if each.enabled else 'n':<9} {each.directory}\n"
        for each in instances
    )
    return "".join(rows)


def run_command(instances: Iterable[Instance], words: Sequence[str]) -> int:
    """``-x``. 1 when any command failed."""
    status = 0
    for each in instances:
        try:
            done = subprocess.run(words, env={**os.environ, **each.environment}, check=False)
            status = status or int(bool(done.returncode))
        except OSError as error:
            complain("postmulti", f"execvp {words[0]}: {error.strerror}")
            status = 1
    return status


def run_postfix(selection: Selection, instances: Instances, words: Sequence[str]) -> int:
    """``-p``. 1 when any command failed."""
    conf = instances.primary.conf
    verb = next((word for word in words if not word.startswith("-")), "")
    stops = verb in conf.names("postmulti_stop_commands")
    starts = verb in conf.names("postmulti_start_commands")
    skips = stops or verb in conf.names("postmulti_control_commands")
    chosen = selection.of(instances.all)
    status = 0
    for each in reversed(chosen) if stops else chosen:
        if each.enabled or not (starts or skips):
            command = list(words)
        elif starts:
            command = ["check"]
        else:
            continue
        program = [sys.executable, "-P", "-m", "angarium.commands.postfix", *command]
        done = subprocess.run(program, env={**os.environ, **each.environment}, check=False)
        status = status or int(bool(done.returncode))
    return status


def main(argv: Sequence[str] | None = None, primary: Path = Path(DEFAULT_DIRECTORY)) -> int:
    """Run the command; the exit status."""
    return guarded("postmulti", lambda: _run(list(sys.argv[1:] if argv is None else argv), primary))


def _run(words: list[str], primary: Path) -> int:
    options, operands = parse_options("postmulti", words, "ae:g:i:G:I:lpRvx", USAGE)
    elsewhere = os.environ.get("MAIL_CONFIG")
    if elsewhere and Path(elsewhere) != primary:
        raise CommandError(f"Non-default configuration directory: {'MAIL_CONFIG'}={elsewhere}")
    instances = Instances(primary)
    values = dict(options)
    modes = [option for option, _ in options if option in ("-e", "-l", "-p", "-x")]
    if len(modes) != 1:
        instances.fail("Specify exactly one of '-e', '-l', '-p', '-x'")
    mode = modes[0]
    if "-R" in values and mode in ("-e", "-p"):
        instances.fail("The '-p' and '-e' options preclude the use of '-R'")
    if mode != "-e" and ("-I" in values or "-G" in values):
        instances.fail("Specify '-I' and '-G' only with '-e'")
    selection = Selection(values.get("-i"), values.get("-g"), "-a" in values, "-R" in values)
    if mode == "-e":
        from angarium.commands.postmulti_edit import Assignment, Editor  # late: the other modes change nothing

        editor = Editor(instances, selection, Assignment(values.get("-I"), values.get("-G")))
        editor.edit(values["-e"], operands)
        return 0
    if mode == "-l":
        if operands:
            instances.fail("Command not allowed with '-l'")
        sys.stdout.write(listing(selection.of(instances.all)))
        return 0
    if not operands:
        instances.fail("Command required with '-p' or '-x' option")
    if mode == "-x":
        return run_command(selection.of(instances.all), operands)
    return run_postfix(selection, instances, operands)


if __name__ == "__main__":
    sys.exit(main())
