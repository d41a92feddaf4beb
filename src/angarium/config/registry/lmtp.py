"""Parameters of main.cf: lmtp.

The LMTP client is the SMTP client in another dialect, and nearly each of its parameters is the twin of one of smtp's:
the same type, the same meaning, the same status. What differs stands in the tables here. A default that names a
parameter of smtp's names its twin.
"""

from __future__ import annotations

import re

from angarium.config.parameter import Parameter, Type
from angarium.config.registry.smtp import PARAMETERS as SMTP

_NAMES = {
    "smtp_helo_name": "lmtp_lhlo_name",
    "smtp_helo_timeout": "lmtp_lhlo_timeout",
    "smtp_discard_ehlo_keywords": "lmtp_discard_lhlo_keywords",
    "smtp_discard_ehlo_keyword_address_maps": "lmtp_discard_lhlo_keyword_address_maps",
}
_WITHOUT_TWIN = frozenset(
    {
        "smtp_always_send_ehlo",
        "smtp_never_send_ehlo",
        "smtp_tls_dane_insecure_mx_policy",
        "smtp_tlsrpt_enable",
        "smtp_tlsrpt_skip_reused_handshakes",
        "smtp_tlsrpt_socket_name",
    }
)
_DEFAULTS = {
    "lmtp_connect_timeout": "0s",
    "lmtp_fallback_relay": "",
    "lmtp_skip_quit_response": "no",
    "lmtp_tcp_port": "24",
    "lmtp_tls_secure_cert_match": "nexthop",
}
_WORDS = {"EHLO": "LHLO", "SMTP": "LMTP", "HELO": "LHLO"}
_WORD = re.compile(r"\b(?:EHLO|HELO|SMTP|smtp_\w+)\b")


def twin(name: str) -> str:
    """What the LMTP client calls the parameter that the SMTP client calls ``name``; ``name`` when there is no twin."""
    if not name.startswith("smtp_") or name in _WITHOUT_TWIN:
        return name
    return _NAMES.get(name) or "lmtp_" + name.removeprefix("smtp_")


def _in_other_words(text: str) -> str:
    return _WORD.sub(lambda match: _WORDS.get(match[0]) or twin(match[0]), text)


def _twin(parameter: Parameter) -> Parameter:
    name = twin(parameter.name)
    default = _DEFAULTS.get(name)
    return parameter._replace(
        name=name,
        default=_in_other_words(parameter.default) if default is None else default,
        help=_in_other_words(parameter.help),
        program="lmtp",
        reason=_in_other_words(parameter.reason),
    )


PARAMETERS = (
    Parameter(
        "lmtp_assume_final",
        Type.BOOLEAN,
        "no",
        "A server that does not announce DSN delivers finally: reports of success say delivered, not relayed.",
        "lmtp",
    ),
    *(_twin(parameter) for parameter in SMTP if twin(parameter.name) != parameter.name),
)
