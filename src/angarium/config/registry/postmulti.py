"""Parameters of main.cf: postmulti."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Type

PARAMETERS = (
    Parameter(
        "multi_instance_directories",
        Type.NAMES,
        "",
        "The configuration directories of the instances beside the primary one, in the order in which they start.",
        "postmulti",
    ),
    Parameter(
        "multi_instance_enable",
        Type.BOOLEAN,
        "no",
        "Whether postmulti starts this instance.",
        "postmulti",
    ),
    Parameter(
        "multi_instance_group",
        Type.STRING,
        "",
        "The group of instances that this one belongs to, for postmulti -g.",
        "postmulti",
    ),
    Parameter(
        "multi_instance_name",
        Type.STRING,
        "",
        "The name of this instance, which begins with postfix-; its lines in the log have it in front.",
        "postmulti",
    ),
    Parameter(
        "multi_instance_wrapper",
        Type.STRING,
        "",
        "The command that the postfix command calls with its own words in place of doing what they say, when "
        "multi_instance_directories names other instances and it is called without -c and MAIL_CONFIG.",
        "postmulti",
    ),
    Parameter(
        "postmulti_control_commands",
        Type.NAMES,
        "reload flush",
        "Commands of postfix that postmulti leaves out for instances that are not enabled.",
        "postmulti",
    ),
    Parameter(
        "postmulti_start_commands",
        Type.NAMES,
        "start",
        "Commands of postfix in whose place postmulti has instances checked that are not enabled.",
        "postmulti",
    ),
    Parameter(
        "postmulti_stop_commands",
        Type.NAMES,
        "stop abort drain quick-stop",
        "Commands of postfix that postmulti gives in reverse order, and not to instances that are not enabled.",
        "postmulti",
    ),
)
