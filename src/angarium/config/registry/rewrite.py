"""Parameters of main.cf: rewrite."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter("allow_percent_hack", Type.BOOLEAN, "yes", "Read user%domain as user@domain.", "rewrite"),
    Parameter(
        "allow_untrusted_routing",
        Type.BOOLEAN,
        "no",
        "Relay mail with sender-specified routing (user%domain@other) for strangers, too.",
        "rewrite",
    ),
    Parameter(
        "append_at_myorigin", Type.BOOLEAN, "yes", "Complete an address without a domain with @$myorigin.", "rewrite"
    ),
    Parameter(
        "append_dot_mydomain",
        Type.BOOLEAN,
        "${{$compatibility_level} <level {1} ? {yes} : {no}}",
        "Complete a domain without a dot with .$mydomain.",
        "rewrite",
    ),
    Parameter(
        "best_mx_transport",
        Type.STRING,
        "",
        "The transport of mail whose best mail exchanger is this server, in place of returning it.",
        "rewrite",
    ),
    Parameter(
        "default_transport",
        Type.STRING,
        "smtp",
        "The transport of mail for domains that are not ours.",
        "rewrite",
        minimum=1,
    ),
    Parameter(
        "empty_address_default_transport_maps_lookup_key",
        Type.STRING,
        "<>",
        "What sender_dependent_default_transport_maps are asked for the null sender.",
        "rewrite",
    ),
    Parameter(
        "empty_address_recipient", Type.STRING, "MAILER-DAEMON", "Who gets mail for the empty address.", "rewrite"
    ),
    Parameter(
        "empty_address_relayhost_maps_lookup_key",
        Type.STRING,
        "<>",
        "What sender_dependent_relayhost_maps are asked for the null sender.",
        "rewrite",
    ),
    Parameter(
        "local_transport",
        Type.STRING,
        "local:$myhostname",
        "The transport of mail for mydestination.",
        "rewrite",
        minimum=1,
    ),
    Parameter(
        "mydestination",
        Type.TABLES,
        "$myhostname, localhost.$mydomain, localhost",
        "Domains whose recipients are users of this system.",
        "rewrite",
    ),
    Parameter(
        "owner_request_special",
        Type.BOOLEAN,
        "yes",
        "Aliases owner-x own the aliases x, and the names owner-x and x-request are not split at a hyphen.",
        "rewrite",
    ),
    Parameter(
        "parent_domain_matches_subdomains",
        Type.NAMES,
        "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps",
        "Lists in which a domain stands for its subdomains too.",
        "rewrite",
    ),
    Parameter(
        "recipient_delimiter", Type.STRING, "", "Characters that may part a user name from its extension.", "rewrite"
    ),
    Parameter(
        "relay_domains",
        Type.TABLES,
        "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
        "Domains that mail is relayed to.",
        "rewrite",
    ),
    Parameter("relay_transport", Type.STRING, "relay", "The transport of mail for relay_domains.", "rewrite"),
    Parameter(
        "relayhost",
        Type.STRING,
        "",
        "Where all mail for other domains goes; empty is straight to its exchangers.",
        "rewrite",
    ),
    Parameter(
        "relocated_maps",
        Type.TABLES,
        "",
        "Addresses that have moved, with where to: mail for them is refused with it, relocated(5).",
        "rewrite",
    ),
    Parameter(
        "resolve_dequoted_address",
        Type.BOOLEAN,
        "yes",
        'Look for routing inside of quoted local parts: "user@domain"@ours goes on to user@domain.',
        "rewrite",
    ),
    Parameter(
        "resolve_numeric_domain",
        Type.BOOLEAN,
        "no",
        "Take user@192.0.2.1 as user@[192.0.2.1] instead of refusing it.",
        "rewrite",
    ),
    Parameter(
        "rewrite_service_name",
        Type.STRING,
        "rewrite",
        "",
        "rewrite",
        Status.NO_EFFECT,
        "services find each other inside the process",
    ),
    Parameter(
        "sender_dependent_default_transport_maps",
        Type.TABLES,
        "",
        "Tables that choose the default transport by the sender.",
        "rewrite",
    ),
    Parameter(
        "sender_dependent_relayhost_maps",
        Type.TABLES,
        "",
        "Tables that choose the relay host by the sender.",
        "rewrite",
    ),
    Parameter(
        "show_user_unknown_table_name",
        Type.BOOLEAN,
        "yes",
        "Name the table in which a recipient is missing.",
        "rewrite",
    ),
    Parameter("swap_bangpath", Type.BOOLEAN, "yes", "Read site!user as user@site.", "rewrite"),
    Parameter(
        "transport_maps",
        Type.TABLES,
        "",
        "Tables that give recipients or domains a transport and a next hop.",
        "rewrite",
    ),
)
