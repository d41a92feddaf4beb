"""Parameters of main.cf: log."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "debug_peer_level", Type.INTEGER, "2", "Above zero: peers of debug_peer_list are logged.", "log", minimum=0
    ),
    Parameter("debug_peer_list", Type.TABLES, "", "Peers whose conversations are logged line by line.", "log"),
    Parameter(
        "debugger_command", Type.STRING, "", "", "log", Status.NO_EFFECT, "no service is started under a debugger"
    ),
    Parameter(
        "delay_logging_resolution_limit",
        Type.INTEGER,
        "2",
        "How many digits after the point the delays in the log may have.",
        "log",
        minimum=0,
    ),
    Parameter(
        "info_log_address_format",
        Type.ENUM,
        "external",
        "",
        "log",
        Status.UNSUPPORTED,
        "the log has one form yet",
        choices=(
            "internal",
            "external",
        ),
    ),
    Parameter("maillog_file", Type.STRING, "", "The mail log: a file or /dev/stdout; empty is syslog.", "log"),
    Parameter(
        "maillog_file_compressor",
        Type.STRING,
        "gzip",
        "The program that compresses a log file that was rotated.",
        "log",
    ),
    Parameter(
        "maillog_file_prefixes",
        Type.NAMES,
        "/var, /dev/stdout",
        "",
        "log",
        Status.UNSUPPORTED,
        "maillog_file may be anywhere",
    ),
    Parameter(
        "maillog_file_rotate_suffix",
        Type.STRING,
        "%Y%m%d-%H%M%S",
        "What follows the name of a log file that was rotated, as strftime(3) fills it in.",
        "log",
    ),
    Parameter(
        "postlog_service_name",
        Type.STRING,
        "postlog",
        "",
        "log",
        Status.NO_EFFECT,
        "services find each other inside the process",
    ),
    Parameter("postlogd_watchdog_timeout", Type.TIME, "10s", "", "log", Status.NO_EFFECT, "there is no such watchdog"),
    Parameter(
        "respectful_logging",
        Type.BOOLEAN,
        "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
        "",
        "log",
        Status.UNSUPPORTED,
        "the log has one form yet",
    ),
    Parameter(
        "syslog_facility",
        Type.ENUM,
        "mail",
        "The facility of what is logged by syslog, as syslog.conf(5) names them.",
        "log",
        choices=(
            "auth",
            "authpriv",
            "cron",
            "daemon",
            "ftp",
            "kern",
            "lpr",
            "mail",
            "news",
            "security",
            "syslog",
            "user",
            "uucp",
            "local0",
            "local1",
            "local2",
            "local3",
            "local4",
            "local5",
            "local6",
            "local7",
        ),
    ),
    Parameter(
        "syslog_name",
        Type.STRING,
        "${multi_instance_name?{$multi_instance_name}:{postfix}}",
        "The name in front of the program's in the log.",
        "log",
    ),
)
