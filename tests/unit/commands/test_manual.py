"""The pages and the completion are what the commands say, and the commands say all that they take."""

from __future__ import annotations

import ast
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from angarium.commands.manpage import roff
from angarium.commands.manual import PROGRAMS, Program, completion, documents, options, page, pages

TOP = Path(__file__).parents[3]

# Options that a docstring need not name: they are accepted for the sake of old hands, and change nothing.
SILENT = {"v"}


def taken(module: str) -> str | None:
    """The letters that a command's getopt takes."""
    tree = ast.parse((TOP / "src" / "angarium" / "commands" / f"{module}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "getopt":
            letters = node.args[1]
            if isinstance(letters, ast.Constant):
                return str(letters.value)
    return None


def test_nothing_has_drifted() -> None:
    for name, text in (documents() | pages(TOP)).items():
        assert (TOP / name).read_text(encoding="utf-8") == text, f"{name}: run python -m angarium.commands.manual ."


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_every_option_is_told(program: Program) -> None:
    letters = taken(program.module)
    if letters is None:
        return
    named = {option[1] for option in options(program)}
    assert set(letters) - {":"} - named <= SILENT


def test_every_installed_command_has_a_page() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    files = project["tool"]["hatch"]["build"]["targets"]["wheel"].get("shared-scripts", {})
    installed = {*project["project"]["scripts"], *files.values()}
    assert installed - {program.name for program in PROGRAMS} == {"angarium"}
    assert {program.name for program in PROGRAMS if program.installed} <= installed


def test_a_page_is_markdown() -> None:
    text = page(next(program for program in PROGRAMS if program.name == "postqueue"))
    assert text.startswith("# postqueue(1)\n\nLists and flushes the mail queue.\n")
    assert "\n- `-s SITE`: try the mail for one site of fast_flush_domains now\n" in text
    assert "``" not in text
    assert "====" not in text


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_completion_of_what_postfix_does() -> None:
    script = f"""{completion()}
set -- $(complete -p postfix | sed "s/.*-W '//; s/'.*//"); compgen -W "$*" -- re; compgen -W "$*" -- st
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["reload", "start", "start-fg", "stop", "status"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("angarium qu", {"quota", "queue"}),
        ("angarium queue un", {"undelete"}),
        ("angarium -c /etc/postfix queue delete --dry", {"--dry-run"}),
        ("angarium queue delete --dry", {"--dry-run"}),
        ("angarium check --sev", {"--severity"}),
        ("angarium exim -bp", {"-bp", "-bpc", "-bpi", "-bpr", "-bpri", "-bpu", "-bpa", "-bpra", "-bpru"}),
    ],
)
def test_completion(words: str, answers: set[str]) -> None:
    script = f"""{completion()}
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _angarium; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert set(done.stdout.split()) == answers


def test_a_page_for_man() -> None:
    text = roff(
        "# x(1)\n\nDoes x, `y`.\n\n- `-a B`: its b\n  goes on\n- more\n\n## End of it\n\n.dot 'quote [link](to)\n"
        "```\n.code \\ -\n```\n"
    )
    assert text.splitlines() == [
        '.TH X 1 "" Angarium "Angarium"',
        ".SH NAME",
        "x \\- Does x, \\fBy\\fR",
        ".SH DESCRIPTION",
        ".TP 8",
        "\\fB\\-a B\\fR",
        "its b goes on",
        ".IP \\(bu 2",
        "more",
        ".SH END OF IT",
        ".PP",
        "\\&.dot 'quote link",
        ".IP",
        ".nf",
        "\\&.code \\e \\-",
        ".fi",
        ".PP",
    ]
    with pytest.raises(ValueError, match="not the title"):
        roff("x\n")


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("name", ["man1/angarium.1", "man1/sendmail.1", "man5/postconf.5"])
def test_groff_has_no_complaint(name: str) -> None:
    command = ["groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-P-cbou", "-rLL=120n", TOP / "packaging" / "man" / name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [
        line for line in done.stderr.splitlines() if "cannot adjust" not in line and "can't break" not in line
    ] == []
    assert "DESCRIPTION" in done.stdout
