"""atheris target: what cleanup makes of a message. Run: python tests/fuzz/fuzz_cleanup.py -atheris_runs=1000."""

from __future__ import annotations

import asyncio
import sys

from angarium.cleanup.main import make_cleanup
from angarium.config.config import Config
from angarium.model.content import MemoryContent
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.error import MailError
from angarium.rewrite.main import make_resolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener

_LOG = ServiceLog(MemoryLog(), "postfix/cleanup")
_CONF = Config.of(
    {"myhostname": "h.test", "virtual_alias_maps": "inline:{a@x.test=b@x.test}", "inet_interfaces": "127.0.0.1"}
)
_OPENER = TableOpener(_LOG.warning)
_CLEANUP = make_cleanup(_CONF, make_resolver(_CONF, _OPENER), _OPENER, _LOG)
_ORIGINS = (Origin("local", uid=1), Origin("ESMTP", client_address="192.0.2.1", helo="h"))


def one_input(data: bytes) -> None:
    """Nothing but the headers changes: what follows the block is there, byte for byte, at the end."""
    header, blank, body = data.partition(b"\r\n\r\n")
    for origin in _ORIGINS:
        envelope = Envelope("s@x.test", (Recipient("a@x.test", "a@x.test"),), 0.0, origin)
        try:
            message = asyncio.run(_CLEANUP.process("4F2A", envelope, MemoryContent(data)))
        except MailError:
            continue
        stored = message.content.read()
        assert len(stored) == message.content.size
        assert stored.endswith(body if blank and header else b"")
        assert message.prefix.startswith(b"Received: ")
        assert message.prefix.endswith(b"\r\n")
    _LOG.sink.lines.clear()
    _LOG.sink.events.clear()


if __name__ == "__main__":
    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
