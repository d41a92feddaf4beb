"""Parameters of main.cf: where things are."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "alternate_config_directories",
        Type.NAMES,
        "",
        "Configurations beside this one that are no instances of it; postmulti -e deport puts them here. Commands "
        "need no leave to use one, as none has more rights than who calls it.",
        "paths",
    ),
    Parameter(
        "command_directory", Type.STRING, "/usr/sbin", "", "paths", Status.NO_EFFECT, "read by scripts only", minimum=1
    ),
    Parameter("config_directory", Type.STRING, "/etc/postfix", "The directory of main.cf and master.cf.", "paths"),
    Parameter(
        "daemon_directory",
        Type.STRING,
        "/usr/lib/postfix/sbin",
        "",
        "paths",
        Status.NO_EFFECT,
        "read by scripts only",
        minimum=1,
    ),
    Parameter(
        "data_directory",
        Type.STRING,
        "/var/lib/postfix",
        "Where the server keeps data of its own, such as the directory of accounts.",
        "paths",
        minimum=1,
    ),
    Parameter(
        "html_directory",
        Type.STRING,
        "/usr/share/doc/postfix/html",
        "",
        "paths",
        Status.NO_EFFECT,
        "read by scripts only",
    ),
    Parameter("mailq_path", Type.STRING, "/usr/bin/mailq", "Where the mailq command is; see sendmail_path.", "paths"),
    Parameter(
        "manpage_directory", Type.STRING, "/usr/share/man", "", "paths", Status.NO_EFFECT, "read by scripts only"
    ),
    Parameter("meta_directory", Type.STRING, "/etc/postfix", "", "paths", Status.NO_EFFECT, "read by scripts only"),
    Parameter("openssl_path", Type.STRING, "openssl", "", "paths", Status.NO_EFFECT, "read by scripts only"),
    Parameter(
        "readme_directory", Type.STRING, "/usr/share/doc/postfix", "", "paths", Status.NO_EFFECT, "read by scripts only"
    ),
    Parameter("sample_directory", Type.STRING, "/etc/postfix", "", "paths", Status.NO_EFFECT, "read by scripts only"),
    Parameter(
        "shlib_directory", Type.STRING, "/usr/lib/postfix", "", "paths", Status.NO_EFFECT, "read by scripts only"
    ),
)
