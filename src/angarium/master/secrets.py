"""Which files of a configuration root has to read for its children: lookup tables, and the SMTP client's TLS keys.

Found by their names in main.cf and master.cf. The keys of servers are not among them: their contexts are made before
root is given up. Nothing is held when the server is not root's, or stays root's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.master.privileges import Owner
from angarium.runtime.heldfiles import hold

_SUFFIXES = {"hash": ".db", "btree": ".db", "cdb": ".cdb", "lmdb": ".lmdb"}
_TABLE = re.compile(
    r"(?<![a-z])(hash|btree|cdb|lmdb|texthash|regexp|pcre|cidr|mysql|pgsql|ldap|memcache|sqlite):([^\s,{}=]+)"
)
_KEYS = tuple(
    f"{client}_tls_{name}"
    for client in ("smtp", "lmtp")
    for name in (
        "chain_files",
        *(f"{kind}{what}_file" for kind in ("", "ec", "d") for what in ("cert", "key")),
        "CAfile",
        "trust_anchor_file",
    )
)


_SERVER_KEYS = tuple(
    f"{server}_tls_{name}"
    for server in ("smtpd", "imapd", "pop3d")
    for name in (
        "chain_files",
        "cert_file",
        "key_file",
        "eccert_file",
        "eckey_file",
        "dcert_file",
        "dkey_file",
        "CAfile",
    )
    if server == "smtpd" or name in ("chain_files", "cert_file", "key_file")
)


def hold_secrets(conf: Config, owner: Owner | None) -> tuple[Path, ...]:
    """Read what ``owner`` may not; the files that were read."""
    if owner is None or owner.uid == os.geteuid():
        return ()
    return hold(wanted(conf), owner.uid, os.getgrouplist(owner.name, owner.gid))


def lasting(conf: Config) -> Iterator[Path]:
    """The keys and certificates that are in use for as long as processes are."""
    for view in (conf, *(conf.for_service(entry) for entry in conf.master.services if entry.overrides)):
        for name in (*_KEYS, *_SERVER_KEYS):
            try:
                words = view.text(name).replace(",", " ").split()
            except ConfigError:
                continue
            yield from (Path(word) for word in words if word.startswith("/"))


def wanted(conf: Config) -> Iterator[Path]:
    """The files that the configuration names."""
    views = [(conf, list(conf.main.settings))]
    views += [(conf.for_service(entry), list(entry.overrides)) for entry in conf.master.services if entry.overrides]
    for view, names in views:
        for name in names:
            try:
                text = view.text(name)
            except ConfigError:
                continue
            for kind, argument in _TABLE.findall(text):
                path = conf.directory / argument
                yield path
                if kind in _SUFFIXES:
                    yield path.with_name(path.name + _SUFFIXES[kind])
            if name in _KEYS:
                yield from (conf.directory / word for word in text.replace(",", " ").split() if word.startswith("/"))
