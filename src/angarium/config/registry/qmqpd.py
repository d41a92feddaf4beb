"""Parameters of main.cf: qmqpd."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter("qmqpd_authorized_clients", Type.TABLES, "", "", "qmqpd", Status.UNSUPPORTED, "there is no QMQP server"),
    Parameter(
        "qmqpd_client_port_logging", Type.BOOLEAN, "no", "", "qmqpd", Status.UNSUPPORTED, "there is no QMQP server"
    ),
    Parameter("qmqpd_error_delay", Type.TIME, "1s", "", "qmqpd", Status.UNSUPPORTED, "there is no QMQP server"),
    Parameter("qmqpd_timeout", Type.TIME, "300s", "", "qmqpd", Status.UNSUPPORTED, "there is no QMQP server"),
)
