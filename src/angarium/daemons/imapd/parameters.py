"""The parameters of imapd(8) as values: main.cf's strings end here.

Names are those of ``config/registry/imapd.py`` without ``imapd_``; times in seconds, sizes in octets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from angarium.runtime.tls import ServerTls


class _Config(Protocol):
    def text(self, name: str) -> str: ...
    def integer(self, name: str) -> int: ...
    def boolean(self, name: str) -> bool: ...
    def seconds(self, name: str) -> float: ...
    def size(self, name: str) -> int: ...
    def names(self, name: str) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class ImapdParameters:
    """What one imapd service is told.

    ``message_size_limit`` bounds APPEND (0: no bound), ``greeting`` and ``id_send`` are what clients are told about us.
    """

    greeting: bytes = b"Angarium"
    id_send: str = "Angarium"
    timeout: float = 1800.0
    login_timeout: float = 180.0
    starttls_timeout: float = 60.0
    idle_keepalive_interval: float = 120.0
    line_length_limit: int = 65536
    login_literal_limit: int = 8192
    literal_limit: int = 65536
    message_size_limit: int = 0
    max_userip_connections: int = 10
    login_connection_limit: int = 1000
    hard_error_limit: int = 20
    auth_failure_delay: float = 2.0
    auth_penalty_exceptions: tuple[str, ...] = ("127.0.0.0/8", "[::1]/128")
    auth_verbose: bool = False
    quota_domain: bool = False
    secure_networks: tuple[str, ...] = ("127.0.0.0/8", "[::1]/128")
    tls_security_level: str = ""
    tls_wrappermode: bool = False
    tls_auth_only: bool = True
    tls: ServerTls = field(default_factory=ServerTls)

    @classmethod
    def from_config(cls, conf: _Config) -> ImapdParameters:
        """Read them. Raises ConfigError."""
        return cls(
            greeting=conf.text("imapd_banner").encode("utf-8"),
            id_send=conf.text("imapd_id_name"),
            timeout=conf.seconds("imapd_timeout"),
            login_timeout=conf.seconds("imapd_login_timeout"),
            starttls_timeout=conf.seconds("imapd_starttls_timeout"),
            idle_keepalive_interval=conf.seconds("imapd_idle_keepalive_interval"),
            line_length_limit=conf.size("imapd_line_length_limit"),
            login_literal_limit=conf.size("imapd_login_literal_limit"),
            literal_limit=conf.size("imapd_literal_limit"),
            message_size_limit=conf.size("imapd_message_size_limit"),
            max_userip_connections=conf.integer("imapd_max_userip_connections"),
            login_connection_limit=conf.integer("imapd_login_connection_limit"),
            hard_error_limit=conf.integer("imapd_hard_error_limit"),
            auth_failure_delay=conf.seconds("imapd_auth_failure_delay"),
            auth_penalty_exceptions=tuple(conf.names("imapd_auth_penalty_exceptions")),
            quota_domain=conf.boolean("imapd_quota_domain"),
            auth_verbose=conf.boolean("auth_verbose"),
            secure_networks=tuple(conf.names("imapd_secure_networks")),
            tls_security_level=conf.text("imapd_tls_security_level"),
            tls_wrappermode=conf.boolean("imapd_tls_wrappermode"),
            tls_auth_only=conf.boolean("imapd_tls_auth_only"),
            tls=ServerTls(
                cert_file=conf.text("imapd_tls_cert_file"),
                key_file=conf.text("imapd_tls_key_file"),
                chain_files=tuple(conf.names("imapd_tls_chain_files")),
                protocols=conf.text("imapd_tls_protocols"),
                ciphers=conf.text("imapd_tls_ciphers"),
                exclude_ciphers=tuple(conf.names("imapd_tls_exclude_ciphers")),
                prefer_server_ciphers=conf.boolean("tls_preempt_cipherlist"),
            ),
        )
