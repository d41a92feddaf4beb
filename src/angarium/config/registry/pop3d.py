"""pop3d: POP3 for the mailboxes of this server."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Type

_PROGRAM = "pop3d"


def _text(name: str, default: str, text: str) -> Parameter:
    return Parameter(name, Type.STRING, default, text, _PROGRAM, compatible=False)


def _boolean(name: str, default: str, text: str) -> Parameter:
    return Parameter(name, Type.BOOLEAN, default, text, _PROGRAM, compatible=False)


def _names(name: str, default: str, text: str) -> Parameter:
    return Parameter(name, Type.NAMES, default, text, _PROGRAM, compatible=False)


def _number(name: str, default: str, text: str, minimum: int = 0) -> Parameter:
    return Parameter(name, Type.INTEGER, default, text, _PROGRAM, minimum=minimum, compatible=False)


def _time(name: str, default: str, text: str, minimum: int = 0) -> Parameter:
    return Parameter(name, Type.TIME, default, text, _PROGRAM, minimum=minimum, compatible=False)


PARAMETERS = (
    _names(
        "pop3d_auth_penalty_exceptions",
        "$imapd_auth_penalty_exceptions",
        "Networks whose wrong passwords are neither delayed nor counted: proxies, web mail.",
    ),
    _text(
        "pop3d_banner",
        "$myhostname POP3 server ready",
        "The text of the greeting. It must not hold a '<': a client would take it for an APOP challenge.",
    ),
    _number(
        "pop3d_client_connection_count_limit",
        "10",
        "How many POP3 sessions one account may have from one address at a time. 0: any number.",
    ),
    _time(
        "pop3d_failure_delay",
        "2s",
        "How long the answer to a refused log-in is held back at least. An address with more of them waits longer, up "
        "to 15 seconds, before its next log-in, be it over POP3 or IMAP; pop3d_auth_penalty_exceptions are exempt.",
    ),
    _number(
        "pop3d_hard_error_limit",
        "10",
        "After how many lines in a row that are no command here, or refused log-ins in all, a session is ended.",
        minimum=1,
    ),
    _number(
        "pop3d_login_connection_limit",
        "$imapd_login_connection_limit",
        "How many connections that have not logged in a service has in one process. The next one ends the oldest of "
        "them. 0: no limit.",
    ),
    _time("pop3d_login_timeout", "3m", "How long a client may take to log in.", minimum=1),
    _boolean(
        "pop3d_no_flag_updates",
        "no",
        "Leave retrieved messages unseen. Otherwise QUIT marks as seen what the session retrieved, as an IMAP client "
        "shows it then.",
    ),
    Parameter(
        "pop3d_read_ahead_limit",
        Type.SIZE,
        "262144",
        "How many bytes of the messages that follow are read with a message that a client retrieves, for each session. "
        "What an idle session holds is given back after half a minute.",
        _PROGRAM,
        minimum=0,
        compatible=False,
    ),
    _names(
        "pop3d_sasl_mechanisms", "plain, login", "The mechanisms of AUTH: plain, login. Empty: USER and PASS alone."
    ),
    _names(
        "pop3d_secure_networks",
        "$imapd_secure_networks",
        "Networks from which passwords in clear are taken without TLS, whatever pop3d_tls_auth_only says.",
    ),
    _time("pop3d_starttls_timeout", "60s", "How long a client may take for the TLS handshake.", minimum=1),
    _time(
        "pop3d_timeout",
        "10m",
        "How long a session may be idle. RFC 1939 section 3 asks for 10 minutes at least.",
        minimum=1,
    ),
    _boolean(
        "pop3d_tls_auth_only",
        "yes",
        "Take passwords under TLS only. Exempt are pop3d_secure_networks, and clients on the server's own host, which "
        "connect from the address that they connect to: nobody can listen there.",
    ),
    _text("pop3d_tls_cert_file", "$smtpd_tls_cert_file", "The server's certificate, with its chain after it (PEM)."),
    _names("pop3d_tls_chain_files", "$smtpd_tls_chain_files", "Files with key and chain; they win over cert_file."),
    Parameter(
        "pop3d_tls_ciphers",
        Type.ENUM,
        "medium",
        "The least grade of ciphers.",
        _PROGRAM,
        choices=("export", "low", "medium", "high", "null"),
        compatible=False,
    ),
    _names("pop3d_tls_exclude_ciphers", "", "Ciphers that are never used, as OpenSSL names them."),
    _text("pop3d_tls_key_file", "$smtpd_tls_key_file", "The key of the certificate (PEM)."),
    _names("pop3d_tls_protocols", ">=TLSv1.2", "The versions of TLS, as in smtpd_tls_protocols."),
    Parameter(
        "pop3d_tls_security_level",
        Type.ENUM,
        "$smtpd_tls_security_level",
        "none: no TLS; may: STLS is offered; encrypt: nothing but STLS, CAPA and QUIT without it. Empty is none.",
        _PROGRAM,
        choices=("", "none", "may", "encrypt"),
        compatible=False,
    ),
    _boolean("pop3d_tls_wrappermode", "no", "Speak TLS from the first byte on, for port 995."),
)
