"""The TLS contexts of network services, made before privileges drop: only the parent may read the keys.

Fails with ConfigError (file and line) or TlsError (the file's name).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping

from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.master_cf import MasterService
from angarium.daemons.imapd.main import ImapdParameters
from angarium.daemons.pop3d.main import Pop3dParameters
from angarium.runtime.tls import ServerTls, server_context

Contexts = Mapping[str, ssl.SSLContext | None]
"""TLS contexts by master.cf key (``2587/inet``); made by the parent, which may read the keys."""


def server_tls(conf: Config, entry: MasterService) -> ssl.SSLContext | None:
    """The TLS context of a network service, or None when it has no certificate.

    Raises:
        TlsError: a key or certificate cannot be used; it names the file.
        ConfigError: TLS from the start without a certificate.
    """
    seen = conf.for_service(entry)
    parameters = _SERVER_TLS[entry.command](seen)
    if parameters.configured:
        return server_context(parameters)
    wrapper = f"{entry.command}_tls_wrappermode"
    if seen.boolean(wrapper):
        text = f"service {entry.name}: {wrapper} needs {entry.command}_tls_cert_file or {entry.command}_tls_chain_files"
        raise ConfigError(text, entry.file, entry.line)
    return None


def _smtpd_tls(conf: Config) -> ServerTls:
    mandatory = conf.text("smtpd_tls_security_level") == "encrypt" or conf.boolean("smtpd_tls_wrappermode")
    kind = "mandatory_" if mandatory else ""
    return ServerTls(
        cert_file=_file(conf, "smtpd_tls_cert_file"),
        key_file=_file(conf, "smtpd_tls_key_file"),
        chain_files=tuple(conf.names("smtpd_tls_chain_files")),
        protocols=conf.text(f"smtpd_tls_{kind}protocols"),
        ciphers=conf.text(f"smtpd_tls_{kind}ciphers"),
        exclude_ciphers=(
            *conf.names("smtpd_tls_exclude_ciphers"),
            *(conf.names("smtpd_tls_mandatory_exclude_ciphers") if mandatory else ()),
        ),
        prefer_server_ciphers=conf.boolean("tls_preempt_cipherlist"),
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
