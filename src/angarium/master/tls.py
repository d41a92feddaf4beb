"""The TLS contexts of network services, made before privileges drop: only the parent may read the keys.

Fails with ConfigError (file and line) or TlsError (the file's name).
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.master_cf import MasterService
from angarium.daemons.imapd.main import ImapdParameters
from angarium.daemons.pop3d.main import Pop3dParameters
from angarium.daemons.smtpd.parameters import smtpd_security_level
from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.runtime.log import MailLog, ServiceLog
from angarium.runtime.openssl import reach
from angarium.runtime.tls import LONGEST_SESSION, SHORTEST_SESSION, ServerTls, TlsLibrary, server_context
from angarium.runtime.tlsnames import ServerNames
from angarium.tables.built import BuiltTable
from angarium.tables.builtfile import DamagedFileError
from angarium.tables.files import FileTable
from angarium.tables.maps import Maps
from angarium.tables.opener import TableOpener

Contexts = Mapping[str, ssl.SSLContext | None]
"""TLS contexts by master.cf key (``2587/inet``); made by the parent, which may read the keys."""


def server_tls(conf: Config, entry: MasterService, sink: MailLog | None = None) -> ssl.SSLContext | None:
    """The TLS context of a network service, or None when it has no certificate.

    Args:
        conf: main.cf, without the service's overrides.
        entry: of master.cf.
        sink: takes warnings, now and in handshakes; None: there are none.

    Raises:
        TlsError: a key or certificate cannot be used; it names the file.
        ConfigError: TLS from the start without a certificate.
    """
    seen = conf.for_service(entry)
    warn = _silent if sink is None else ServiceLog(sink, f"{seen.text('syslog_name')}/{entry.command}").warning
    parameters = _SERVER_TLS[entry.command](seen)
    if parameters.configured:
        reach()  # looked at once, before there are workers
        if entry.command == "smtpd":
            _warn_of_smtpd(seen, parameters, warn)
        context = server_context(parameters)
        maps = seen.names("tls_server_sni_maps")
        if maps:
            ServerNames(parameters, _sni_finder(seen, maps, warn), warn).install(context)
        return context
    wrapper = f"{entry.command}_tls_wrappermode"
    if seen.boolean(wrapper):
        text = f"service {entry.name}: {wrapper} needs {entry.command}_tls_cert_file or {entry.command}_tls_chain_files"
        raise ConfigError(text, entry.file, entry.line)
    return None


def _silent(_text: str) -> None:
    pass


def _warn_of_smtpd(conf: Config, parameters: ServerTls, warn: Callable[[str], None]) -> None:
    """Say what cannot be had as it is written."""
    if conf.boolean("smtpd_tls_req_ccert") and not parameters.require_certificate:
        warn("Can't require client certs unless TLS is required")
    if (parameters.ask_certificate or parameters.require_certificate) and reach() is None:
        warn("untrusted client certificates cannot be seen with this interpreter: clients are not asked for any")
    dh_file = _file(conf, "smtpd_tls_dh1024_param_file")
    if dh_file not in ("", "auto", parameters.dh_file):
        warn(f"cannot load DH parameters from file {dh_file} -- using compiled-in defaults")


def _sni_finder(conf: Config, names: list[str], warn: Callable[[str], None]) -> Callable[[str], Lookup]:
    """A look-up in the tables of tls_server_sni_maps.

    They are read here, as others may not be allowed to: what the files hold now is the answer for as long as they
    cannot be read again, as after a change of a file that root alone may read.
    """
    opener = TableOpener(
        warn,
        {},
        conf.directory,
        lambda name: conf.text(name) if conf.setting(name) else None,
        utf8=conf.boolean("smtputf8_enable"),
        default_type=conf.text("default_database_type"),
    )
    maps = Maps.open("tls_server_sni_maps", names, opener)

    known = _entries(maps)
    told: list[str] = []

    def find(key: str) -> Lookup:
        answer = _now(maps.find(key, partial=key.startswith(".")), names)
        if not isinstance(answer, TemporaryError) or not known:
            return answer
        if not told:
            told.append(key)
            warn(f"{answer.source}: {answer.cause}; keys are those of the start until postfix reload")
        return Found(known[key], answer.source) if key in known else NOT_FOUND

    find("localhost")
    return find


def _entries(maps: Maps) -> dict[str, str]:
    """What is in the tables that can be listed; the first one counts."""
    entries: dict[str, str] = {}
    for table in reversed(maps.tables):
        if isinstance(table, BuiltTable | FileTable):
            with contextlib.suppress(OSError, DamagedFileError):
                entries.update(table.items())
    return entries


def _now(question: Coroutine[Any, Any, Lookup], names: list[str]) -> Lookup:
    """The answer of a table that need not wait."""
    try:
        question.send(None)
    except StopIteration as answer:
        found: Lookup = answer.value
        return found
    except RuntimeError:  # it wants a task, or a loop, of its own
        pass
    question.close()
    return TemporaryError("the table cannot be asked inside of a TLS handshake", " ".join(names))


def _smtpd_tls(conf: Config) -> ServerTls:
    mandatory = smtpd_security_level(conf) == "encrypt" or conf.boolean("smtpd_tls_wrappermode")
    kind = "mandatory_" if mandatory else ""
    required = conf.boolean("smtpd_tls_req_ccert") and mandatory
    dh_file = _file(conf, "smtpd_tls_dh1024_param_file")
    lifetime = int(conf.seconds("smtpd_tls_session_cache_timeout"))
    return ServerTls(
        cert_file=_file(conf, "smtpd_tls_cert_file"),
        key_file=_file(conf, "smtpd_tls_key_file"),
        more_pairs=tuple(
            pair
            for kind in ("ec", "d")
            if (pair := (_file(conf, f"smtpd_tls_{kind}cert_file"), _file(conf, f"smtpd_tls_{kind}key_file")))[0]
        ),
        chain_files=tuple(conf.names("smtpd_tls_chain_files")),
        protocols=conf.text(f"smtpd_tls_{kind}protocols"),
        ciphers=conf.text(f"smtpd_tls_{kind}ciphers"),
        exclude_ciphers=(
            *conf.names("smtpd_tls_exclude_ciphers"),
            *(conf.names("smtpd_tls_mandatory_exclude_ciphers") if mandatory else ()),
        ),
        prefer_server_ciphers=conf.boolean("tls_preempt_cipherlist"),
        session_tickets=lifetime > 0,
        session_lifetime=min(max(lifetime, SHORTEST_SESSION), LONGEST_SESSION),
        dh_file=dh_file if dh_file and Path(dh_file).is_file() else "auto",
        ask_certificate=conf.boolean("smtpd_tls_ask_ccert"),
        require_certificate=required,
        ca_file=conf.text("smtpd_tls_CAfile"),
        ca_path=conf.text("smtpd_tls_CApath"),
        verify_depth=conf.integer("smtpd_tls_ccert_verifydepth"),
        library=TlsLibrary.from_config(conf),
    )


def _file(conf: Config, name: str) -> str:
    """A file name; ``none`` is how main.cf says that there is none."""
    value = conf.text(name)
    return "" if value == "none" else value


_SERVER_TLS: Mapping[str, Callable[[Config], ServerTls]] = {
    "smtpd": _smtpd_tls,
    "imapd": lambda conf: ImapdParameters.from_config(conf).tls,
    "pop3d": lambda conf: Pop3dParameters.from_config(conf).tls,
}
