"""Documents made from the commands: ``docs/manual/NAME.1.md``, pages for man(1), and completion for bash.

``python -m angarium.commands.manual .`` writes them below the top of the source tree; a test fails when they no longer
say what the commands do. A command's page is the docstring of its module, whose tables hold the options; those of
``angarium`` come from its parsers (its page is written by hand, and a test compares the two).
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from angarium.commands.manpage import roff

_OPTION = re.compile(r"``(-[^\s`=]+)")
_BESIDE = re.compile(r"(?<= )(-[A-Za-z])(?=[ `])")
_RULER = re.compile(r"(=+)  +(=+)")
_HEAD = re.compile(r"[\w-]+\(\d\)(?: of \w+)?: (.*)")


@dataclass(frozen=True, slots=True)
class Program:
    """A command.

    Attributes:
        name: what is typed.
        module: where its docstring is.
        beside: another module of ``angarium.commands`` whose options it has, too.
        installed: whether a script of that name is installed; else it is ``angarium NAME``.
    """

    name: str
    module: str
    beside: str = ""
    installed: bool = True


PROGRAMS = (
    Program("exim", "exim", installed=False),
    Program("exiqgrep", "exiqgrep", installed=False),
    Program("mailq", "mailq"),
    Program("mailstats", "mailstats"),
    Program("makemap", "makemap"),
    Program("newaliases", "newaliases"),
    Program("postalias", "postalias", "postmap"),
    Program("postcat", "postcat"),
    Program("postconf", "postconf"),
    Program("postdrop", "postdrop"),
    Program("postfix", "postfix"),
    Program("postkick", "postkick"),
    Program("postlock", "postlock"),
    Program("postlog", "postlog"),
    Program("postmulti", "postmulti"),
    Program("postmap", "postmap"),
    Program("postqueue", "postqueue"),
    Program("postsuper", "postsuper"),
    Program("posttls-finger", "posttls_finger"),
    Program("praliases", "praliases"),
    Program("qshape", "qshape"),
    Program("sendmail", "sendmail"),
    Program("smtp-sink", "smtp_sink"),
    Program("smtp-source", "smtp_source"),
)


def docstring(module: str) -> str:
    """What a command's module says of itself."""
    return importlib.import_module(f"angarium.commands.{module}").__doc__ or ""


def options(program: Program) -> list[str]:
    """The options of a command, as its docstring names them."""
    text = docstring(program.module) + (docstring(program.beside) if program.beside else "")
    return sorted(set(_OPTION.findall(text)) | {each for cell in _codes(text) for each in _BESIDE.findall(cell + " ")})


def _codes(text: str) -> list[str]:
    """What stands in code and begins with an option."""
    return re.findall(r"``(-[^`]+)``", text)


def page(program: Program) -> str:
    """The page of a command, in Markdown."""
    text = docstring(program.module).strip()
    first, _, rest = text.partition("\n")
    head = _HEAD.match(first)
    about = head[1] if head is not None else first
    lines = [f"# {program.name}(1)", "", about[:1].upper() + about[1:]]
    lines += _markdown(rest.splitlines())
    return re.sub(r"``([^`]+)``", r"`\1`", "\n".join(lines)).rstrip() + "\n"


def _markdown(lines: list[str]) -> Iterator[str]:
    """Tables become lists."""
    column = 0
    for line in lines:
        ruler = _RULER.fullmatch(line)
        if ruler is not None:
            column = 0 if column else ruler.start(2)
        elif not column:
            yield line
        elif line[:column].strip():
            # A cell may be longer than its column: two blanks end it then, too.
            cell, _, text = (
                line.partition("  ") if line[column - 1 : column].strip() else (line[:column], "", line[column:])
            )
            yield f"- {cell.strip()}: {text.strip()}"
        else:
            yield f"  {line.strip()}"


def completion() -> str:
    """A script for bash that completes the options of all commands, and the nouns and verbs of ``angarium``."""
    return "\n".join(_completion()) + "\n"


def _completion() -> Iterator[str]:
    from angarium.commands.angarium import command_parser  # late: it imports much

    yield "# Completion for bash. Made by `python -m angarium.commands.manual .`; source it, or put it into"
    yield "# /etc/bash_completion.d."
    yield ""
    yield "_angarium() {"
    yield "    local current=${COMP_WORDS[COMP_CWORD]} said='' before='' word words"
    yield '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    yield "        case $before/$word in"
    yield "            -c/*|--database/*|*/-*) ;;"
    yield '            *) said="$said $word" ;;'
    yield "        esac"
    yield "        before=$word"
    yield "    done"
    yield "    case $said in"
    nouns = subcommands(command_parser())
    for noun, of_noun in nouns.items():
        verbs = subcommands(of_noun)
        for verb, of_verb in verbs.items():
            yield f"        ' {noun} {verb}'*) words='{' '.join(flags(of_verb))}' ;;"
        yield f"        ' {noun}'*) words='{' '.join(verbs or flags(of_noun))}' ;;"
    for program in PROGRAMS:
        if not program.installed:
            yield f"        ' {program.name}'*) words='{' '.join(options(program))}' ;;"
    hidden = [program.name for program in PROGRAMS if not program.installed]
    yield f"        *) words='{' '.join([*nouns, *hidden])}' ;;"
    yield "    esac"
    yield '    COMPREPLY=($(compgen -W "$words" -- "$current"))'
    yield "}"
    yield "complete -o default -F _angarium angarium"
    for program in PROGRAMS:
        if program.installed:
            words = [*verbs_of(program), *options(program)]
            yield f"complete -o default -W '{' '.join(words)}' {program.name}"


def verbs_of(program: Program) -> list[str]:
    """The commands of postfix(1); no other program has any."""
    if program.name != "postfix":
        return []
    from angarium.commands.postfix import COMMANDS  # late: it imports much

    return [*COMMANDS, "tls"]


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers below a parser, by name."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            return dict(action.choices)
    return {}


def flags(parser: argparse.ArgumentParser) -> list[str]:
    """The options of a parser."""
    return [option for action in parser._actions for option in action.option_strings]  # noqa: SLF001 - as above


def documents() -> dict[str, str]:
    """Everything that is made, by its path in the source tree."""
    made = {f"docs/manual/{program.name}.1.md": page(program) for program in PROGRAMS}
    made["packaging/completion/angarium.bash"] = completion()
    return made


def pages(top: Path) -> dict[str, str]:
    """The pages for man(1) of all pages in ``docs/manual``, by their path in the source tree."""
    sources = (top / "docs" / "manual").glob("*.[1-8].md")
    return {f"packaging/man/man{each.stem[-1]}/{each.stem}": roff(each.read_text(encoding="utf-8")) for each in sources}


def main() -> int:
    """Write the documents below the directory named."""
    top = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    _write(top, documents())
    _write(top, pages(top))
    return 0


def _write(top: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
