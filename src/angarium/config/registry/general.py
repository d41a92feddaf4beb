"""Parameters of main.cf: names, domains and what belongs to no single program."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "compatibility_level",
        Type.STRING,
        "0",
        "The release of Postfix whose defaults apply; later defaults need a later level.",
        "general",
    ),
    Parameter(
        "empty_address_local_login_sender_maps_lookup_key",
        Type.STRING,
        "<>",
        "The pattern of local_login_sender_maps that stands for the empty envelope sender.",
        "general",
    ),
    Parameter(
        "known_tcp_ports",
        Type.NAMES,
        "lmtp=24, smtp=25, smtps=submissions=465, submission=587",
        "Names of TCP services, for a system that does not know them.",
        "general",
    ),
    Parameter(
        "mail_name",
        Type.STRING,
        "Postfix",
        "The name of the mail system, in the banner and in Received.",
        "general",
        minimum=1,
    ),
    Parameter("mail_release_date", Type.STRING, "", "The date of the release that mail_version names.", "general"),
    Parameter(
        "mail_version",
        Type.STRING,
        "",
        "The release of Postfix that this server is compatible with.",
        "general",
        minimum=1,
    ),
    Parameter(
        "message_size_limit",
        Type.SIZE,
        "10240000",
        "How many bytes a message may have; 0 is no limit.",
        "general",
        minimum=0,
    ),
    Parameter(
        "mydomain",
        Type.STRING,
        "",
        "The domain of this system: by default what follows the first dot of myhostname.",
        "general",
        minimum=1,
    ),
    Parameter("myhostname", Type.STRING, "", "The full name of this system.", "general", minimum=1),
    Parameter("mynetworks", Type.TABLES, "", "Networks of clients that are trusted.", "general"),
    Parameter(
        "mynetworks_style",
        Type.ENUM,
        "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
        "How mynetworks is made when it is not set: host, subnet or class.",
        "general",
        choices=(
            "class",
            "subnet",
            "host",
        ),
    ),
    Parameter(
        "myorigin",
        Type.STRING,
        "$myhostname",
        "The domain that mail from here seems to come from.",
        "general",
        minimum=1,
    ),
    Parameter(
        "prepend_delivered_header",
        Type.STRING,
        "command, file, forward",
        "For what local delivery writes a Delivered-To header: command, file, forward.",
        "general",
    ),
    Parameter(
        "proxy_interfaces", Type.NAMES, "", "Addresses under which the outside world sees this system.", "general"
    ),
    Parameter(
        "tcp_windowsize",
        Type.SIZE,
        "0",
        "",
        "general",
        Status.UNSUPPORTED,
        "the kernel's own windows are used",
        minimum=0,
    ),
)
