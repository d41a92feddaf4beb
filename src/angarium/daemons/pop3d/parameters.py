"""The parameters of pop3d, as main.cf and master.cf give them (``pop3d_*``); the registry says what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field

from angarium.config.config import Config
from angarium.runtime.tls import ServerTls

_LOOPBACK = ("127.0.0.0/8", "[::1]/128")


@dataclass(frozen=True, slots=True)
class Pop3dParameters:
    """Times are in seconds, sizes in bytes.

    Attributes:
        security_level: ``none``, ``may`` or ``encrypt``.
        tls: what the context is made of; the wiring makes it and hands it to the service.
        auth_verbose: log why a log-in was refused.
    """

    auth_penalty_exceptions: tuple[str, ...] = _LOOPBACK
    banner: str = "POP3 server ready"
    connection_count_limit: int = 10
    failure_delay: float = 2.0
    hard_error_limit: int = 10
    login_connection_limit: int = 1000
    login_timeout: float = 180.0
    no_flag_updates: bool = False
    read_ahead_limit: int = 1 << 18
    sasl_mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    secure_networks: tuple[str, ...] = _LOOPBACK
    starttls_timeout: float = 60.0
    timeout: float = 600.0
    tls_auth_only: bool = True
    security_level: str = "none"
    wrappermode: bool = False
    tls: ServerTls = field(default_factory=ServerTls)
    auth_verbose: bool = False

    @classmethod
    def from_config(cls, conf: Config) -> Pop3dParameters:
        """Read them. Raises ConfigError."""
        return cls(
            auth_penalty_exceptions=tuple(conf.names("pop3d_auth_penalty_exceptions")),
            banner=conf.text("pop3d_banner").replace("<", ""),
            connection_count_limit=conf.integer("pop3d_client_connection_count_limit"),
            failure_delay=conf.seconds("pop3d_failure_delay"),
            hard_error_limit=conf.integer("pop3d_hard_error_limit"),
            login_connection_limit=conf.integer("pop3d_login_connection_limit"),
            login_timeout=conf.seconds("pop3d_login_timeout"),
            no_flag_updates=conf.boolean("pop3d_no_flag_updates"),
            read_ahead_limit=conf.size("pop3d_read_ahead_limit"),
            sasl_mechanisms=tuple(name.upper() for name in conf.names("pop3d_sasl_mechanisms")),
            secure_networks=tuple(conf.names("pop3d_secure_networks")),
            starttls_timeout=conf.seconds("pop3d_starttls_timeout"),
            timeout=conf.seconds("pop3d_timeout"),
            tls_auth_only=conf.boolean("pop3d_tls_auth_only"),
            security_level=conf.choice("pop3d_tls_security_level") or "none",
            wrappermode=conf.boolean("pop3d_tls_wrappermode"),
            tls=ServerTls(
                cert_file=_file(conf, "pop3d_tls_cert_file"),
                key_file=_file(conf, "pop3d_tls_key_file"),
                chain_files=tuple(conf.names("pop3d_tls_chain_files")),
                protocols=conf.text("pop3d_tls_protocols"),
                ciphers=conf.choice("pop3d_tls_ciphers"),
                exclude_ciphers=tuple(conf.names("pop3d_tls_exclude_ciphers")),
            ),
            auth_verbose=conf.boolean("auth_verbose"),
        )


def _file(conf: Config, name: str) -> str:
    """A file name; ``none`` is how main.cf says that there is none."""
    value = conf.text(name)
    return "" if value == "none" else value
