"""Parameters of main.cf: old names, read by the defaults of the new ones."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Type

PARAMETERS = (
    Parameter("virtual_maps", Type.LEGACY, "", "", "legacy"),
    Parameter("fallback_relay", Type.LEGACY, "", "", "legacy"),
    Parameter("authorized_verp_clients", Type.LEGACY, "", "", "legacy"),
    Parameter("smtpd_client_connection_limit_exceptions", Type.LEGACY, "", "", "legacy"),
    Parameter("postscreen_whitelist_interfaces", Type.LEGACY, "", "", "legacy"),
    Parameter("postscreen_blacklist_action", Type.LEGACY, "", "", "legacy"),
    Parameter("postscreen_dnsbl_whitelist_threshold", Type.LEGACY, "", "", "legacy"),
    Parameter("postscreen_dnsbl_ttl", Type.LEGACY, "", "", "legacy"),
    Parameter("smtp_per_record_deadline", Type.LEGACY, "", "", "legacy"),
    Parameter("lmtp_per_record_deadline", Type.LEGACY, "", "", "legacy"),
    Parameter("smtpd_per_record_deadline", Type.LEGACY, "", "", "legacy"),
    Parameter("tlsproxy_client_level", Type.LEGACY, "", "", "legacy"),
    Parameter("tlsproxy_client_policy", Type.LEGACY, "", "", "legacy"),
)
