"""atheris target: what cleanup makes of a message. Run: python tests/fuzz/fuzz_cleanup.py -atheris_runs=1000."""

from __future__ import annotations

import asyncio
import sys

from angarium.cleanup.characters import has_stray
from angarium.cleanup.main import make_cleanup
from angarium.cleanup.process import CleanupService
from angarium.config.config import Config
from angarium.model.content import MemoryContent
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.error import MailError
from angarium.rewrite.main import make_resolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener

_LOG = ServiceLog(MemoryLog(), "postfix/cleanup")
_OPENER = TableOpener(_LOG.warning)


def _cleanup(**settings: str) -> CleanupService:
    conf = Config.of({"myhostname": "h.test", "inet_interfaces": "127.0.0.1", **settings})
    return make_cleanup(conf, make_resolver(conf, _OPENER), _OPENER, _LOG)


_CLEANUP = _cleanup(virtual_alias_maps="inline:{a@x.test=b@x.test}")
_BUSY = _cleanup(
    canonical_maps='regexp:{{/^(a.*)@(.*)/ b$1@$2}, {/^q/ "c d"@x}}'.replace("$", "$$"),
    masquerade_domains="x.test test",
    header_size_limit="200",
    header_address_token_limit="20",
    mime_nesting_limit="3",
    strict_8bitmime="yes",
    strict_mime_encoding_domain="yes",
    header_checks="regexp:{{/a/ REPLACE A: b}, {/b/ PREPEND B: c}, {/c/ IGNORE}, {/zz/ REJECT}, {/z/ DISCARD}}",
    body_checks="regexp:{{/a/ REPLACE b}, {/b/ PREPEND c}, {/c/ IGNORE}, {/zz/ REJECT}, {/z/ HOLD}}",
    body_checks_size_limit="300",
)
_LOCAL = Origin("local", uid=1)
_ORIGINS = (_LOCAL, Origin("ESMTP", client_address="192.0.2.1", helo="h"))


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
        if origin is not _LOCAL or not has_stray(MemoryContent(data)):  # which cleanup_replace_stray_cr_lf replaces
            assert stored.endswith(body if blank and header else b"")
        assert message.prefix.startswith(b"Received: ")
        assert message.prefix.endswith(b"\r\n")
        try:
            message = asyncio.run(_BUSY.process("4F2A", envelope, MemoryContent(data)))
        except MailError:
            continue
        assert len(message.content.read()) == message.content.size
    _LOG.sink.lines.clear()
    _LOG.sink.events.clear()


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
