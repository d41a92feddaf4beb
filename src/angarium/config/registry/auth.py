"""Authentication: what smtpd, imapd and pop3d share when they check a password."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Type

_PROGRAM = "auth"

PARAMETERS = (
    Parameter(
        "auth_default_domain",
        Type.STRING,
        "${smtpd_sasl_local_domain?{$smtpd_sasl_local_domain}:{$mydomain}}",
        "The domain of a user name that a client gives without one. Empty: such a name is unknown.",
        _PROGRAM,
        compatible=False,
    ),
    Parameter(
        "auth_cache_size",
        Type.INTEGER,
        "10000",
        "How many outcomes of log-ins a process remembers, so that a client that comes back is not a password to hash. "
        "No password is kept: an entry is a keyed digest of account, password and the hash on file, so that a changed "
        "password is asked for at once. 0 switches the cache off.",
        _PROGRAM,
        minimum=0,
        compatible=False,
    ),
    Parameter(
        "auth_cache_ttl",
        Type.TIME,
        "1h",
        "How long a successful log-in is remembered.",
        _PROGRAM,
        unit="s",
        minimum=0,
        compatible=False,
    ),
    Parameter(
        "auth_cache_negative_ttl",
        Type.TIME,
        "1h",
        "How long a failed log-in is remembered. 0: not at all.",
        _PROGRAM,
        unit="s",
        minimum=0,
        compatible=False,
    ),
    Parameter(
        "auth_hash_concurrency",
        Type.INTEGER,
        "2",
        "How many passwords a process hashes at once. Each takes 19 MiB of memory while it lasts.",
        _PROGRAM,
        minimum=1,
        maximum=64,
        compatible=False,
    ),
    Parameter(
        "auth_queue_limit",
        Type.INTEGER,
        "1000",
        "How many different log-ins may wait in a process for their password to be hashed; who comes then is told to "
        "try again later.",
        _PROGRAM,
        minimum=1,
        compatible=False,
    ),
    Parameter(
        "auth_verbose",
        Type.BOOLEAN,
        "no",
        "Log why each IMAP and POP3 log-in is refused ('unknown user', 'Password mismatch'), beside the line of the "
        "session's end. A fail2ban that reads both counts such a failure twice.",
        _PROGRAM,
        compatible=False,
    ),
)
