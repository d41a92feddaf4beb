"""The parameters of smtpd(8) as values: main.cf's strings end here.

Names are those of postconf(5) without ``smtpd_`` in front, times in seconds, sizes in octets.
"""

from __future__ import annotations

from dataclasses import dataclass

from angarium.protocols.smtp.types import BareNewline


@dataclass(frozen=True, slots=True)
class SmtpdParameters:
    """What one smtpd service is told."""

    myhostname: str = "localhost"
    mail_name: str = "Postfix"
    banner: str = "localhost ESMTP Postfix"
    service_name: str = "smtp"
    timeout: float = 300.0
    starttls_timeout: float = 300.0
    per_request_deadline: bool = False
    min_data_rate: int = 500
    error_sleep_time: float = 1.0
    soft_error_limit: int = 10
    hard_error_limit: int = 20
    junk_command_limit: int = 100
    recipient_limit: int = 1000
    recipient_overshoot_limit: int = 1000
    message_size_limit: int = 10_240_000
    queue_minfree: int = 0
    line_length_limit: int = 2048
    client_connection_count_limit: int = 50
    client_connection_rate_limit: int = 0
    client_message_rate_limit: int = 0
    client_recipient_rate_limit: int = 0
    client_auth_rate_limit: int = 0
    client_new_tls_session_rate_limit: int = 0
    client_event_limit_exceptions: tuple[str, ...] = ()
    anvil_rate_time_unit: float = 60.0
    forbid_bare_newline: BareNewline = BareNewline.NORMALIZE
    forbid_bare_newline_exclusions: tuple[str, ...] = ()
    forbid_bare_newline_reject_code: int = 550
    forbid_unauth_pipelining: bool = True
    forbidden_commands: tuple[str, ...] = ("CONNECT", "GET", "POST", "regexp:{{/^[^A-Z]/ Bogus}}")
    noop_commands: tuple[str, ...] = ()
    discard_ehlo_keywords: tuple[str, ...] = ()
    helo_required: bool = False
    disable_vrfy_command: bool = False
    strict_rfc821_envelopes: bool = False
    smtputf8_enable: bool = True
    soft_bounce: bool = False
    reject_footer: str = ""
    peername_lookup: bool = True
    client_port_logging: bool = False
    delay_open_until_valid_rcpt: bool = True
    tls_security_level: str = ""
    tls_wrappermode: bool = False
    tls_auth_only: bool = False
    tls_loglevel: int = 0
    sasl_auth_enable: bool = False
    sasl_mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    sasl_plaintext_allowed: bool = True
    sasl_response_limit: int = 12288
    sasl_exceptions_networks: tuple[str, ...] = ()
    broken_sasl_auth_clients: bool = False

    @property
    def tls_mandatory(self) -> bool:
        """No mail without TLS."""
        return self.tls_security_level == "encrypt"

    @property
    def tls_offered(self) -> bool:
        """STARTTLS is announced."""
        return self.tls_security_level in ("may", "encrypt") and not self.tls_wrappermode
