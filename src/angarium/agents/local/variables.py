"""``$user``, ``$home`` and the others of local(8), in forward_path, mailbox_command, luser_relay and directories."""

from __future__ import annotations

from angarium.agents.local.commandline import filtered
from angarium.agents.local.plan import Addressee
from angarium.config.expansion import Expander
from angarium.delivery.user import User


def expand(text: str, to: Addressee, user: User | None, allowed: str) -> str:
    """``text`` for a recipient; characters of values that are not allowed become ``_`` (empty: all are).

    Raises:
        ConfigError: the text is malformed.
    """
    values = {
        "recipient": to.address,
        "user": to.user,
        "extension": to.extension,
        "domain": to.domain,
        "local": to.local,
        "recipient_delimiter": to.delimiter,
        "home": user.home if user else "",
        "shell": user.shell if user else "",
    }

    def value(name: str) -> str | None:
        found = values.get(name)
        if not found:
            return found
        # The expander expands what it is given: a dollar sign of a sender's is none of ours.
        return (filtered(found, allowed) if allowed else found).replace("$", "$$")

    return Expander(value).expand(text)
