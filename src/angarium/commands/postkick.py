"""postkick(1): has a service do its periodic work now: ``postkick CLASS SERVICE REQUEST``.

=========================  ==============================================================================
``public pickup W``        look into the maildrop directory
``public qmgr F`` ``A``    deliver all waiting mail now; ``D`` ``I`` ``W``: what is due
``-c``                     the configuration directory
``-v``                     accepted
=========================  ==============================================================================

Other requests to these, and other services of master.cf, are taken and do nothing: their work is not periodic here.
Exit status 0, or 1 when the mail system is down or has no such service.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from angarium.commands.command import Command, CommandError, guarded, parse_options
from angarium.commands.queue_request import COLLECT, FLUSH, ask

USAGE = "usage: postkick [-c config_dir] [-v] class service request"

_QUESTIONS = {
    ("public", "pickup"): dict.fromkeys("W", COLLECT),
    ("public", "qmgr"): {"A": FLUSH, "F": FLUSH} | dict.fromkeys("DIW", COLLECT),
}
"""What is asked for each letter of a request."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    return guarded("postkick", lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> int:
    options, words = parse_options("postkick", argv, "c:v", USAGE)
    if len(words) != 3:
        raise CommandError(USAGE)
    return _kick(Command("postkick", dict(options).get("-c")), words[0], words[1], words[2])


def _kick(command: Command, kind: str, service: str, request: str) -> int:
    known = {("private" if each.private else "public", each.name) for each in command.config.master.services}
    if (kind, service) not in known:
        command.warn(f"unable to look up {kind}/{service}: No such file or directory")
        command.warn(f"Cannot contact class {kind} service {service} - perhaps the mail system is down")
        return 1
    questions = _QUESTIONS.get((kind, service), {})
    try:
        for question in dict.fromkeys(questions[letter] for letter in request if letter in questions) or (COLLECT,):
            if refusal := ask(command.queue_directory, question):
                raise CommandError(refusal)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            command.warn(f"unable to look up {kind}/{service}: {error.strerror}")
        command.warn(f"Cannot contact class {kind} service {service} - perhaps the mail system is down")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
