"""How a command line is run, and what its environment says (local(8), EXTERNAL COMMAND DELIVERY).

A line of plain words is executed as it stands; the shell runs what has anything else in it, and what begins with a
command that only a shell knows. ``local_command_shell`` runs everything, when it is set.

What senders can choose passes a filter before it reaches an environment: any other character becomes ``_``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_PLAIN = frozenset("1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t\n")
_SHELL_WORDS = frozenset(
    [
        "!",
        ".",
        ":",
        "[",
        "{",
        "alias",
        "bg",
        "break",
        "case",
        "cd",
        "command",
        "continue",
        "do",
        "done",
        "elif",
        "else",
        "esac",
        "eval",
        "exec",
        "exit",
        "export",
        "fc",
        "fg",
        "fi",
        "for",
        "getopts",
        "hash",
        "if",
        "jobs",
        "read",
        "readonly",
        "return",
        "set",
        "shift",
        "test",
        "then",
        "times",
        "trap",
        "type",
        "ulimit",
        "umask",
        "unalias",
        "unset",
        "until",
        "wait",
        "while",
    ]
)


def arguments(command: str, shell: str = "") -> list[str]:
    """The program and its arguments; ``shell`` is local_command_shell, with arguments of its own."""
    words = command.split()
    if shell:
        return [*shell.split(), command]
    if not words or not _PLAIN.issuperset(command) or words[0] in _SHELL_WORDS:
        return ["sh", "-c", command]
    return words


def filtered(text: str, allowed: Iterable[str]) -> str:
    """``text`` with every character that is not allowed as ``_``."""
    wanted = allowed if isinstance(allowed, frozenset) else frozenset(allowed)
    return text if wanted.issuperset(text) else "".join(char if char in wanted else "_" for char in text)


def environment(facts: Mapping[str, str], exported: Mapping[str, str], allowed: Iterable[str]) -> dict[str, str]:
    """The environment of a command.

    Args:
        facts: about the message and the recipient, by name; empty ones but the sender are left out.
        exported: what export_environment lets through.
        allowed: the characters of command_expansion_filter.
    """
    wanted = frozenset(allowed)
    return {
        **exported,
        "PATH": "/usr/bin:/bin",
        **{name: filtered(value, wanted) for name, value in facts.items() if value or name == "SENDER"},
    }
