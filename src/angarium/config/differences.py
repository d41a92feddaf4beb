"""Where the same configuration and the same input do something else here than in Postfix, each with its reason.

``docs/compatibility.md`` is made from this; nothing reads it at run time. Whoever finds a difference that shall stay
adds it here, under the area's heading; what shall not stay is a fault and gets a test instead.
"""

from __future__ import annotations

from collections.abc import Mapping

DIFFERENCES: Mapping[str, tuple[str, ...]] = {
    "postconf": (
        (
            "Defaults are those of Postfix 3.9: `smtpd_forbid_bare_newline` and `smtpd_forbid_unauth_pipelining` are "
            "on, `mail_version` says 3.9.1, and newer parameters are there too, as are our own."
        ),
        (
            "A setting that is shown and that this server does not honour is a warning with its file and line; `-q` "
            "(of Postfix 3.9 and later) silences it together with the warnings for unused parameters."
        ),
        (
            "`-a` lists `dovecot` alone: passwords are checked by the server itself, and its SASL is Dovecot's. `-m` "
            "lists the types of tables that there are here, `directory` among them."
        ),
        "`-Fh` leaves a blank between a command and its arguments, which Postfix 3.7 forgets.",
        "Comments in master.cf stay where they are when a service is edited.",
        "`-v` prints nothing more.",
    ),
}
"""Area -> its differences, in Markdown."""
