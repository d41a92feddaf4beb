r"""``ldap:``, ldap_table(5): a lookup is a search in a directory.

Settings: server_host, server_port, timeout, search_base, query_filter, result_format (result_filter), domain,
result_attribute, special_result_attribute, terminal_result_attribute, leaf_result_attribute, scope, bind, bind_dn,
bind_pw, sasl_mechs, sasl_authz_id, recursion_limit, expansion_limit, size_limit, dereference, chase_referrals, version,
start_tls, tls_ca_cert_dir, tls_ca_cert_file, tls_cert, tls_key, tls_require_cert, tls_cipher_suite (as OpenSSL writes
it). cache, cache_expiry, cache_size, debuglevel, sasl_realm, sasl_minssf and tls_random_file have no effect. Of SASL
there are EXTERNAL and PLAIN.

| attributes | values |
|---|---|
| terminal | when an entry has one of them, they alone count |
| result | count |
| leaf | count in entries without special attributes |
| special | DNs and LDAP URLs: what they lead to is searched in turn |

Servers are tried in the order in which they are named. Quoting is that of RFC 4515 in filters, of RFC 4514 in DNs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from angarium.protocols.ldap import filter as filters
from angarium.protocols.ldap import url
from angarium.protocols.ldap.messages import Entry, ResultCode, Scope, Search
from angarium.tables.database.ldapclient import LdapConnection, LdapDriver, LdapLogin, LdapOptions
from angarium.tables.database.lookup import DatabaseTable, LookupRules, parse_template, printable
from angarium.tables.database.servers import Limits, QueryError, Server, ServerPool
from angarium.tables.database.source import TableSource
from angarium.tables.database.template import KeyParts, Template
from angarium.tables.database.tls import ClientTls
from angarium.tables.database.watched import open_watched
from angarium.tables.interface import Table
from angarium.tables.opener import TableSite

_SCOPES = {"sub": Scope.SUB, "base": Scope.BASE, "one": Scope.ONE}
_MECHANISMS = ("EXTERNAL", "PLAIN")
_BINDS = {"no": "no", "none": "no", "yes": "simple", "simple": "simple", "sasl": "sasl"}
_DN_SPECIAL = re.compile(r'[\x00-\x1f\x7f "#+,;<>\\]')


def escape_dn(text: str) -> str:
    """A piece of an attribute's value in a DN; what does not print goes by its number (RFC 4514 section 2.4)."""
    return _DN_SPECIAL.sub(lambda found: f"\\{found[0] if found[0].isprintable() else f'{ord(found[0]):02x}'}", text)


@dataclass(frozen=True, slots=True)
class LdapQuery:
    """What one table asks. ``attributes`` holds terminal, leaf, result and special attributes, in this order."""

    base: Template
    filter: Template
    scope: Scope
    attributes: tuple[str, ...]
    terminal: int
    leaf: int
    special: int
    dereference: int
    size_limit: int
    time_limit: int
    recursion_limit: int

    @classmethod
    def read(cls, source: TableSource, timeout: float, site: TableSite) -> LdapQuery:
        """Raises ValueError."""
        terminal = source.names("terminal_result_attribute")
        leaf = source.names("leaf_result_attribute")
        plain = source.names("result_attribute", "maildrop")
        special = source.names("special_result_attribute")
        scope = source.text("scope", "sub")
        if scope not in _SCOPES:
            site.warn(f"{source.argument}: Unrecognized value {scope} specified for scope; using sub")
        expansion_limit = source.integer("expansion_limit", 0, 0)
        return cls(
            base=parse_template(source, source.text("search_base")),
            filter=parse_template(source, source.text("query_filter", "mailacceptinggeneralid=%s")),
            scope=_SCOPES.get(scope, Scope.SUB),
            attributes=(*terminal, *leaf, *plain, *special),
            terminal=len(terminal),
            leaf=len(leaf),
            special=len(special),
            dereference=source.integer("dereference", 0, 0, 3),
            size_limit=source.integer("size_limit", expansion_limit, 0),
            time_limit=int(timeout),
            recursion_limit=source.integer("recursion_limit", 1000, 1),
        )

    def search(self, base: str, scope: Scope, where: str, attributes: tuple[str, ...]) -> Search:
        """A search with this table's limits."""
        return Search(base, scope, where, attributes, self.dereference, self.size_limit, self.time_limit)


def _servers(source: TableSource) -> tuple[Server, ...]:
    """The URLs of server_host; what is no URL becomes one."""
    port = source.integer("server_port", 389, 1, 65535)
    urls: list[str] = []
    for word in source.names("server_host", "localhost"):
        if url.is_url(word):
            urls.append(word)
        else:
            has_port = ":" in (word.partition("]")[2] if word.startswith("[") else word)
            urls.append(f"ldap://{word}" if has_port else f"ldap://{word}:{port}")
    for text in urls:
        url.parse(text)
    return tuple(Server(text, host=text) for text in urls)


def _options(source: TableSource, timeout: float, site: TableSite) -> LdapOptions:
    version = source.text("version", "2")
    if version not in ("2", "3"):
        site.warn(f"{source.argument}: Unknown version {version}, using 2.")
    require = source.boolean("tls_require_cert", default=False)
    return LdapOptions(
        version=3 if version == "3" else 2,
        login=_login(source),
        start_tls=source.boolean("start_tls", default=False),
        tls=ClientTls(
            ca_file=source.text("tls_ca_cert_file") if require else "",
            ca_path=source.text("tls_ca_cert_dir") if require else "",
            cert_file=source.text("tls_cert"),
            key_file=source.text("tls_key"),
            ciphers=source.text("tls_cipher_suite"),
            verify_name=require,
            verify_chain=require,
        ),
        timeout=timeout,
        chase_referrals=source.text("chase_referrals", "0") not in ("0", "no", ""),
    )


def _login(source: TableSource) -> LdapLogin:
    bind = source.text("bind", "yes").lower()
    if bind not in _BINDS:
        raise ValueError(f"{source.argument}: unsupported parameter value: bind = {bind}")
    kind = _BINDS[bind]
    if kind == "sasl":
        wanted = [name.upper() for name in source.text("sasl_mechs").split()] or ["EXTERNAL"]
        known = [name for name in wanted if name in _MECHANISMS]
        if not known:
            raise ValueError(
                f"{source.argument}: sasl_mechs = {' '.join(wanted)}: only EXTERNAL and PLAIN are supported"
            )
        kind = known[0]
    if kind == "no":
        return LdapLogin()
    return LdapLogin(kind, source.text("bind_dn"), source.secret("bind_pw"), source.text("sasl_authz_id"))


def open_table(name: str, argument: str, site: TableSite) -> Table:
    """The table of ``ldap:argument``, which follows its file. Raises ValueError for settings that make no sense."""
    return open_watched(name, argument, site, _make)


def _make(name: str, argument: str, site: TableSite) -> Table:
    """The table of ``ldap:argument``. Raises ValueError for settings that make no sense."""
    source = TableSource("ldap", argument, site)
    for ignored in ("cache", "cache_expiry", "cache_size"):
        if source.present(ignored):
            site.warn(f"{argument}: {ignored} ignored")
    timeout = source.seconds("timeout", 10)
    query = LdapQuery.read(source, timeout, site)
    if query.filter.fixed:
        site.warn(f"{name}: Fixed query_filter {query.filter.text} is probably useless")
    rules = LookupRules.read(source, site, query.base, query.filter)
    driver, pool = _pool(_servers(source), _options(source, timeout, site), site)
    asker = LdapAsker(name, query, driver, pool, site)
    return DatabaseTable(name, rules, asker.ask, site, pool.close)


def _pool(
    servers: tuple[Server, ...], options: LdapOptions, site: TableSite
) -> tuple[LdapDriver, ServerPool[LdapConnection]]:
    """The connections of these settings, shared by all tables that have the same."""
    pools = site.shared.setdefault("ldap", [])
    for known, driver, pool in pools:
        if known == (servers, options):
            return driver, pool
    driver = LdapDriver(options)
    # One look-up may take many searches, each of which has its own limit.
    limits = Limits(options.timeout, 6 * options.timeout, retry_interval=5)
    pool = ServerPool(servers, driver, limits, site.warn, choose=lambda choices: choices[0])
    pools.append(((servers, options), driver, pool))
    return driver, pool


@dataclass(frozen=True, slots=True)
class LdapAsker:
    """Asks what one table asks."""

    name: str
    query: LdapQuery
    driver: LdapDriver
    pool: ServerPool[LdapConnection]
    site: TableSite

    async def ask(self, key: KeyParts) -> list[str | None]:
        """The values. Raises LookupFailedError."""
        query = self.query
        base = key.expand(query.base, escape_dn)
        where = key.expand(query.filter, filters.escape)

        async def work(connection: LdapConnection) -> list[str | None]:
            return await Expansion(self, connection, key.parts.whole).first(base, where)

        return await self.pool.run(self.name, work)


class Expansion:
    """One lookup: the first search, and those that special attributes lead to."""

    def __init__(self, asker: LdapAsker, connection: LdapConnection, key: str) -> None:
        self._asker = asker
        self._query = asker.query
        self._connection = connection
        self._key = key
        self._values: list[str | None] = []

    async def first(self, base: str, where: str) -> list[str | None]:
        """The search that the table describes, and all that it leads to. Raises QueryError, ServerError."""
        query = self._query
        entries = await self._search(query.search(base, query.scope, where, query.attributes))
        if entries is None:
            # A base that is made of the key and is not there is a key that is not there.
            if query.base.fixed:
                raise QueryError(f"Search base '{base}' not found")
            return []
        await self._expand(entries, 1)
        return self._values

    async def _search(self, search: Search) -> list[Entry] | None:
        """The entries; None: the base does not exist."""
        result, entries = await self._asker.driver.search(self._connection, search)
        if result.code == ResultCode.NO_SUCH_OBJECT:
            return None
        if result.code != ResultCode.SUCCESS:
            raise QueryError(f"Search error {result}")
        return entries

    async def _expand(self, entries: Sequence[Entry], depth: int) -> None:
        query = self._query
        if 0 < query.size_limit < len(entries):
            raise QueryError(f"{self._key}: Query size limit ({query.size_limit}) exceeded")
        for entry in entries:
            found = [(self._position(name), name, values) for name, values in entry.attributes if values]
            terminal = any(position < query.terminal for position, _, _ in found)
            first_special = len(query.attributes) - query.special
            leaf = not any(first_special <= position < len(query.attributes) for position, _, _ in found)
            for position, name, values in found:
                if position >= len(query.attributes) or (terminal and position >= query.terminal):
                    continue
                if position < first_special:
                    if terminal or leaf or position >= query.terminal + query.leaf:
                        self._add(values)
                else:
                    await self._follow(name, values, depth)

    def _position(self, name: str) -> int:
        """Where an attribute stands among the table's; their number when it does not."""
        for index, wanted in enumerate(self._query.attributes):
            if _relation(wanted, name) > 0:
                return index
        return len(self._query.attributes)

    def _add(self, values: Sequence[bytes]) -> None:
        self._values += [value.decode("utf-8", "surrogateescape") for value in values]

    async def _follow(self, name: str, values: Sequence[bytes], depth: int) -> None:
        """What the DNs and URLs of a special attribute lead to."""
        query = self._query
        for value in values:
            text = value.decode("utf-8", "surrogateescape")
            if depth >= query.recursion_limit:
                raise QueryError(
                    f"{self._key}: Recursion limit exceeded for special attribute {name}={printable(text)}"
                )
            search = self._reference(text)
            if search is None:
                continue
            entries = await self._search(search)
            if entries is None:
                self._asker.site.warn(f"{self._asker.name}: DN {printable(text)} not found, skipping")
            else:
                await self._expand(entries, depth + 1)

    def _reference(self, text: str) -> Search | None:
        """The search for a DN or URL; None: there is nothing to ask for."""
        query = self._query
        if not url.is_url(text):
            return query.search(text, Scope.BASE, "(objectClass=*)", query.attributes)
        try:
            where = url.parse(text)
        except ValueError as error:
            self._asker.site.warn(f"{self._asker.name}: malformed URL {printable(text)}: {error}, skipping")
            return None
        attributes = _in_both(where.attributes, query.attributes) if where.attributes else query.attributes
        return query.search(where.base, where.scope, where.filter, attributes) if attributes else None


def _relation(one: str, other: str) -> int:
    """1: the same attribute, or ``other`` is ``one`` with options; -1: the other way round; 0: neither."""
    one, other = one.lower(), other.lower()
    if one == other or other.startswith(one + ";"):
        return 1
    return -1 if one.startswith(other + ";") else 0


def _in_both(wanted: Sequence[str], ours: Sequence[str]) -> tuple[str, ...]:
    """The attributes that a URL and the table name, each in its more special form (ldap_table(5))."""
    return tuple(
        mine if relation > 0 else theirs
        for theirs in wanted
        for mine in ours
        if (relation := _relation(theirs, mine)) != 0
    )
