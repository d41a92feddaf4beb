"""What the settings of lookup tables are called: in main.cf behind the table's name, or in a file of their own.

``mysql:db`` has its settings in main.cf as ``db_hosts``, ``db_user`` …; ``mysql:/etc/postfix/db.cf`` in that file as
``hosts``, ``user`` …, in the syntax of main.cf. A name that the type does not know is most likely misspelt.

The names are those of mysql_table(5), pgsql_table(5), ldap_table(5), sqlite_table(5) and memcache_table(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from angarium.config.error import ConfigError
from angarium.config.main_cf import parse_main_cf, shown

_QUERIES = frozenset(
    {
        "additional_conditions",
        "domain",
        "expansion_limit",
        "query",
        "result_format",
        "select_field",
        "table",
        "where_field",
    }
)
_SERVERS = frozenset({"hosts", "user", "password", "dbname", "idle_interval", "retry_interval"})
_MYSQL = frozenset(
    {
        "charset",
        "option_file",
        "option_group",
        "require_result_set",
        "tls_CAfile",
        "tls_CApath",
        "tls_cert_file",
        "tls_ciphers",
        "tls_key_file",
        "tls_verify_cert",
    }
)
_LDAP = frozenset(
    {
        "bind",
        "bind_dn",
        "bind_pw",
        "cache",
        "cache_expiry",
        "cache_size",
        "chase_referrals",
        "debuglevel",
        "dereference",
        "domain",
        "expansion_limit",
        "leaf_result_attribute",
        "query_filter",
        "recursion_limit",
        "result_attribute",
        "result_filter",
        "result_format",
        "sasl_authz_id",
        "sasl_mechs",
        "sasl_minssf",
        "sasl_realm",
        "scope",
        "search_base",
        "server_host",
        "server_port",
        "size_limit",
        "special_result_attribute",
        "start_tls",
        "terminal_result_attribute",
        "timeout",
        "tls_ca_cert_dir",
        "tls_ca_cert_file",
        "tls_cert",
        "tls_cipher_suite",
        "tls_key",
        "tls_random_file",
        "tls_require_cert",
        "version",
    }
)
_MEMCACHE = frozenset(
    {
        "backup",
        "data_size_limit",
        "domain",
        "flags",
        "key_format",
        "line_size_limit",
        "max_try",
        "memcache",
        "retry_pause",
        "timeout",
        "ttl",
    }
)

_TIMES = frozenset({"connect_timeout", "query_timeout"})  # ours

TABLE_PARAMETERS: Mapping[str, frozenset[str]] = {
    "mysql": _QUERIES | _SERVERS | _MYSQL | _TIMES,
    "pgsql": _QUERIES | _SERVERS | _TIMES | frozenset({"encoding", "select_function"}),
    "sqlite": _QUERIES | _TIMES | frozenset({"dbpath"}),
    "ldap": _LDAP,
    "memcache": _MEMCACHE,
}
"""The settings of each type of table that has some."""

_TABLE = re.compile(rf"(?:^|[\s,{{}}])(?:proxy:)*({'|'.join(TABLE_PARAMETERS)}):(?!//)([^\s,{{}}]+)")


class TableReference(NamedTuple):
    """``mysql:/etc/postfix/db.cf`` or ``mysql:db`` in a value."""

    kind: str
    name: str

    @property
    def is_file(self) -> bool:
        """The settings stand in a file of their own."""
        return self.name.startswith("/")

    @property
    def settings(self) -> Iterator[str]:
        """Names that its settings may have in main.cf."""
        return (f"{self.name}_{suffix}" for suffix in TABLE_PARAMETERS[self.kind])


def table_references(text: str) -> list[TableReference]:
    """The tables in a value that have settings, also those inside ``{ }``."""
    return [TableReference(*match.groups()) for match in _TABLE.finditer(text)] if ":" in text else []


def complaints_of(tables: Iterable[TableReference]) -> Iterator[str]:
    """What is odd in the tables' own files, in Postfix's words. Reads them."""
    for kind, path in tables:
        try:
            text = Path(path).read_bytes().decode("utf-8", "surrogateescape")
            settings = parse_main_cf(text, path)
        except OSError as error:
            yield f'open "{kind}" configuration "{path}": {error.strerror}'
            continue
        except ConfigError as error:
            yield str(error)
            continue
        yield from settings.warnings
        for setting in settings.settings.values():
            if setting.name not in TABLE_PARAMETERS[kind]:
                yield f"{kind}:{path}: unused parameter: {setting.name}={shown(setting.name, setting.value)}"
