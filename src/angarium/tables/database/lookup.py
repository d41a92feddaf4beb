"""One lookup in a database table: what is the same for SQL, LDAP and memcache.

The steps, in Postfix's order: a key that is not UTF-8 is not there; the case is folded; ``domain`` lets through
addresses of its domains alone; a key that the templates cannot be expanded with is not there; the back end is asked;
each value goes through ``result_format``; the values are joined by commas, at most ``expansion_limit`` of them.

Guarantees: ``lookup`` never raises; a back end that fails is a temporary error, with a warning in the log.
Bounds: ``KEY_LIMIT`` bytes of key, ``RESULT_LIMIT`` characters of answer; past them it is a temporary error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from angarium.model.lookup import NOT_FOUND, Found, Lookup, NotFound, TemporaryError
from angarium.tables.database.source import TableSource
from angarium.tables.database.template import KeyParts, Needs, Template
from angarium.tables.matchlist import MatchList
from angarium.tables.opener import TableSite

KEY_LIMIT = 256 * 1024
RESULT_LIMIT = 16 * 1024 * 1024


class LookupFailedError(Exception):
    """The back end cannot answer. The text is the cause, for the log; it holds no secret."""


@dataclass(frozen=True, slots=True)
class LookupRules:
    """The settings that all database tables have.

    Attributes:
        result_format: made of each value.
        needs: of all templates of the table together.
        domains: keys must be of these; None: any key will do.
        expansion_limit: how many values at most; 0: any number.
    """

    result_format: Template
    needs: Needs
    domains: MatchList | None
    expansion_limit: int

    @classmethod
    def read(cls, source: TableSource, site: TableSite, *queries: Template, fixed: bool = False) -> LookupRules:
        """The rules of a table with these query templates; ``fixed``: values are used as they are.

        Raises:
            ValueError: a setting makes no sense.
        """
        # result_filter is what ldap_table(5) called it before Postfix 2.2.
        result = "%s" if fixed else source.text("result_format", source.text("result_filter", "%s"), required=True)
        template = parse_template(source, result, result=True)
        needs = template.needs
        for query in queries:
            needs |= query.needs
        patterns = source.names("domain")
        domains = MatchList("domain", patterns, site) if patterns else None
        return cls(template, needs, domains, 0 if fixed else source.integer("expansion_limit", 0, 0))


def parse_template(source: TableSource, text: str, *, result: bool = False) -> Template:
    """A template; ValueError in Postfix's words, with the table's file."""
    try:
        return Template.parse(text, result=result)
    except ValueError as error:
        kind = "result" if result else "query"
        raise ValueError(f"{source.argument}: Invalid {kind} template: {text}") from error


Values = Iterable[str | None]
Ask = Callable[[KeyParts], Awaitable[Values]]
"""Asks the back end about a key; raises LookupFailedError."""


class DatabaseTable:
    """A table whose answers come from ``ask``.

    Args:
        name: ``type:name``.
        rules: the common settings.
        ask: the back end.
        site: where the table is opened: how keys are folded, who takes warnings.
        close: gives back what the back end holds open.
    """

    pattern = False

    def __init__(
        self,
        name: str,
        rules: LookupRules,
        ask: Ask,
        site: TableSite,
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self.name = name
        self._rules = rules
        self._ask = ask
        self._fold = site.fold
        self._utf8 = site.utf8
        self._warn = site.warn
        self.close = close

    async def lookup(self, key: str) -> Lookup:
        """The values of a key, formatted and joined."""
        admitted = await self._admit(key)
        if not isinstance(admitted, KeyParts):
            return admitted
        try:
            values = await self._ask(admitted)
        except LookupFailedError as error:
            return TemporaryError(str(error), self.name)
        return self._result(admitted, values)

    async def _admit(self, key: str) -> KeyParts | NotFound | TemporaryError:
        """The key in the form in which the back end is asked for it; or the answer without asking."""
        if not key:
            self._warn(f'table "{self.name}": empty query string -- ignored')
            return NOT_FOUND
        if len(key) > KEY_LIMIT:
            return self._error(f"key of {len(key)} characters is too long")
        if not is_text(key):
            if self._utf8:
                self._warn(f'{self.name}: non-UTF-8 key "{printable(key)}": malformed UTF-8 or invalid codepoint')
            return NOT_FOUND
        folded = self._fold(key)
        if self._rules.domains is not None:
            refused = await self._check_domain(self._rules.domains, folded)
            if refused is not None:
                return refused
        return KeyParts.of(folded, self._rules.needs) or NOT_FOUND

    async def _check_domain(self, domains: MatchList, key: str) -> NotFound | TemporaryError | None:
        """None: the key's domain is one of ``domains``."""
        user, at, domain = key.rpartition("@")
        if not at or not user:
            return NOT_FOUND
        answer = await domains.match_string(domain)
        return None if isinstance(answer, Found) else answer

    def _result(self, key: KeyParts, values: Values) -> Lookup:
        rules = self._rules
        out: list[str] = []
        size = 0
        for value in values:
            if value is None:
                continue
            text = value.partition("\0")[0]
            if not text:
                self._warn(f'table "{self.name}": empty lookup result for: "{printable(key.parts.whole)}" -- ignored')
                continue
            formatted = key.format(rules.result_format, text)
            if formatted is None:
                continue
            size += len(formatted) + 1
            if size > RESULT_LIMIT:
                return self._error(f"result of key '{printable(key.parts.whole)}' is too long")
            out.append(formatted)
            if 0 < rules.expansion_limit < len(out):
                return self._error(f"Expansion limit exceeded for key '{printable(key.parts.whole)}'")
        joined = ",".join(out)
        if not joined:
            return NOT_FOUND
        if self._utf8 and not joined.isascii() and not is_text(joined):
            whole = printable(key.parts.whole)
            return self._error(f'key "{whole}": non-UTF-8 value "{printable(joined)}": malformed UTF-8')
        return Found(joined, self.name)

    def _error(self, cause: str) -> TemporaryError:
        self._warn(f"{self.name}: {cause}")
        return TemporaryError(cause, self.name)


def is_text(text: str) -> bool:
    """It was UTF-8 and holds no NUL: no database takes anything else."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """At most 100 characters, and ``?`` for each that would harm a log line."""
    return "".join(char if char.isprintable() else "?" for char in text[:100])
