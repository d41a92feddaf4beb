"""Parameters of main.cf: lmtp."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "lmtp_address_preference",
        Type.ENUM,
        "any",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
        choices=(
            "any",
            "ipv4",
            "ipv6",
        ),
    ),
    Parameter(
        "lmtp_address_verify_target",
        Type.STRING,
        "rcpt",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "addresses are not probed yet",
    ),
    Parameter("lmtp_assume_final", Type.BOOLEAN, "no", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_balance_inet_protocols",
        Type.BOOLEAN,
        "yes",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter("lmtp_bind_address", Type.STRING, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter("lmtp_bind_address6", Type.STRING, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_bind_address_enforce", Type.BOOLEAN, "no", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter("lmtp_body_checks", Type.TABLES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_cname_overrides_servername",
        Type.BOOLEAN,
        "no",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter("lmtp_connect_timeout", Type.TIME, "0s", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_connection_cache_destinations",
        Type.NAMES,
        "",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_connection_cache_on_demand",
        Type.BOOLEAN,
        "yes",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_connection_cache_time_limit",
        Type.TIME,
        "2s",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_connection_reuse_count_limit",
        Type.INTEGER,
        "0",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
        minimum=0,
    ),
    Parameter(
        "lmtp_connection_reuse_time_limit",
        Type.TIME,
        "300s",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_data_done_timeout", Type.TIME, "600s", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_data_init_timeout", Type.TIME, "120s", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_data_xfer_timeout", Type.TIME, "180s", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_defer_if_no_mx_address_found",
        Type.BOOLEAN,
        "no",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_delivery_status_filter",
        Type.TABLES,
        "$default_delivery_status_filter",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_discard_lhlo_keyword_address_maps",
        Type.TABLES,
        "",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_discard_lhlo_keywords", Type.NAMES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter("lmtp_dns_reply_filter", Type.TABLES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_dns_resolver_options", Type.NAMES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_dns_support_level",
        Type.ENUM,
        "",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
        choices=(
            "",
            "disabled",
            "enabled",
            "dnssec",
        ),
    ),
    Parameter("lmtp_enforce_tls", Type.BOOLEAN, "no", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter("lmtp_fallback_relay", Type.NAMES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter("lmtp_generic_maps", Type.TABLES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter("lmtp_header_checks", Type.TABLES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter("lmtp_host_lookup", Type.NAMES, "dns", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_lhlo_name", Type.STRING, "$myhostname", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter("lmtp_lhlo_timeout", Type.TIME, "300s", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_line_length_limit",
        Type.INTEGER,
        "998",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
        minimum=0,
    ),
    Parameter("lmtp_mail_timeout", Type.TIME, "300s", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_mime_header_checks", Type.TABLES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_min_data_rate",
        Type.INTEGER,
        "500",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
        minimum=0,
    ),
    Parameter(
        "lmtp_mx_address_limit",
        Type.INTEGER,
        "5",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
        minimum=0,
    ),
    Parameter(
        "lmtp_mx_session_limit",
        Type.INTEGER,
        "2",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
        minimum=0,
    ),
    Parameter(
        "lmtp_nested_header_checks", Type.TABLES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_per_request_deadline",
        Type.BOOLEAN,
        "${lmtp_per_record_deadline?{$lmtp_per_record_deadline}:{no}}",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_pix_workaround_delay_time",
        Type.TIME,
        "10s",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_pix_workaround_maps", Type.TABLES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_pix_workaround_threshold_time",
        Type.TIME,
        "500s",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_pix_workarounds",
        Type.NAMES,
        "disable_esmtp,delay_dotcrlf",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter("lmtp_quit_timeout", Type.TIME, "300s", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_quote_rfc821_envelope", Type.BOOLEAN, "yes", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_randomize_addresses", Type.BOOLEAN, "yes", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter("lmtp_rcpt_timeout", Type.TIME, "300s", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter("lmtp_reply_filter", Type.TABLES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter("lmtp_rset_timeout", Type.TIME, "20s", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_sasl_auth_cache_name", Type.STRING, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_sasl_auth_cache_time",
        Type.TIME,
        "90d",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
        unit="d",
    ),
    Parameter(
        "lmtp_sasl_auth_enable", Type.BOOLEAN, "no", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_sasl_auth_soft_bounce", Type.BOOLEAN, "yes", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_sasl_mechanism_filter", Type.NAMES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_sasl_password_maps", Type.TABLES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_sasl_password_result_delimiter",
        Type.STRING,
        ":",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter("lmtp_sasl_path", Type.STRING, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_sasl_security_options",
        Type.NAMES,
        "noplaintext, noanonymous",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_sasl_tls_security_options",
        Type.NAMES,
        "$lmtp_sasl_security_options",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_sasl_tls_verified_security_options",
        Type.NAMES,
        "$lmtp_sasl_tls_security_options",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter("lmtp_sasl_type", Type.STRING, "cyrus", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_send_dummy_mail_auth", Type.BOOLEAN, "no", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_send_xforward_command", Type.BOOLEAN, "no", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_sender_dependent_authentication",
        Type.BOOLEAN,
        "no",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_skip_5xx_greeting", Type.BOOLEAN, "yes", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_skip_quit_response", Type.BOOLEAN, "no", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_starttls_timeout", Type.TIME, "300s", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter("lmtp_tcp_port", Type.STRING, "24", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter("lmtp_tls_CAfile", Type.STRING, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter("lmtp_tls_CApath", Type.STRING, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_tls_block_early_mail_reply",
        Type.BOOLEAN,
        "no",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter("lmtp_tls_cert_file", Type.STRING, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter("lmtp_tls_chain_files", Type.NAMES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_tls_ciphers",
        Type.ENUM,
        "medium",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
        choices=(
            "null",
            "export",
            "low",
            "medium",
            "high",
        ),
    ),
    Parameter(
        "lmtp_tls_connection_reuse", Type.BOOLEAN, "no", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter("lmtp_tls_dcert_file", Type.STRING, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_tls_dkey_file",
        Type.STRING,
        "$lmtp_tls_dcert_file",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter("lmtp_tls_eccert_file", Type.STRING, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_tls_eckey_file",
        Type.STRING,
        "$lmtp_tls_eccert_file",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_tls_enforce_peername", Type.BOOLEAN, "yes", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_tls_exclude_ciphers", Type.STRING, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_tls_fingerprint_cert_match",
        Type.STRING,
        "",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_tls_fingerprint_digest",
        Type.STRING,
        "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_tls_force_insecure_host_tlsa_lookup",
        Type.BOOLEAN,
        "no",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_tls_key_file",
        Type.STRING,
        "$lmtp_tls_cert_file",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_tls_loglevel", Type.INTEGER, "0", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet", minimum=0
    ),
    Parameter(
        "lmtp_tls_mandatory_ciphers",
        Type.ENUM,
        "medium",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
        choices=(
            "null",
            "export",
            "low",
            "medium",
            "high",
        ),
    ),
    Parameter(
        "lmtp_tls_mandatory_exclude_ciphers",
        Type.STRING,
        "",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_tls_mandatory_protocols",
        Type.NAMES,
        ">=TLSv1",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_tls_note_starttls_offer",
        Type.BOOLEAN,
        "no",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter("lmtp_tls_per_site", Type.STRING, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter("lmtp_tls_policy_maps", Type.TABLES, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_tls_protocols", Type.NAMES, ">=TLSv1", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_tls_scert_verifydepth",
        Type.INTEGER,
        "9",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
        minimum=0,
    ),
    Parameter(
        "lmtp_tls_secure_cert_match",
        Type.NAMES,
        "nexthop",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_tls_security_level",
        Type.ENUM,
        "",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
        choices=(
            "none",
            "may",
            "encrypt",
            "dane",
            "dane-only",
            "fingerprint",
            "verify",
            "secure",
            "",
        ),
    ),
    Parameter("lmtp_tls_servername", Type.STRING, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_tls_session_cache_database",
        Type.TABLES,
        "",
        "",
        "lmtp",
        Status.NO_EFFECT,
        "sessions are resumed by tickets, without a cache on disk",
    ),
    Parameter(
        "lmtp_tls_session_cache_timeout",
        Type.TIME,
        "3600s",
        "",
        "lmtp",
        Status.NO_EFFECT,
        "sessions are resumed by tickets, without a cache on disk",
    ),
    Parameter(
        "lmtp_tls_trust_anchor_file", Type.STRING, "", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter(
        "lmtp_tls_verify_cert_match",
        Type.NAMES,
        "hostname",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
    Parameter(
        "lmtp_tls_wrappermode", Type.BOOLEAN, "no", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter("lmtp_use_tls", Type.BOOLEAN, "no", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_xforward_timeout", Type.TIME, "300s", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"
    ),
    Parameter("lmtp_tls_enable_rpk", Type.BOOLEAN, "no", "", "lmtp", Status.UNSUPPORTED, "there is no LMTP client yet"),
    Parameter(
        "lmtp_tls_enforce_sts_mx_patterns",
        Type.BOOLEAN,
        "yes",
        "",
        "lmtp",
        Status.UNSUPPORTED,
        "there is no LMTP client yet",
    ),
)
