"""postmulti(1): a life with several instances, as it went with Postfix's; and what it refuses, in Postfix's words."""

import re
import shlex
from pathlib import Path

import pytest

from angarium.commands import postfix, postmulti
from angarium.config.config import Config

TABLE = "{:<15} {:<15} {:<9} {}\n"


class Machine:
    """A primary instance and a place for others."""

    def __init__(self, root):
        self.root = root
        self.etc = root / "postfix"
        self.etc.mkdir()
        (self.etc / "main.cf").write_text(
            f"queue_directory = {root}/spool/postfix\ndata_directory = {root}/lib/postfix\nmyhostname = m.test\n"
            f"maillog_file = {root}/log\nmail_owner = root\nalias_maps =\nmaillog_file_prefixes = /\n"
        )
        (self.etc / "master.cf").write_text("smtp inet n - n - - smtpd\npickup unix n - n 60 1 pickup\n")

    def run(self, *words):
        return postmulti.main(list(words), primary=self.etc)

    def create(self, name, *words):
        status = self.run("-e", "create", "-I", name, *words)
        assert status == 0
        return self.root / name


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.delenv("MAIL_CONFIG", raising=False)
    return Machine(tmp_path)


@pytest.fixture
def two(machine):
    machine.run("-e", "init")
    machine.create("postfix-a", "-G", "mta")
    machine.create("postfix-b", "-G", "msa")
    return machine


def rows(machine, *found):
    return "".join(TABLE.format(*row, machine.root / name) for *row, name in found)


def listed(machine, capsys, *words):
    capsys.readouterr()
    assert machine.run("-l", *words) == 0
    return capsys.readouterr().out


def test_without_others_it_is_about_the_primary(machine, capsys):
    assert listed(machine, capsys) == rows(machine, ("-", "-", "y", "postfix"))
    assert machine.run("-x", "true") == 0
    assert listed(machine, capsys, "-i", "nosuch") == ""
    assert listed(machine, capsys, "-g", "nosuch") == ""


def test_init(machine):
    assert machine.run("-e", "init") == 0
    assert machine.run("-e", "init") == 0
    text = (machine.etc / "main.cf").read_text()
    assert text.endswith("multi_instance_wrapper = ${command_directory}/postmulti -p --\nmulti_instance_enable = yes\n")


def test_a_new_instance_is_quiet_and_apart(two, capsys):
    conf = Config.load(two.root / "postfix-a")
    assert conf.text("queue_directory") == f"{two.root}/spool/postfix-a"
    assert conf.text("data_directory") == f"{two.root}/lib/postfix-a"
    assert conf.text("syslog_name") == "postfix-a"
    assert conf.text("mail_owner") == "root"
    assert conf.names("authorized_submit_users") == []
    assert [entry.name for entry in conf.master.services] == ["pickup"]
    assert (two.root / "spool" / "postfix-a").is_dir()
    assert listed(two, capsys) == rows(
        two, ("-", "-", "y", "postfix"), ("postfix-a", "mta", "n", "postfix-a"), ("postfix-b", "msa", "n", "postfix-b")
    )
    assert listed(two, capsys, "-R").splitlines()[0].startswith("postfix-b ")
    assert listed(two, capsys, "-g", "mta") == rows(two, ("postfix-a", "mta", "n", "postfix-a"))
    assert listed(two, capsys, "-i", "-") == rows(two, ("-", "-", "y", "postfix"))
    assert listed(two, capsys, "-i", f"{two.root}/postfix-b") == rows(two, ("postfix-b", "msa", "n", "postfix-b"))


def test_enable_disable_and_assign(two, capsys):
    assert two.run("-e", "enable", "-i", "postfix-a") == 0
    assert listed(two, capsys, "-i", "postfix-a").split()[2] == "y"
    assert two.run("-e", "disable", "-i", "postfix-a") == 0
    assert two.run("-e", "assign", "-i", "postfix-a", "-I", "postfix-q", "-G", "gg") == 0
    assert listed(two, capsys, "-i", "postfix-q") == rows(two, ("postfix-q", "gg", "n", "postfix-a"))
    assert two.run("-e", "assign", "-i", "postfix-q", "-I", "-", "-G", "-") == 0
    assert listed(two, capsys, "-i", f"{two.root}/postfix-a") == rows(two, ("-", "-", "n", "postfix-a"))
    assert two.run("-e", "assign", "-i", "-", "-I", "postfix-x") == 0
    assert listed(two, capsys, "-i", "-") == rows(two, ("postfix-x", "-", "y", "postfix"))


def test_deport_and_import_to_a_place_of_its_own(two, capsys):
    directory = two.root / "postfix-a"
    assert two.run("-e", "deport", "-i", "postfix-a") == 0
    assert (directory / "main.cf").exists()
    assert [line.split()[0] for line in listed(two, capsys).splitlines()] == ["-", "postfix-b"]
    words = ("-e", "import", "-I", "postfix-a", "-G", "z", "-g", "msa", f"config_directory={directory}")
    assert two.run(*words) == 0
    assert [line.split()[:2] for line in listed(two, capsys).splitlines()] == [
        ["-", "-"],
        ["postfix-a", "z"],
        ["postfix-b", "msa"],
    ]
    two.create("postfix-c", "-a")
    assert [line.split()[0] for line in listed(two, capsys).splitlines()] == [
        "-",
        "postfix-c",
        "postfix-a",
        "postfix-b",
    ]


def test_commands_find_the_instance_in_their_environment(two, capfd):
    assert two.run("-g", "msa", "-x", "sh", "-c", "env | grep -E '^(MAIL_C|config_|queue_|multi)' | sort") == 0
    assert capfd.readouterr().out == (
        f"MAIL_CONFIG={two.root}/postfix-b\nconfig_directory={two.root}/postfix-b\nmulti_instance_enable=no\n"
        f"multi_instance_group=msa\nmulti_instance_name=postfix-b\nqueue_directory={two.root}/spool/postfix-b\n"
    )
    assert two.run("-x", "false") == 1
    assert two.run("-x", "sh", "-c", "exit 3") == 1
    assert two.run("-x", "/nosuch") == 1
    assert "postmulti: fatal: execvp /nosuch: No such file or directory\n" in capfd.readouterr().err


def test_postfix_commands_go_to_who_is_enabled(two, capfd):
    (two.root / "spool" / "postfix").mkdir()
    assert two.run("-p", "status") == 1
    assert capfd.readouterr().err == ""  # it says so on terminals alone
    assert two.run("-e", "enable", "-i", "postfix-b") == 0
    assert two.run("-p", "stop") == 1
    fatal = "{}/postfix-script: fatal: the Postfix mail system is not running\n"
    assert capfd.readouterr().err == fatal.format("postfix-b") + fatal.format("postfix")
    assert two.run("-p", "reload") == 1
    assert capfd.readouterr().err == fatal.format("postfix") + fatal.format("postfix-b")


def test_the_postfix_command_asks_the_wrapper(two, capfd, monkeypatch):
    called = []
    monkeypatch.setattr(postfix, "configuration_directory", lambda option=None: two.etc)
    monkeypatch.setattr(postmulti, "main", lambda words: called.append(list(words)) or 0)
    assert postfix.main(["status"]) == 0
    assert called == [["-p", "--", "status"]]
    monkeypatch.setenv("MAIL_CONFIG", str(two.etc))
    assert postfix.main(["status"]) == 1
    assert len(called) == 1


def test_destroy_removes_what_is_the_mail_systems(two, capsys):
    (two.root / "spool" / "postfix-b" / "mine").mkdir()
    assert two.run("-e", "enable", "-i", "postfix-a") == 0
    assert two.run("-e", "destroy", "-i", "postfix-a") == 1
    assert "Cannot remove enabled instances" in capsys.readouterr().err
    assert two.run("-e", "disable", "-i", "postfix-a") == 0
    waiting = two.root / "spool" / "postfix-a" / "maildrop" / "x"
    waiting.parent.mkdir(exist_ok=True)
    waiting.touch()
    assert two.run("-e", "destroy", "-i", "postfix-a") == 1
    assert "maildrop: cannot destroy an instance whose queue is not empty" in capsys.readouterr().err
    waiting.unlink()
    assert two.run("-e", "destroy", "-i", "postfix-a") == 0
    assert not (two.root / "postfix-a").exists()
    assert not (two.root / "spool" / "postfix-a").exists()
    assert two.run("-e", "destroy", "-i", "postfix-b") == 0
    assert list((two.root / "spool" / "postfix-b").iterdir()) == [two.root / "spool" / "postfix-b" / "mine"]
    assert "is left: Directory not empty" in capsys.readouterr().err
    assert listed(two, capsys) == rows(two, ("-", "-", "y", "postfix"))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "Specify exactly one of '-e', '-l', '-p', '-x'"),
        (("-l", "-p"), "Specify exactly one of '-e', '-l', '-p', '-x'"),
        (
            ("-e", "bogus"),
            (
                "Invalid '-e' edit action 'bogus'. Specify 'create', 'destroy', 'import', 'deport', 'enable', "
                "'disable', 'assign' or 'init'"
            ),
        ),
        (("-R", "-p", "status"), "The '-p' and '-e' options preclude the use of '-R'"),
        (("-e", "enable"), "Select an instance via '-i name'"),
        (("-e", "enable", "-i", "nosuch"), "No instance named nosuch"),
        (("-e", "create"), "Missing config_directory parameter value"),
        (("-e", "create", "-I", "bad"), "New instance name must start with 'postfix-'"),
        (("-e", "assign", "-i", "postfix-a"), "Specify new instance name or group with '-e assign'"),
        (
            ("-e", "assign", "-i", "postfix-a", "-I", "postfix-b"),
            (
                "instance ROOT/postfix-a, multi_instance_name=postfix-b conflicts with instance ROOT/postfix-b, "
                "multi_instance_name=postfix-b"
            ),
        ),
        (("-e", "deport", "-i", "-"), "Cannot remove the primary instance"),
        (("-e", "destroy", "-i", "-"), "Cannot remove the primary instance"),
        (("-e", "create", "-I", "postfix-e", "foo=bar"), "Parameter 'foo' not valid with action create"),
        (("-e", "create", "-I", "postfix-e", "relative"), "Malformed parameter setting 'relative'"),
        (
            ("-e", "create", "-I", "postfix-e", "config_directory=rel"),
            "Parameter setting 'config_directory' is not an absolute path",
        ),
        (
            ("-e", "import", "config_directory=/nosuch/none"),
            "Failed to obtain all required /nosuch/none/main.cf parameters",
        ),
        (("-e", "init", "x"), "Parameter overrides not valid with '-e init'"),
        (("-l", "x"), "Command not allowed with '-l'"),
        (("-p",), "Command required with '-p' or '-x' option"),
        (("-x",), "Command required with '-p' or '-x' option"),
        (
            ("-e", "create", "-I", "postfix-e", "config_directory=ROOT/postfix-a"),
            (
                "new config_directory=ROOT/postfix-a is already in use by instance ROOT/postfix-a, "
                "config_directory=ROOT/postfix-a"
            ),
        ),
    ],
)
def test_refusals(two, capsys, words, complaint):
    root = str(two.root)
    assert two.run(*(word.replace("ROOT", root) for word in words)) == 1
    assert capsys.readouterr().err == f"postmulti: fatal: {complaint.replace('ROOT', root)}\n"


def test_before_init_there_is_nothing_to_manage(machine, capsys):
    assert machine.run("-e", "create", "-I", "postfix-a") == 1
    assert "multi_instance_wrapper is empty, run 'postmulti -e init' first." in capsys.readouterr().err


def test_another_primary_is_none(machine, capsys, monkeypatch):
    monkeypatch.setenv("MAIL_CONFIG", "/tmp")
    assert machine.run("-l") == 1
    assert "MAIL_CONFIG=/tmp" in capsys.readouterr().err


RECORD = Path(__file__).parents[2] / "golden" / "postmulti.txt"


def test_a_life_as_it_was_recorded(machine, capfd):
    """Call by call: what it prints, its status, and what it complains of (Postfix's does so in the log alone)."""
    root = machine.root
    place = {"/etc/postfix": root / "postfix", "/var/spool": root / "spool", "/var/lib/postfix": root / "lib"}

    def here(text: str) -> str:
        for theirs, ours in place.items():
            text = text.replace(theirs, str(ours))
        return text

    main_cf = (machine.etc / "main.cf").read_text()
    (machine.etc / "main.cf").write_text(main_cf.replace(f"{root}/lib/postfix", f"{root}/lib"))
    (root / "spool" / "postfix").mkdir(parents=True)
    calls = re.split(r"^\$ ", RECORD.read_text(), flags=re.MULTILINE)[1:]
    assert len(calls) > 45
    for call in calls:
        line, *printed = call.splitlines()
        quoted = re.sub(r"-c (.+)$", lambda found: f"-c {shlex.quote(found[1])}", here(line))
        status = next(int(each[3:]) for each in printed if each.startswith("-> "))
        out = [here(each) for each in printed if not each.startswith(("-> ", "log: ", "/usr/sbin/postconf: "))]
        complaints = [
            here(re.sub("^log: .*?: ", "postmulti: ", each))
            for each in printed
            if re.match("log: (?:postfix/)?postmulti", each)
        ]
        assert machine.run(*shlex.split(quoted)[1:]) == status, call
        said = capfd.readouterr()
        assert said.out.splitlines() == out, call
        if " -p " not in line:
            fatal = [each for each in said.err.splitlines() if each.startswith("postmulti: fatal: ")]
            assert fatal == [each for each in complaints if ": fatal: Usage" not in each], call
