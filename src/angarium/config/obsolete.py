"""Names that Postfix has given up or is about to: parameters, restrictions, and what to write instead.

``GONE`` are parameters that no release since 2.3 reads; ``OLD`` are older names that still work, here as there, and
``OLD_VERBS`` restrictions from before 2.3. From postconf(5) and DEPRECATION_README.
"""

from __future__ import annotations

from collections.abc import Mapping

GONE: Mapping[str, str] = {
    "enable_errors_to": "",
    "extract_recipient_limit": "",
    "lmtp_cache_connection": "lmtp_connection_cache_on_demand",
    "sender_based_routing": "sender_dependent_relayhost_maps",
    "smtp_skip_4xx_greeting": "",
    "smtp_tls_cipherlist": "smtp_tls_ciphers",
    "smtpd_sasl_application_name": "smtpd_sasl_path",
    "smtpd_tls_cipherlist": "smtpd_tls_ciphers",
    "tls_dane_digest_agility": "",
    "tls_dane_trust_anchor_digest_enable": "",
    "tlsproxy_tls_session_cache_timeout": "smtpd_tls_session_cache_timeout",
}
"""Parameter -> the one that took its place; empty when none did."""

OLD: Mapping[str, str] = {
    "authorized_verp_clients": "smtpd_authorized_verp_clients",
    "disable_dns_lookups": "smtp_dns_support_level",
    "fallback_relay": "smtp_fallback_relay",
    "lmtp_enforce_tls": "lmtp_tls_security_level",
    "lmtp_per_record_deadline": "lmtp_per_request_deadline",
    "lmtp_tls_enforce_peername": "lmtp_tls_security_level",
    "lmtp_tls_per_site": "lmtp_tls_policy_maps",
    "lmtp_use_tls": "lmtp_tls_security_level",
    "maps_rbl_domains": "reject_rbl_client in a restriction list",
    "postscreen_blacklist_action": "postscreen_denylist_action",
    "postscreen_dnsbl_ttl": "postscreen_dnsbl_max_ttl",
    "postscreen_dnsbl_whitelist_threshold": "postscreen_dnsbl_allowlist_threshold",
    "postscreen_enforce_tls": "postscreen_tls_security_level",
    "postscreen_use_tls": "postscreen_tls_security_level",
    "postscreen_whitelist_interfaces": "postscreen_allowlist_interfaces",
    "smtp_enforce_tls": "smtp_tls_security_level",
    "smtp_per_record_deadline": "smtp_per_request_deadline",
    "smtp_tls_enforce_peername": "smtp_tls_security_level",
    "smtp_tls_per_site": "smtp_tls_policy_maps",
    "smtp_use_tls": "smtp_tls_security_level",
    "smtpd_client_connection_limit_exceptions": "smtpd_client_event_limit_exceptions",
    "smtpd_enforce_tls": "smtpd_tls_security_level",
    "smtpd_per_record_deadline": "smtpd_per_request_deadline",
    "smtpd_tls_dh1024_param_file": "nothing: the library's own groups are better",
    "smtpd_tls_dh512_param_file": "nothing: export ciphers are gone",
    "smtpd_tls_eecdh_grade": "tls_eecdh_auto_curves",
    "smtpd_use_tls": "smtpd_tls_security_level",
    "tlsproxy_client_level": "tlsproxy_client_security_level",
    "tlsproxy_client_policy": "tlsproxy_client_policy_maps",
    "tlsproxy_enforce_tls": "tlsproxy_tls_security_level",
    "tlsproxy_use_tls": "tlsproxy_tls_security_level",
    "virtual_maps": "virtual_alias_maps",
}
"""Parameter that still works -> what to write instead."""

OLD_VERBS: Mapping[str, str] = {
    "check_recipient_maps": "reject_unlisted_recipient",
    "check_relay_domains": "reject_unauth_destination",
    "permit_mx_backup": "relay_domains",
    "permit_naked_ip_address": "permit_mynetworks or permit_sasl_authenticated",
    "reject_invalid_hostname": "reject_invalid_helo_hostname",
    "reject_maps_rbl": "reject_rbl_client",
    "reject_non_fqdn_hostname": "reject_non_fqdn_helo_hostname",
    "reject_unknown_address": "reject_unknown_sender_domain",
    "reject_unknown_client": "reject_unknown_client_hostname",
    "reject_unknown_hostname": "reject_unknown_helo_hostname",
}
"""Restriction -> what to write instead."""
