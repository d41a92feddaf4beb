"""Parameters of main.cf: names, domains and what belongs to no single program."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter("compatibility_level", Type.STRING, "0", "", "general"),
    Parameter("empty_address_local_login_sender_maps_lookup_key", Type.STRING, "<>", "", "general", Status.UNSUPPORTED),
    Parameter("known_tcp_ports", Type.NAMES, "lmtp=24, smtp=25, smtps=submissions=465, submission=587", "", "general"),
    Parameter("mail_name", Type.STRING, "Postfix", "", "general", minimum=1),
    Parameter("mail_release_date", Type.STRING, "", "", "general", Status.UNSUPPORTED),
    Parameter("mail_version", Type.STRING, "", "", "general", minimum=1),
    Parameter("message_size_limit", Type.SIZE, "10240000", "", "general", minimum=0),
    Parameter("mydomain", Type.STRING, "", "", "general", minimum=1),
    Parameter("myhostname", Type.STRING, "", "", "general", minimum=1),
    Parameter("mynetworks", Type.TABLES, "", "", "general"),
    Parameter(
        "mynetworks_style",
        Type.ENUM,
        "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
        "",
        "general",
        choices=(
            "class",
            "subnet",
            "host",
        ),
    ),
    Parameter("myorigin", Type.STRING, "$myhostname", "", "general", minimum=1),
    Parameter("prepend_delivered_header", Type.STRING, "command, file, forward", "", "general", Status.UNSUPPORTED),
    Parameter("proxy_interfaces", Type.NAMES, "", "", "general", Status.UNSUPPORTED),
    Parameter("tcp_windowsize", Type.SIZE, "0", "", "general", Status.UNSUPPORTED, minimum=0),
)
