"""``%`` templates: query, search_base, query_filter, key_format and result_format of the database tables.

Follows mysql_table(5), ldap_table(5) and memcache_table(5); where these leave a choice, what Postfix 3.7 does.

| expansion | in a query | in result_format |
|---|---|---|
| ``%s`` ``%u`` ``%d`` | the key, its local part, its domain | the value, its local part, its domain |
| ``%S`` ``%U`` ``%D`` | as the lower case ones | the key, its local part, its domain |
| ``%1`` … ``%9`` | the labels of the key's domain, from the right | the same |
| ``%%`` | ``%`` | ``%`` |

What one template of a table needs is needed by all of them: with ``%d`` in any of them a key without a domain is not
asked for at all. That is a ``Needs``; a table adds up those of its templates.

Pure: no I/O, no state. Fails with ValueError for a template with another letter after ``%``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Quote = Callable[[str], str]
"""Makes a piece of a key harmless where it is put."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What templates ask of a key and of a value before they can be expanded."""

    key_user: bool = False
    key_domain: bool = False
    key_labels: int = 0
    value_user: bool = False
    value_domain: bool = False

    def __or__(self, other: Needs) -> Needs:
        return Needs(
            self.key_user or other.key_user,
            self.key_domain or other.key_domain,
            max(self.key_labels, other.key_labels),
            self.value_user or other.value_user,
            self.value_domain or other.value_domain,
        )


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: literal text and the letters between, in turn.

    Attributes:
        text: as it was written.
        pieces: literal, letter, literal, letter, …, literal.
        needs: what it asks for.
        result: it is a result_format.
    """

    text: str
    pieces: tuple[str, ...]
    needs: Needs
    result: bool

    @property
    def fixed(self) -> bool:
        """Nothing of the key goes into it: ``%%`` apart there is no expansion."""
        return len(self.pieces) == 1

    @classmethod
    def parse(cls, text: str, *, result: bool = False) -> Template:
        """Take a template apart. Raises ValueError, worded for a warning."""
        pieces: list[str] = []
        literal: list[str] = []
        letters: set[str] = set()
        position = 0
        while (percent := text.find("%", position)) >= 0:
            literal.append(text[position:percent])
            letter = text[percent + 1 : percent + 2]
            position = percent + 2
            if letter == "%":
                literal.append("%")
            elif letter and letter in "sSuUdD123456789":
                pieces += ("".join(literal), letter)
                literal = []
                letters.add(letter)
            else:
                raise ValueError(f"invalid {'result' if result else 'query'} template: {text}")
        literal.append(text[position:])
        pieces.append("".join(literal))
        return cls(text, tuple(pieces), _needs(letters, result=result), result)


def _needs(letters: set[str], *, result: bool) -> Needs:
    labels = max((int(letter) for letter in letters if letter.isdigit()), default=0)
    upper = Needs(key_user="U" in letters, key_domain="D" in letters or labels > 0, key_labels=labels)
    if result:
        return upper | Needs(value_user="u" in letters, value_domain="d" in letters)
    return upper | Needs(key_user="u" in letters, key_domain="d" in letters)


@dataclass(frozen=True, slots=True)
class _Parts:
    """An address taken apart at its last ``@``; without one, ``user`` is the whole and ``domain`` is None."""

    whole: str
    user: str
    domain: str | None

    @classmethod
    def of(cls, text: str) -> _Parts:
        user, at, domain = text.rpartition("@")
        return cls(text, user, domain) if at else cls(text, text, None)


@dataclass(frozen=True, slots=True)
class KeyParts:
    """A key that meets the needs of a table's templates, taken apart once."""

    parts: _Parts
    labels: tuple[str, ...]

    @classmethod
    def of(cls, key: str, needs: Needs) -> KeyParts | None:
        """The key, or None when the templates cannot be expanded with it: the table does not have it."""
        if not key:
            return None
        parts = _Parts.of(key)
        if needs.key_domain and not parts.domain:
            return None
        if (needs.key_user or needs.key_domain) and parts.domain is not None and not parts.user and needs.key_user:
            return None
        labels: tuple[str, ...] = ()
        if needs.key_labels:
            found = _labels(parts.domain or "")
            if len(found) < needs.key_labels:
                return None
            labels = tuple(reversed(found))
        return cls(parts, labels)

    def expand(self, template: Template, quote: Quote | None = None) -> str:
        """A query for this key, its pieces quoted."""
        return _join(template, self, self.parts, quote)

    def format(self, template: Template, value: str) -> str | None:
        """One value through result_format; None: it is skipped, for it is empty or lacks what the format wants."""
        if not value:
            return None
        parts = _Parts.of(value)
        if template.needs.value_domain and not parts.domain:
            return None
        if template.needs.value_user and parts.domain is not None and not parts.user:
            return None
        return _join(template, self, parts, None)


def _labels(domain: str) -> list[str]:
    return [label for label in domain.split(".") if label]


def _join(template: Template, key: KeyParts, value: _Parts, quote: Quote | None) -> str:
    pieces = template.pieces
    if len(pieces) == 1:
        return pieces[0]
    out = [pieces[0]]
    for index in range(1, len(pieces), 2):
        letter = pieces[index]
        match letter:
            case "s":
                piece = value.whole
            case "S":
                piece = key.parts.whole
            case "u":
                piece = value.user
            case "U":
                piece = key.parts.user
            case "d":
                piece = value.domain or ""
            case "D":
                piece = key.parts.domain or ""
            case _:
                piece = key.labels[int(letter) - 1]
        out.append(quote(piece) if quote else piece)
        out.append(pieces[index + 1])
    return "".join(out)
