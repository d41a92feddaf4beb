"""``$user``, ``$home`` and the others of local(8), in forward_path, mailbox_command, luser_relay and directories."""

from __future__ import annotations

from angarium.agents.local.commandline import filtered
from angarium.agents.local.plan import Addressee
from angarium.config.expansion import Expander, Reference, parse
from angarium.delivery.user import User


def expand(text: str, to: Addressee, user: User | None, allowed: str, delimiters: str) -> str:
    """``text`` for a recipient; characters of values that are not allowed become ``_`` (empty: all are).

    ``$recipient_delimiter`` is the one of the address, or the first of the ``delimiters`` when it has none.

    Raises:
        ConfigError: the text is malformed.
    """
    values = _values(to, user, delimiters)

    def value(name: str) -> str | None:
        found = values.get(name)
        if not found:
            return found
        # The expander expands what it is given: a dollar sign of a sender's is none of ours.
        return (filtered(found, allowed) if allowed else found).replace("$", "$$")

    return Expander(value).expand(text)


def is_defined(text: str, to: Addressee) -> bool:
    """Whether all that ``text`` names without a condition is there: an address without a delimiter has no extension.

    Raises:
        ConfigError: the text is malformed.
    """
    names = {
        node.name for node in parse(text) if isinstance(node, Reference) and not (node.when_set or node.when_empty)
    }
    return names <= _values(to, None, "").keys() and bool(to.delimiter or "extension" not in names)


def _values(to: Addressee, user: User | None, delimiters: str) -> dict[str, str]:
    return {
        "recipient": to.address,
        "user": to.user,
        "extension": to.extension,
        "domain": to.domain,
        "local": to.local,
        "recipient_delimiter": to.delimiter or delimiters[:1],
        "home": user.home if user else "",
        "shell": user.shell if user else "",
    }
