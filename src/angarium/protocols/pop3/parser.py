"""A line becomes a command: verbs in any case, one blank before the arguments, numbers of bounded length.

What is wrong is said in Dovecot's words. An argument where none belongs is overlooked, as Dovecot does.
"""

from __future__ import annotations

from angarium.protocols.pop3.states import RULES, Form
from angarium.protocols.pop3.types import BadCommand, Command, State, Verb

_VERBS: dict[bytes, Verb] = {verb.value: verb for verb in Verb}
_DIGITS = 10


def _by_state(state: State) -> dict[bytes, tuple[Verb, Form]]:
    """The commands of a state, under their names in upper and lower case: what clients send, without folding it."""
    allowed = [(name, verb) for name, verb in _VERBS.items() if state in RULES[verb].states]
    return {spelling: (verb, RULES[verb].form) for name, verb in allowed for spelling in (name, name.lower())}


_ALLOWED: dict[State, dict[bytes, tuple[Verb, Form]]] = {state: _by_state(state) for state in State}


def parse(line: bytes, state: State) -> Command | BadCommand:
    """Read one line."""
    word, _, rest = line.partition(b" ")
    found = _ALLOWED[state].get(word) or _ALLOWED[state].get(word.upper())
    if found is None:
        return BadCommand(_unknown(word, state))
    verb, form = found
    if form is Form.MESSAGE or (form is Form.MESSAGE_OR_NOTHING and rest):
        # The commonest: a bare number.
        if rest.isdigit() and len(rest) <= _DIGITS:
            return Command(verb, b"", (int(rest),))
        return _numbers(verb, rest, 1)
    if form is Form.TEXT:
        return Command(verb, rest)
    if form is Form.MESSAGE_AND_LINES:
        return _numbers(verb, rest, 2)
    if form is Form.MECHANISM:
        mechanism, blank, initial = rest.strip().partition(b" ")
        return Command(verb, mechanism, (), initial.strip() if blank else None)
    return Command(verb)


def _unknown(word: bytes, state: State) -> str:
    text = word[:40].decode("ascii", "replace")
    if state is State.TRANSACTION and text.isprintable() and text.isascii() and text:
        return f"Unknown command: {text.upper()}"
    return "Unknown command."


def _numbers(verb: Verb, rest: bytes, count: int) -> Command | BadCommand:
    words = rest.split(None, count)
    for position, word in enumerate(words[:count]):
        if not word.isdigit() or len(word) > _DIGITS:
            what = "message number" if position == 0 else "size"
            return BadCommand(f"Invalid {what}: {_shown(word)}")
    if len(words) < count:
        return BadCommand("Invalid size: " if words else "Invalid message number: ")
    if len(words) > count:
        return BadCommand(f"Noise after message number:  {_shown(words[count])}")
    return Command(verb, b"", tuple(map(int, words)))


def _shown(word: bytes) -> str:
    text = word[:40].decode("ascii", "replace")
    return text if text.isprintable() and text.isascii() else "?"
