"""From text to typed values, with Postfix's rules and Postfix's words for what is wrong.

All functions take the parameter's name for the message and raise ConfigError without a place; ``Config`` adds it.
"""

from __future__ import annotations

from angarium.config.error import ConfigError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_INTEGER_LIMIT = 2**31 - 1
_SIZE_LIMIT = 2**63 - 1
_SEPARATORS = ", \t\r\n"


def boolean(name: str, text: str) -> bool:
    """``yes`` or ``no``, in any case."""
    match text.lower():
        case "yes":
            return True
        case "no":
            return False
        case _:
            raise ConfigError(f"bad boolean configuration: {name} = {text}")


def integer(name: str, text: str, minimum: int | None = None, maximum: int | None = None) -> int:
    """A 32-bit decimal number in its range."""
    return _bounded(name, _number(name, text, _INTEGER_LIMIT), minimum, maximum)


def size(name: str, text: str, minimum: int | None = None, maximum: int | None = None) -> int:
    """A number of bytes, up to 63 bits."""
    return _bounded(name, _number(name, text, _SIZE_LIMIT), minimum, maximum)


def seconds(name: str, text: str, unit: str = "s", minimum: int | None = None, maximum: int | None = None) -> int:
    """A time: digits and one of s, m, h, d, w; without a letter it is in ``unit``."""
    stripped = text.strip()
    digits, last = (stripped[:-1], stripped[-1].lower()) if stripped[-1:].isalpha() else (stripped, unit)
    if last not in _UNITS or not (digits.isascii() and digits.isdigit()) or len(digits) > 10:
        raise ConfigError(f"parameter {name}: bad time value or unit: {text}")
    value = int(digits) * _UNITS[last]
    if value > _INTEGER_LIMIT:
        raise ConfigError(f"parameter {name}: bad time value or unit: {text}")
    return _bounded(name, value, minimum, maximum)


def string(name: str, text: str, minimum: int | None = None, maximum: int | None = None) -> str:
    """Text of at least ``minimum`` and at most ``maximum`` characters."""
    if minimum is not None and len(text) < minimum:
        raise ConfigError(f"bad string length {len(text)} < {minimum}: {name} = {text}")
    if maximum is not None and len(text) > maximum:
        raise ConfigError(f"bad string length {len(text)} > {maximum}: {name} = {text}")
    return text


def choice(name: str, text: str, choices: tuple[str, ...]) -> str:
    """One of ``choices``, in any case; the spelling of ``choices`` comes back."""
    folded = text.lower()
    for known in choices:
        if known.lower() == folded:
            return known
    raise ConfigError(f"invalid {name} value: {text} (one of: {', '.join(choices)})")


def names(text: str) -> list[str]:
    """Words separated by commas or white space; ``{…}`` keeps its words together, with its braces."""
    if "{" not in text:
        return text.replace(",", " ").split()
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in _SEPARATORS:
            at += 1
            continue
        start = at
        level = 0
        while at < len(text) and (level > 0 or text[at] not in _SEPARATORS):
            level += (text[at] == "{") - (text[at] == "}" and level > 0)
            at += 1
        words.append(text[start:at])
    return words


def _number(name: str, text: str, limit: int) -> int:
    stripped = text.strip()
    digits = stripped[1:] if stripped[:1] in "+-" else stripped
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
        raise ConfigError(f"bad numerical configuration: {name} = {text}")
    value = int(stripped)
    if abs(value) > limit:
        raise ConfigError(f"bad numerical configuration: {name} = {text}")
    return value


def _bounded(name: str, value: int, minimum: int | None, maximum: int | None) -> int:
    if minimum is not None and value < minimum:
        raise ConfigError(f"invalid {name}: {value} (min {minimum})")
    if maximum is not None and value > maximum:
        raise ConfigError(f"invalid {name}: {value} (max {maximum})")
    return value
