"""``postmulti -e``: instances are made, taken over, given up, named, enabled and destroyed.

===============  ==================================================================================================
``init``         the primary gets multi_instance_wrapper and multi_instance_enable
``create``       a new instance, with a main.cf of the primary's shared directories, without services on TCP and without
                 local submission until somebody says otherwise; one that is there already is imported
``import``       an instance that is there joins the others
``deport``       disabled and stopped, it leaves them, and stays as it is; alternate_config_directories has it then
``destroy``      disabled, stopped and with an empty queue, it is removed; what others put into its directories stays
``assign``       a name and a group; ``-`` is none
``enable`` …     ``disable``: multi_instance_enable
===============  ==================================================================================================

main.cf is changed as ``postconf -e`` changes it. Refusals are ``CommandError`` with Postfix's texts.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from angarium.commands.postmulti import ACTIONS, PARAMETERS, Instance, Instances, Selection
from angarium.config.config import Config
from angarium.config.edit import replace_file, set_main
from angarium.config.registry import registry
from angarium.mailqueue.control import QueueControl
from angarium.master.pidfile import PidFile
from angarium.master.privileges import mail_owner
from angarium.master.supervisor import prepare_directories

WRAPPER = "${command_directory}/postmulti -p --"

_SHARED = ("compatibility_level", "mail_owner")
"""What a new instance takes from the primary's main.cf, beside where programs and documents are."""

_MAIN_CF = """\
# An instance of postmulti's. It has no services on TCP and takes no mail from local users, until these go:
master_service_disable = inet
authorized_submit_users =

"""
_NEW = """\
#
# The services of this instance: those of the primary at the time that it was made.
#
"""
_QUEUE = ("public", "private", "maildrop", "pid", "spool", "content")
"""Directories in queue_directory that are the mail system's."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """``-I`` and ``-G``."""

    name: str | None
    group: str | None

    def settings(self) -> dict[str, str]:
        """As parameters; ``-`` is none."""
        found = {"multi_instance_name": self.name, "multi_instance_group": self.group}
        return {name: "" if value == "-" else value for name, value in found.items() if value is not None}


class Editor:
    """One run of ``-e``."""

    def __init__(self, instances: Instances, selection: Selection, assignment: Assignment) -> None:
        self._instances = instances
        self._selection = selection
        self._assignment = assignment

    def edit(self, action: str, operands: Sequence[str]) -> None:
        """Do it. Raises CommandError, ConfigError, OSError."""
        fail = self._instances.fail
        if action not in ACTIONS:
            quoted = [f"'{each}'" for each in ACTIONS]
            known = f"{', '.join(quoted[:-1])} or {quoted[-1]}"
            fail(f"Invalid '-e' edit action '{action}'. Specify {known}")
        directories = self._directories(action, operands)
        if action == "init":
            self._set(self._instances.primary, {"multi_instance_wrapper": WRAPPER, "multi_instance_enable": "yes"})
            return
        if action in ("create", "import"):
            self._add(action, directories)
            return
        target = self._target()
        if not self._instances.primary.conf.text("multi_instance_wrapper"):
            fail("multi_instance_wrapper is empty, run 'postmulti -e init' first.", script=True)
        if action == "assign":
            self._assign(target)
        elif action in ("enable", "disable"):
            self._set(target, {"multi_instance_enable": "yes" if action == "enable" else "no"})
        else:
            self._remove(target, destroy=action == "destroy")

    def _directories(self, action: str, operands: Sequence[str]) -> dict[str, str]:
        fail = self._instances.fail
        if operands and action == "init":
            fail("Parameter overrides not valid with '-e init'")
        allowed = {"create": PARAMETERS, "import": PARAMETERS[:1]}.get(action, ())
        found: dict[str, str] = {}
        for word in operands:
            name, equals, value = word.partition("=")
            if not equals:
                fail(f"Malformed parameter setting '{word}'")
            if name not in allowed:
                fail(f"Parameter '{name}' not valid with action {action}")
            if not value.startswith("/"):
                fail(f"Parameter setting '{name}' is not an absolute path")
            found[name] = value
        return found

    def _target(self) -> Instance:
        name = self._selection.name
        if name is None:
            self._instances.fail("Select an instance via '-i name'")
        found = next((each for each in self._instances.all if each.called(name)), None)
        return found if found is not None else self._instances.fail(f"No instance named {name}")

    def _set(self, instance: Instance, settings: Mapping[str, str]) -> None:
        path = Path(instance.directory) / "main.cf"
        text, _ = set_main(path.read_text(encoding="utf-8", errors="surrogateescape"), settings)
        replace_file(path, text)

    # -- names

    def _free(self, directory: str, values: Mapping[str, str], but: Instance | None = None) -> None:
        """Whether name and directories are nobody else's. Raises CommandError."""
        name = values.get("multi_instance_name", "")
        if name and not name.startswith("postfix-"):
            self._instances.fail("New instance name must start with 'postfix-'")
        for each in self._instances.all:
            if each is but:
                continue
            if name and each.name == name:
                self._instances.fail(
                    f"instance {directory}, multi_instance_name={name} conflicts with "
                    f"instance {each.directory}, multi_instance_name={name}"
                )
            for parameter in PARAMETERS:
                there = each.directory if parameter == "config_directory" else each.conf.text(parameter)
                if values.get(parameter) == there:
                    self._instances.fail(
                        f"new {parameter}={there} is already in use by instance {each.directory}, {parameter}={there}"
                    )

    def _assign(self, target: Instance) -> None:
        settings = self._assignment.settings()
        if not settings:
            self._instances.fail("Specify new instance name or group with '-e assign'")
        self._free(target.directory, settings, but=target)
        self._set(target, settings)

    # -- coming and going

    def _add(self, action: str, given: Mapping[str, str]) -> None:
        primary = self._instances.primary
        values = dict(given)
        settings = self._assignment.settings()
        name = settings.get("multi_instance_name", "")
        if name and not name.startswith("postfix-"):
            self._instances.fail("New instance name must start with 'postfix-'")
        if not primary.conf.text("multi_instance_wrapper"):
            self._instances.fail("multi_instance_wrapper is empty, run 'postmulti -e init' first.", script=True)
        if name:
            values.setdefault("config_directory", str(Path(primary.directory).with_name(name)))
        directory = values.get("config_directory") or self._instances.fail("Missing config_directory parameter value")
        self._free(directory, {"config_directory": directory, **settings})
        exists = (Path(directory) / "main.cf").is_file() and (Path(directory) / "master.cf").is_file()
        if action == "import" and not exists:
            self._instances.fail(f"Failed to obtain all required {directory}/main.cf parameters")
        if exists:
            there = Instance(directory, Config.load(Path(directory)))
            values = {parameter: there.conf.text(parameter) for parameter in PARAMETERS[1:]}
            settings = {"multi_instance_name": there.name, "multi_instance_group": there.group} | settings
            self._free(directory, {**settings, **values})
            self._set(there, settings)
        else:
            for parameter in PARAMETERS[1:]:
                if name:
                    values.setdefault(parameter, str(Path(primary.conf.text(parameter)).with_name(name)))
                if parameter not in values:
                    self._instances.fail(f"Missing {parameter} parameter value")
            self._free(directory, {**settings, **values})
            self._make(Path(directory), values, settings)
        self._write_list(directory)

    def _make(self, directory: Path, values: Mapping[str, str], settings: Mapping[str, str]) -> None:
        """The files of a new instance."""
        primary = self._instances.primary.conf
        known = registry()
        shared = {
            name: setting.value
            for name, setting in primary.main.settings.items()
            if name in _SHARED or (name in known and known[name].program == "paths" and name not in PARAMETERS)
        }
        own = {name: values[name] for name in PARAMETERS[1:]}
        text, _ = set_main(_MAIN_CF, {**shared, **own, **settings})
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "main.cf").write_text(text, encoding="utf-8", errors="surrogateescape")
        services = Path(self._instances.primary.directory) / "master.cf"
        (directory / "master.cf").write_text(_NEW + services.read_text(encoding="utf-8"), encoding="utf-8")
        conf = Config.load(directory)
        prepare_directories(conf, mail_owner(conf))

    def _write_list(self, directory: str) -> None:
        """Put a directory into multi_instance_directories, where ``-a``, ``-g`` and ``-i`` say."""
        names = [each.directory for each in self._instances.others]
        place = len(names)
        wanted = Selection(self._selection.name, self._selection.group)
        if self._selection.front:
            place = 0
        elif (wanted.name or wanted.group) and (before := wanted.of(self._instances.others)):
            place = names.index(before[0].directory)
        names.insert(place, directory)
        self._list(names, gone=directory)

    def _remove(self, target: Instance, *, destroy: bool) -> None:
        if target.primary:
            self._instances.fail("Cannot remove the primary instance")
        if target.enabled:
            self._instances.fail("Cannot remove enabled instances")
        queue = Path(target.conf.text("queue_directory"))
        if queue.is_dir() and PidFile(queue).running() is not None:
            self._instances.fail(f"Instance '{target.directory}' is not stopped", script=True)
        if destroy:
            self._destroy(target)
        names = [each.directory for each in self._instances.others if each is not target]
        self._list(names, alternate=None if destroy else target.directory, gone=target.directory)

    def _list(self, names: Sequence[str], gone: str, alternate: str | None = None) -> None:
        """Write multi_instance_directories; of alternate_config_directories ``gone`` is none, but ``alternate`` is."""
        before = self._instances.primary.conf.names("alternate_config_directories")
        now = [each for each in before if each != gone] + ([alternate] if alternate else [])
        settings = {"multi_instance_directories": " ".join(names)}
        if now != list(before):
            settings["alternate_config_directories"] = " ".join(now)
        self._set(self._instances.primary, settings)

    def _destroy(self, target: Instance) -> None:
        """Remove the files of an instance. Raises CommandError while it has mail."""
        queue = Path(target.conf.text("queue_directory"))
        if (queue / "queue.db").exists():
            with QueueControl(queue, readonly=True) as control:
                if next(iter(control.messages()), None) is not None:
                    self._instances.fail(f"{queue}: cannot destroy an instance whose queue is not empty")
        if next((queue / "maildrop").glob("*"), None) is not None:  # sent while the instance did not run
            self._instances.fail(f"{queue}/maildrop: cannot destroy an instance whose queue is not empty")
        data = Path(target.conf.text("data_directory"))
        for place in (*(queue / name for name in _QUEUE), data / "trace"):
            if place.is_dir():
                shutil.rmtree(place)
        directory = Path(target.directory)
        for path in (*queue.glob("queue.*"), *queue.glob("*.lock"), *queue.glob("*.sock"), *directory.glob("ma*.cf")):
            path.unlink(missing_ok=True)
        for place in (queue, data, directory):
            with contextlib.suppress(FileNotFoundError):
                try:
                    place.rmdir()
                except OSError as error:
                    print(f"postmulti: warning: {place} is left: {error.strerror}", file=sys.stderr)
