"""Parameters of main.cf: rewrite."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter("allow_percent_hack", Type.BOOLEAN, "yes", "", "rewrite", Status.UNSUPPORTED),
    Parameter("allow_untrusted_routing", Type.BOOLEAN, "no", "", "rewrite", Status.UNSUPPORTED),
    Parameter("append_at_myorigin", Type.BOOLEAN, "yes", "", "rewrite"),
    Parameter(
        "append_dot_mydomain", Type.BOOLEAN, "${{$compatibility_level} <level {1} ? {yes} : {no}}", "", "rewrite"
    ),
    Parameter("best_mx_transport", Type.STRING, "", "", "rewrite", Status.UNSUPPORTED),
    Parameter("default_transport", Type.STRING, "smtp", "", "rewrite", minimum=1),
    Parameter("empty_address_default_transport_maps_lookup_key", Type.STRING, "<>", "", "rewrite", Status.UNSUPPORTED),
    Parameter("empty_address_recipient", Type.STRING, "MAILER-DAEMON", "", "rewrite"),
    Parameter("empty_address_relayhost_maps_lookup_key", Type.STRING, "<>", "", "rewrite", Status.UNSUPPORTED),
    Parameter("local_transport", Type.STRING, "local:$myhostname", "", "rewrite", minimum=1),
    Parameter("mydestination", Type.TABLES, "$myhostname, localhost.$mydomain, localhost", "", "rewrite"),
    Parameter("owner_request_special", Type.BOOLEAN, "yes", "", "rewrite", Status.UNSUPPORTED),
    Parameter(
        "parent_domain_matches_subdomains",
        Type.NAMES,
        "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps",
        "",
        "rewrite",
        Status.UNSUPPORTED,
    ),
    Parameter("recipient_delimiter", Type.STRING, "", "", "rewrite"),
    Parameter(
        "relay_domains", Type.TABLES, "${{$compatibility_level} <level {2} ? {$mydestination} : {}}", "", "rewrite"
    ),
    Parameter("relay_transport", Type.STRING, "relay", "", "rewrite"),
    Parameter("relayhost", Type.STRING, "", "", "rewrite"),
    Parameter("relocated_maps", Type.TABLES, "", "", "rewrite", Status.UNSUPPORTED),
    Parameter("resolve_dequoted_address", Type.BOOLEAN, "yes", "", "rewrite", Status.UNSUPPORTED),
    Parameter("resolve_numeric_domain", Type.BOOLEAN, "no", "", "rewrite", Status.UNSUPPORTED),
    Parameter(
        "rewrite_service_name",
        Type.STRING,
        "rewrite",
        "",
        "rewrite",
        Status.NO_EFFECT,
        "services find each other inside the process",
    ),
    Parameter("sender_dependent_default_transport_maps", Type.TABLES, "", "", "rewrite", Status.UNSUPPORTED),
    Parameter("sender_dependent_relayhost_maps", Type.TABLES, "", "", "rewrite", Status.UNSUPPORTED),
    Parameter("show_user_unknown_table_name", Type.BOOLEAN, "yes", "", "rewrite", Status.UNSUPPORTED),
    Parameter("swap_bangpath", Type.BOOLEAN, "yes", "", "rewrite", Status.UNSUPPORTED),
    Parameter("transport_maps", Type.TABLES, "", "", "rewrite"),
)
