"""Parameters of imapd(8), which Postfix does not have. Times and limits follow what IMAP clients are used to."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Type

_PROGRAM = "imapd"
_LOOPBACK = "127.0.0.0/8 [::1]/128"


def _text(name: str, default: str, text: str) -> Parameter:
    return Parameter(name, Type.STRING, default, text, _PROGRAM, compatible=False)


def _time(name: str, default: str, text: str, minimum: int = 1) -> Parameter:
    return Parameter(name, Type.TIME, default, text, _PROGRAM, minimum=minimum, compatible=False)


def _size(name: str, default: str, text: str, minimum: int = 0) -> Parameter:
    return Parameter(name, Type.SIZE, default, text, _PROGRAM, minimum=minimum, compatible=False)


def _count(name: str, default: str, text: str) -> Parameter:
    return Parameter(name, Type.INTEGER, default, text, _PROGRAM, minimum=0, compatible=False)


def _names(name: str, default: str, text: str) -> Parameter:
    return Parameter(name, Type.NAMES, default, text, _PROGRAM, compatible=False)


def _yes_no(name: str, default: str, text: str) -> Parameter:
    return Parameter(name, Type.BOOLEAN, default, text, _PROGRAM, compatible=False)


PARAMETERS = (
    _text("imapd_banner", "$myhostname IMAP4rev1", "What the greeting says behind the list of capabilities."),
    _text(
        "imapd_id_name", "Angarium", "The name in the answer to the ID command (RFC 2971). Empty: the answer is NIL."
    ),
    _time("imapd_timeout", "30m", "How long a client that has logged in may be silent. RFC 9051 asks for 30 minutes."),
    _time("imapd_login_timeout", "180s", "How long a client may take to log in."),
    _time("imapd_starttls_timeout", "60s", "How long a TLS handshake may take."),
    _time(
        "imapd_idle_keepalive_interval",
        "120s",
        "How often a client in IDLE is told that the server is still there, so that routers keep the connection, and "
        "how often the mailboxes in use are looked at for a change whose announcement was lost. 0: never.",
        minimum=0,
    ),
    _size("imapd_line_length_limit", "65536", "The longest command, without its literals.", minimum=1024),
    _size("imapd_login_literal_limit", "8192", "What the literals of a command may have in all before log-in."),
    _size(
        "imapd_literal_limit",
        "65536",
        "What the literals of a command may have in all after log-in; messages of APPEND are not counted.",
    ),
    _size(
        "imapd_message_size_limit",
        "0",
        "The largest message that APPEND takes; 0 is no limit but the quota. Copies of sent mail are not bounded by "
        "message_size_limit, as their senders have been.",
    ),
    _count(
        "imapd_max_userip_connections",
        "20",
        "How many connections one user may have from one address in one process. 0: no limit.",
    ),
    _count(
        "imapd_login_connection_limit",
        "1000",
        "How many connections that have not logged in a service has in one process. The next one ends the oldest of "
        "them. 0: no limit.",
    ),
    _count("imapd_hard_error_limit", "20", "Wrong passwords in one connection before it is closed."),
    _time(
        "imapd_auth_failure_delay", "2s", "How long the answer to a wrong password is held back at least.", minimum=0
    ),
    _names(
        "imapd_auth_penalty_exceptions",
        _LOOPBACK,
        "Networks whose wrong passwords are neither delayed nor counted: proxies, web mail.",
    ),
    _names(
        "imapd_secure_networks",
        _LOOPBACK,
        "Networks from which passwords in clear are taken without TLS, whatever imapd_tls_auth_only says.",
    ),
    _yes_no(
        "imapd_quota_domain",
        "no",
        "Users are also told what the accounts of their domain hold together, if that is limited: a second quota root. "
        "It tells each of them something of the others.",
    ),
    Parameter(
        "imapd_tls_security_level",
        Type.ENUM,
        "${smtpd_tls_security_level?{$smtpd_tls_security_level}:{none}}",
        "none: no TLS; may: STARTTLS is offered; encrypt: nobody logs in without TLS, not even from "
        "imapd_secure_networks.",
        _PROGRAM,
        choices=("none", "may", "encrypt"),
        compatible=False,
    ),
    _yes_no("imapd_tls_wrappermode", "no", "TLS from the first byte on (port 993)."),
    _yes_no("imapd_tls_auth_only", "yes", "Take no password in clear without TLS; LOGINDISABLED is announced."),
    _text("imapd_tls_cert_file", "$smtpd_tls_cert_file", "The certificate, PEM, with its chain behind it."),
    _text("imapd_tls_key_file", "$smtpd_tls_key_file", "Its key."),
    _names("imapd_tls_chain_files", "$smtpd_tls_chain_files", "Files with key and chain together; they win."),
    _text("imapd_tls_protocols", ">=TLSv1.2", "TLS versions, as in smtpd_tls_protocols."),
    _text("imapd_tls_ciphers", "medium", "The least grade of ciphers, as in smtpd_tls_ciphers."),
    _names("imapd_tls_exclude_ciphers", "", "Ciphers that are never used."),
)
