"""The parameters of smtpd's restrictions, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.policy.delegation import ServiceSettings
from angarium.policy.expansion import DEFAULT_FILTER

SAFE_RELAY_RESTRICTIONS = ("permit_mynetworks", "permit_sasl_authenticated", "defer_unauth_destination")


@dataclass(frozen=True, slots=True)
class UnverifiedParameters:
    """What an address that a probe finds wanting is answered: ``unverified_sender_`` or ``unverified_recipient_``."""

    reject_code: int = 450
    defer_code: int = 450
    reject_reason: str = ""
    tempfail_action: str = "defer_if_permit"

    @classmethod
    def from_config(cls, conf: Config, prefix: str) -> UnverifiedParameters:
        """Read them from main.cf; ``prefix`` is ``unverified_sender`` or ``unverified_recipient``."""
        return cls(
            conf.integer(f"{prefix}_reject_code"),
            conf.integer(f"{prefix}_defer_code"),
            conf.text(f"{prefix}_reject_reason"),
            conf.text(f"{prefix}_tempfail_action"),
        )


@dataclass(frozen=True, slots=True)
class PolicyParameters:
    """What the restriction lists need; each field is the parameter of that name in postconf(5).

    ``classes`` is ``smtpd_restriction_classes``: the name of each class with the restrictions that it stands for.
    """

    myhostname: str
    mynetworks: tuple[str, ...] = ()
    smtpd_delay_reject: bool = True
    smtpd_client_restrictions: tuple[str, ...] = ()
    smtpd_helo_restrictions: tuple[str, ...] = ()
    smtpd_sender_restrictions: tuple[str, ...] = ()
    smtpd_relay_restrictions: tuple[str, ...] = SAFE_RELAY_RESTRICTIONS
    smtpd_recipient_restrictions: tuple[str, ...] = ()
    smtpd_data_restrictions: tuple[str, ...] = ()
    smtpd_end_of_data_restrictions: tuple[str, ...] = ()
    smtpd_etrn_restrictions: tuple[str, ...] = ()
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    smtpd_reject_unlisted_recipient: bool = True
    smtpd_reject_unlisted_sender: bool = False
    local_recipient_maps: tuple[str, ...] = ()
    unknown_recipient_checks: bool = True
    recipient_canonical_maps: tuple[str, ...] = ()
    canonical_maps: tuple[str, ...] = ()
    virtual_alias_maps: tuple[str, ...] = ()
    virtual_mailbox_maps: tuple[str, ...] = ()
    relay_recipient_maps: tuple[str, ...] = ()
    smtpd_sender_login_maps: tuple[str, ...] = ()
    relay_clientcerts: tuple[str, ...] = ()
    smtpd_sasl_auth_enable: bool = True
    smtpd_relay_before_recipient_restrictions: bool = True
    smtpd_log_access_permit_actions: tuple[str, ...] = ()
    smtpd_null_access_lookup_key: str = "<>"
    smtpd_expansion_filter: str = DEFAULT_FILTER
    smtpd_proxy_filter: str = ""
    address_verify_sender: str = ""
    address_verify_sender_ttl: float = 0.0
    smtpd_dns_reply_filter: tuple[str, ...] = ()
    maps_rbl_domains: tuple[str, ...] = ()
    parent_domain_matches_subdomains: tuple[str, ...] = ("smtpd_access_maps",)
    recipient_delimiter: str = ""
    show_user_unknown_table_name: bool = True
    soft_bounce: bool = False
    access_map_reject_code: int = 554
    access_map_defer_code: int = 450
    reject_code: int = 554
    defer_code: int = 450
    relay_domains_reject_code: int = 554
    non_fqdn_reject_code: int = 504
    invalid_hostname_reject_code: int = 501
    unknown_address_reject_code: int = 450
    unknown_hostname_reject_code: int = 450
    unknown_client_reject_code: int = 450
    unknown_local_recipient_reject_code: int = 550
    unknown_virtual_alias_reject_code: int = 550
    unknown_virtual_mailbox_reject_code: int = 550
    unknown_relay_recipient_reject_code: int = 550
    over_quota_reject_code: int = 552
    maps_rbl_reject_code: int = 554
    multi_recipient_bounce_reject_code: int = 550
    plaintext_reject_code: int = 450
    default_rbl_reply: str = "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain"
    rbl_reply_maps: tuple[str, ...] = ()
    permit_mx_backup_networks: tuple[str, ...] = ()
    unknown_address_tempfail_action: str = "defer_if_permit"
    unknown_helo_hostname_tempfail_action: str = "defer_if_permit"
    policy_service: ServiceSettings = field(default_factory=lambda: ServiceSettings(""))
    unverified_sender: UnverifiedParameters = field(default_factory=UnverifiedParameters)
    unverified_recipient: UnverifiedParameters = field(default_factory=UnverifiedParameters)
    stress: str = ""
    queue_directory: str = "/var/spool/postfix"
    mailstore_transports: frozenset[str] = frozenset({"virtual"})

    @classmethod
    def from_config(cls, conf: Config) -> PolicyParameters:
        """Read them from main.cf, with the overrides of the service."""

        def names(name: str) -> tuple[str, ...]:
            return tuple(conf.names(name))

        return cls(
            mailstore_transports=_mailstore_transports(conf),
            myhostname=conf.text("myhostname"),
            mynetworks=names("mynetworks"),
            smtpd_delay_reject=conf.boolean("smtpd_delay_reject"),
            smtpd_client_restrictions=names("smtpd_client_restrictions"),
            smtpd_helo_restrictions=names("smtpd_helo_restrictions"),
            smtpd_sender_restrictions=names("smtpd_sender_restrictions"),
            smtpd_relay_restrictions=_relay_restrictions(conf),
            smtpd_recipient_restrictions=names("smtpd_recipient_restrictions"),
            smtpd_data_restrictions=names("smtpd_data_restrictions"),
            smtpd_end_of_data_restrictions=names("smtpd_end_of_data_restrictions"),
            smtpd_etrn_restrictions=names("smtpd_etrn_restrictions"),
            classes={name: names(name) for name in names("smtpd_restriction_classes")},
            smtpd_reject_unlisted_recipient=conf.boolean("smtpd_reject_unlisted_recipient"),
            smtpd_reject_unlisted_sender=conf.boolean("smtpd_reject_unlisted_sender"),
            local_recipient_maps=names("local_recipient_maps"),
            unknown_recipient_checks="no_unknown_recipient_checks" not in names("receive_override_options"),
            recipient_canonical_maps=names("recipient_canonical_maps"),
            canonical_maps=names("canonical_maps"),
            virtual_alias_maps=names("virtual_alias_maps"),
            virtual_mailbox_maps=names("virtual_mailbox_maps"),
            relay_recipient_maps=names("relay_recipient_maps"),
            smtpd_sender_login_maps=names("smtpd_sender_login_maps"),
            relay_clientcerts=names("relay_clientcerts"),
            smtpd_sasl_auth_enable=conf.boolean("smtpd_sasl_auth_enable"),
            smtpd_relay_before_recipient_restrictions=conf.boolean("smtpd_relay_before_recipient_restrictions"),
            smtpd_log_access_permit_actions=names("smtpd_log_access_permit_actions"),
            smtpd_null_access_lookup_key=conf.text("smtpd_null_access_lookup_key"),
            smtpd_expansion_filter=conf.text("smtpd_expansion_filter"),
            address_verify_sender=conf.text("address_verify_sender"),
            address_verify_sender_ttl=conf.seconds("address_verify_sender_ttl"),
            smtpd_proxy_filter=conf.text("smtpd_proxy_filter"),
            smtpd_dns_reply_filter=names("smtpd_dns_reply_filter"),
            maps_rbl_domains=names("maps_rbl_domains"),
            parent_domain_matches_subdomains=names("parent_domain_matches_subdomains"),
            recipient_delimiter=conf.delimiters(),
            show_user_unknown_table_name=conf.boolean("show_user_unknown_table_name"),
            soft_bounce=conf.boolean("soft_bounce"),
            access_map_reject_code=conf.integer("access_map_reject_code"),
            access_map_defer_code=conf.integer("access_map_defer_code"),
            reject_code=conf.integer("reject_code"),
            defer_code=conf.integer("defer_code"),
            relay_domains_reject_code=conf.integer("relay_domains_reject_code"),
            non_fqdn_reject_code=conf.integer("non_fqdn_reject_code"),
            invalid_hostname_reject_code=conf.integer("invalid_hostname_reject_code"),
            unknown_address_reject_code=conf.integer("unknown_address_reject_code"),
            unknown_hostname_reject_code=conf.integer("unknown_hostname_reject_code"),
            unknown_client_reject_code=conf.integer("unknown_client_reject_code"),
            unknown_local_recipient_reject_code=conf.integer("unknown_local_recipient_reject_code"),
            unknown_virtual_alias_reject_code=conf.integer("unknown_virtual_alias_reject_code"),
            unknown_virtual_mailbox_reject_code=conf.integer("unknown_virtual_mailbox_reject_code"),
            over_quota_reject_code=conf.integer("over_quota_reject_code"),
            unknown_relay_recipient_reject_code=conf.integer("unknown_relay_recipient_reject_code"),
            maps_rbl_reject_code=conf.integer("maps_rbl_reject_code"),
            multi_recipient_bounce_reject_code=conf.integer("multi_recipient_bounce_reject_code"),
            plaintext_reject_code=conf.integer("plaintext_reject_code"),
            default_rbl_reply=conf.text("default_rbl_reply"),
            rbl_reply_maps=names("rbl_reply_maps"),
            permit_mx_backup_networks=names("permit_mx_backup_networks"),
            unknown_address_tempfail_action=conf.text("unknown_address_tempfail_action"),
            unknown_helo_hostname_tempfail_action=conf.text("unknown_helo_hostname_tempfail_action"),
            policy_service=_policy_service(conf),
            unverified_sender=UnverifiedParameters.from_config(conf, "unverified_sender"),
            unverified_recipient=UnverifiedParameters.from_config(conf, "unverified_recipient"),
            stress=conf.text("stress"),
            queue_directory=conf.text("queue_directory"),
        )


def _policy_service(conf: Config) -> ServiceSettings:
    return ServiceSettings(
        "",
        timeout=conf.seconds("smtpd_policy_service_timeout"),
        max_idle=conf.seconds("smtpd_policy_service_max_idle"),
        max_ttl=conf.seconds("smtpd_policy_service_max_ttl"),
        request_limit=conf.integer("smtpd_policy_service_request_limit"),
        retry_delay=conf.seconds("smtpd_policy_service_retry_delay"),
        try_limit=conf.integer("smtpd_policy_service_try_limit"),
        default_action=conf.text("smtpd_policy_service_default_action"),
        policy_context=conf.text("smtpd_policy_service_policy_context"),
    )


def _relay_restrictions(conf: Config) -> tuple[str, ...]:
    """``smtpd_relay_restrictions``; nobody having set it, never empty, whatever ``compatibility_level`` says.

    Postfix leaves it empty below level 1 and then refuses to serve unless smtpd_recipient_restrictions keeps
    strangers from relaying. With the safe list added, such a configuration means the same and an unsafe one is safe.
    """
    words = tuple(conf.names("smtpd_relay_restrictions"))
    if not words and conf.setting("smtpd_relay_restrictions") is None:
        return () if conf.names("smtpd_recipient_restrictions") else SAFE_RELAY_RESTRICTIONS
    return words


def _mailstore_transports(conf: Config) -> frozenset[str]:
    """The transports of master.cf that deliver into the mailstore; without a master.cf there is the usual one."""
    try:
        services = conf.master.services
    except ConfigError:
        return frozenset({"virtual"})
    return frozenset(
        entry.name
        for entry in services
        if entry.type == "unix"
        and entry.command == "virtual"
        and conf.for_service(entry).choice("virtual_mailbox_format") == "mailstore"
    )
