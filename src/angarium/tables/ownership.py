"""Who owns a table: the user whose rights the commands and files in it have, when it is a table of aliases (local(8)).

============================================  ==================================================
hash, btree, cdb, lmdb                        the owner of the built file, else of its source
texthash, regexp, pcre, cidr, sqlite …        the owner of the file that is named
mysql, pgsql, ldap with settings in main.cf   root
inline, static, environ, unix, directory …    root
unionmap, pipemap                             the one owner beside root; several: nobody who could be named
============================================  ==================================================

A table that is asked over a network from whoever answers there (``tcp``, ``socketmap``, ``memcache``), or through a
process of others (``proxy``), must not name commands and files at all: ``refusal`` says why. Follows aliases(5) and
the SECURITY section of local(8).
"""

from __future__ import annotations

from pathlib import Path

from angarium.tables.built import KINDS
from angarium.tables.text import split_list

NOBODY = -1
"""Several users own parts of the table: there is nobody whose rights could be taken."""

_FILES = frozenset({"texthash", "regexp", "pcre", "cidr"})
_SETTINGS = frozenset({"sqlite", "mysql", "pgsql", "ldap"})
"""Their argument is a file when it looks like one; else the settings are in main.cf."""

_COMPOSED = frozenset({"unionmap", "pipemap"})
_REFUSED = frozenset({"tcp", "socketmap", "memcache", "proxy", "proxywrite"})
_ROOT = 0


def owner(name: str, base: Path) -> int:
    """The uid of the owner of ``type:name``; relative names start from ``base``. Raises OSError."""
    kind, colon, argument = name.partition(":")
    if not colon:
        kind, argument = "hash", name  # default_database_type
    if kind in KINDS:
        source = base / argument
        try:
            return source.with_name(source.name + KINDS[kind].suffix).stat().st_uid
        except FileNotFoundError:
            return source.stat().st_uid
    if kind in _COMPOSED:
        owners = {owner(each, base) for each in _parts(argument)} - {_ROOT}
        return NOBODY if len(owners) > 1 else owners.pop() if owners else _ROOT
    if kind in _FILES or (kind in _SETTINGS and argument.startswith(("/", "."))):
        return (base / argument).stat().st_uid
    return _ROOT


def refusal(name: str) -> str:
    """Why a table may not be one of aliases; empty when it may."""
    kind, _, argument = name.partition(":")
    if kind in _COMPOSED:
        return next(filter(None, map(refusal, _parts(argument))), "")
    return f"{name}: {kind} map is not allowed for security-sensitive data" if kind in _REFUSED else ""


def _parts(argument: str) -> list[str]:
    try:
        return split_list(argument.strip()[1:-1])
    except ValueError:
        return []
