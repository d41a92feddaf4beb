"""atheris target: replies of socketmap, tcp, memcache and LDAP servers; filters, URLs, templates, option files.

Run: python tests/fuzz/fuzz_lookup.py -atheris_runs=10000.
"""

from __future__ import annotations

import contextlib
import sys

from angarium.protocols.ldap import filter as filters
from angarium.protocols.ldap import url
from angarium.protocols.ldap.ber import BerError
from angarium.protocols.ldap.filter import FilterError
from angarium.protocols.ldap.messages import LdapReader
from angarium.protocols.lookup import socketmap, tcp
from angarium.protocols.lookup.memcache import MemcacheReader
from angarium.protocols.lookup.netstring import FramingError, NetstringReader
from angarium.protocols.lookup.tcp import LineReader
from angarium.tables.database.template import KeyParts, Template
from angarium.tables.ldap import escape_dn
from angarium.tables.sqlite import quote


def _streams(data: bytes) -> None:
    """Each reader gives the same for the whole and for every byte alone, up to where it fails."""
    for make in (lambda: NetstringReader(1000), LineReader, LdapReader, lambda: MemcacheReader(100, 100)):
        with contextlib.suppress(FramingError, BerError):
            make().receive_data(data)
    whole: list[bytes] = []
    with contextlib.suppress(FramingError):
        whole = NetstringReader(1000).receive_data(data)
    single: list[bytes] = []
    reader = NetstringReader(1000)
    with contextlib.suppress(FramingError):
        for byte in data:
            single += reader.receive_data(bytes((byte,)))
    assert single[: len(whole)] == whole
    socketmap.parse_reply(data)
    with contextlib.suppress(FramingError):
        tcp.parse_reply(data)
    assert tcp.parse_reply(b"200 " + tcp.request(data)[4:-1]).data == data


def _texts(template: str, key: str) -> None:
    with contextlib.suppress(FilterError):
        filters.encode(template)
    filters.encode(f"(a={filters.escape(key)})")
    with contextlib.suppress(ValueError):
        url.parse(template)
    try:
        query, result = Template.parse(template), Template.parse(template, result=True)
    except ValueError:
        return
    parts = KeyParts.of(key, query.needs | result.needs)
    if parts is None:
        return
    for quoting in (quote, filters.escape, escape_dn):
        parts.expand(query, quoting)
    assert parts.expand(query, quote).count("'") >= parts.expand(query).count("'")
    parts.format(result, key)


def one_input(data: bytes) -> None:
    """Nothing raises but what the functions say that they raise."""
    _streams(data)
    template, _, key = data.decode("utf-8", "surrogateescape").partition("\n")
    _texts(template, key)


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
