"""Parameters of main.cf: verify."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter("address_verify_cache_cleanup_interval", Type.TIME, "12h", "", "verify", Status.UNSUPPORTED, unit="h"),
    Parameter("address_verify_default_transport", Type.STRING, "$default_transport", "", "verify", Status.UNSUPPORTED),
    Parameter("address_verify_local_transport", Type.STRING, "$local_transport", "", "verify", Status.UNSUPPORTED),
    Parameter(
        "address_verify_map", Type.TABLES, "btree:$data_directory/verify_cache", "", "verify", Status.UNSUPPORTED
    ),
    Parameter("address_verify_negative_cache", Type.BOOLEAN, "yes", "", "verify", Status.UNSUPPORTED),
    Parameter("address_verify_negative_expire_time", Type.TIME, "3d", "", "verify", Status.UNSUPPORTED, unit="d"),
    Parameter("address_verify_negative_refresh_time", Type.TIME, "3h", "", "verify", Status.UNSUPPORTED, unit="h"),
    Parameter(
        "address_verify_pending_request_limit", Type.INTEGER, "5000", "", "verify", Status.UNSUPPORTED, minimum=0
    ),
    Parameter(
        "address_verify_poll_count", Type.INTEGER, "${stress?{1}:{3}}", "", "verify", Status.UNSUPPORTED, minimum=0
    ),
    Parameter("address_verify_poll_delay", Type.TIME, "3s", "", "verify", Status.UNSUPPORTED),
    Parameter("address_verify_positive_expire_time", Type.TIME, "31d", "", "verify", Status.UNSUPPORTED, unit="d"),
    Parameter("address_verify_positive_refresh_time", Type.TIME, "7d", "", "verify", Status.UNSUPPORTED, unit="d"),
    Parameter("address_verify_relay_transport", Type.STRING, "$relay_transport", "", "verify", Status.UNSUPPORTED),
    Parameter("address_verify_relayhost", Type.STRING, "$relayhost", "", "verify", Status.UNSUPPORTED),
    Parameter("address_verify_sender", Type.STRING, "$double_bounce_sender", "", "verify", Status.UNSUPPORTED),
    Parameter(
        "address_verify_sender_dependent_default_transport_maps",
        Type.TABLES,
        "$sender_dependent_default_transport_maps",
        "",
        "verify",
        Status.UNSUPPORTED,
    ),
    Parameter(
        "address_verify_sender_dependent_relayhost_maps",
        Type.TABLES,
        "$sender_dependent_relayhost_maps",
        "",
        "verify",
        Status.UNSUPPORTED,
    ),
    Parameter("address_verify_sender_ttl", Type.TIME, "0s", "", "verify", Status.UNSUPPORTED),
    Parameter(
        "address_verify_service_name",
        Type.STRING,
        "verify",
        "",
        "verify",
        Status.NO_EFFECT,
        "services find each other inside the process",
    ),
    Parameter("address_verify_transport_maps", Type.TABLES, "$transport_maps", "", "verify", Status.UNSUPPORTED),
    Parameter("address_verify_virtual_transport", Type.STRING, "$virtual_transport", "", "verify", Status.UNSUPPORTED),
)
