"""Parameters of main.cf: milter."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "milter_command_timeout", Type.TIME, "30s", "", "milter", Status.UNSUPPORTED, "milters are not asked yet"
    ),
    Parameter(
        "milter_connect_macros",
        Type.RAW,
        "j {daemon_name} {daemon_addr} v _",
        "",
        "milter",
        Status.UNSUPPORTED,
        "milters are not asked yet",
    ),
    Parameter(
        "milter_connect_timeout", Type.TIME, "30s", "", "milter", Status.UNSUPPORTED, "milters are not asked yet"
    ),
    Parameter(
        "milter_content_timeout", Type.TIME, "300s", "", "milter", Status.UNSUPPORTED, "milters are not asked yet"
    ),
    Parameter("milter_data_macros", Type.RAW, "i", "", "milter", Status.UNSUPPORTED, "milters are not asked yet"),
    Parameter(
        "milter_default_action",
        Type.ENUM,
        "tempfail",
        "",
        "milter",
        Status.UNSUPPORTED,
        "milters are not asked yet",
        choices=(
            "accept",
            "reject",
            "tempfail",
            "quarantine",
            "shutdown",
        ),
    ),
    Parameter(
        "milter_end_of_data_macros", Type.RAW, "i", "", "milter", Status.UNSUPPORTED, "milters are not asked yet"
    ),
    Parameter(
        "milter_end_of_header_macros", Type.RAW, "i", "", "milter", Status.UNSUPPORTED, "milters are not asked yet"
    ),
    Parameter("milter_header_checks", Type.TABLES, "", "", "milter", Status.UNSUPPORTED, "milters are not asked yet"),
    Parameter(
        "milter_helo_macros",
        Type.RAW,
        "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
        "",
        "milter",
        Status.UNSUPPORTED,
        "milters are not asked yet",
    ),
    Parameter(
        "milter_macro_daemon_name",
        Type.STRING,
        "$myhostname",
        "",
        "milter",
        Status.UNSUPPORTED,
        "milters are not asked yet",
    ),
    Parameter("milter_macro_defaults", Type.RAW, "", "", "milter", Status.UNSUPPORTED, "milters are not asked yet"),
    Parameter(
        "milter_macro_v",
        Type.STRING,
        "$mail_name $mail_version",
        "",
        "milter",
        Status.UNSUPPORTED,
        "milters are not asked yet",
    ),
    Parameter(
        "milter_mail_macros",
        Type.RAW,
        "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
        "",
        "milter",
        Status.UNSUPPORTED,
        "milters are not asked yet",
    ),
    Parameter(
        "milter_protocol", Type.INTEGER, "6", "", "milter", Status.UNSUPPORTED, "milters are not asked yet", minimum=0
    ),
    Parameter(
        "milter_rcpt_macros",
        Type.RAW,
        "i {rcpt_addr} {rcpt_host} {rcpt_mailer}",
        "",
        "milter",
        Status.UNSUPPORTED,
        "milters are not asked yet",
    ),
    Parameter(
        "milter_unknown_command_macros", Type.RAW, "", "", "milter", Status.UNSUPPORTED, "milters are not asked yet"
    ),
)
