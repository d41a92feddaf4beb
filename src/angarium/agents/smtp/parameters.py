"""The parameters of one smtp or lmtp service, as values: the rest of the agent sees no configuration text.

Nearly every ``smtp_`` parameter has an ``lmtp_`` twin. They are read in one place, by the names of smtp(8);
``own_name`` says what an lmtp service calls them.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from angarium.agents.smtp.tlspolicy import NO_DANE, DaneParameters, Defaults, TlsPolicy
from angarium.cleanup.mimewalk import WalkLimits
from angarium.config.derived import chosen_interfaces
from angarium.config.error import ConfigError
from angarium.config.registry.lmtp import twin
from angarium.protocols.smtp.client_render import PLAIN, Style
from angarium.protocols.smtp.client_states import Step
from angarium.protocols.smtp.dialect import LMTP, SMTP, Dialect
from angarium.runtime.dane import digest_order
from angarium.runtime.tls import LONGEST_SESSION, SHORTEST_SESSION, ClientTls, SecurityLevel, TlsError, TlsLibrary


class Configuration(Protocol):
    """What is read of ``config.Config``."""

    def text(self, name: str) -> str:
        """A parameter's expanded text."""
        ...

    def integer(self, name: str) -> int:
        """An integer."""
        ...

    def boolean(self, name: str) -> bool:
        """Yes or no."""
        ...

    def seconds(self, name: str) -> float:
        """A time in seconds."""
        ...

    def names(self, name: str) -> list[str]:
        """A list of words."""
        ...

    def delimiters(self) -> str:
        """recipient_delimiter."""
        ...


def own_name(dialect: Dialect, name: str) -> str:
    """What a service of this dialect calls the parameter that smtp(8) calls ``name``."""
    return name if dialect is SMTP else twin(name)


@dataclass(frozen=True, slots=True)
class _Renamed:
    """A configuration in which the parameters of an lmtp service go by the names of smtp's."""

    conf: Configuration

    def text(self, name: str) -> str:
        return self.conf.text(twin(name))

    def integer(self, name: str) -> int:
        return self.conf.integer(twin(name))

    def boolean(self, name: str) -> bool:
        return self.conf.boolean(twin(name))

    def seconds(self, name: str) -> float:
        return self.conf.seconds(twin(name))

    def names(self, name: str) -> list[str]:
        return self.conf.names(twin(name))

    def delimiters(self) -> str:
        return self.conf.delimiters()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that one step may take without progress (smtp_*_timeout)."""

    connect: float = 30.0
    helo: float = 300.0
    mail: float = 300.0
    rcpt: float = 300.0
    data_init: float = 120.0
    data_xfer: float = 180.0
    data_done: float = 600.0
    rset: float = 20.0
    quit: float = 300.0
    xforward: float = 300.0
    starttls: float = 300.0

    def by_step(self) -> Mapping[Step, float]:
        """The limit of each step of the session."""
        return {
            Step.GREETING: self.helo,
            Step.EHLO: self.helo,
            Step.HELO: self.helo,
            Step.LHLO: self.helo,
            Step.STARTTLS: self.starttls,
            Step.AUTH: self.helo,
            Step.XFORWARD_NAME: self.xforward,
            Step.XFORWARD_PROTO: self.xforward,
            Step.MAIL: self.mail,
            Step.RCPT: self.rcpt,
            Step.DATA: self.data_init,
            Step.CONTENT: self.data_xfer,
            Step.DOT: self.data_done,
            Step.RSET: self.rset,
            Step.QUIT: self.quit,
        }


@dataclass(frozen=True, slots=True)
class Authentication:
    """SASL: smtp_sasl_auth_enable and its companions.

    Attributes:
        enabled: log in to servers that the password table knows.
        plain_options: smtp_sasl_security_options; ``noplaintext`` forbids PLAIN and LOGIN outside TLS.
        tls_options: smtp_sasl_tls_security_options; the same under TLS.
        verified_options: smtp_sasl_tls_verified_security_options; the same when TLS has proved who the server is. None:
            as under TLS.
        mechanisms: smtp_sasl_mechanism_filter, in upper case; empty: any.
        soft_bounce: a refused log-in defers the mail (smtp_sasl_auth_soft_bounce).
        by_sender: ask for the sender's password first (smtp_sender_dependent_authentication).
        cache_time: seconds for which a log-in that was refused is not tried again (smtp_sasl_auth_cache_time); 0 is
            for no time.
        delimiter: between user and password (smtp_sasl_password_result_delimiter).
    """

    enabled: bool = False
    plain_options: frozenset[str] = frozenset({"noplaintext", "noanonymous"})
    tls_options: frozenset[str] = frozenset({"noplaintext", "noanonymous"})
    mechanisms: frozenset[str] = frozenset()
    soft_bounce: bool = True
    by_sender: bool = False
    delimiter: str = ":"
    verified_options: frozenset[str] | None = None
    cache_time: float = 0.0

    def options(self, *, tls: bool, verified: bool) -> frozenset[str]:
        """What mechanisms must not do in a session."""
        if verified and self.verified_options is not None:
            return self.verified_options
        return self.tls_options if tls else self.plain_options


@dataclass(frozen=True, slots=True)
class SmtpParameters:
    """Everything that one service is told; the attributes are the parameters of postconf(5) without ``smtp_``.

    ``queue_directory`` is where relative paths of unix sockets begin; ``assume_final`` (lmtp_assume_final): a server
    that does not know DSN delivers finally, it does not relay. ``own_addresses`` are this host's, of inet_interfaces
    and proxy_interfaces, for the detection of mail loops; ``families`` are IP versions in order of preference;
    ``nexthop`` lists end with ``fallback_relay``; ``only_address`` is where this host listens, if it is one address
    alone; ``request_rate`` is smtp_min_data_rate if smtp_per_request_deadline is on, else 0; ``dnssec`` says that
    smtp_dns_support_level asks for it.
    """

    dialect: Dialect = SMTP
    queue_directory: str = ""
    assume_final: bool = False
    helo_name: str = "localhost"
    myhostname: str = "localhost"
    tcp_port: int = 25
    families: tuple[int, ...] = (4, 6)
    address_preference: str = "any"
    randomize_addresses: bool = True
    mx_address_limit: int = 5
    mx_session_limit: int = 2
    fallback_relay: tuple[str, ...] = ()
    host_lookup: tuple[str, ...] = ("dns",)
    dns_enabled: bool = True
    ignore_mx_lookup_error: bool = False
    defer_if_no_mx_address_found: bool = False
    own_addresses: frozenset[str] = frozenset()
    bind_address: str = ""
    bind_address6: str = ""
    only_address: str = ""
    only_address6: str = ""
    bind_address_enforce: bool = False
    balance_inet_protocols: bool = True
    cname_overrides_servername: bool = False
    pix_workarounds: frozenset[str] = frozenset()
    pix_workaround_threshold: float = 500.0
    pix_workaround_delay: float = 10.0
    request_rate: int = 0
    skip_5xx_greeting: bool = True
    skip_quit_response: bool = True
    always_send_ehlo: bool = True
    never_send_ehlo: bool = False
    line_length_limit: int = 998
    discard_ehlo_keywords: tuple[str, ...] = ()
    cache_on_demand: bool = True
    cache_destinations: frozenset[str] = frozenset()
    cache_time_limit: float = 2.0
    reuse_time_limit: float = 300.0
    reuse_count_limit: int = 0
    tls_connection_reuse: bool = False
    tls_level: SecurityLevel = SecurityLevel.NONE
    tls_wrappermode: bool = False
    tls: ClientTls = field(default_factory=ClientTls)
    tls_loglevel: int = 0
    tls_optional: ClientTls = field(default_factory=ClientTls)
    tls_mandatory: ClientTls = field(default_factory=ClientTls)
    tls_verify_match: tuple[str, ...] = ("hostname",)
    tls_secure_match: tuple[str, ...] = ("nexthop", "dot-nexthop")
    tls_fingerprint_match: tuple[str, ...] = ()
    tls_fingerprint_digest: str = "sha256"
    tls_servername: str = ""
    tls_note_starttls_offer: bool = False
    dane: DaneParameters = NO_DANE
    dnssec: bool = False
    use_srv_lookup: frozenset[str] = frozenset()
    allow_srv_lookup_fallback: bool = False
    ignore_srv_lookup_error: bool = False
    verify_target: Step = Step.RCPT
    send_xforward_command: bool = False
    style: Style = PLAIN
    mime_output_conversion: bool = True
    walk_limits: WalkLimits = field(default_factory=WalkLimits)
    recipient_delimiter: str = ""
    soft_bounce: bool = False
    timeouts: Timeouts = field(default_factory=Timeouts)
    authentication: Authentication = field(default_factory=Authentication)

    @property
    def tls_defaults(self) -> Defaults:
        """What TLS policies start from."""
        match = {
            SecurityLevel.VERIFY: self.tls_verify_match,
            SecurityLevel.SECURE: self.tls_secure_match,
            SecurityLevel.FINGERPRINT: self.tls_fingerprint_match,
        }
        policy = TlsPolicy(replace(self.tls, level=self.tls_level), match.get(self.tls_level, ()), self.tls_servername)
        return Defaults(
            policy,
            self.tls_optional,
            self.tls_mandatory,
            self.tls_verify_match,
            self.tls_secure_match,
            self.tls_fingerprint_match,
            self.dane,
        )

    @classmethod
    def from_config(cls, given: Configuration, dialect: Dialect = SMTP) -> SmtpParameters:
        """Read main.cf, with the ``-o`` settings of the service's master.cf entry laid over it."""
        conf = given if dialect is SMTP else _Renamed(given)
        level = _tls_level(conf)
        return cls(
            dialect=dialect,
            queue_directory=conf.text("queue_directory"),
            assume_final=dialect is LMTP and conf.boolean("lmtp_assume_final"),
            helo_name=conf.text("smtp_helo_name"),
            myhostname=conf.text("myhostname"),
            tcp_port=_port(conf.text("smtp_tcp_port")),
            families=_families(conf.names("inet_protocols"), conf.text("smtp_address_preference")),
            address_preference=conf.text("smtp_address_preference"),
            randomize_addresses=conf.boolean("smtp_randomize_addresses"),
            mx_address_limit=conf.integer("smtp_mx_address_limit"),
            mx_session_limit=conf.integer("smtp_mx_session_limit"),
            fallback_relay=tuple(conf.names("smtp_fallback_relay")),
            host_lookup=tuple(conf.names("smtp_host_lookup")),
            dns_enabled=_dns_enabled(conf),
            ignore_mx_lookup_error=conf.boolean("ignore_mx_lookup_error"),
            defer_if_no_mx_address_found=conf.boolean("smtp_defer_if_no_mx_address_found"),
            own_addresses=_own_addresses(conf),
            bind_address=conf.text("smtp_bind_address").strip("[]"),
            bind_address6=conf.text("smtp_bind_address6").strip("[]"),
            only_address=_only_address(conf, 4),
            only_address6=_only_address(conf, 6),
            bind_address_enforce=conf.boolean("smtp_bind_address_enforce"),
            balance_inet_protocols=conf.boolean("smtp_balance_inet_protocols"),
            cname_overrides_servername=conf.boolean("smtp_cname_overrides_servername"),
            pix_workarounds=frozenset(word.lower() for word in conf.names("smtp_pix_workarounds")),
            pix_workaround_threshold=conf.seconds("smtp_pix_workaround_threshold_time"),
            pix_workaround_delay=conf.seconds("smtp_pix_workaround_delay_time"),
            request_rate=max(1, conf.integer("smtp_min_data_rate")) if conf.boolean("smtp_per_request_deadline") else 0,
            skip_5xx_greeting=conf.boolean("smtp_skip_5xx_greeting"),
            skip_quit_response=conf.boolean("smtp_skip_quit_response"),
            always_send_ehlo=conf.boolean("smtp_always_send_ehlo"),
            never_send_ehlo=conf.boolean("smtp_never_send_ehlo"),
            line_length_limit=conf.integer("smtp_line_length_limit"),
            discard_ehlo_keywords=tuple(conf.names("smtp_discard_ehlo_keywords")),
            cache_on_demand=conf.boolean("smtp_connection_cache_on_demand"),
            cache_destinations=frozenset(
                name.lower() for name in conf.names("smtp_connection_cache_destinations") if ":" not in name
            ),
            cache_time_limit=conf.seconds("smtp_connection_cache_time_limit"),
            reuse_time_limit=conf.seconds("smtp_connection_reuse_time_limit"),
            reuse_count_limit=conf.integer("smtp_connection_reuse_count_limit"),
            tls_connection_reuse=conf.boolean("smtp_tls_connection_reuse"),
            tls_level=level,
            tls_wrappermode=conf.boolean("smtp_tls_wrappermode"),
            tls=_client_tls(conf, level),
            tls_optional=_client_tls(conf, SecurityLevel.MAY),
            tls_mandatory=_client_tls(conf, SecurityLevel.ENCRYPT),
            tls_fingerprint_match=tuple(
                word.lower() for word in conf.text("smtp_tls_fingerprint_cert_match").replace("|", " ").split()
            ),
            tls_fingerprint_digest=conf.text("smtp_tls_fingerprint_digest"),
            tls_servername=conf.text("smtp_tls_servername"),
            dane=_dane(conf),
            dnssec=conf.text("smtp_dns_support_level").lower() == "dnssec",
            tls_note_starttls_offer=conf.boolean("smtp_tls_note_starttls_offer"),
            use_srv_lookup=frozenset(conf.names("use_srv_lookup")),
            allow_srv_lookup_fallback=conf.boolean("allow_srv_lookup_fallback"),
            ignore_srv_lookup_error=conf.boolean("ignore_srv_lookup_error"),
            tls_loglevel=conf.integer("smtp_tls_loglevel"),
            tls_verify_match=tuple(conf.names("smtp_tls_verify_cert_match")),
            tls_secure_match=tuple(conf.names("smtp_tls_secure_cert_match")),
            verify_target=Step.DATA if conf.text("smtp_address_verify_target").lower() == "data" else Step.RCPT,
            send_xforward_command=conf.boolean("smtp_send_xforward_command"),
            mime_output_conversion=not conf.boolean("disable_mime_output_conversion"),
            walk_limits=WalkLimits(
                conf.integer("mime_nesting_limit"),
                conf.integer("mime_boundary_length_limit"),
                conf.integer("header_size_limit"),
            ),
            style=Style(
                quote=conf.boolean("smtp_quote_rfc821_envelope"),
                dummy_auth=conf.boolean("smtp_send_dummy_mail_auth"),
            ),
            recipient_delimiter=conf.delimiters(),
            soft_bounce=conf.boolean("soft_bounce"),
            timeouts=Timeouts(
                connect=conf.seconds("smtp_connect_timeout"),
                helo=conf.seconds("smtp_helo_timeout"),
                mail=conf.seconds("smtp_mail_timeout"),
                rcpt=conf.seconds("smtp_rcpt_timeout"),
                data_init=conf.seconds("smtp_data_init_timeout"),
                data_xfer=conf.seconds("smtp_data_xfer_timeout"),
                data_done=conf.seconds("smtp_data_done_timeout"),
                rset=conf.seconds("smtp_rset_timeout"),
                quit=conf.seconds("smtp_quit_timeout"),
                xforward=conf.seconds("smtp_xforward_timeout"),
                starttls=conf.seconds("smtp_starttls_timeout"),
            ),
            authentication=Authentication(
                enabled=conf.boolean("smtp_sasl_auth_enable"),
                plain_options=frozenset(conf.names("smtp_sasl_security_options")),
                tls_options=frozenset(conf.names("smtp_sasl_tls_security_options")),
                verified_options=frozenset(conf.names("smtp_sasl_tls_verified_security_options")),
                mechanisms=frozenset(name.upper() for name in conf.names("smtp_sasl_mechanism_filter")),
                soft_bounce=conf.boolean("smtp_sasl_auth_soft_bounce"),
                by_sender=conf.boolean("smtp_sender_dependent_authentication"),
                cache_time=conf.seconds("smtp_sasl_auth_cache_time") if conf.text("smtp_sasl_auth_cache_name") else 0.0,
                delimiter=conf.text("smtp_sasl_password_result_delimiter") or ":",
            ),
        )


def _tls_level(conf: Configuration) -> SecurityLevel:
    text = conf.text("smtp_tls_security_level").lower()
    if not text:
        if conf.boolean("smtp_enforce_tls"):
            return SecurityLevel.VERIFY if conf.boolean("smtp_tls_enforce_peername") else SecurityLevel.ENCRYPT
        return SecurityLevel.MAY if conf.boolean("smtp_use_tls") else SecurityLevel.NONE
    try:
        return SecurityLevel(text)
    except ValueError:
        # It promises more than a level that we know, so the strictest one that needs no more data stands in.
        return SecurityLevel.DANE if text == "half-dane" else SecurityLevel.VERIFY


def _dane(conf: Configuration) -> DaneParameters:
    obstacle = ""
    if conf.text("smtp_dns_support_level").lower() != "dnssec":
        obstacle = "smtp_dns_support_level is not dnssec"
    elif "dns" not in conf.names("smtp_host_lookup"):
        obstacle = "smtp_host_lookup has no dns"
    try:
        digests = digest_order(conf.names("tls_dane_digests"))
    except TlsError as error:
        obstacle, digests = str(error), ()
    return DaneParameters(
        obstacle,
        conf.text("smtp_tls_dane_insecure_mx_policy"),
        conf.boolean("smtp_tls_force_insecure_host_tlsa_lookup"),
        digests,
    )


def _client_tls(conf: Configuration, level: SecurityLevel) -> ClientTls:
    """Raises ConfigError."""
    try:
        library = TlsLibrary.from_config(conf)
    except TlsError as error:
        raise ConfigError(str(error)) from error
    prefix = "smtp_tls_mandatory_" if level.mandatory else "smtp_tls_"
    excluded = conf.names("smtp_tls_exclude_ciphers")
    if level.mandatory:
        excluded = [*excluded, *conf.names("smtp_tls_mandatory_exclude_ciphers")]
    return ClientTls(
        level=level,
        protocols=conf.text(prefix + "protocols"),
        ciphers=conf.text(prefix + "ciphers"),
        exclude_ciphers=tuple(excluded),
        ca_file=conf.text("smtp_tls_CAfile"),
        ca_path=conf.text("smtp_tls_CApath"),
        cert_file=conf.text("smtp_tls_cert_file"),
        key_file=conf.text("smtp_tls_key_file"),
        more_pairs=tuple(
            pair
            for kind in ("ec", "d")
            if (pair := (conf.text(f"smtp_tls_{kind}cert_file"), conf.text(f"smtp_tls_{kind}key_file")))[0]
        ),
        chain_files=tuple(conf.names("smtp_tls_chain_files")),
        verify_depth=conf.integer("smtp_tls_scert_verifydepth"),
        trust_anchors=tuple(conf.names("smtp_tls_trust_anchor_file")),
        session_lifetime=_session_lifetime(conf),
        library=library,
    )


def _session_lifetime(conf: Configuration) -> float:
    """How long sessions are remembered; 0: they are not, as nobody has asked for it."""
    lifetime = conf.seconds("smtp_tls_session_cache_timeout")
    if not conf.text("smtp_tls_session_cache_database") or lifetime <= 0:
        return 0.0
    return min(max(lifetime, SHORTEST_SESSION), LONGEST_SESSION)


def _families(protocols: list[str], preference: str) -> tuple[int, ...]:
    words = {word.lower() for word in protocols}
    families = [4, 6] if "all" in words else [version for version in (4, 6) if f"ipv{version}" in words]
    if preference == "ipv6":
        families.reverse()
    return tuple(families) or (4,)


def _dns_enabled(conf: Configuration) -> bool:
    level = conf.text("smtp_dns_support_level").lower()
    return level != "disabled" if level else not conf.boolean("disable_dns_lookups")


def _only_address(conf: Configuration, version: int) -> str:
    """The address that we listen on, if there is one alone and it is not loopback; it is where calls come from."""
    chosen = chosen_interfaces(conf.text("inet_interfaces"), conf.text("inet_protocols"))
    addresses = [interface.ip for interface in chosen if interface.version == version]
    return str(addresses[0]) if len(addresses) == 1 and not addresses[0].is_loopback else ""


def _own_addresses(conf: Configuration) -> frozenset[str]:
    own = {
        str(interface.ip) for interface in chosen_interfaces(conf.text("inet_interfaces"), conf.text("inet_protocols"))
    }
    named = [*conf.names("inet_interfaces"), *conf.names("proxy_interfaces")]
    own.update(word for name in named if (word := name.strip("[]"))[:1].isdigit() or ":" in word)
    return frozenset(own)


def _port(text: str) -> int:
    """A port's number by number or by the name in /etc/services, some of which a small system may not have."""
    if text.isdigit():
        return int(text)
    known = {"smtp": 25, "submission": 587, "smtps": 465, "submissions": 465, "lmtp": 24}
    return known.get(text) or socket.getservbyname(text, "tcp")
