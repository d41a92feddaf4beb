"""Parameters of main.cf: master."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "application_event_drain_time",
        Type.TIME,
        "100s",
        "",
        "master",
        Status.UNSUPPORTED,
        "the master does not do this yet",
    ),
    Parameter(
        "daemon_table_open_error_is_fatal",
        Type.BOOLEAN,
        "no",
        "",
        "master",
        Status.UNSUPPORTED,
        "the master does not do this yet",
    ),
    Parameter(
        "daemon_timeout",
        Type.TIME,
        "18000s",
        "How long one attempt of a delivery agent may take. A process whose event loop stands still for that long, or "
        "for five minutes, is killed and replaced.",
        "master",
        minimum=1,
    ),
    Parameter(
        "default_process_limit",
        Type.INTEGER,
        "100",
        "How many deliveries of one transport may be under way, where master.cf does not say. The sessions of smtpd, "
        "imapd and pop3d are bounded only by a number in the maxproc column: others wait to be accepted.",
        "master",
        minimum=0,
    ),
    Parameter(
        "dont_remove", Type.INTEGER, "0", "", "master", Status.NO_EFFECT, "for debugging of Postfix itself", minimum=0
    ),
    Parameter(
        "export_environment",
        Type.NAMES,
        "TZ MAIL_CONFIG LANG",
        "What commands for deliveries see of the server's environment: names, and name=value.",
        "master",
    ),
    Parameter(
        "fault_injection_code",
        Type.INTEGER,
        "0",
        "",
        "master",
        Status.NO_EFFECT,
        "for debugging of Postfix itself",
        minimum=0,
    ),
    Parameter(
        "fork_attempts", Type.INTEGER, "5", "", "master", Status.NO_EFFECT, "workers are started once", minimum=0
    ),
    Parameter("fork_delay", Type.TIME, "1s", "", "master", Status.NO_EFFECT, "workers are started once"),
    Parameter(
        "import_environment",
        Type.NAMES,
        ("MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME"),
        "What the processes that serve and deliver keep of the environment of whoever starts the server: names of "
        "variables, or name=value.",
        "master",
    ),
    Parameter(
        "inet_interfaces",
        Type.NAMES,
        "all",
        "The addresses that services listen on: all, loopback-only, or addresses and names.",
        "master",
    ),
    Parameter("inet_protocols", Type.NAMES, "all", "The families that are used: all, ipv4, ipv6.", "master"),
    Parameter("ipc_idle", Type.TIME, "5s", "", "master", Status.NO_EFFECT, "services talk inside a process"),
    Parameter("ipc_timeout", Type.TIME, "3600s", "", "master", Status.NO_EFFECT, "services talk inside a process"),
    Parameter("ipc_ttl", Type.TIME, "1000s", "", "master", Status.NO_EFFECT, "services talk inside a process"),
    Parameter(
        "mail_owner", Type.STRING, "postfix", "The user that everything but the master runs as.", "master", minimum=1
    ),
    Parameter(
        "master_service_disable",
        Type.NAMES,
        "",
        "Services of master.cf that are not started: types, as inet, and name/type; with ! those that are started all "
        "the same. The first match decides.",
        "master",
    ),
    Parameter("max_idle", Type.TIME, "100s", "", "master", Status.NO_EFFECT, "workers are not recycled"),
    Parameter("max_use", Type.INTEGER, "100", "", "master", Status.NO_EFFECT, "workers are not recycled", minimum=0),
    Parameter(
        "process_id",
        Type.INTEGER,
        "11041",
        "",
        "master",
        Status.NO_EFFECT,
        "each program sets it for itself",
        minimum=0,
    ),
    Parameter("process_id_directory", Type.STRING, "pid", "", "master", Status.NO_EFFECT, "there is one process tree"),
    Parameter("process_name", Type.STRING, "postconf", "", "master", Status.UNSUPPORTED, "the log has one form yet"),
    Parameter(
        "service_name", Type.STRING, "", "The name of the service in master.cf; set by the program itself.", "master"
    ),
    Parameter(
        "service_throttle_time",
        Type.TIME,
        "60s",
        "How long to wait before a process that could not start is started again.",
        "master",
    ),
    Parameter(
        "setgid_group",
        Type.STRING,
        "postdrop",
        "A group that no command of pipe or spawn may have. Nothing here is set-gid: the kernel tells who submits.",
        "master",
        minimum=1,
    ),
    Parameter(
        "trigger_timeout", Type.TIME, "10s", "", "master", Status.NO_EFFECT, "programs are not woken by triggers"
    ),
)
