"""The parameters of smtpd(8) as values: main.cf's strings end here.

Names are those of postconf(5) without ``smtpd_`` in front, times in seconds, sizes in octets.
"""

from __future__ import annotations

from dataclasses import dataclass

from angarium.config.config import Config
from angarium.config.verp import verp_rules
from angarium.model.verp import USUAL_RULES, VerpRules
from angarium.policy.expansion import DEFAULT_FILTER
from angarium.protocols.smtp.forwarding import EVERY_FAMILY, Families
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
    anvil_status_update_time: float = 600.0
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
    allow_min_user: bool = False
    resolve_numeric_domain: bool = False
    resolve_null_domain: bool = False
    smtputf8_enable: bool = True
    strict_smtputf8: bool = False
    soft_bounce: bool = False
    reject_footer: str = ""
    expansion_filter: str = DEFAULT_FILTER
    peername_lookup: bool = True
    client_port_logging: bool = False
    delay_open_until_valid_rcpt: bool = True
    tls_security_level: str = ""
    tls_wrappermode: bool = False
    tls_auth_only: bool = False
    tls_loglevel: int = 0
    tls_asks_certificate: bool = False
    tls_requires_certificate: bool = False
    tls_fingerprint_digest: str = "sha256"
    sasl_auth_enable: bool = False
    sasl_mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    sasl_tls_mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    sasl_response_limit: int = 12288
    sasl_exceptions_networks: tuple[str, ...] = ()
    broken_sasl_auth_clients: bool = False
    queue_directory: str = "/var/spool/postfix"
    proxy_filter: str = ""
    proxy_ehlo: str = "localhost"
    proxy_timeout: float = 100.0
    proxy_speed_adjust: bool = False
    upstream_proxy_protocol: str = ""
    upstream_proxy_timeout: float = 5.0
    families: Families = EVERY_FAMILY
    verp: VerpRules = USUAL_RULES

    @property
    def tls_mandatory(self) -> bool:
        """No mail without TLS."""
        return self.tls_security_level == "encrypt"

    @property
    def tls_offered(self) -> bool:
        """STARTTLS is announced."""
        return self.tls_security_level in ("may", "encrypt") and not self.tls_wrappermode

    @classmethod
    def from_config(cls, conf: Config, service: str = "smtp") -> SmtpdParameters:
        """Read main.cf, with the overlay of the service's ``-o`` options.

        Args:
            conf: the configuration.
            service: the service's name in master.cf: what the rate limits are counted by.

        Raises:
            ConfigError: a value that cannot be used.
        """
        return cls(
            myhostname=conf.text("myhostname"),
            mail_name=conf.text("mail_name"),
            banner=conf.text("smtpd_banner"),
            service_name=service,
            timeout=conf.seconds("smtpd_timeout"),
            starttls_timeout=conf.seconds("smtpd_starttls_timeout"),
            per_request_deadline=conf.boolean("smtpd_per_request_deadline"),
            min_data_rate=conf.integer("smtpd_min_data_rate"),
            error_sleep_time=conf.seconds("smtpd_error_sleep_time"),
            soft_error_limit=conf.integer("smtpd_soft_error_limit"),
            hard_error_limit=conf.integer("smtpd_hard_error_limit"),
            junk_command_limit=conf.integer("smtpd_junk_command_limit"),
            recipient_limit=conf.integer("smtpd_recipient_limit"),
            recipient_overshoot_limit=conf.integer("smtpd_recipient_overshoot_limit"),
            message_size_limit=conf.size("message_size_limit"),
            queue_minfree=conf.size("queue_minfree"),
            line_length_limit=conf.integer("line_length_limit"),
            client_connection_count_limit=conf.integer("smtpd_client_connection_count_limit"),
            client_connection_rate_limit=conf.integer("smtpd_client_connection_rate_limit"),
            client_message_rate_limit=conf.integer("smtpd_client_message_rate_limit"),
            client_recipient_rate_limit=conf.integer("smtpd_client_recipient_rate_limit"),
            client_auth_rate_limit=conf.integer("smtpd_client_auth_rate_limit"),
            client_new_tls_session_rate_limit=conf.integer("smtpd_client_new_tls_session_rate_limit"),
            client_event_limit_exceptions=tuple(conf.names("smtpd_client_event_limit_exceptions")),
            anvil_rate_time_unit=conf.seconds("anvil_rate_time_unit"),
            anvil_status_update_time=conf.seconds("anvil_status_update_time"),
            forbid_bare_newline=_bare_newline(conf.choice("smtpd_forbid_bare_newline")),
            forbid_bare_newline_exclusions=tuple(conf.names("smtpd_forbid_bare_newline_exclusions")),
            forbid_bare_newline_reject_code=conf.integer("smtpd_forbid_bare_newline_reject_code"),
            forbid_unauth_pipelining=conf.boolean("smtpd_forbid_unauth_pipelining"),
            forbidden_commands=tuple(conf.names("smtpd_forbidden_commands")),
            noop_commands=tuple(name.upper() for name in conf.names("smtpd_noop_commands")),
            discard_ehlo_keywords=tuple(conf.names("smtpd_discard_ehlo_keywords")),
            helo_required=conf.boolean("smtpd_helo_required"),
            disable_vrfy_command=conf.boolean("disable_vrfy_command"),
            strict_rfc821_envelopes=conf.boolean("strict_rfc821_envelopes"),
            allow_min_user=conf.boolean("allow_min_user"),
            resolve_numeric_domain=conf.boolean("resolve_numeric_domain"),
            resolve_null_domain=conf.boolean("resolve_null_domain"),
            smtputf8_enable=conf.boolean("smtputf8_enable"),
            strict_smtputf8=conf.boolean("strict_smtputf8"),
            soft_bounce=conf.boolean("soft_bounce"),
            reject_footer=conf.text("smtpd_reject_footer"),
            expansion_filter=conf.text("smtpd_expansion_filter"),
            peername_lookup=conf.boolean("smtpd_peername_lookup"),
            client_port_logging=conf.boolean("smtpd_client_port_logging"),
            delay_open_until_valid_rcpt=conf.boolean("smtpd_delay_open_until_valid_rcpt"),
            tls_security_level=smtpd_security_level(conf),
            tls_wrappermode=conf.boolean("smtpd_tls_wrappermode"),
            tls_auth_only=conf.boolean("smtpd_tls_auth_only"),
            tls_loglevel=_loglevel(conf),
            tls_asks_certificate=conf.boolean("smtpd_tls_ask_ccert") or conf.boolean("smtpd_tls_req_ccert"),
            tls_requires_certificate=conf.boolean("smtpd_tls_req_ccert")
            and (smtpd_security_level(conf) == "encrypt" or conf.boolean("smtpd_tls_wrappermode")),
            tls_fingerprint_digest=conf.text("smtpd_tls_fingerprint_digest"),
            sasl_auth_enable=conf.boolean("smtpd_sasl_auth_enable"),
            sasl_mechanisms=_mechanisms(conf, "smtpd_sasl_security_options"),
            sasl_tls_mechanisms=_mechanisms(conf, "smtpd_sasl_tls_security_options"),
            sasl_response_limit=conf.integer("smtpd_sasl_response_limit"),
            sasl_exceptions_networks=tuple(conf.names("smtpd_sasl_exceptions_networks")),
            broken_sasl_auth_clients=conf.boolean("broken_sasl_auth_clients"),
            queue_directory=conf.text("queue_directory"),
            proxy_filter=conf.text("smtpd_proxy_filter"),
            proxy_ehlo=conf.text("smtpd_proxy_ehlo"),
            proxy_timeout=conf.seconds("smtpd_proxy_timeout"),
            proxy_speed_adjust="speed_adjust" in conf.names("smtpd_proxy_options"),
            upstream_proxy_protocol=conf.choice("smtpd_upstream_proxy_protocol"),
            upstream_proxy_timeout=conf.seconds("smtpd_upstream_proxy_timeout"),
            families=_families(conf),
            verp=verp_rules(conf),
        )


def _families(conf: Config) -> Families:
    words = {word.lower() for word in conf.names("inet_protocols")}
    return Families(ipv4=not words.isdisjoint({"all", "ipv4"}), ipv6=not words.isdisjoint({"all", "ipv6"}))


def _bare_newline(choice: str) -> BareNewline:
    return BareNewline.NORMALIZE if choice == "yes" else BareNewline(choice)


def smtpd_security_level(conf: Config) -> str:
    """The level; without one, the old parameters that it replaced speak (postconf(5))."""
    level = conf.text("smtpd_tls_security_level")
    if level:
        return level if level in ("none", "may") else "encrypt"
    if conf.boolean("smtpd_enforce_tls"):
        return "encrypt"
    return "may" if conf.boolean("smtpd_use_tls") else ""


def _mechanisms(conf: Config, options: str) -> tuple[str, ...]:
    """PLAIN and LOGIN, unless the security options or the mechanism filter take them away."""
    if "noplaintext" in conf.names(options):
        return ()
    patterns = [pattern.lower() for pattern in conf.names("smtpd_sasl_mechanism_filter")]
    return tuple(name for name in ("PLAIN", "LOGIN") if not patterns or _passes(name.lower(), patterns))


def _passes(name: str, patterns: list[str]) -> bool:
    """A match list of words (``!name``, ``static:anything``): the first that matches decides."""
    for pattern in patterns:
        word = pattern.lstrip("!")
        if word == name or word.startswith("static:"):
            return not pattern.startswith("!")
    return False


def _loglevel(conf: Config) -> int:
    level = conf.text("smtpd_tls_loglevel")
    return int(level) if level.isdigit() else 0
